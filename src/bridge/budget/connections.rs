//! The connections to upstreams that this process has, the right to one more, and the pace of log-ins.
//!
//! On PostgreSQL the store counts the connections of all instances; a [`Pass`] stands for one of them, and what it stood for is told to the
//! store soon after it is gone. On SQLite this process is alone: only what a host has is counted, and in memory.
//! Must not know: what connections are used for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::policy::budget::log_in_turn;
use crate::store::{Caps, Claimed, Connecting, Store, StoreError, Waits};

/// See the module.
pub(in super::super) struct Connections {
    store: Store,
    /// Names this process among the instances.
    holder: String,
    /// Where the local pace counts from.
    since: Instant,
    open: Mutex<Open>,
    /// Held by who tells the store of connections that are no more.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Open {
    /// The number that was given last.
    newest: i64,
    /// Where the store counts them: those that it has counted.
    live: HashMap<i64, Connecting>,
    /// Likewise: those that it is being asked for.
    asked: HashSet<i64>,
    /// Those that are no more, which the store has not heard of.
    over: Vec<i64>,
    /// Where the store counts them: how many wait for one, by the name of the mailbox or host.
    waiting: HashMap<String, usize>,
    /// Where the store does not count them: how many a host has.
    hosts: HashMap<String, usize>,
    /// Likewise: when the next log-in may begin at a host, in milliseconds.
    paces: HashMap<String, u64>,
}

/// The right to a connection, which is counted for as long as this lives.
pub(in super::super) struct Pass {
    connections: Arc<Connections>,
    counted: Counted,
    /// Whether there are more of them now than there should be.
    pub(in super::super) is_beyond: bool,
}

/// Somebody who asks for a connection, and waits where there is none.
pub(in super::super) struct Waiter {
    connections: Arc<Connections>,
    /// The mailbox or host that is full.
    place: Option<String>,
}

enum Counted {
    /// By the store, under this number.
    There(i64),
    /// Here, for this host.
    Here(String),
    Nowhere,
}

impl Connections {
    pub(super) fn new(store: Store, holder: String) -> Self {
        Self {
            store,
            holder,
            since: Instant::now(),
            open: Mutex::default(),
            telling: tokio::sync::Mutex::default(),
        }
    }

    /// The right to one more connection, or what is full.
    ///
    /// # Errors
    /// The store's.
    pub(in super::super) async fn claim(
        self: &Arc<Self>,
        mailbox: &str,
        host: &str,
        caps: Caps,
        waiter: &mut Waiter,
    ) -> Result<Result<Pass, Claimed>, StoreError> {
        if !self.store.is_shared() {
            return Ok(self.claim_here(host, caps.host));
        }
        let waits = waiter.others(mailbox, host);
        let (connecting, mut pass) = self.number(mailbox, host);
        // Should this fail or be dropped, the store is told that there is no such connection.
        let claimed = self.store.claim(&self.holder, &connecting, caps, waits);
        match claimed.await? {
            claimed @ (Claimed::Yes | Claimed::Beyond) => {
                pass.is_beyond = claimed == Claimed::Beyond;
                let mut open = self.open();
                open.asked.remove(&connecting.number);
                open.live.insert(connecting.number, connecting);
                drop(open);
                Ok(Ok(pass))
            }
            full => {
                // It knows.
                pass.counted = Counted::Nowhere;
                self.open().asked.remove(&connecting.number);
                waiter.waits_at(match full {
                    Claimed::FullMailbox => mailbox,
                    _ => host,
                });
                Ok(Err(full))
            }
        }
    }

    /// For somebody who is about to ask for a connection.
    pub(in super::super) fn waiter(self: &Arc<Self>) -> Waiter {
        Waiter {
            connections: Arc::clone(self),
            place: None,
        }
    }

    /// No host, no connection.
    fn claim_here(self: &Arc<Self>, host: &str, most: Option<usize>) -> Result<Pass, Claimed> {
        if host.is_empty() {
            return Ok(self.pass(Counted::Nowhere));
        }
        // Also one that may be one too many: it is in the way of the next.
        let mut open = self.open();
        let used = open.hosts.entry(host.to_owned()).or_default();
        if most.is_some_and(|most| *used >= most) {
            return Err(Claimed::FullHost);
        }
        *used += 1;
        drop(open);
        Ok(self.pass(Counted::Here(host.to_owned())))
    }

    fn number(self: &Arc<Self>, mailbox: &str, host: &str) -> (Connecting, Pass) {
        let mut open = self.open();
        open.newest += 1;
        let connecting = Connecting {
            number: open.newest,
            mailbox: mailbox.to_owned(),
            host: host.to_owned(),
        };
        open.asked.insert(connecting.number);
        drop(open);
        let pass = self.pass(Counted::There(connecting.number));
        (connecting, pass)
    }

