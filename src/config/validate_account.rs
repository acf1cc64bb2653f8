//! The accounts of a configuration: what each means, and that no two are on one mailbox.

use std::collections::{BTreeMap, HashMap};

use toml::Spanned;

use super::check::Check;
use super::error::{ConfigError, nearest};
use super::file;
use super::validate_upstream::valid_name;
use super::{Account, Overrides, Upstream, folders, rules};
use crate::auth::{PasswordSource, name};
use crate::policy::OnDelete;
use crate::secret::SecretFile;

pub(super) fn accounts(
    check: &Check<'_>,
    tables: BTreeMap<String, Spanned<file::Account>>,
    upstreams: &[Upstream],
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
        let (account, upstream) = account(check, &name, table, upstreams, warnings)?;
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
    let login = check.parsed(login, |text| match text.trim() {
        "" => Err("the log-in name is empty".to_owned()),
        text if text.contains(char::is_control) => {
            Err("there is a control character in the log-in name".to_owned())
        }
        text => Ok(text.to_owned()),
    })?;
    let password = password(check, &name, &span, &table)?;
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
        password,
        rules,
        dispose,
        folders: places.folders,
        folder_header: places.header,
        hold: places.hold,
    };
    Ok((account, upstream))
}

fn password(
    check: &Check<'_>,
    name: &str,
    span: &std::ops::Range<usize>,
    table: &file::Account,
) -> Result<PasswordSource, ConfigError> {
    let keys = [
        &table.password_file,
        &table.password_env,
        &table.password_credential,
    ];
    match keys {
        [Some(file), None, None] => Ok(PasswordSource::File(SecretFile::new(check.path(file)?))),
        [None, Some(variable), None] => check
            .parsed(variable, variable_name)
            .map(PasswordSource::Environment),
        [None, None, Some(credential)] => check
            .parsed(credential, credential_name)
            .map(PasswordSource::Credential),
        [None, None, None] => {
            let message = format!(
                "[account.{name}] needs a password: write where it is with password_file, password_env or password_credential"
            );
            Err(check.error(span.clone(), message))
        }
        [first, second, third] => {
            let message = format!(
                "[account.{name}] says in two ways where its password is; keep one of password_file, password_env and password_credential"
            );
            let last = third.as_ref().or(second.as_ref()).or(first.as_ref());
            let place = last.map_or_else(|| span.clone(), |text| text.span());
            Err(check.error(place, message))
        }
    }
}

fn variable_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.bytes().all(fits)
    {
        // Not repeated: it may be the password itself.
        return Err(
            "this is not the name of an environment variable; write the name, such as \"INFO_PASSWORD\", never the password"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn credential_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if text.is_empty() || text.starts_with('.') || text.len() > 255 || !text.bytes().all(fits) {
        return Err(
            "this is not the name of a credential; write the one that the unit has in LoadCredential=NAME:..., without a path"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}
