//! The connections to one mailbox: those that are kept, those that are in use, and whose turn it is.
//!
//! Must not know: how connections are opened, other mailboxes.

mod kept;
mod room;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::Purpose;
use super::entry::Beside;
use crate::auth::Sealed;
use crate::bridge::budget::Place;
use crate::imap::Connection;
pub(super) use kept::Wanted;

/// So long a message waits for those that are being read.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long a log-in waits for others on the same mailbox.
const DOORSTEP: Duration = Duration::from_secs(2);
/// So long a second connection that the same credential has opened is kept.
const SPARE: Duration = Duration::from_secs(30);

/// Who may use a connection: whoever has the credential that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Credential {
    Configured,
    Presented(Sealed),
}

/// The connections to one mailbox.
pub(super) struct Shelf {
    /// One for each connection that may be in use.
    all: Arc<Semaphore>,
    /// One less, if there are more than one.
    bodies: Arc<Semaphore>,
    /// One for each log-in that may be tried at a time.
    door: Semaphore,
    most: usize,
    /// Where it is, if what the upstream allows has to be reckoned.
    pub(super) place: Option<Arc<Place>>,
    stock: Mutex<Stock>,
    /// A connection is not in use any more.
    freed: Notify,
}

#[derive(Default)]
struct Stock {
    idle: Vec<Idle>,
    /// Of each connection in use.
    used: Vec<Use>,
    /// How many of those nobody will ever give back.
    staying: usize,
    /// Sessions on the mailbox: for as long as there is one a connection is kept, whatever else is configured.
    visits: usize,
}

struct Idle {
    // Not in its place: there is room for four from the first on.
    connection: Box<Connection>,
    credential: Credential,
    accepted: Instant,
    since: Instant,
}

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Who may use it.
    pub(super) credential: Credential,
    /// Since when the upstream has accepted that.
    pub(super) accepted: Instant,
    /// Whether it is used for as long as a client likes.
    pub(super) lasts: bool,
}

/// A connection in use. One that is dropped instead of given back is closed.
pub(in super::super) struct Lease {
    connection: Box<Connection>,
    /// Whether it was opened just now: one that was kept may have been lost long ago without a sign.
    pub(in super::super) is_fresh: bool,
    seat: Seat,
}

/// A session on a mailbox, for as long as this lives.
pub(in super::super) struct Visit {
    shelf: Arc<Shelf>,
    /// Whether connections are kept for sessions to come.
    keeps: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut stock = self.shelf.stock();
        stock.visits = stock.visits.saturating_sub(1);
        if self.keeps || stock.visits > 0 {
            return;
        }
        for idle in stock.idle.drain(..) {
            tokio::spawn(idle.connection.logout().in_current_span());
        }
    }
}

/// The right to one of a mailbox's connections.
struct Seat {
    shelf: Arc<Shelf>,
    used: Use,
    stays: bool,
    #[expect(dead_code, reason = "held until the connection is not in use any more")]
    permits: Permits,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut stock = self.shelf.stock();
        if let Some(at) = stock.used.iter().position(|used| *used == self.used) {
            stock.used.swap_remove(at);
        }
        stock.staying -= usize::from(self.stays);
        drop(stock);
        self.shelf.freed.notify_waiters();
    }
}

/// The right to use a connection for bodies, and to use one at all.
pub(super) type Permits = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

impl Visit {
    /// A session begins. `keeps`: whether connections are kept when the last one has ended.
    pub(super) fn new(shelf: Arc<Shelf>, keeps: bool) -> Self {
        shelf.stock().visits += 1;
        Self { shelf, keeps }
    }
}

