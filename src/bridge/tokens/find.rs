//! How a token is found: in the store, where another instance or a person's log-in may have put it, or at the authorization server.
//!
//! Must not know: who wants it.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::super::clock;
use super::super::trouble::Trouble;
use super::keeper::Kept;
use super::memory::{Held, Unkept};
use super::{Access, TokenTrouble, Tokens, Want};
use crate::secret::Secret;
use crate::store::{NewToken, StoredToken, TokenId, TokenState};

/// So long another instance is waited for that asks the authorization server: a little longer than that may take.
const PATIENCE: Duration = Duration::from_secs(50);
/// The first pause between two looks at the store meanwhile; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Where something is wrong, the background looks again after so many seconds: a person may have logged in.
const TROUBLE_LOOK: i64 = 10;

/// What is to be done with what is kept.
enum Verdict {
    Use(Access),
    Refresh(Due),
}

/// A refresh that is to be tried.
pub(super) struct Due {
    /// Of what is kept now; 0: nothing.
    pub(super) version: i64,
    /// What is shown for it.
    pub(super) shown: Option<Secret>,
    /// A token that is good for the time being.
    meanwhile: Option<Access>,
    /// Whether the time to ask again is not waited for.
    pub(super) at_once: bool,
    /// Why what is kept cannot be opened, where it need not be.
    pub(super) unopened: Option<TokenTrouble>,
}

