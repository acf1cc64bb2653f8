//! Connections that nobody uses: how many there are, and when they end.
//!
//! Must not know: how connections are opened and used.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shelf::Shelf;
use super::{Name, Pool, Times};
use crate::auth::name::normalized;
use crate::bridge::Upstream;
use crate::imap::Connection;

impl Pool {
    /// Closes the connections to this upstream that nobody uses: it is another one now.
    pub(in super::super) fn leave(&self, upstream: &Upstream) {
        self.close_those(|(_, version, _)| *version == upstream.version);
    }

    /// The same for one mailbox.
    pub(in super::super) fn leave_mailbox(&self, upstream: &Upstream, login: &str) {
        let login = normalized(login);
        self.close_those(|(_, version, of)| *version == upstream.version && *of == login);
    }

    fn close_those(&self, suits: impl Fn(&Name) -> bool) {
        for (_, shelf) in self.shelves().iter().filter(|(name, _)| suits(name)) {
            for idle in shelf.clear() {
                tokio::spawn(idle.logout());
            }
        }
    }

    /// Closes what nobody has used for long. Call it every few seconds.
    pub(in super::super) fn tidy(&self) {
        let mut over = Vec::new();
        let Times { idle, .. } = self.times();
        self.shelves().retain(|_, shelf| {
            if !idle.is_zero() {
                over.extend(shelf.superfluous(idle));
            }
            // Nobody is about to use it, as that takes the lock that is held here.
            !shelf.is_empty() || Arc::strong_count(shelf) > 1
        });
        for idle in over {
            tokio::spawn(idle.logout());
        }
    }

    /// Sets the gauges of connections that nobody uses.
    pub(in super::super) fn gauge_kept(&self) {
        let mut kept: HashMap<String, usize> = HashMap::new();
        for ((upstream, ..), shelf) in self.shelves().iter() {
            match kept.get_mut(upstream) {
                Some(sum) => *sum += shelf.kept(),
                None => drop(kept.insert(upstream.clone(), shelf.kept())),
            }
        }
        self.budgets.gauge_kept(&kept);
    }

    /// Closes all connections that are not in use.
    pub(in super::super) async fn close(&self) {
        let mut closing = JoinSet::new();
        for shelf in self.shelves().values() {
            for idle in shelf.clear() {
                closing.spawn(idle.logout());
            }
        }
        while closing.join_next().await.is_some() {}
    }

    /// Of the connections to this upstream that nobody uses, and on whose mailbox there is no session, the half that was used least lately.
    pub(super) fn yielded_at(
        &self,
        upstream: &str,
    ) -> impl Iterator<Item = Box<Connection>> + use<> {
        let shelves = self.shelves();
        let here = shelves.iter().filter(|((name, ..), _)| name == upstream);
        let mut idle: Vec<(Instant, &Arc<Shelf>)> = here
            .flat_map(|(_, shelf)| shelf.unvisited().into_iter().map(move |at| (at, shelf)))
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        idle.truncate(idle.len().div_ceil(2));
        let least_lately = idle.into_iter();
        let let_go: Vec<_> = least_lately
            .filter_map(|(_, shelf)| shelf.let_go())
            .collect();
        let_go.into_iter()
    }
}
