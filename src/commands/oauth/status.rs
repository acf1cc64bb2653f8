//! `popbridge oauth status`: how tokens stand. Asks the store only.
//!
//! Must not know: how tokens are sealed.

use std::io::Write;

use serde_json::{Value, json};

use super::super::format::{printable, rfc3339, table, time};
use super::super::{CommandError, open};
use super::owner;
use crate::bridge::tokens::{TokenStanding, TokenTrouble};
use crate::cli::oauth::Status as Options;
use crate::config::Config;
use crate::run::{keeper, token_owners};

/// Writes the status to `out`.
///
/// # Errors
/// The store's; those of `out`.
pub(super) async fn run(
    options: &Options,
    config: &Config,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let owners = match &options.account {
        Some(account) => vec![owner(config, account)?],
        None => token_owners(config),
    };
    let store = open(config).await?;
    let standings = keeper(config, store.clone()).standings(&owners).await?;
    store.close().await;
    if options.json {
        let all: Vec<Value> = standings
            .iter()
            .map(|standing| as_json(config, standing))
            .collect();
        writeln!(out, "{:#}", json!({ "accounts": all }))?;
        return Ok(());
    }
    if standings.is_empty() {
        writeln!(out, "No account is opened with tokens.")?;
        return Ok(());
    }
    let mut rows = vec![
        [
            "ACCOUNT",
            "OAUTH",
            "USER",
            "STATE",
            "REFRESHED (UTC)",
            "GOOD UNTIL (UTC)",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(standings.iter().map(|standing| row(config, standing)));
    write!(out, "{}", table(&rows))?;
    for standing in &standings {
        let account = &standing.owner.account;
        if let Some(trouble) = &standing.trouble {
            writeln!(out, "{account}: {}", printable(&trouble.to_string()))?;
        }
        if let Some((error, at)) = last_error(standing) {
            let error = printable(error);
            writeln!(out, "{account}: last error at {}: {error}", time(at))?;
        }
    }
    Ok(())
}

fn row(config: &Config, standing: &TokenStanding) -> Vec<String> {
    let owner = &standing.owner;
    vec![
        owner.account.clone(),
        owner.provider.clone(),
        printable(&owner.user),
        state(config, standing).to_owned(),
        time(refreshed(standing)),
        time(expires(standing)),
    ]
}

/// One word, for programs, too.
fn state(config: &Config, standing: &TokenStanding) -> &'static str {
    match &standing.trouble {
        Some(TokenTrouble::Missing { .. }) => "missing",
        Some(TokenTrouble::Revoked { .. }) => "revoked",
        Some(TokenTrouble::Misconfigured(_)) => "misconfigured",
        Some(TokenTrouble::Later(_)) => "failing",
        Some(TokenTrouble::Sealed { .. } | TokenTrouble::Key(_)) => "sealed",
        None if standing.kept.is_some() => "good",
        None => {
            let mut all = config.oauth.iter();
            let oauth = all.find(|oauth| oauth.name == standing.owner.provider);
            match oauth.is_some_and(|oauth| oauth.grant.needs_a_person()) {
                true => "missing",
                // popbridge gets one when it needs it.
                false => "none",
            }
        }
    }
}

fn refreshed(standing: &TokenStanding) -> Option<i64> {
    let at = standing.kept.as_ref()?.refreshed_at;
    (at > 0).then_some(at)
}

fn expires(standing: &TokenStanding) -> Option<i64> {
    let at = standing.kept.as_ref()?.expires_at;
    (at > 0).then_some(at)
}

fn last_error(standing: &TokenStanding) -> Option<(&str, Option<i64>)> {
    let kept = standing.kept.as_ref()?;
    Some((kept.last_error.as_deref()?, kept.error_at))
}

fn as_json(config: &Config, standing: &TokenStanding) -> Value {
    let owner = &standing.owner;
    let error = last_error(standing);
    json!({
        "account": owner.account,
        "oauth": owner.provider,
        "user": owner.user,
        "state": state(config, standing),
        "trouble": standing.trouble.as_ref().map(ToString::to_string),
        "refreshed": rfc3339(refreshed(standing)),
        "expires": rfc3339(expires(standing)),
        "last_error": error.map(|(error, _)| error),
        "last_error_at": error.and_then(|(_, at)| rfc3339(at)),
    })
}
