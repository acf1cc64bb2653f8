//! `popbridge check`: says whether the configuration is right and, when asked, what each upstream can do.
//!
//! Must not know: POP3, listeners.

mod advice;
mod token;
pub mod trial;

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::bridge::Upstream;
use crate::config::{self, Access, Config};
use crate::imap::recognize::{Signs, recognize};
use crate::imap::{Capabilities, Connection, Credentials, Destinations, Error, Proof};
use crate::metrics::Metrics;
use crate::policy::DisposeRule;
use crate::run::{StartError, secrets, upstreams};
use crate::secret::Secret;
use crate::server::tls;

/// Reports to `out`; true when all is well. With `connect` each upstream is greeted and each account logged in to; with `login` the
/// upstream that the user belongs to is logged in to as well. Folders are shown then.
///
/// # Errors
/// Where TLS cannot be set up or `out` cannot be written.
pub async fn check(
    config: &Config,
    connect: bool,
    login: Option<(String, Secret)>,
    out: &mut dyn Write,
) -> Result<bool, StartError> {
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let Some(warning) = config.state.warning() {
        writeln!(out, "warning: {warning}")?;
    }
    for warning in config.oauth_warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    let router = upstreams(config, &Metrics::new())?;
    // Makes no self-signed certificate, unlike the start.
    tls::check(&config.tls).map_err(StartError::Tls)?;
    let listeners = count(config.listen.len(), "listener");
    let upstreams = count(config.upstreams.len(), "upstream");
    let places = match config.accounts.len() {
        0 => upstreams,
        accounts => format!("{upstreams}, {}", count(accounts, "account")),
    };
    let mut well = true;
    let mut logins = Vec::new();
    for account in &config.accounts {
        let Access::Password(source) = &account.access else {
            logins.push((account, None));
            continue;
        };
        if let Some(warning) = source.warning() {
            writeln!(out, "warning: [account.{}]: {warning}", account.name)?;
        }
        match source.read() {
            Ok(password) => logins.push((account, Some(Proof::Password(password)))),
            Err(error) => {
                writeln!(out, "[account.{}]: {error}", account.name)?;
                well = false;
            }
        }
    }
    for fault in secrets::faults(config) {
        let kind = if fault.needed { "" } else { "warning: " };
        writeln!(out, "{kind}{}", fault.why)?;
        well &= !fault.needed;
    }
    if well {
        writeln!(out, "The configuration is valid: {places} and {listeners}.")?;
        for line in config.upstreams.iter().filter_map(advice::values) {
            writeln!(out, "{line}.")?;
        }
    }
    if !connect {
        return Ok(well);
    }
    let mut seen = Seen {
        config,
        greetings: HashMap::new(),
    };
    for upstream in once_each(router.upstreams()) {
        well &= seen.greet(upstream, out).await?;
    }
    for (account, proof) in logins {
        let mut upstreams = router.upstreams();
        let Some(upstream) = upstreams.find(|upstream| upstream.name == account.upstream) else {
            continue;
        };
        let proof = match proof {
            Some(proof) => proof,
            // Now that it is shown to somebody.
            None => match token::token(config, account).await {
                Ok(token) => Proof::Token(token),
                Err(error) => {
                    writeln!(out, "\n[account.{}]: {error}", account.name)?;
                    well = false;
                    continue;
                }
            },
        };
        let user = account.login.clone();
        let credentials = Credentials { user, proof };
        if let Err(error) = seen
            .log_in(upstream, &account.dispose, &credentials, out)
            .await?
        {
            writeln!(out, "  {error}")?;
            well = false;
        }
    }
    if let Some((user, password)) = login {
        let Some(upstream) = router.route(&user) else {
            writeln!(
                out,
                "{user} belongs to no upstream: no domains = [...] fits it."
            )?;
            return Ok(false);
        };
        let credentials = Credentials {
            user,
            proof: Proof::Password(password),
        };
        if let Err(error) = seen
            .log_in(upstream, &upstream.terms.dispose, &credentials, out)
            .await?
        {
            writeln!(out, "  {error}")?;
            well = false;
        }
    }
    Ok(well)
}

/// The router names an upstream once for each of its domains.
fn once_each<'a>(upstreams: impl Iterator<Item = &'a Arc<Upstream>>) -> Vec<&'a Upstream> {
    let mut each: Vec<&Upstream> = upstreams.map(Arc::as_ref).collect();
    each.sort_by(|a, b| a.name.cmp(&b.name));
    each.dedup_by(|a, b| a.name == b.name);
    each
}

