//! The accounts of a configuration: what each means, and that no two are on one mailbox.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use toml::Spanned;

use super::check::Check;
use super::error::{ConfigError, nearest};
use super::file;
use super::secrets::{self, Keys};
use super::validate_upstream::valid_name;
use super::{
    Access, Account, Grant, OAuth, Overrides, Passwords, Preset, Upstream, folders, rules,
};
use crate::auth::name;
use crate::policy::OnDelete;

pub(super) fn accounts(
    check: &Check<'_>,
    tables: BTreeMap<String, Spanned<file::Account>>,
    upstreams: &[Upstream],
    providers: &[OAuth],
    overrides: &Overrides,
    warnings: &mut Vec<String>,
) -> Result<Vec<Account>, ConfigError> {
    let mut accounts: Vec<Account> = Vec::with_capacity(tables.len());
    let mut mailboxes: HashMap<(String, String), String> = HashMap::new();
    for (name, table) in tables {
        let span = table.span();
        if overrides.upstream.is_some() {
            // Its mailbox is on another server: neither asking the given one for it nor forgetting its clients is meant.
            let message = format!(
                "[account.{name}] is on an upstream of the file, and --upstream (or POPBRIDGE_UPSTREAM) replaces those; leave --upstream out"
            );
            return Err(check.error(span, message));
        }
        let (account, upstream) = account(check, &name, table, upstreams, providers, warnings)?;
        let mailbox = (
            upstream.url.host_and_port(),
            name::normalized(&account.login),
        );
        if let Some(other) = mailboxes.insert(mailbox, name) {
            let message = format!(
                "[account.{other}] and [account.{}] are the same mailbox; keep one of the two and give it a client for each reader \
                 (popbridge client add NAME --account {other})",
                account.name
            );
            return Err(check.error(span, message));
        }
        accounts.push(account);
    }
    Ok(accounts)
}

fn account<'a>(
    check: &Check<'_>,
    name: &str,
    table: Spanned<file::Account>,
    upstreams: &'a [Upstream],
    providers: &[OAuth],
    warnings: &mut Vec<String>,
) -> Result<(Account, &'a Upstream), ConfigError> {
    let span = table.span();
    let mut table = table.into_inner();
    let name =
        valid_name(name, "an account").map_err(|message| check.error(span.clone(), message))?;
    let names = || upstreams.iter().map(|upstream| upstream.name.as_str());
    let upstream = match &table.upstream {
        Some(text) => {
            let given = text.get_ref();
            let found = upstreams.iter().find(|upstream| upstream.name == *given);
            found.ok_or_else(|| {
                let known: Vec<&str> = names().collect();
                let advice = match nearest(given, &known) {
                    Some(nearest) => format!("did you mean \"{nearest}\"?"),
                    None => format!("there are {}", known.join(", ")),
                };
                let message = format!("there is no [upstream.{}]; {advice}", given.escape_debug());
                check.error(text.span(), message)
            })?
        }
        None => match upstreams {
            [upstream] => upstream,
            _ => {
                let known: Vec<&str> = names().collect();
                let message = format!(
                    "[account.{name}] needs an upstream, as there are several: write upstream = one of \"{}\"",
                    known.join("\", \"")
                );
                return Err(check.error(span, message));
            }
        },
    };
    let Some(login) = &table.login else {
        let message =
            format!("[account.{name}] needs a login, such as login = \"info@example.com\"");
        return Err(check.error(span, message));
    };
    let login = check.parsed(login, one_name)?;
    let access = access(check, &name, &login, &span, &table, upstream, providers)?;
    let owner = format!("[account.{name}]");
    // How messages are disposed of is a matter of the server, too, Gmail's for one; when, is not.
    let disposal = upstream.dispose.clone();
    let (mut rules, dispose) =
        rules::rules(check, &owner, table.take_rule_keys(), disposal, warnings)?;
    rules.on_delete.get_or_insert(OnDelete::Hide);
    let places = folders::folders(check, &table, dispose.dispose)?;
    let account = Account {
        name,
        upstream: upstream.name.clone(),
        login,
        access,
        rules,
        dispose,
        folders: places.folders,
        folder_header: places.header,
        hold: places.hold,
    };
    Ok((account, upstream))
}

