//! What upstreams allow, and how much of it is used: octets of a mailbox in a day, connections, the pace of log-ins.
//!
//! All of it is reckoned over all instances, through the store. Octets are counted in memory as they come and added to the store's every
//! few seconds; the store's sum is read back at that moment, and before a message is fetched where others may have added to it. An
//! upstream without such limits, whose state is not shared, costs nothing.
//! Must not know: sessions, what is told to clients, how connections are kept.

mod connections;
mod meter;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

pub(super) use connections::Pass;
pub(super) use meter::{Allowance, Meter, Metered};

use super::pool::Entrance;
use super::{Upstream, clock};
use crate::auth::name::normalized;
use crate::metrics::{Awaited, Metrics, WaitOutcome};
use crate::policy::budget::{first_hour, hour_of};
use crate::store::{MailboxId, Store, StoreError};
use connections::Connections;

/// How often [`Budgets::reckon`] is to be called.
pub(super) const TICK: Duration = Duration::from_secs(2);
/// Where others may add to it, what the store has said is asked again after so long before a message is fetched.
const FRESH: Duration = Duration::from_secs(10);

/// Why something cannot be had of an upstream now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// So much has come for the mailbox that messages wait, for so many seconds.
    Octets {
        /// From now on.
        seconds: u64,
    },
    /// There are as many connections as there may be.
    Connections,
    /// Too many others log in.
    LogIns,
}

/// Where a mailbox is, by names that mean the same at all instances, and what was received for it.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) mailbox: String,
    pub(super) meter: Option<Arc<Meter>>,
}

/// See the module.
pub(super) struct Budgets {
    store: Store,
    pub(super) connections: Arc<Connections>,
    /// By the name of the mailbox's place.
    meters: Mutex<HashMap<String, Arc<Meter>>>,
    /// Held by who adds to the store.
    turn: tokio::sync::Mutex<()>,
    /// The hour in which what is long past was last forgotten.
    forgot: AtomicI64,
    metrics: Arc<Metrics>,
}

impl Budgets {
    /// `holder` names this process among the instances.
    pub(super) fn new(store: Store, holder: String, metrics: Arc<Metrics>) -> Self {
        Self {
            connections: Arc::new(Connections::new(store.clone(), holder)),
            store,
            meters: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            forgot: AtomicI64::new(0),
            metrics,
        }
    }

    /// The mailbox's place; none where nothing has to be reckoned.
    pub(super) fn place(&self, entrance: Entrance<'_>) -> Option<Arc<Place>> {
        let upstream = entrance.upstream;
        let reckons = self.store.is_shared()
            || upstream.bytes_per_day.is_some()
            || upstream.host_connections.is_some()
            || upstream.logins_per_second.is_some();
        if !reckons {
            return None;
        }
        let host = upstream.key();
        let mailbox = format!("{host}/{}", normalized(entrance.login));
        let meter = upstream.bytes_per_day.map(|allowed| {
            let new = || Arc::new(Meter::new(upstream.name.clone(), allowed));
            let mut meters = self.meters();
            let meter = Arc::clone(meters.entry(mailbox.clone()).or_insert_with(new));
            // It may have been made before the configuration said something else.
            meter.may_receive(allowed);
            meter
        });
        Some(Arc::new(Place {
            host,
            mailbox,
            meter,
        }))
    }

    /// What may be asked for of the mailbox that the meter belongs to.
    ///
    /// # Errors
    /// The store's, if it has never said how much was spent.
    pub(super) async fn allowance(&self, meter: &Meter) -> Result<Allowance, StoreError> {
        let too_old = if self.store.is_shared() {
            Some(FRESH)
        } else {
            None
        };
        if let Some(mailbox) = meter.mailbox() {
            let ask = self.store.spent(mailbox, first_hour(clock::now()));
            meter.look(too_old, ask).await?;
        }
        Ok(meter.allowance(clock::now()))
    }

    /// Adds to the store what has come, and forgets what nobody needs. Call it every [`TICK`], and with `all` in the end.
    pub(super) async fn reckon(&self, all: bool) {
        if let Err(error) = self.add_up(all).await {
            warn!(%error, "what was received from upstreams is not written; it will be tried again");
        }
        self.connections.tell().await;
        let now = clock::now();
        self.meters().retain(|_, meter| {
            meter.note_level(now);
            Arc::strong_count(meter) > 1 || !meter.is_forgettable()
        });
    }