impl Tokens {
    pub(super) async fn find(&self, want: Want) -> Result<Access, Trouble> {
        let id = self.keeper.id(&self.owner).await?;
        self.keep_late(&id).await?;
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let kept = self.keeper.store.token(&id).await?;
            let due = match self.judge(kept.as_ref(), want)? {
                Verdict::Use(access) => return Ok(access),
                Verdict::Refresh(due) => due,
            };
            match (self.refresh(&id, &due).await, due.meanwhile) {
                (Ok(Some(access)), _) | (Ok(None) | Err(_), Some(access)) => return Ok(access),
                (Err(trouble), None) => return Err(trouble),
                // Others are at it, or were quicker.
                (Ok(None), None) => {}
            }
            if begun.elapsed() >= PATIENCE {
                let words = "another instance has asked for one and has none yet";
                return Err(TokenTrouble::Later(words.to_owned()).into());
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn judge(&self, kept: Option<&StoredToken>, want: Want) -> Result<Verdict, Trouble> {
        let opened = kept.map(|kept| self.keeper.open(&self.owner, kept));
        let (opened, unopened) = match opened.transpose() {
            // There is nothing in them that cannot be had again.
            Err(Trouble::Token(trouble @ TokenTrouble::Sealed { .. }))
                if !self.renew.needs_refresh_token() =>
            {
                (None, Some(trouble))
            }
            opened => (opened?.flatten(), None),
        };
        let (opened, of_another) = match opened {
            Some(opened) if !opened.is_for(&self.owner) => (None, Some(opened.user)),
            opened => (opened, None),
        };
        let usable = match (kept, &opened) {
            (Some(kept), Some(opened)) if self.is_usable(kept, want)? => {
                Some(self.hold(kept, opened))
            }
            _ => None,
        };
        let shown = opened.and_then(|opened| opened.refresh);
        let lacks_refresh = self.renew.needs_refresh_token() && shown.is_none();
        let state = kept.map_or(TokenState::Good, |kept| kept.state);
        let is_early = kept.is_some_and(|kept| kept.retry_in > 0);
        if state == TokenState::Good {
            // Whatever goes wrong from now on is not of a process before.
            self.memory().has_asked = true;
        }
        // What was wrong may be mended by now: this process has read the configuration anew, and somebody may have started it for that.
        let is_tried_again = matches!(state, TokenState::Misconfigured | TokenState::Failing);
        let at_once = is_tried_again && self.asks_first();
        let may_ask = !lacks_refresh && state != TokenState::Revoked && (!is_early || at_once);
        if let Some(access) = usable {
            let ends_soon = kept.is_some_and(|kept| kept.good_for <= self.ahead(kept.lifetime));
            if want != Want::Ahead || !ends_soon || !may_ask {
                return Ok(Verdict::Use(access));
            }
            return Ok(Verdict::Refresh(Due {
                version: access.version,
                shown,
                meanwhile: Some(access),
                at_once,
                unopened,
            }));
        }
        let account = self.owner.account.clone();
        let why = || {
            kept.and_then(|kept| kept.last_error.clone())
                .unwrap_or_default()
        };
        Err(match state {
            TokenState::Revoked => TokenTrouble::Revoked {
                account,
                why: why(),
            },
            _ if lacks_refresh => self.owner.lacks(of_another.as_deref()),
            _ if may_ask => {
                return Ok(Verdict::Refresh(Due {
                    version: kept.map_or(0, |kept| kept.version),
                    shown,
                    meanwhile: None,
                    at_once,
                    unopened,
                }));
            }
            TokenState::Misconfigured => TokenTrouble::Misconfigured(why()),
            TokenState::Good | TokenState::Failing => TokenTrouble::Later(why()),
        }
        .into())
    }

    /// Whether a kept token can be shown to the upstream.
    ///
    /// # Errors
    /// What the upstream has said of it a moment ago.
    fn is_usable(&self, kept: &StoredToken, want: Want) -> Result<bool, Trouble> {
        let version = kept.version;
        let is_unwanted = matches!(want, Want::Instead(refused) if version <= refused);
        if kept.good_for <= margin(kept.lifetime) || is_unwanted {
            return Ok(false);
        }
        let memory = self.memory();
        let refused = &memory.refused;
        let is_revoked = kept.state == TokenState::Revoked;
        if refused.is_to_be_replaced(version) || (is_revoked && refused.is_last(version)) {
            return Ok(false);
        }
        match refused.said(version) {
            // Whatever the upstream makes of it, the refresh token is kept alive.
            Some(said) if want != Want::Ahead => Err(said.clone()),
            _ => Ok(true),
        }
    }

    /// Remembers a token that is good.
    pub(super) fn hold(&self, kept: &StoredToken, opened: &Kept) -> Access {
        let now = clock::now();
        let seconds = u64::try_from(kept.good_for).unwrap_or_default();
        let access = Access {
            token: opened.access.clone(),
            version: kept.version,
            good_until: Instant::now() + Duration::from_secs(seconds.min(1 << 31)),
        };
        let look_in = match kept.state {
            TokenState::Good => kept.good_for - self.ahead(kept.lifetime),
            TokenState::Revoked => TROUBLE_LOOK,
            TokenState::Failing | TokenState::Misconfigured => kept.retry_in,
        };
        let mut memory = self.memory();
        memory.look_at = now + look_in.max(1);
        memory.told = None;
        memory.held = Some(Held {
            access: access.clone(),
            until: now + kept.good_for - margin(kept.lifetime),
        });
        drop(memory);
        if kept.state == TokenState::Good {
            self.good.send_replace(true);
            self.say_good();
        } else if kept.state == TokenState::Revoked {
            self.say(&TokenTrouble::Revoked {
                account: self.owner.account.clone(),
                why: kept.last_error.clone().unwrap_or_default(),
            });
        }
        let account = &self.owner.account;
        self.metrics.token(
            account,
            now + kept.good_for,
            kept.state == TokenState::Revoked,
        );
        access
    }

    /// Remembers what came of a flight.
    pub(super) fn note(&self, want: Want, outcome: &Result<Access, Trouble>) {
        let Err(trouble) = outcome else { return };
        self.good.send_replace(false);
        {
            let mut memory = self.memory();
            memory.told = Some((trouble.clone(), Instant::now()));
            memory.look_at = clock::now() + TROUBLE_LOOK;
            // It ended, or the upstream does not take it; one that was to be refreshed ahead of its end is good until then, whatever
            // is in the way of that.
            if want != Want::Ahead {
                memory.held = None;
            }
        }
        match trouble {
            Trouble::Token(trouble) => self.say(trouble),
            // By each session, as it is when the upstream says it.
            Trouble::Account(_) => {}
            other if self.is_news(other) => {
                warn!(account = self.owner.account, trouble = %other, "no token for the account")
            }
            _ => {}
        }
    }

    /// Whether this is not what was logged last.
    fn is_news(&self, trouble: &impl Display) -> bool {
        let words = trouble.to_string();
        let mut memory = self.memory();
        let is_news = memory.logged.as_ref() != Some(&words);
        memory.logged = Some(words);
        is_news
    }

    /// Logs trouble once for as long as it lasts.
    pub(super) fn say(&self, trouble: &TokenTrouble) {
        let account = &self.owner.account;
        if trouble.needs_a_person().is_some() {
            self.metrics.token_revoked(account);
        }
        if !self.is_news(trouble) {
            return;
        }
        match trouble {
            TokenTrouble::Later(_) => {
                warn!(account, %trouble, "no new token; it will be tried again")
            }
            TokenTrouble::Missing { .. } | TokenTrouble::ForAnother { .. } => {
                warn!(account, "{trouble}")
            }
            TokenTrouble::Revoked { .. }
            | TokenTrouble::Misconfigured(_)
            | TokenTrouble::Key(_)
            | TokenTrouble::Sealed { .. } => error!(account, "{trouble}"),
        }
    }

    fn say_good(&self) {
        if self.memory().logged.take().is_some() {
            info!(
                account = self.owner.account,
                "the account has a good token again"
            );
        }
    }

    fn asks_first(&self) -> bool {
        !self.memory().has_asked
    }

    /// Keeps what could not be kept when it was got.
    async fn keep_late(&self, id: &TokenId) -> Result<(), Trouble> {
        let late = {
            let memory = self.memory();
            memory.unkept.as_ref().map(|unkept| {
                let gone = i64::try_from(unkept.since.elapsed().as_secs()).unwrap_or(i64::MAX / 4);
                let new = NewToken {
                    sealed: unkept.new.sealed.clone(),
                    lifetime: (unkept.new.lifetime - gone).max(0),
                };
                (unkept.version, new)
            })
        };
        let Some((version, new)) = late else {
            return Ok(());
        };
        let store = &self.keeper.store;
        // Whether it was kept, or others are there by now, it is not needed any more.
        store
            .keep_token(id, &self.holder, version, &new, true)
            .await?;
        self.memory().unkept = None;
        Ok(())
    }

    /// Keeps what was got and could not be kept: at the end of the process, which is all that knows of it.
    ///
    /// # Errors
    /// The store's: it is lost then.
    pub async fn keep_last(&self) -> Result<(), Trouble> {
        if self.memory().unkept.is_none() {
            return Ok(());
        }
        let id = self.keeper.id(&self.owner).await?;
        self.keep_late(&id).await
    }

    pub(super) fn keep_later(&self, version: i64, new: NewToken) {
        self.memory().unkept = Some(Unkept {
            version,
            new,
            since: Instant::now(),
        });
    }
}

/// So many seconds before its end a token is not shown any more.
fn margin(lifetime: i64) -> i64 {
    (lifetime / 10).min(30)
}