impl Shelf {
    /// For at most so many connections at a time.
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            bodies: Arc::new(Semaphore::new(most.saturating_sub(1).max(1))),
            door: Semaphore::new(most),
            most,
            place: None,
            stock: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits until fewer than the most log-ins are tried at the same time, but not for long: somebody may be guessing passwords.
    pub(super) async fn turn_at_the_door(&self) -> Option<SemaphorePermit<'_>> {
        timeout(DOORSTEP, self.door.acquire()).await.ok()?.ok()
    }

    /// The upstream has let somebody in: the connection is kept for the session that begins. One that is too many comes back.
    pub(super) fn admit(
        &self,
        connection: Box<Connection>,
        credential: Credential,
    ) -> Option<Box<Connection>> {
        let now = Instant::now();
        let mut stock = self.stock();
        let is_full = stock.idle.len() + stock.used.len() >= self.most;
        if is_full && stock.idle.is_empty() {
            return Some(connection);
        }
        let over = is_full.then(|| stock.idle.remove(0).connection);
        stock.idle.push(Idle {
            connection,
            credential,
            accepted: now,
            since: now,
        });
        over
    }

    /// Waits for the right to use one of the connections. For bodies not for ever: clients that do not read what they asked for shall not
    /// keep others from their mail. Then there are more connections than allowed for a while.
    pub(super) async fn permit(&self, purpose: Purpose) -> Permits {
        // Closed by nobody; were they, there would be no limit.
        match purpose {
            Purpose::Care => (None, Arc::clone(&self.all).acquire_owned().await.ok()),
            Purpose::SecondLook => {
                let one = Arc::clone(&self.all).acquire_owned();
                (None, timeout(PATIENCE, one).await.ok().and_then(Result::ok))
            }
            // Where there are fewer than three it would leave none for a list beside a message: it is one more.
            Purpose::Watching if self.most < 3 => (None, None),
            Purpose::Watching => {
                let of_bodies = Arc::clone(&self.bodies).acquire_owned().await.ok();
                (of_bodies, Arc::clone(&self.all).acquire_owned().await.ok())
            }
            Purpose::Bodies | Purpose::LateBodies => {
                let patience = match purpose {
                    Purpose::LateBodies => PATIENCE / 2,
                    _ => PATIENCE,
                };
                let both = async {
                    let of_bodies = Arc::clone(&self.bodies).acquire_owned().await.ok();
                    (of_bodies, Arc::clone(&self.all).acquire_owned().await.ok())
                };
                timeout(patience, both).await.unwrap_or_default()
            }
        }
    }

    /// Whether [`Self::permit`] has to wait at this moment.
    pub(super) fn is_full_for(&self, purpose: Purpose) -> bool {
        let of_bodies = match purpose {
            Purpose::Care | Purpose::SecondLook => false,
            // Those that need no permit do not wait.
            Purpose::Watching if self.most < 3 => return false,
            Purpose::Watching | Purpose::Bodies | Purpose::LateBodies => {
                self.bodies.available_permits() == 0
            }
        };
        of_bodies || self.all.available_permits() == 0
    }

    /// The right to use one of the connections, for what ends by itself, if nobody has to wait for it.
    pub(super) fn permit_now(&self) -> Option<Permits> {
        let one = Arc::clone(&self.all).try_acquire_owned();
        Some((None, Some(one.ok()?)))
    }

    pub(super) fn lease(
        self: &Arc<Self>,
        connection: Box<Connection>,
        used: Use,
        permits: Permits,
        is_fresh: bool,
    ) -> Lease {
        self.stock().used.push(used);
        Lease {
            connection,
            is_fresh,
            seat: Seat {
                shelf: Arc::clone(self),
                used,
                stays: false,
                permits,
            },
        }
    }

    /// Whether the upstream has accepted the credential within this time, and a connection is there that it has opened.
    pub(super) fn trusts(&self, credential: Credential, trust: Duration) -> bool {
        let stock = self.stock();
        let idle = stock
            .idle
            .iter()
            .map(|idle| (idle.credential, idle.accepted));
        let used = stock.used.iter();
        let mut all = idle.chain(used.map(|used| (used.credential, used.accepted)));
        all.any(|(of, accepted)| of == credential && accepted.elapsed() < trust)
    }

    /// Takes out what was not used for so long or is over; of several that the same credential has opened all but the last earlier.
    pub(super) fn superfluous(&self, idle: Duration) -> impl Iterator<Item = Box<Connection>> {
        let mut stock = self.stock();
        let mut over = stock.retired();
        over.append(&mut stock.superfluous(idle));
        drop(stock);
        over.into_iter().map(|idle| idle.connection)
    }

    /// Takes out all that are kept.
    pub(super) fn clear(&self) -> impl Iterator<Item = Box<Connection>> {
        let all = std::mem::take(&mut self.stock().idle);
        all.into_iter().map(|idle| idle.connection)
    }

    /// Whether there is no connection and no session.
    pub(super) fn is_empty(&self) -> bool {
        let stock = self.stock();
        stock.idle.is_empty() && stock.used.is_empty() && stock.visits == 0
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    /// Takes out those whose time is over.
    fn retired(&mut self) -> Vec<Idle> {
        let is_over = |idle: &mut Idle| idle.connection.is_retired();
        self.idle.extract_if(.., is_over).collect()
    }

    /// Takes out what was not used for so long; of several that the same credential has opened all but the last earlier.
    fn superfluous(&mut self, idle: Duration) -> Vec<Idle> {
        let mut over = Vec::new();
        let mut at = 0;
        while let Some(one) = self.idle.get(at) {
            let later = self.idle.get(at + 1..).unwrap_or_default();
            let is_spare = later.iter().any(|other| other.credential == one.credential);
            let most = if is_spare { SPARE.min(idle) } else { idle };
            if one.since.elapsed() >= most {
                over.push(self.idle.remove(at));
            } else {
                at += 1;
            }
        }
        over
    }
}

impl Seat {
    /// The same right, for another connection.
    fn renew(&mut self, accepted: Instant) {
        let mut stock = self.shelf.stock();
        if let Some(used) = stock.used.iter_mut().find(|used| **used == self.used) {
            used.accepted = accepted;
        }
        drop(stock);
        self.used.accepted = accepted;
    }
}

impl Lease {
    /// Keeps the connection for whoever comes next, if it can be used again and if it `keeps` at all or there are sessions.
    pub(super) fn give_back(self, keeps: bool) {
        let is_kept = keeps || self.seat.shelf.stock().visits > 0;
        if !is_kept || !self.is_clean() || self.connection.is_retired() {
            self.close();
            return;
        }
        let Self {
            mut connection,
            seat,
            ..
        } = self;
        connection.rest();
        let idle = Idle {
            connection,
            credential: seat.used.credential,
            accepted: seat.used.accepted,
            since: Instant::now(),
        };
        // Before the right to it is given up: whoever waits for that finds it.
        seat.shelf.stock().idle.push(idle);
        drop(seat);
    }

    /// Drops the mailbox's other connections that nobody uses.
    pub(super) fn forget_others(&self) {
        drop(self.seat.shelf.clear());
    }

    /// A new connection takes the place of one that was lost.
    pub(super) fn renew(&mut self, connection: Box<Connection>) {
        self.connection = connection;
        self.is_fresh = true;
        self.seat.renew(Instant::now());
    }

    /// Ends the connection, with a good-bye if there can be one.
    pub(in super::super) fn close(self) {
        let Self {
            connection, seat, ..
        } = self;
        drop(seat);
        if connection.is_clean() {
            tokio::spawn(connection.logout().in_current_span());
        }
    }

    /// Whether the connection can be used for another command.
    pub(in super::super) fn is_clean(&self) -> bool {
        self.connection.is_clean()
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests;
