//! One refresh: the authorization server is asked by one instance at a time, and what it gives is committed before it is used.
//!
//! Must not know: who wants a token.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::warn;

use super::super::trouble::Trouble;
use super::find::Due;
use super::{Access, TokenTrouble, Tokens};
use crate::metrics::TokenRefresh;
use crate::oauth::{Granted, OAuthError};
use crate::store::{NewToken, StoreError, StoredToken, TokenFailure, TokenId, TokenState};

/// For so many seconds nobody else asks, should this process die.
const CLAIM: i64 = 60;
/// How long an authorization server may take, whatever is configured: less than the claim is good for.
const RENEWAL: Duration = Duration::from_secs(45);
/// At the end of the process so long is waited for what is under way: for the answer, and until that is kept.
pub const SETTLING: Duration = Duration::from_secs(RENEWAL.as_secs() + 15);
/// Pauses between tries to keep what was got. After the last it is kept in memory, and tried at each further look.
const KEEPING: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// Seconds until the next try after the first failure, and at most: each one is twice as long as the one before.
const FAILING: (i64, i64) = (5, 10 * 60);
/// The same where a person has to change something.
const MISCONFIGURED: (i64, i64) = (5 * 60, 60 * 60);
/// The longest that an authorization server has us wait, in seconds: it may mean all who ask with this client, and a day without mail
/// is worse than a request in vain.
const LONGEST_WAIT: i64 = 60 * 60;

impl Tokens {
    /// Refreshes the tokens. `None`: others are at it, or were quicker.
    pub(super) async fn refresh(&self, id: &TokenId, due: &Due) -> Result<Option<Access>, Trouble> {
        // First what may be in the way of keeping what is got.
        let key = self.keeper.key_to_seal()?;
        let store = &self.keeper.store;
        let ends = self.keeper.ends.read().await;
        if *ends {
            return Err(TokenTrouble::Later("the bridge is ending".to_owned()).into());
        }
        let claimed = store.claim_token(id, &self.holder, due.version, CLAIM, due.at_once);
        let Some(claimed) = claimed.await? else {
            return Ok(None);
        };
        self.memory().has_asked = true;
        if let Some(trouble) = &due.unopened {
            warn!(account = self.owner.account, %trouble, "another token is asked for");
        }
        let renewed = timeout(RENEWAL, self.renew.renew(due.shown.as_ref())).await;
        let renewed = renewed.unwrap_or_else(|_| {
            Err(OAuthError::Temporary {
                why: format!("no answer within {} seconds", RENEWAL.as_secs()),
                retry_after: None,
            })
        });
        let granted = match renewed {
            Ok(granted) => granted,
            Err(error) => return self.fail(id, &claimed, &error).await,
        };
        let new = self
            .keeper
            .seal(&key, &self.owner, &granted, due.shown.as_ref())?;
        self.commit(id, due.version, &granted, new).await
    }

    async fn commit(
        &self,
        id: &TokenId,
        version: i64,
        granted: &Granted,
        new: NewToken,
    ) -> Result<Option<Access>, Trouble> {
        let is_rotated = granted.refresh.is_some();
        let kept = self.try_to_keep(id, version, &new, is_rotated).await;
        match kept {
            Ok(Some(_)) => self.count(TokenRefresh::Ok),
            Ok(None) => self.count(TokenRefresh::Superseded),
            Err(error) => {
                self.count(TokenRefresh::NotKept);
                if is_rotated {
                    self.keep_later(version, new);
                }
                return Err(error.into());
            }
        }
        // As everybody else finds it; there may be others than those by now.
        let Some(found) = self.keeper.store.token(id).await? else {
            return Ok(None);
        };
        let is_mine = kept == Ok(Some(found.version));
        match self.keeper.open(&self.owner, &found)? {
            Some(opened) if is_mine => Ok(Some(self.hold(&found, &opened))),
            _ => Ok(None),
        }
    }

    async fn try_to_keep(
        &self,
        id: &TokenId,
        version: i64,
        new: &NewToken,
        is_rotated: bool,
    ) -> Result<Option<i64>, StoreError> {
        let store = &self.keeper.store;
        let mut pauses = KEEPING.into_iter();
        loop {
            let kept = store.keep_token(id, &self.holder, version, new, is_rotated);
            match (kept.await, pauses.next()) {
                (Err(_), Some(pause)) => sleep(pause).await,
                (kept, _) => return kept,
            }
        }
    }

    async fn fail(
        &self,
        id: &TokenId,
        claimed: &StoredToken,
        error: &OAuthError,
    ) -> Result<Option<Access>, Trouble> {
        let account = self.owner.account.clone();
        let doubled = |(first, most): (i64, i64)| {
            let times = u32::try_from(claimed.attempts).unwrap_or(u32::MAX).min(20);
            first.saturating_mul(1 << times).min(most)
        };
        let (state, why, retry_in, trouble, outcome) = match error {
            // Where no person can log in, somebody has to change something all the same.
            OAuthError::Revoked(why) if self.renew.needs_refresh_token() => {
                let why = why.clone();
                let trouble = TokenTrouble::Revoked {
                    account,
                    why: why.clone(),
                };
                (TokenState::Revoked, why, 0, trouble, TokenRefresh::Revoked)
            }
            OAuthError::Revoked(why) | OAuthError::Misconfigured(why) => (
                TokenState::Misconfigured,
                why.clone(),
                doubled(MISCONFIGURED),
                TokenTrouble::Misconfigured(why.clone()),
                TokenRefresh::Misconfigured,
            ),
            OAuthError::Temporary { why, retry_after } => {
                let wanted = retry_after.map_or(0, |wait| wait.as_secs_f64().ceil() as i64);
                let retry_in = doubled(FAILING).max(wanted.min(LONGEST_WAIT));
                (
                    TokenState::Failing,
                    why.clone(),
                    retry_in,
                    TokenTrouble::Later(why.clone()),
                    TokenRefresh::Failed,
                )
            }
        };
        let failure = TokenFailure {
            state,
            error: why,
            retry_in,
        };
        let store = &self.keeper.store;
        let written = store
            .fail_token(id, &self.holder, claimed.version, &failure)
            .await;
        self.count(outcome);
        if written? {
            self.say(&trouble);
            return Err(trouble.into());
        }
        // It failed with what is not there any more.
        Ok(None)
    }

    fn count(&self, outcome: TokenRefresh) {
        self.metrics.token_refresh(&self.owner.account, outcome);
    }
}
