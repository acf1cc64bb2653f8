//! The upstreams of a configuration: what each means, and that every log-in name leads to at most one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::check::Check;
use super::error::ConfigError;
use super::file::{self, Text};
use super::rules;
use super::units;
use super::validate::SECOND;
use super::{DEFAULT_FILE, Overrides, Provider, Security, Upstream, Url};
use crate::maildrop::uidl;
use crate::policy::Rules;

/// A client gives up after 10 to 60 s: it should hear of an unreachable upstream before.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that searches a large folder may be silent for long, but a dead one must be noticed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Log-ins are paced in milliseconds.
const MOST_LOGINS: u16 = 1000;
const TIMEOUTS: RangeInclusive<Duration> = SECOND..=Duration::from_secs(60 * 60);
/// Longer is as good as for ever.
const LIVES: RangeInclusive<Duration> = SECOND..=DAYS_30;
const DAYS_30: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of the upstream that a flag or the environment gives.
const NAME_OF_FLAG: &str = "default";
const NAME_LENGTH: usize = 64;
/// Hardly ever in a domain or a user's name, and on every keyboard.
const CLIENT_SEPARATOR: char = '/';

pub(super) fn upstreams(
    check: &Check<'_>,
    tables: BTreeMap<String, Spanned<file::Upstream>>,
    awaited: bool,
    overrides: &Overrides,
    warnings: &mut Vec<String>,
) -> Result<Vec<Upstream>, ConfigError> {
    let mut upstreams: Vec<Upstream> = Vec::with_capacity(tables.len());
    let mut domains = BTreeSet::new();
    for (name, table) in tables {
        let span = table.span();
        let texts = table.get_ref().domains.clone();
        let upstream = upstream(check, &name, table, warnings)?;
        for (domain, text) in upstream.domains.iter().zip(&texts) {
            if !domains.insert(domain.clone()) {
                let message = format!(
                    "the domain \"{domain}\" is listed twice; a log-in name can belong to one upstream only"
                );
                return Err(check.error(text.span(), message));
            }
        }
        let takes_the_rest = |other: &&Upstream| other.domains.is_empty();
        if upstream.domains.is_empty()
            && let Some(other) = upstreams.iter().find(takes_the_rest)
        {
            let message = format!(
                "[upstream.{}] and [upstream.{}] both have no domains; only one can take the log-in names of all other domains",
                other.name, upstream.name
            );
            return Err(check.error(span, message));
        }
        upstreams.push(upstream);
    }
    if let Some(url) = &overrides.upstream {
        if !upstreams.is_empty() {
            warnings.push("the upstream of the command line or environment is used instead of all in the file".into());
        }
        let flag = |message| ConfigError::new(format!("--upstream: {message}"));
        let url: Url = url.parse().map_err(flag)?;
        reject_unencrypted(&url, false).map_err(flag)?;
        let name = NAME_OF_FLAG.to_owned();
        return Ok(vec![
            with_defaults(name, url, Provider::Generic).map_err(flag)?,
        ]);
    }
    if upstreams.is_empty() && awaited {
        warnings.push(
            "no mail server is configured yet, so nobody can log in: add [upstream.NAME] with url = \"imaps://imap.example.com\""
                .to_owned(),
        );
    } else if upstreams.is_empty() {
        return Err(check.missing(if check.has_file() {
            "no upstream: add [upstream.NAME] with url = \"imaps://imap.example.com\"".to_owned()
        } else {
            format!(
                "no upstream: give --upstream imaps://imap.example.com (or POPBRIDGE_UPSTREAM), or --config FILE with a file that has \
                 [upstream.NAME] with url = \"imaps://imap.example.com\" in it; there is no {DEFAULT_FILE} either"
            )
        }));
    }
    Ok(upstreams)
}

fn with_defaults(name: String, url: Url, provider: Provider) -> Result<Upstream, String> {
    let mut upstream = Upstream {
        name,
        provider,
        url,
        domains: Vec::new(),
        ca: None,
        allow_unencrypted: false,
        client_separator: Some(CLIENT_SEPARATOR),
        rules: Rules::default(),
        dispose: rules::default_disposal(),
        uidl: uidl::Format::default(),
        uidonly: true,
        send_id: false,
        placeholder_text: true,
        connections: 1,
        // A server of one's own has none of these limits, and a provider's are in its profile.
        bytes_per_day: None,
        host_connections: None,
        logins_per_second: None,
        session_life: None,
        connect_timeout: CONNECT_TIMEOUT,
        command_timeout: COMMAND_TIMEOUT,
    };
    provider.profile().apply(&mut upstream)?;
    Ok(upstream)
}