/// The upstreams of a configuration, with what they have said so far.
struct Seen<'a> {
    config: &'a Config,
    greetings: HashMap<String, String>,
}

impl Seen<'_> {
    fn configured(&self, upstream: &Upstream) -> Option<&config::Upstream> {
        let mut all = self.config.upstreams.iter();
        all.find(|configured| configured.name == upstream.name)
    }

    fn signs<'a>(&'a self, upstream: &'a Upstream, capabilities: &'a Capabilities) -> Signs<'a> {
        let greeting = self.greetings.get(&upstream.name);
        Signs {
            host: &upstream.endpoint.host,
            greeting: greeting.map_or("", String::as_str),
            capabilities,
        }
    }

    async fn greet(&mut self, upstream: &Upstream, out: &mut dyn Write) -> io::Result<bool> {
        let endpoint = &upstream.endpoint;
        writeln!(
            out,
            "\n{} ({}:{}):",
            upstream.name, endpoint.host, endpoint.port
        )?;
        let greeted = match endpoint.greet().await {
            Ok(greeted) => greeted,
            Err(error) => {
                writeln!(out, "  {error}")?;
                return Ok(false);
            }
        };
        let capabilities = &greeted.capabilities;
        writeln!(out, "  before log-in: {}", words(capabilities.iter()))?;
        self.greetings
            .insert(upstream.name.clone(), greeted.greeting.clone());
        if let Some(configured) = self.configured(upstream) {
            let signs = self.signs(upstream, capabilities);
            write_lines(advice::before_log_in(configured, &signs), out)?;
        }
        Ok(true)
    }

    async fn log_in(
        &self,
        upstream: &Upstream,
        rule: &DisposeRule,
        credentials: &Credentials,
        out: &mut dyn Write,
    ) -> io::Result<Result<(), Error>> {
        writeln!(out, "\n{} at {}:", credentials.user, upstream.name)?;
        let mut connection = match upstream.endpoint.open(credentials).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let shown = self.show(upstream, rule, &mut connection, out).await?;
        connection.logout().await;
        Ok(shown)
    }

    async fn show(
        &self,
        upstream: &Upstream,
        rule: &DisposeRule,
        connection: &mut Connection,
        out: &mut dyn Write,
    ) -> io::Result<Result<(), Error>> {
        let capabilities = connection.capabilities().clone();
        writeln!(out, "  after log-in:  {}", words(capabilities.iter()))?;
        let signs = self.signs(upstream, &capabilities);
        let configured = self.configured(upstream);
        if let Some(configured) = configured {
            write_lines(advice::after_log_in(configured, &signs), out)?;
        }
        let (folders, selected) = match (
            connection.folders().await,
            connection.examine("INBOX", false).await,
        ) {
            (Ok(folders), Ok(selected)) => (folders, selected),
            (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        };
        writeln!(out, "  folders:")?;
        for folder in &folders {
            let line = format!("{}  {}", folder.name, folder.attributes.join(" "));
            writeln!(out, "    {}", printable(line.trim_end()))?;
        }
        writeln!(
            out,
            "  INBOX:         {}, UIDVALIDITY {}",
            count(selected.exists as usize, "message"),
            selected.uid_validity
        )?;
        let (kind, _) = recognize(&signs);
        let limit = configured.and_then(|one| advice::of_folder(one, kind, selected.exists));
        write_lines(limit.into_iter().collect(), out)?;
        let Some(action) = rule.action() else {
            writeln!(out, "  deleting:      nothing happens upstream")?;
            return Ok(Ok(()));
        };
        let to = Destinations::from(rule);
        match connection.plan(&action, &to).await {
            Ok(removal) => writeln!(out, "  deleting:      {removal}")?,
            Err(error) => {
                writeln!(out, "  deleting:      not possible:")?;
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

fn write_lines(lines: Vec<advice::Line>, out: &mut dyn Write) -> io::Result<()> {
    for (about, words) in lines {
        let about = format!("{about}:");
        writeln!(out, "  {about:<14} {}", printable(&words))?;
    }
    Ok(())
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    printable(&words.collect::<Vec<_>>().join(" "))
}

/// An upstream's words on a person's terminal: what could command it is left out.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn count(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
