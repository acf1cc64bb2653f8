//! The background: looks after the mailboxes whose credentials the bridge has, and writes down when clients were last seen
//! and how long messages are.
//!
//! Must not know: what is due, how it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::budget::TICK;
use super::losses::losses_before;
use super::office::stored;
use super::readers::Readers;
use super::setup::Watchers;
use super::sweeps::Sweeps;
use super::tend::Care;
use super::trouble::Trouble;
use super::{Bridge, Terms, clock, told};
use crate::store::{ClientId, KEPT_FOR, MailboxId};

/// How often last-seen times, true sizes and leases are written.
const BEAT: Duration = Duration::from_secs(10);
/// How often old things are forgotten.
const PRUNE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often tokens are looked at, in memory.
const TOKENS: Duration = Duration::from_secs(1);
/// In seconds.
const DAY: i64 = 24 * 60 * 60;

/// Times at which clients were seen and that are not in the store yet: a poll without news writes nothing itself.
#[derive(Default)]
pub(super) struct LastSeen(Mutex<HashMap<ClientId, i64>>);

impl LastSeen {
    /// Notes a log-in.
    pub(super) fn note(&self, client: ClientId, now: i64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(client, now);
    }

    /// When a client was last seen, if the store does not know of it yet.
    pub(super) fn of(&self, client: ClientId) -> Option<i64> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(&client).copied()
    }

    fn take(&self) -> Vec<(ClientId, i64)> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.drain().collect()
    }
}

impl Bridge {
    /// Works in the background until `shutdown` turns true, and for the sessions that are left until `over` does; then writes what is left
    /// to write.
    pub async fn tend(
        self: Arc<Self>,
        mut shutdown: watch::Receiver<bool>,
        mut over: watch::Receiver<bool>,
    ) {
        let mut beat = interval(BEAT);
        let mut sweep = interval(self.limits().sweep_interval);
        let mut prune = interval(PRUNE);
        let mut tokens = interval(TOKENS);
        for ticks in [&mut beat, &mut sweep, &mut prune, &mut tokens] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut sweeps = Sweeps::default();
        let mut changes = self.current.changes();
        let mut watchers = Watchers::default();
        watchers.follow(&self);
        let mut reckoning = JoinSet::new();
        reckoning.spawn(Arc::clone(&self).reckon());
        loop {
            tokio::select! {
                () = told(&mut shutdown) => break,
                _ = beat.tick() => self.beat().await,
                _ = prune.tick() => {
                    tokio::spawn(Arc::clone(&self).prune());
                }
                _ = tokens.tick() => self.tokens.look(),
                _ = sweep.tick() => self.begin_sweeps(&mut sweeps),
                Ok(()) = changes.changed() => {
                    watchers.follow(&self);
                    // New rules may have made something due, and new accounts have no figures yet.
                    sweep.reset_immediately();
                }
            }
        }
        // What they were about to do is written down and is done after the next start.
        sweeps.end();
        drop(watchers);
        // For as long as sessions last that may last long: others would think them dead, and take their locks.
        loop {
            tokio::select! {
                () = told(&mut over) => break,
                _ = beat.tick() => self.beat().await,
            }
        }
        reckoning.abort_all();
        self.beat().await;
        self.accounts.pool.close().await;
    }

    /// Adds up what upstreams have sent, for ever. In a task of its own: a store that is slow holds nothing else up.
    async fn reckon(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.accounts.pool.reckon().await;
        }
    }

    async fn beat(&self) {
        let seen = self.last_seen.take();
        if !seen.is_empty()
            && let Err(error) = self.accounts.store.seen(&seen).await
        {
            warn!(%error, "the times at which clients were last seen are not written");
        }
        self.locks.renew().await;
        self.accounts.pool.alive().await;
        self.accounts.pool.tidy();
        self.accounts.bodies.tidy();
        self.accounts.write_sizes().await;
    }

    /// Forgets what nobody needs any more.
    async fn prune(self: Arc<Self>) {
        // A day later than registers in memory forget it, so that both never differ.
        let now = clock::now() - DAY;
        let pruned = async {
            for mailbox in self.store().prunable(now).await? {
                let losses = self.losses_before(mailbox, now - KEPT_FOR).await?;
                self.store().prune(mailbox, &losses, now).await?;
            }
            Ok::<_, Trouble>(())
        };
        if let Err(trouble) = pruned.await {
            warn!(%trouble, "what nobody needs any more was not forgotten; it will be tried again tomorrow");
        }
        if let Err(trouble) = self.warn_of_expiry().await {
            warn!(%trouble, "clients that are about to expire could not be found out");
        }
    }

    /// Tells of clients that will not be waited for any more, long before.
    async fn warn_of_expiry(&self) -> Result<(), Trouble> {
        for configured in self.setup().configured.values() {
            let account = self.account_of(configured).await?;
            let rules = &account.terms.rules;
            let (store, now) = (self.store(), clock::now());
            let readers =
                Readers::load(store, &self.accounts.marks, account.mailbox, rules, now).await?;
            for owned in &readers.all {
                let Some(at) = owned
                    .expires_at
                    .filter(|_| owned.client.removed_at.is_none())
                else {
                    continue;
                };
                warn!(
                    account = configured.name,
                    client = owned.client.login,
                    days_left = (at - now).max(0) / DAY,
                    "a client has not been seen for long; when it expires disposals wait for it only with undelivered = \"keep\""
                );
            }
        }
        Ok(())
    }

    async fn losses_before(
        &self,
        mailbox: MailboxId,
        time: i64,
    ) -> Result<Vec<(ClientId, i64)>, Trouble> {
        let (known, readers) = stored(self.store(), mailbox, &Terms::default()).await?;
        Ok(losses_before(&known, &readers, time))
    }

    fn begin_sweeps(self: &Arc<Self>, sweeps: &mut Sweeps) {
        let setup = self.setup();
        let accounts = setup.configured.values();
        let accounts = accounts.map(|one| (one.upstream.key(), one.name.clone()));
        let bridge = Arc::clone(self);
        sweeps.begin(accounts, move |name| Arc::clone(&bridge).sweep(name));
    }

    async fn sweep(self: Arc<Self>, name: String) {
        let Some(configured) = self.configured(&name) else {
            return;
        };
        // What goes wrong with one account was logged and is no reason to leave out the others.
        if let Ok(account) = self.account_of(&configured).await {
            let _ = self.accounts.tend(account, Care::Sweep).await;
        }
    }
}
