//! Connections to upstreams, kept for the next session after one has ended: a poll then costs one round trip instead of a log-in.
//!
//! They are kept by mailbox log-in and credential, and picked by the form of messages that they give (RFC 6855). So many at a time are used
//! for one mailbox as the upstream is configured to allow; whoever comes when all are in use waits. One of them is never used for bodies, so that a client that reads slowly cannot keep
//! others from their lists.
//! Must not know: sessions, what the connections are used for.

mod entry;
mod idle;
mod shelf;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::Upstream;
use super::account::{Account, Password};
use super::budget::Budgets;
use super::trouble::Trouble;
use crate::auth::name::normalized;
use crate::auth::{Kind, Sealed, Verifier};
use crate::imap::{Connection, Error, Proof};
use crate::metrics::Awaited;
use entry::Beside;
use shelf::{Permits, Shelf, Use, Wanted};

pub(super) use shelf::{Credential, Lease, Visit};

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Messages, which may take as long as a client likes.
    Bodies,
    /// Messages for which somebody has waited already.
    LateBodies,
    /// Lists, disposals and everything else that ends by itself.
    Care,
    /// A second list, for somebody who has a connection already.
    SecondLook,
    /// Waiting for mail, for as long as the bridge runs.
    Watching,
}

/// A mailbox's log-in at an upstream, with the credential that somebody has for it.
#[derive(Clone, Copy)]
pub(super) struct Entrance<'a> {
    pub(super) upstream: &'a Arc<Upstream>,
    pub(super) login: &'a str,
    pub(super) password: &'a Password,
}

/// See the module.
pub(super) struct Pool {
    shelves: Mutex<HashMap<Name, Arc<Shelf>>>,
    verifier: Verifier,
    budgets: Budgets,
    times: Mutex<Times>,
}

/// How long things are kept.
#[derive(Clone, Copy)]
struct Times {
    /// A presented password or token is believed for so long that the upstream has accepted. When a token expires is not known here.
    trust: Duration,
    /// A connection is kept for so long that nobody uses.
    idle: Duration,
}

/// The upstream's name in the configuration, which one of this name it is since the start, and the normalized log-in there.
type Name = (String, u64, String);

/// The right to use one of a mailbox's connections.
pub(super) struct Turn {
    shelf: Arc<Shelf>,
    permits: Permits,
}

impl Pool {
    /// Keeps connections for `idle` after their last use; a presented password is believed for `trust` after the upstream has accepted it.
    pub(super) fn new(
        verifier: Verifier,
        budgets: Budgets,
        idle: Duration,
        trust: Duration,
    ) -> Self {
        Self {
            shelves: Mutex::default(),
            verifier,
            budgets,
            times: Mutex::new(Times { trust, idle }),
        }
    }

    /// From now on it keeps connections and believes passwords for so long.
    pub(super) fn keep_for(&self, idle: Duration, trust: Duration) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = Times { trust, idle };
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeps(&self) -> bool {
        !self.times().idle.is_zero()
    }

    /// A session begins on the mailbox, or is about to.
    pub(super) fn visit(&self, entrance: Entrance<'_>) -> Visit {
        Visit::new(self.shelf(entrance), self.keeps())
    }

    /// Whether the upstream lets somebody in with this credential. It is not asked again within the time of trust as long as one of the
    /// connections that the credential has opened is there.
    ///
    /// # Errors
    /// What opening a connection can give.
    pub(super) async fn admits(&self, entrance: Entrance<'_>) -> Result<(), Trouble> {
        let shelf = self.shelf(entrance);
        let credential = self.credential(entrance);
        if shelf.trusts(credential, self.times().trust) {
            return Ok(());
        }
        // Before the wait for others.
        entrance.upstream.backoff.may_open(entrance.login)?;
        // Clients that come at the same time let each other in.
        let _turn = shelf.turn_at_the_door().await;
        if shelf.trusts(credential, self.times().trust) {
            return Ok(());
        }
        let connection = self
            .connect_or_yield(&shelf, entrance, Beside::Within)
            .await?;
        if let Some(over) = shelf.admit(connection, credential) {
            tokio::spawn(over.logout().in_current_span());
        }
        Ok(())
    }

