//! One session per client at a time (RFC 1939, section 4: the exclusive lock on the maildrop).
//!
//! In this process a table says who holds which; between instances the store does, by leases. A session without progress for half a minute
//! gives its lock up when its client comes back: a phone that lost its network shall not be locked out by its own dead connection.
//! Must not know: what sessions do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::pulse::Pulse;
use crate::store::{ClientId, Lease, Store, StoreError};

/// Without progress for so long a session has to give way to its own client.
const STALE: Duration = Duration::from_secs(30);
/// So long a session is waited for that may have ended a moment ago: a client that hangs up and comes back at once is no second one.
const MOMENT: Duration = Duration::from_millis(500);
/// How often the store is asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// So long a session that was told to end may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Locks {
    held: Mutex<HashMap<ClientId, Held>>,
    /// Leases that are not wanted any more and could not be given back, because the store was not there.
    owed: Mutex<HashMap<ClientId, Lease>>,
    store: Store,
    /// Names this process among the instances.
    holder: String,
}

struct Held {
    pulse: Arc<Pulse>,
    /// Dropped when the lock is free.
    freed: watch::Sender<()>,
    /// None while the store is asked, and once it is given back: the session still has to say good-bye.
    lease: Option<Lease>,
}

/// A client's maildrop is locked while this lives.
pub(super) struct Lock {
    locks: Arc<Locks>,
    lease: Lease,
    is_released: bool,
}

impl Locks {
    pub(super) fn new(store: Store, holder: String) -> Self {
        Self {
            held: Mutex::default(),
            owed: Mutex::default(),
            store,
            holder,
        }
    }

    /// Locks a client's maildrop for the session with this pulse; `None` where another session has it.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        client: ClientId,
        pulse: &Arc<Pulse>,
    ) -> Result<Option<Lock>, StoreError> {
        if !self.reserve(client, pulse).await {
            return Ok(None);
        }
        // Should this future be dropped, what was reserved is free again.
        let mut reserved = Reserved {
            locks: self,
            client: Some(client),
        };
        let stale = i64::try_from(STALE.as_secs()).unwrap_or(i64::MAX);
        self.give_back(Some(client)).await?;
        let until = Instant::now() + MOMENT;
        let lease = loop {
            if let Some(lease) = self.store.acquire(client, &self.holder, stale).await? {
                break lease;
            }
            // The session that has it may have ended a moment ago, here or at another instance: nobody waits for a lease to be given back.
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(ASK_AGAIN).await;
        };
        reserved.client = None;
        if let Some(held) = self.table().get_mut(&client) {
            held.lease = Some(lease.clone());
        }
        Ok(Some(Lock {
            locks: Arc::clone(self),
            lease,
            is_released: false,
        }))
    }

    /// Tells the store that the leases are still wanted; sessions whose lease was lost are ended.
    pub(super) async fn renew(&self) {
        if !self.store.is_shared() {
            return;
        }
        if let Err(error) = self.give_back(None).await {
            warn!(%error, "locks on maildrops could not be given back");
            return;
        }
        let held: Vec<(Lease, i64)> = self
            .table()
            .values()
            .filter_map(|held| {
                let idle = i64::try_from(held.pulse.still_for().as_secs()).unwrap_or(i64::MAX);
                Some((held.lease.clone()?, idle))
            })
            .collect();
        if held.is_empty() {
            return;
        }
        match self.store.renew(&held).await {
            Ok(lost) => {
                for lease in &lost {
                    self.end_session_of(lease);
                }
            }
            Err(error) => warn!(%error, "the locks on maildrops could not be renewed"),
        }
    }

    /// Ends the session that has this lease, and no other: one that was given back while leases were renewed is told to be lost, too, and
    /// its client may have come back by then.
    fn end_session_of(&self, lost: &Lease) {
        let table = self.table();
        let held = table.get(&lost.client);
        if let Some(held) = held.filter(|held| held.lease.as_ref() == Some(lost)) {
            info!("a session has lost its maildrop to another instance and ends");
            held.pulse.end();
        }
    }

    /// Gives a lease back, at once or, where the store is not there, as soon as it is: its client shall not be locked out for longer.
    async fn release(&self, lease: &Lease) {
        if self.store.release(lease).await.is_err() {
            self.owed().insert(lease.client, lease.clone());
        }
    }

    /// Gives back what could not be given back before: of one client, or of all.
    async fn give_back(&self, client: Option<ClientId>) -> Result<(), StoreError> {
        let owed: Vec<Lease> = match client {
            Some(client) => self.owed().get(&client).cloned().into_iter().collect(),
            None => self.owed().values().cloned().collect(),
        };
        for lease in owed {
            self.store.release(&lease).await?;
            self.owed().remove(&lease.client);
        }
        Ok(())
    }

    fn owed(&self) -> MutexGuard<'_, HashMap<ClientId, Lease>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reserve(&self, client: ClientId, pulse: &Arc<Pulse>) -> bool {
        let mut freed = match self.try_reserve(client, pulse) {
            Ok(()) => return true,
            Err(freed) => freed,
        };
        // A session that has just ended may still be on its way out, or be about to see that its client has hung up. That the other end
        // is gone says that it is free, too.
        let told = self.give_way(client)
            || (tokio::time::timeout(MOMENT, freed.changed()).await.is_err()
                && self.give_way(client));
        if told {
            info!("a session without progress gives way to a new one of the same client");
            let _ = tokio::time::timeout(FAREWELL, freed.changed()).await;
        }
        self.try_reserve(client, pulse).is_ok()
    }

    /// Takes the lock if it is free; else gives what tells when it is.
    fn try_reserve(&self, client: ClientId, pulse: &Arc<Pulse>) -> Result<(), watch::Receiver<()>> {
        match self.table().entry(client) {
            Entry::Vacant(free) => {
                free.insert(Held {
                    pulse: Arc::clone(pulse),
                    freed: watch::Sender::new(()),
                    lease: None,
                });
                Ok(())
            }
            Entry::Occupied(taken) => Err(taken.get().freed.subscribe()),
        }
    }

    /// Ends the session that holds the lock if nobody needs it any more.
    fn give_way(&self, client: ClientId) -> bool {
        let table = self.table();
        let stale = table
            .get(&client)
            .filter(|held| held.pulse.gives_way(STALE));
        stale.inspect(|held| held.pulse.end()).is_some()
    }

    fn free(&self, client: ClientId) {
        // Who waits for it sees that the sender is gone.
        self.table().remove(&client);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<ClientId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reserved<'a> {
    locks: &'a Locks,
    /// None when it is a lock by now.
    client: Option<ClientId>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.locks.free(client);
        }
    }
}

impl Lock {
    /// What the store wants to see at QUIT.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Gives the maildrop up, and waits until other instances can see it: the client may come back to one of them at once.
    pub(super) async fn release(mut self) {
        if self.locks.store.is_shared() {
            self.is_released = true;
            if let Some(held) = self.locks.table().get_mut(&self.lease.client) {
                held.lease = None;
            }
            self.locks.release(&self.lease).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.free(self.lease.client);
        if self.locks.store.is_shared() && !self.is_released {
            let (locks, lease) = (Arc::clone(&self.locks), self.lease.clone());
            tokio::spawn(async move { locks.release(&lease).await });
        }
    }
}

#[cfg(test)]
mod tests;