    async fn add_up(&self, all: bool) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let now = clock::now();
        let (hour, since) = (hour_of(now), first_hour(now));
        let due: HashMap<MailboxId, Arc<Meter>> = self
            .meters()
            .values()
            .filter(|meter| meter.is_due(all))
            .filter_map(|meter| Some((meter.mailbox()?, Arc::clone(meter))))
            .collect();
        let mut added = Vec::with_capacity(due.len());
        let mut turns = Vec::with_capacity(due.len());
        for (mailbox, meter) in &due {
            turns.push(match meter.turn_now() {
                Some(turn) => turn,
                None if all => meter.turn().await,
                // The store is asked about it at this moment: later.
                None => continue,
            });
            added.push((*mailbox, meter.unwritten()));
        }
        if !added.is_empty() {
            let told = self.store.spend(&added, hour, since).await?;
            for (mailbox, bytes) in added {
                let hours = told.iter().filter(|(of, _)| *of == mailbox);
                if let Some(meter) = due.get(&mailbox) {
                    meter.written(bytes, hours.map(|(_, hour)| *hour));
                }
            }
        }
        drop(turns);
        if self.forgot.swap(hour, Ordering::Relaxed) != hour {
            self.store.forget_spent(since).await?;
        }
        Ok(())
    }

    /// Waits for the turn to log in at the upstream, until then at the latest.
    ///
    /// # Errors
    /// [`Short::LogIns`] where that would be later; nothing was waited for then. The store's.
    pub(super) async fn log_in_turn(
        &self,
        upstream: &Upstream,
        until: Instant,
    ) -> Result<Result<(), Short>, StoreError> {
        let Some(rate) = upstream.logins_per_second else {
            return Ok(Ok(()));
        };
        let interval = Duration::from_millis(1000_u64.div_ceil(u64::from(rate.max(1))));
        let patience = until.saturating_duration_since(Instant::now());
        let wait = self
            .connections
            .log_in_turn(&upstream.key(), interval, patience)
            .await?;
        let Some(wait) = wait else {
            return Ok(Err(Short::LogIns));
        };
        if !wait.is_zero() {
            self.waited(upstream, Awaited::Login, wait);
            tokio::time::sleep(wait).await;
        }
        Ok(Ok(()))
    }

    /// Somebody has waited so long, and got what was waited for.
    pub(super) fn waited(&self, upstream: &Upstream, what: Awaited, wait: Duration) {
        self.metrics
            .waited(&upstream.name, what, WaitOutcome::Had, wait);
    }

    /// Somebody has waited so long for nothing.
    pub(super) fn waited_in_vain(&self, upstream: &Upstream, what: Awaited, wait: Duration) {
        self.metrics
            .waited(&upstream.name, what, WaitOutcome::Refused, wait);
    }

    /// A connection was lost, and there is another one in its place.
    pub(super) fn reconnected(&self, upstream: &Upstream) {
        self.metrics.upstream_reconnected(&upstream.name);
    }

    /// Sets the gauges of connections that nobody uses, given by upstream.
    pub(super) fn gauge_kept(&self, kept: &HashMap<String, usize>) {
        self.metrics.kept_connections(kept);
    }

    /// What may be received for a mailbox in a day, and what was; none where there is no limit.
    pub(super) fn received(&self, upstream: &Upstream, login: &str) -> Option<(u64, u64)> {
        let allowed = upstream.bytes_per_day?;
        let mailbox = format!("{}/{}", upstream.key(), normalized(login));
        let meter = self.meters().get(&mailbox).cloned();
        let received = meter.map_or(0, |meter| meter.total(clock::now()));
        Some((allowed, received))
    }

    /// Sets the gauges of a configured account that has so many connections here.
    pub(super) fn gauge(
        &self,
        account: &str,
        upstream: &Upstream,
        login: &str,
        connections: usize,
    ) {
        self.metrics.account_connections(account, connections);
        if let Some((allowed, received)) = self.received(upstream, login) {
            self.metrics.account_budget(account, allowed, received);
        }
    }

    fn meters(&self) -> MutexGuard<'_, HashMap<String, Arc<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