    /// A connection to the mailbox, with this folder open if there is one.
    ///
    /// # Errors
    /// What opening a connection can give.
    pub(super) async fn take(
        &self,
        account: &Account,
        purpose: Purpose,
        folder: Option<&str>,
    ) -> Result<Lease, Trouble> {
        let turn = self.turn(account, purpose).await;
        self.take_in(turn, account, folder).await
    }

    /// A connection to the mailbox that is kept and that nobody uses or waits for, if there is one like this; nothing is waited for or
    /// opened.
    pub(super) fn take_kept(
        &self,
        account: &Account,
        suits: impl Fn(&Connection) -> bool,
    ) -> Option<Lease> {
        let shelf = self.shelf(account.entrance());
        account.upstream.backoff.may_ask(&account.login).ok()?;
        // Looked at first: what is taken for a moment is missed by who comes in that moment.
        let permits = shelf.keeps(suits).then(|| shelf.permit_now())??;
        shelf.belongs_to(account);
        let wanted = Wanted {
            credential: self.credential(account.entrance()),
            utf8: account.utf8,
            folder: None,
        };
        shelf.reuse(wanted, permits).ok()
    }

    /// Waits for the right to use one of the mailbox's connections.
    pub(super) async fn turn(&self, account: &Account, purpose: Purpose) -> Turn {
        let shelf = self.shelf(account.entrance());
        // Before others are kept from it.
        account.upstream.backoff.pause(&account.login).await;
        let began = shelf.is_full_for(purpose).then(Instant::now);
        let permits = shelf.permit(purpose).await;
        if let Some(began) = began {
            self.budgets
                .waited(&account.upstream, Awaited::Turn, began.elapsed());
        }
        Turn { shelf, permits }
    }

