//! What is done with tokens that a person's log-in has brought: they are tried, and kept if nothing speaks against them.
//!
//! Must not know: how the person was talked to.

use super::super::CommandError;
use crate::bridge::tokens::Owner;
use crate::check::trial::{Trial, Tried};
use crate::config::Config;
use crate::oauth::{Granted, OAuthError};
use crate::run::keeper;
use crate::store::Store;

/// Why nothing was tried.
const UNTRIED: &str = "--no-try: whether they open the mailbox is seen at the first session";

/// Tries what was granted at the upstream, if there is a trial, and keeps it. Gives why it could not be tried, if it could not.
///
/// # Errors
/// The upstream's refusal, the store's. Nothing has changed then.
pub(crate) async fn keep(
    config: &Config,
    store: &Store,
    owner: &Owner,
    granted: &Granted,
    trial: Option<&Trial>,
) -> Result<Option<String>, CommandError> {
    if granted.refresh.is_none() {
        return Err(CommandError::Failed(format!(
            "the authorization server gave no refresh token, so that the mailbox would be closed again soon; the scope of [oauth.{}] \
             should say offline_access, or the server has to allow it for popbridge",
            owner.provider
        )));
    }
    let untried = match trial {
        Some(trial) => match trial.run(&granted.access).await {
            Tried::Works => None,
            Tried::Not(why) => Some(why),
            Tried::Refused(why) => return Err(refused(owner, &why)),
        },
        None => Some(UNTRIED.to_owned()),
    };
    keeper(config, store.clone()).keep(owner, granted).await?;
    Ok(untried)
}

/// The upstream does not let in with what was granted. What was kept before may still be good.
fn refused(owner: &Owner, why: &str) -> CommandError {
    CommandError::Failed(format!(
        "the upstream does not open the mailbox of [account.{}] with what was granted: {why}. Nothing has changed: tokens that were there \
         before are kept. Most likely somebody other than {} was logged in in the browser (a private window asks who it is); or IMAP is \
         off for the mailbox, or the scope of [oauth.{}] does not allow it. --no-try keeps new tokens all the same",
        owner.account, owner.user, owner.provider
    ))
}

/// A code that was used or guessed is as good as revoked, but nothing that was there before is gone.
pub(crate) fn in_words(error: &OAuthError) -> String {
    match error {
        OAuthError::Revoked(why) => {
            format!("the authorization server does not accept the code: {why}")
        }
        error => error.to_string(),
    }
}
