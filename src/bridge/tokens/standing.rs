//! How tokens stand, as far as the store says it: no secret is needed for that.
//!
//! Must not know: what is sealed, how it is opened.

use super::super::trouble::Trouble;
use super::{Owner, TokenTrouble};
use crate::store::{Store, StoreError, StoredToken, TokenId, TokenState};

/// How an account's tokens stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStanding {
    /// Whose they are.
    pub owner: Owner,
    /// As they are kept; none: there have never been any.
    pub kept: Option<StoredToken>,
    /// Why they cannot be used, or not refreshed, whatever their age.
    pub trouble: Option<TokenTrouble>,
}

/// How the tokens of these accounts stand, in the same order, by what can be known without the key: see
/// [`Keeper::standings`](super::Keeper::standings) for the rest. Where there is no store yet, there are none.
///
/// # Errors
/// The store's.
pub async fn kept_standings(
    store: Option<&Store>,
    owners: &[Owner],
) -> Result<Vec<TokenStanding>, Trouble> {
    let mut standings = Vec::with_capacity(owners.len());
    for owner in owners {
        let kept = match store {
            Some(store) => kept(store, owner).await?,
            None => None,
        };
        standings.push(TokenStanding {
            trouble: kept.as_ref().and_then(|kept| outer_trouble(owner, kept)),
            owner: owner.clone(),
            kept,
        });
    }
    Ok(standings)
}

async fn kept(store: &Store, owner: &Owner) -> Result<Option<StoredToken>, StoreError> {
    let mailbox = store.find_mailbox(&owner.upstream, &owner.login);
    let Some(mailbox) = mailbox.await? else {
        return Ok(None);
    };
    let (mailbox, provider) = (mailbox.id, owner.provider.clone());
    store.token(&TokenId { mailbox, provider }).await
}

fn outer_trouble(owner: &Owner, kept: &StoredToken) -> Option<TokenTrouble> {
    let why = || kept.last_error.clone().unwrap_or_default();
    match kept.state {
        TokenState::Good => None,
        TokenState::Failing => Some(TokenTrouble::Later(why())),
        TokenState::Misconfigured => Some(TokenTrouble::Misconfigured(why())),
        TokenState::Revoked => Some(TokenTrouble::Revoked {
            account: owner.account.clone(),
            why: why(),
        }),
    }
}