    fn pass(self: &Arc<Self>, counted: Counted) -> Pass {
        Pass {
            connections: Arc::clone(self),
            counted,
            is_beyond: false,
        }
    }

    /// Takes the next place in the row of log-ins at the host; gives how long it is to be waited for. None where that is too long.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn log_in_turn(
        &self,
        host: &str,
        interval: Duration,
        patience: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        if self.store.is_shared() {
            return self.store.log_in_turn(host, interval, patience).await;
        }
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.since.elapsed());
        let mut open = self.open();
        let next = open.paces.entry(host.to_owned()).or_default();
        let turn = log_in_turn(*next, now, millis(interval), millis(patience));
        Ok(turn.map(|(wait, then)| {
            *next = then;
            Duration::from_millis(wait)
        }))
    }

    /// Tells the store of connections that are no more. In the end it has heard of all that were none before.
    pub(in super::super) async fn tell(&self) {
        let _turn = self.telling.lock().await;
        let over = std::mem::take(&mut self.open().over);
        if let Err(error) = self.store.disconnected(&self.holder, &over).await {
            warn!(%error, "connections that have ended are counted for some time to come");
            self.open().over.extend(over);
        }
    }

    /// Tells the store that this process is alive, and which connections it has.
    pub(in super::super) async fn alive(&self) {
        if !self.store.is_shared() {
            return;
        }
        let (live, asked, newest) = {
            let open = self.open();
            let live: Vec<Connecting> = open.live.values().cloned().collect();
            let asked: Vec<i64> = open.asked.iter().copied().collect();
            (live, asked, open.newest)
        };
        let said = self.store.alive(&self.holder, &live, &asked, newest);
        if let Err(error) = said.await {
            warn!(%error, "other instances are not told that this one is alive");
        }
    }

    /// Mailboxes and hosts at which other instances wait for connections of this one to end, and for how many.
    pub(in super::super) async fn wanted(&self) -> Vec<(String, usize)> {
        if self.open().live.is_empty() {
            return Vec::new();
        }
        // It is asked again soon.
        self.store.wanted(&self.holder).await.unwrap_or_default()
    }

    /// Tells the others who wait for a connection of which mailboxes so many of this process last for as long as a client likes.
    pub(in super::super) async fn lasting(&self, lasting: &[(String, usize)]) {
        if let Err(error) = self.store.lasting(&self.holder, lasting).await {
            warn!(%error, "other instances are not told how many connections are read from");
        }
    }

    /// This process ends.
    pub(in super::super) async fn leave(&self) {
        if let Err(error) = self.store.leave(&self.holder).await {
            warn!(%error, "the connections of this instance are counted for another minute");
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Who else waits here.
    fn others(&self, mailbox: &str, host: &str) -> Waits {
        let open = self.connections.open();
        let others = |place: &str| {
            let all = open.waiting.get(place).copied().unwrap_or(0);
            all - usize::from(self.place.as_deref() == Some(place))
        };
        Waits {
            mailbox: others(mailbox),
            host: others(host),
            again: self.place.is_some(),
        }
    }

    fn waits_at(&mut self, place: &str) {
        if self.place.as_deref() != Some(place) {
            self.goes();
            let mut open = self.connections.open();
            *open.waiting.entry(place.to_owned()).or_default() += 1;
            drop(open);
            self.place = Some(place.to_owned());
        }
    }

    fn goes(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let mut open = self.connections.open();
        match open.waiting.get(&place).map_or(0, |waiting| waiting - 1) {
            0 => drop(open.waiting.remove(&place)),
            waiting => drop(open.waiting.insert(place, waiting)),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.goes();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        match std::mem::replace(&mut self.counted, Counted::Nowhere) {
            Counted::There(number) => {
                open.live.remove(&number);
                open.asked.remove(&number);
                open.over.push(number);
                // Of many that end together one sees to it; what cannot be told now is told later.
                if open.over.len() == 1
                    && let Ok(runtime) = tokio::runtime::Handle::try_current()
                {
                    let connections = Arc::clone(&self.connections);
                    runtime.spawn(async move { connections.tell().await });
                }
            }
            Counted::Here(host) => {
                let used = open.hosts.get(&host).map_or(0, |used| used - 1);
                match used {
                    0 => drop(open.hosts.remove(&host)),
                    used => drop(open.hosts.insert(host, used)),
                }
            }
            Counted::Nowhere => {}
        }
    }
}

#[cfg(test)]
mod tests;
