//! What of the configuration may change while the bridge runs: upstreams, accounts and limits, exchanged all at once.
//!
//! A session goes on with the account and the upstream that it began with; whoever logs in later, and whatever begins later in the
//! background, finds the new ones. Must not know: the configuration file, what is read again and when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::account::Password;
use super::tokens::Tokens;
use super::{Bridge, Configured, Upstream};
use crate::auth::Router;
use crate::config::Limits;

/// See the module.
pub struct Setup {
    /// Which upstream a pass-through log-in belongs to.
    pub router: Router<Upstream>,
    /// The accounts, by their names.
    pub configured: HashMap<String, Arc<Configured>>,
    /// Time-outs and sizes. Sizes of caches count only when the bridge is made.
    pub limits: Arc<Limits>,
}

/// The setup as it is now, and who wants to hear of another one.
pub(super) struct Current {
    setup: ArcSwap<Setup>,
    changes: watch::Sender<()>,
    /// Accounts that there were since the start and that there are no more: they have no metrics.
    former: Mutex<Vec<String>>,
}

/// The tasks that watch the mailboxes of accounts which hold arrivals. Dropped, they end.
#[derive(Default)]
pub(super) struct Watchers(HashMap<String, (Arc<Configured>, JoinHandle<()>)>);

impl Setup {
    /// The upstreams that are somewhere else now than in `newer`, or not there at all, or used in another way.
    fn left_by<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = &'a Arc<Upstream>> {
        let stays = |one: &Arc<Upstream>| newer.router.upstreams().any(|new| Arc::ptr_eq(new, one));
        self.router.upstreams().filter(move |one| !stays(one))
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Arc<Tokens>> {
        self.configured
            .values()
            .filter_map(|one| match &one.password {
                Password::Tokens(tokens) => Some(Arc::clone(tokens)),
                Password::Presented(_) | Password::Configured(_) => None,
            })
    }
}

impl Current {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup: ArcSwap::from_pointee(setup),
            changes: watch::Sender::new(()),
            former: Mutex::default(),
        }
    }

    /// As it is now. Whoever needs two things of it that fit together keeps what this gives.
    pub(super) fn now(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// Tells of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Accounts that are configured no more.
    pub(super) fn former(&self) -> Vec<String> {
        let former = self.former.lock();
        former.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn exchange(&self, setup: Setup) -> Arc<Setup> {
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.setup.load_full();
        former.extend(before.configured.keys().cloned());
        former.sort_unstable();
        former.dedup();
        former.retain(|name| !setup.configured.contains_key(name));
        self.setup.store(Arc::new(setup));
        before
    }
}

impl Bridge {
    /// Upstreams, accounts and limits as they are now.
    pub fn setup(&self) -> Arc<Setup> {
        self.current.now()
    }

    /// The limits that sessions keep to.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.setup().limits)
    }

    /// The account of this name.
    pub(super) fn configured(&self, name: &str) -> Option<Arc<Configured>> {
        self.setup().configured.get(name).map(Arc::clone)
    }

    /// Goes on with these upstreams, accounts and limits. Nobody is sent away. What is kept of the old ones stays where an [`Upstream`] or
    /// [`Configured`] is the same one; connections that nobody uses to upstreams that are not are closed.
    pub fn exchange(&self, setup: Setup) {
        let limits = Arc::clone(&setup.limits);
        let tokens = setup.tokens().collect();
        let before = self.current.exchange(setup);
        let now = self.setup();
        self.tokens.exchange(tokens);
        let pool = &self.accounts.pool;
        pool.keep_for(limits.upstream_idle, limits.password_trust);
        for upstream in before.left_by(&now) {
            pool.leave(upstream);
        }
        let mut accounts_differ = now.configured.len() != before.configured.len();
        for account in before.configured.values() {
            let new = now.configured.get(&account.name);
            if !new.is_some_and(|new| Arc::ptr_eq(new, account)) {
                // What has opened them may not be what opens the mailbox now.
                pool.leave_mailbox(&account.upstream, &account.login);
                accounts_differ = true;
                if new.is_some_and(|new| matches!(new.password, Password::Configured(_))) {
                    self.metrics.forget_tokens(&account.name);
                }
            }
        }
        if accounts_differ {
            self.current.changes.send_replace(());
        }
    }
}

impl Watchers {
    /// Watches the accounts that hold arrivals as they are configured now, and no others.
    pub(super) fn follow(&mut self, bridge: &Arc<Bridge>) {
        let setup = bridge.setup();
        self.0.retain(|name, (watched, task)| {
            let now = setup.configured.get(name);
            let stays = now.is_some_and(|now| Arc::ptr_eq(now, watched));
            if !stays {
                task.abort();
            }
            stays
        });
        for (name, configured) in &setup.configured {
            if configured.terms.hold.is_some() && !self.0.contains_key(name) {
                let watch = Arc::clone(bridge).watch(Arc::clone(configured));
                let task = (Arc::clone(configured), tokio::spawn(watch));
                self.0.insert(name.clone(), task);
            }
        }
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for (_, task) in self.0.values() {
            task.abort();
        }
    }
}