/// What opens the mailbox.
fn access(
    check: &Check<'_>,
    name: &str,
    login: &str,
    span: &Range<usize>,
    table: &file::Account,
    upstream: &Upstream,
    providers: &[OAuth],
) -> Result<Access, ConfigError> {
    let keys = Keys {
        prefix: "password",
        file: &table.password_file,
        env: &table.password_env,
        credential: &table.password_credential,
    };
    let Some(text) = &table.oauth else {
        if let Some(user) = &table.oauth_user {
            let message = "oauth_user has no effect without oauth = \"NAME\", which says where tokens come from";
            return Err(check.error(user.span(), message));
        }
        let password = secrets::source(check, &format!("[account.{name}]"), "password", &keys)?;
        return password.map(Access::Password).ok_or_else(|| {
            let message = format!(
                "[account.{name}] needs a password: write where it is with {}; or oauth = \"NAME\" for tokens of [oauth.NAME]",
                keys.names("or")
            );
            check.error(span.clone(), message)
        });
    };
    if let Some(place) = keys.place() {
        let message =
            format!("[account.{name}] has both a password and oauth; keep one of the two");
        return Err(check.error(place, message));
    }
    let given = text.get_ref();
    let Some(provider) = providers.iter().find(|one| one.name == *given) else {
        let known: Vec<&str> = providers.iter().map(|one| one.name.as_str()).collect();
        let advice = match nearest(given, &known) {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None if known.is_empty() => "add that table".to_owned(),
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("there is no [oauth.{}]; {advice}", given.escape_debug());
        return Err(check.error(text.span(), message));
    };
    tokens_fit(upstream, provider).map_err(|message| check.error(text.span(), message))?;
    let user = match &table.oauth_user {
        None => login.to_owned(),
        Some(user) if provider.grant == Grant::ClientCredentials => {
            let message = format!(
                "oauth_user has no effect in [account.{name}]: tokens of [oauth.{given}] are the application's own"
            );
            return Err(check.error(user.span(), message));
        }
        Some(user) => check.parsed(user, one_name)?,
    };
    Ok(Access::OAuth {
        provider: provider.name.clone(),
        user,
    })
}

/// No provider takes tokens of another one's server.
fn tokens_fit(upstream: &Upstream, oauth: &OAuth) -> Result<(), String> {
    let has = match oauth.preset {
        Preset::Google => "google",
        Preset::Microsoft => "microsoft",
        // It may be anybody's.
        Preset::Oidc => return Ok(()),
    };
    let profile = upstream.provider.profile();
    match profile.oauth {
        Some(wants) if wants != has => Err(format!(
            "[upstream.{}] is {}, which takes no tokens of [oauth.{}] (preset \"{has}\"); name a table with preset = \"{wants}\"",
            upstream.name, profile.title, oauth.name
        )),
        _ => Ok(()),
    }
}

/// What passwords are configured for where none is taken, as sentences.
pub(super) fn passwords_in_vain(upstreams: &[Upstream], accounts: &[Account]) -> Vec<String> {
    let mut found = Vec::new();
    for upstream in upstreams {
        let profile = upstream.provider.profile();
        // A program on this machine may take passwords and go on with tokens.
        if profile.passwords != Passwords::None || upstream.url.is_loopback() {
            continue;
        }
        let oauth = profile.oauth.unwrap_or("NAME");
        let mut of_it = accounts
            .iter()
            .filter(|one| one.upstream == upstream.name)
            .peekable();
        // Without domains and with accounts it is there for these.
        if !upstream.domains.is_empty() || of_it.peek().is_none() {
            found.push(format!(
                "[upstream.{}] is passed through to, and {} takes no passwords: nobody can log in there but by an account with \
                 oauth = \"{oauth}\"",
                upstream.name, profile.title
            ));
        }
        for account in of_it.filter(|one| matches!(one.access, Access::Password(_))) {
            found.push(format!(
                "[account.{}] has a password, and {} takes none; write oauth = \"{oauth}\" instead",
                account.name, profile.title
            ));
        }
    }
    found
}

fn one_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the log-in name is empty".to_owned()),
        text if text.contains(char::is_control) => {
            Err("there is a control character in the log-in name".to_owned())
        }
        text => Ok(text.to_owned()),
    }
}
