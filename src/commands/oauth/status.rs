//! `popbridge oauth status`: how tokens stand. Asks the store only.
//!
//! Must not know: how tokens are sealed.

use std::io::Write;

use serde_json::{Value, json};

use super::super::format::{printable, rfc3339, table, time};
use super::super::tokens::{expires, fields, last_error, refreshed, state};
use super::super::{CommandError, look};
use super::owner;
use crate::bridge::tokens::{TokenStanding, kept_standings};
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
    let standings = match look(config).await? {
        Some(store) => {
            let standings = keeper(config, store.clone()).standings(&owners).await?;
            store.close().await;
            standings
        }
        None => kept_standings(None, &owners).await?,
    };
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

fn as_json(config: &Config, standing: &TokenStanding) -> Value {
    let mut all = fields(config, standing, |at| rfc3339(at).into());
    all["account"] = standing.owner.account.as_str().into();
    all
}