    /// What [`Self::take`] does after its wait.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn take_in(
        &self,
        turn: Turn,
        account: &Account,
        folder: Option<&str>,
    ) -> Result<Lease, Trouble> {
        let Turn { shelf, permits } = turn;
        let entrance = account.entrance();
        shelf.belongs_to(account);
        let backoff = &account.upstream.backoff;
        backoff.may_ask(&account.login)?;
        let wanted = Wanted {
            credential: self.credential(entrance),
            utf8: account.utf8,
            folder,
        };
        let permits = match shelf.reuse(wanted, permits) {
            Ok(lease) => return Ok(lease),
            Err(permits) => permits,
        };
        let beside = Beside::of(&permits);
        // A handshake's state is large, and whoever may have to open a connection would carry room for it all the time.
        let opened = Box::pin(self.opened(&shelf, entrance, beside));
        let trouble = match opened.await {
            Ok(connection) => {
                let used = Use {
                    credential: wanted.credential,
                    accepted: Instant::now(),
                    lasts: beside.lasts(),
                };
                let mut lease = shelf.lease(connection, used, permits, true);
                lease.speak(account.utf8);
                return Ok(lease);
            }
            Err(trouble) => trouble,
        };
        if !trouble.is_pressure() || backoff.may_ask(&account.login).is_err() {
            return Err(trouble);
        }
        // No further one is to be had: one of those that there are is waited for.
        let Ok(lease) = Box::pin(shelf.reuse_later(wanted, permits)).await else {
            return Err(trouble);
        };
        if let Err(trouble) = backoff.may_ask(&account.login) {
            self.give_back(lease);
            return Err(trouble);
        }
        Ok(lease)
    }

    /// Opens a new connection in the place of one that was lost.
    ///
    /// # Errors
    /// What opening a connection can give. The lost one stays then.
    pub(super) async fn renew(&self, account: &Account, lease: &mut Lease) -> Result<(), Trouble> {
        // The others are all there is then.
        account.upstream.backoff.may_open(&account.login)?;
        // Whatever ended this one may have ended the others.
        lease.forget_others();
        let entrance = account.entrance();
        let shelf = self.shelf(entrance);
        let connection = self.connect_or_yield(&shelf, entrance, Beside::Instead);
        lease.renew(connection.await?);
        self.budgets.reconnected(&account.upstream);
        lease.speak(account.utf8);
        Ok(())
    }

    /// Keeps a connection for whoever comes next, if it can be used again.
    pub(super) fn give_back(&self, lease: Lease) {
        lease.give_back(self.keeps());
    }

    /// Tells other instances that this one and its connections are there. Call it every few seconds.
    pub(super) async fn alive(&self) {
        self.budgets.connections.alive().await;
    }

    async fn open(
        &self,
        shelf: &Arc<Shelf>,
        entrance: Entrance<'_>,
        permit: Permits,
        beside: Beside,
    ) -> Result<Lease, Trouble> {
        let connection = self.opened(shelf, entrance, beside).await?;
        let used = Use {
            credential: self.credential(entrance),
            accepted: Instant::now(),
            lasts: beside.lasts(),
        };
        Ok(shelf.lease(connection, used, permit, true))
    }

    /// A new connection, in the place of one that is kept if there would be too many.
    async fn opened(
        &self,
        shelf: &Shelf,
        entrance: Entrance<'_>,
        beside: Beside,
    ) -> Result<Box<Connection>, Trouble> {
        // Before one that is kept is let go for it.
        entrance.upstream.backoff.may_open(entrance.login)?;
        if let Some(idle) = shelf.make_room() {
            tokio::spawn(idle.logout().in_current_span());
        }
        self.connect_or_yield(shelf, entrance, beside).await
    }

    /// A new connection. An upstream that turns it away may have no room because of those that are kept.
    async fn connect_or_yield(
        &self,
        shelf: &Shelf,
        entrance: Entrance<'_>,
        beside: Beside,
    ) -> Result<Box<Connection>, Trouble> {
        let connected = Box::pin(self.connect(shelf, entrance, beside)).await;
        if let Err(Trouble::Upstream(Error::TurnedAway(_))) = &connected {
            for idle in self.yielded_at(&entrance.upstream.name) {
                tokio::spawn(idle.logout().in_current_span());
            }
        }
        connected
    }

    fn shelf(&self, entrance: Entrance<'_>) -> Arc<Shelf> {
        // However it is written: one mailbox has so many connections.
        let name = name(entrance.upstream, entrance.login);
        let mut shelves = self.shelves();
        let shelf = shelves.entry(name).or_insert_with(|| {
            let shelf = Shelf::new(entrance.upstream.connections);
            Arc::new(shelf.at(self.budgets.place(entrance)))
        });
        Arc::clone(shelf)
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<Name, Arc<Shelf>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What connections are kept by.
    pub(super) fn credential(&self, entrance: Entrance<'_>) -> Credential {
        match entrance.password {
            Password::Configured(_) | Password::Tokens(_) => Credential::Configured,
            Password::Presented(proof) => Credential::Presented(self.sealed(entrance, proof)),
        }
    }

    /// What a proof that only the upstream can check is compared by.
    pub(super) fn sealed(&self, entrance: Entrance<'_>, proof: &Proof) -> Sealed {
        let (upstream, login) = (&entrance.upstream.name, entrance.login);
        match proof {
            Proof::Password(text) => self.verifier.sealed(upstream, login, Kind::Password, text),
            Proof::Token(text) => self.verifier.sealed(upstream, login, Kind::Token, text),
        }
    }
}

fn name(upstream: &Upstream, login: &str) -> Name {
    (upstream.name.clone(), upstream.version, normalized(login))
}

#[cfg(test)]
mod tests;
