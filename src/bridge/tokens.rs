//! Access tokens for configured accounts: kept sealed in the store, refreshed ahead of their end, once for all sessions and instances.
//!
//! A token that was got is committed before anybody uses it, so that a rotated refresh token is never known to this process alone
//! for longer than that takes. Must not know: how an authorization server is asked, what IMAP makes of a token, POP3.

mod ahead;
mod find;
mod keeper;
mod memory;
mod refresh;
mod refused;
mod standing;
mod trouble;

#[cfg(test)]
mod tests;

pub use keeper::{Keeper, Owner};
pub use refresh::SETTLING;
pub use standing::{TokenStanding, kept_standings};
pub use trouble::TokenTrouble;

pub(super) use ahead::Watched;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::clock;
use super::rounds::{Part, Rounds};
use super::trouble::Trouble;
use crate::metrics::Metrics;
use crate::oauth::Renew;
use crate::secret::Secret;
use memory::Memory;

/// So long trouble is told without a look at the store: a log-in from the command line counts after that time.
const LOOK: Duration = Duration::from_secs(1);

/// The tokens of one account, as all its sessions use them.
pub struct Tokens {
    owner: Owner,
    renew: Arc<dyn Renew>,
    keeper: Arc<Keeper>,
    /// Names this process among the instances.
    holder: String,
    metrics: Arc<Metrics>,
    memory: Mutex<Memory>,
    /// Whether the last look found a good token that can be refreshed.
    good: watch::Sender<bool>,
    flights: Rounds<Want, Result<Access, Trouble>>,
}

/// An access token that is good.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: Secret,
    /// Which one of the account's it is.
    pub(super) version: i64,
    /// When it ends.
    pub(super) good_until: Instant,
}

/// What a token is looked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Want {
    /// Somebody needs one.
    Now,
    /// The one that is there ends soon.
    Ahead,
    /// The upstream has refused this one.
    Instead(i64),
}

impl Tokens {
    /// The tokens of `owner`, got by `renew`. `holder` names this process among the instances.
    pub fn new(
        owner: Owner,
        renew: Arc<dyn Renew>,
        keeper: Arc<Keeper>,
        holder: String,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.has_tokens(&owner.account);
        Self {
            owner,
            renew,
            keeper,
            holder,
            metrics,
            memory: Mutex::default(),
            good: watch::Sender::new(false),
            flights: Rounds::default(),
        }
    }

    /// Whether they are those of this owner.
    pub fn are_of(&self, owner: &Owner) -> bool {
        self.owner == *owner
    }

    /// Whose they are.
    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether a person has to log in for them.
    pub(super) fn need_a_person(&self) -> bool {
        self.renew.needs_refresh_token()
    }

    /// What a session would show to the upstream now.
    ///
    /// # Errors
    /// [`Trouble::Token`], [`Trouble::Store`].
    pub async fn token(self: &Arc<Self>) -> Result<Secret, Trouble> {
        Ok(self.access().await?.token)
    }

    /// A token that is good: from memory, from the store, or from the authorization server.
    ///
    /// # Errors
    /// [`Trouble::Token`], [`Trouble::Store`].
    pub(super) async fn access(self: &Arc<Self>) -> Result<Access, Trouble> {
        if let Some(known) = self.memory().known(clock::now()) {
            return known;
        }
        self.fly(Want::Now).await
    }

    /// A token in the place of one that the upstream has refused although it should be good. `None`: there is no other one, as a refresh
    /// was tried for that reason a moment ago, or in vain several times; see [`is_refused`](Self::is_refused).
    ///
    /// # Errors
    /// As [`access`](Self::access).
    pub(super) async fn instead(self: &Arc<Self>, refused: i64) -> Result<Option<Access>, Trouble> {
        let now = clock::now();
        {
            let mut memory = self.memory();
            match memory.known(now) {
                // Another session was quicker.
                Some(Ok(access)) if access.version > refused => return Ok(Some(access)),
                Some(Err(trouble)) => return Err(trouble),
                Some(Ok(_)) | None => {}
            }
            if !memory.refused.may_replace(refused) {
                return Ok(None);
            }
        }
        self.fly(Want::Instead(refused)).await.map(Some)
    }

    /// Ends when there is a good token; at once where there has been one since trouble was told. Somebody who has nothing to do without one
    /// waits for this: the background looks at the store every few seconds.
    pub(super) async fn good_again(&self) {
        // The sender is here, so that this is no end of it.
        let _ = self.good.subscribe().wait_for(|good| *good).await;
    }

    /// The upstream does not take this token, and there is no other one: for a minute sessions are told what it said, unless a person logs in.
    pub(super) fn is_refused(&self, version: i64, said: &Trouble) {
        self.memory().refused.keep(version, said);
    }

    /// The upstream has taken this token.
    pub(super) fn is_accepted(&self, version: i64) {
        self.memory().refused.forget(version);
    }

    /// Looks for a token, together with all who want the same meanwhile. Goes on should this future be dropped.
    async fn fly(self: &Arc<Self>, want: Want) -> Result<Access, Trouble> {
        let broken = || TokenTrouble::Later("the work on it broke off".to_owned()).into();
        match self.flights.join(want) {
            Part::Follows(follow) => follow.outcome().await.unwrap_or_else(|| Err(broken())),
            Part::Leads(lead) => {
                let this = Arc::clone(self);
                let flight = tokio::spawn(async move {
                    let outcome = this.find(want).await;
                    this.note(want, &outcome);
                    lead.end(outcome.clone());
                    outcome
                });
                flight.await.unwrap_or_else(|_| Err(broken()))
            }
        }
    }

    /// So many seconds before its end a token of this lifetime is refreshed: a fifth of its life or ten minutes, and some more that differs
    /// from instance to instance and from account to account, so that not all come at once.
    fn ahead(&self, lifetime: i64) -> i64 {
        let mut hasher = DefaultHasher::new();
        (&self.holder, &self.owner.account).hash(&mut hasher);
        let share = i64::try_from(hasher.finish() % 100).unwrap_or_default();
        let ahead = (lifetime / 5).min(600);
        ahead + ahead * share / 400
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