fn upstream(
    check: &Check<'_>,
    name: &str,
    table: Spanned<file::Upstream>,
    warnings: &mut Vec<String>,
) -> Result<Upstream, ConfigError> {
    let span = table.span();
    let mut table = table.into_inner();
    let name =
        valid_name(name, "an upstream").map_err(|message| check.error(span.clone(), message))?;
    let provider = match &table.provider {
        Some(text) => check.word(text, &Provider::words())?,
        None => Provider::default(),
    };
    let url: Url = match (&table.url, provider.profile().url) {
        (Some(text), _) => {
            let url = check.parsed(text, str::parse)?;
            reject_unencrypted(&url, table.allow_unencrypted)
                .map_err(|message| check.error(text.span(), message))?;
            url
        }
        (None, Some(url)) => url
            .parse()
            .map_err(|message: String| check.error(span.clone(), message))?,
        (None, None) => {
            let message = format!(
                "[upstream.{name}] needs a url, such as url = \"imaps://imap.example.com\", or a provider, such as provider = \"gmail\""
            );
            return Err(check.error(span, message));
        }
    };

    let mut upstream =
        with_defaults(name, url, provider).map_err(|message| check.error(span, message))?;
    upstream.allow_unencrypted = table.allow_unencrypted;
    upstream.domains = table
        .domains
        .iter()
        .map(|text| check.parsed(text, domain))
        .collect::<Result<_, _>>()?;
    upstream.ca = table.ca.as_ref().map(|text| check.path(text)).transpose()?;
    if let Some(text) = &table.client_separator {
        upstream.client_separator = check.parsed(text, client_separator)?;
    }
    upstream.dispose.expunge_without_uidplus = table.expunge_without_uidplus;
    let owner = format!("[upstream.{}]", upstream.name);
    let keys = table.take_rule_keys();
    (upstream.rules, upstream.dispose) =
        rules::rules(check, &owner, keys, upstream.dispose, warnings)?;
    if let Some(text) = &table.uidl {
        upstream.uidl = check.parsed(text, uidl::Format::parse)?;
    }
    upstream.uidonly = table.uidonly.unwrap_or(upstream.uidonly);
    upstream.send_id = table.send_id.unwrap_or(upstream.send_id);
    upstream.placeholder_text = table.placeholder_text.unwrap_or(upstream.placeholder_text);
    if let Some(text) = &table.session_life {
        upstream.session_life = session_life(check, text)?;
    }
    if let Some(number) = &table.connections {
        upstream.connections = match *number.get_ref() {
            0 => return Err(check.error(number.span(), "connections is at least 1")),
            most => usize::from(most),
        };
    }
    budgets(check, &table, &mut upstream)?;
    let timeout = |text: &Option<Text>, default| check.duration(text.as_ref(), default, TIMEOUTS);
    upstream.connect_timeout = timeout(&table.connect_timeout, CONNECT_TIMEOUT)?;
    upstream.command_timeout = timeout(&table.command_timeout, COMMAND_TIMEOUT)?;
    Ok(upstream)
}

/// What the upstream allows; 0 takes a limit away that a profile has set.
fn budgets(
    check: &Check<'_>,
    table: &file::Upstream,
    upstream: &mut Upstream,
) -> Result<(), ConfigError> {
    if let Some(text) = &table.bytes_per_day {
        upstream.bytes_per_day = Some(check.parsed(text, units::size)?).filter(|most| *most > 0);
    }
    if let Some(number) = &table.host_connections {
        upstream.host_connections = Some(usize::from(*number.get_ref())).filter(|most| *most > 0);
    }
    if let Some(number) = &table.logins_per_second {
        upstream.logins_per_second = match *number.get_ref() {
            0 => None,
            most @ 1..=MOST_LOGINS => Some(most),
            _ => {
                let message = format!("logins_per_second is at most {MOST_LOGINS}; 0: any number");
                return Err(check.error(number.span(), message));
            }
        };
    }
    Ok(())
}

/// Zero takes a limit away that a profile has set.
fn session_life(check: &Check<'_>, text: &Text) -> Result<Option<Duration>, ConfigError> {
    if check.parsed(text, units::duration)?.is_zero() {
        return Ok(None);
    }
    let life = check.duration(Some(text), DAYS_30, LIVES)?;
    Ok(Some(life))
}

/// Passwords do not leave this machine unencrypted unless somebody has written that they may.
fn reject_unencrypted(url: &Url, allowed: bool) -> Result<(), String> {
    if url.security != Security::Off || url.is_loopback() || allowed {
        return Ok(());
    }
    Err(
        "passwords and mail would cross the network unencrypted; use imaps:// or imap+starttls://, or write \
         allow_unencrypted = true into the upstream's table of a configuration file"
            .to_owned(),
    )
}

/// A name in the file: a metric label and a word in logs. `what` has it.
pub(super) fn valid_name(name: &str, what: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_LENGTH || !name.bytes().all(fits) {
        return Err(format!(
            "\"{}\" cannot be the name of {what}; use up to {NAME_LENGTH} ASCII letters, digits, \"-\", \"_\" and \".\"",
            name.escape_default()
        ));
    }
    Ok(name.to_owned())
}

fn domain(text: &str) -> Result<String, String> {
    if let Some(rest) = text.strip_prefix('@') {
        return Err(format!("write the domain without \"@\": \"{rest}\""));
    }
    if text == "*" {
        return Err(
            "leave domains out instead: an upstream without domains takes all other log-in names"
                .to_owned(),
        );
    }
    let wrong =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '*' | ',' | '/' | ':');
    if text.is_empty() || text.contains(wrong) {
        return Err(format!(
            "\"{}\" is not a domain; write it such as \"example.com\"",
            text.escape_debug()
        ));
    }
    Ok(text.to_lowercase())
}

/// One character that cannot be missed in a log-in name, and cannot be part of its domain.
fn client_separator(text: &str) -> Result<Option<char>, String> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (None, _) => Ok(None),
        (Some(one), None)
            if one.is_ascii_graphic() && !one.is_ascii_alphanumeric() && !"@.-_".contains(one) =>
        {
            Ok(Some(one))
        }
        _ => Err(format!(
            "\"{}\" cannot separate a mailbox from a client; write one of \"/\", \"+\", \"%\", \"!\", \"=\" or another ASCII character \
             that is neither a letter, a digit, \"@\", \".\", \"-\" nor \"_\"; or \"\" for no such clients",
            text.escape_debug()
        )),
    }
}
