//! `popbridge oauth`: a person's log-in for an account, and how tokens stand.
//!
//! Must not know: what an authorization server is asked, how tokens are sealed.

pub(crate) mod keep;
mod login;
mod status;

use std::io::{BufRead, Write};

use super::CommandError;
use crate::bridge::tokens::Owner;
use crate::cli::oauth::OAuthCommand;
use crate::config::Config;
use crate::oauth::OAuthError;
use crate::run::token_owners;

/// Carries the command out; `input` is where a person may paste something.
///
/// # Errors
/// [`CommandError`]
pub async fn run(
    command: &OAuthCommand,
    config: &Config,
    input: Box<dyn BufRead + Send>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        OAuthCommand::Login(options) => login::run(options, config, input, out, notes).await,
        OAuthCommand::Status(options) => status::run(options, config, out).await,
    }
}

impl From<OAuthError> for CommandError {
    fn from(error: OAuthError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Whose tokens an account's are.
pub(crate) fn owner(config: &Config, account: &str) -> Result<Owner, CommandError> {
    if let Some(owner) = token_owners(config)
        .into_iter()
        .find(|owner| owner.account == account)
    {
        return Ok(owner);
    }
    let exists = config.accounts.iter().any(|one| one.name == account);
    Err(CommandError::Usage(match exists {
        true => format!(
            "[account.{account}] is opened with a password; tokens take oauth = \"NAME\" in the configuration"
        ),
        false => format!(
            "there is no [account.{}] in the configuration",
            account.escape_debug()
        ),
    }))
}
