//! The meeting point of the two sides: runs a POP3 session's actions against its upstream, for one of the mailbox's clients.
//!
//! Must not know: listeners, the configuration file's shape beyond what it is given, how metrics are kept, SQL.

mod account;
mod accounts;
mod act;
mod backoff;
mod bodies;
mod budget;
pub(crate) mod clock;
mod doubt;
mod due;
mod enter;
mod hold;
mod known;
mod learnt;
mod locks;
mod losses;
mod mailbox;
mod measured;
pub mod office;
mod overview;
mod placeholder;
mod pool;
mod present;
mod pulse;
mod quota;
mod readers;
mod reading;
mod refresh;
mod refusals;
mod retrieve;
mod rounds;
mod seat;
mod session;
mod setup;
mod standing;
mod store_figures;
mod sweeper;
mod sweeps;
mod tend;
pub mod tokens;
mod trouble;
mod turned_away;
mod unacknowledged;
mod upstream;
mod visible;
mod visitor;
mod watch;
mod wire;

pub use account::{Password, Terms};
pub use backoff::LeftAlone;
pub use budget::Short;
pub use overview::{Actions, MailboxView, Overview, Received, TokenView, UpstreamView};
pub use present::SessionView;
pub use quota::Freeable;
pub use session::serve;
pub use setup::Setup;
pub use standing::Standing;
pub use tend::Swept;
pub use trouble::Trouble;
pub use turned_away::turn_away;
pub use upstream::{Upstream, key};
pub use visitor::{End, Visitor, told};
pub use wire::Wire;

use std::sync::Arc;

use accounts::Accounts;
use budget::Budgets;
use locks::Locks;
use overview::Desk;
use pool::Pool;
use present::Present;
use setup::Current;
use sweeper::LastSeen;
use tokens::Watched;

use crate::auth::{Throttle, Verifier};
use crate::metrics::Metrics;
use crate::store::Store;

/// What all sessions share.
pub struct Bridge {
    current: Current,
    accounts: Arc<Accounts>,
    locks: Arc<Locks>,
    last_seen: LastSeen,
    present: Arc<Present>,
    desk: Desk,
    tokens: Watched,
    verifier: Verifier,
    throttle: Throttle,
    metrics: Arc<Metrics>,
}

/// A mailbox whose credentials the bridge has.
pub struct Configured {
    /// Its name in the configuration.
    pub name: String,
    /// Its upstream.
    pub upstream: Arc<Upstream>,
    /// The log-in name there.
    pub login: String,
    /// The same as state is kept by it.
    pub normalized: String,
    /// What opens it.
    pub password: Password,
    /// Its rules.
    pub terms: Arc<Terms>,
}

impl Bridge {
    /// A bridge for these upstreams and accounts. `holder` names this process among the
    /// instances.
    pub fn new(
        setup: Setup,
        metrics: Arc<Metrics>,
        store: Store,
        verifier: Verifier,
        holder: String,
    ) -> Self {
        let budgets = Budgets::new(store.clone(), holder.clone(), Arc::clone(&metrics));
        let limits = &setup.limits;
        let accounts = Accounts::new(
            limits,
            Pool::new(
                verifier.clone(),
                budgets,
                limits.upstream_idle,
                limits.password_trust,
            ),
            store.clone(),
            holder.clone(),
            Arc::clone(&metrics),
        );
        let tokens = Watched::new(setup.tokens().collect());
        Self {
            current: Current::new(setup),
            accounts: Arc::new(accounts),
            locks: Arc::new(Locks::new(store, holder)),
            last_seen: LastSeen::default(),
            present: Arc::new(Present::new(Arc::clone(&metrics))),
            desk: Desk::default(),
            tokens,
            verifier,
            throttle: Throttle::default(),
            metrics,
        }
    }

    /// All metrics in Prometheus' text format, with the cache's size as it is now.
    pub fn render_metrics(&self) -> String {
        self.accounts.gauge();
        for one in self.setup().configured.values() {
            let pool = &self.accounts.pool;
            pool.gauge(&one.name, &one.upstream, &one.login);
        }
        for gone in self.current.former() {
            // Each time: a session that was there before may have reported once more.
            self.metrics.forget_account(&gone);
        }
        self.metrics.render()
    }

    /// Ends when no tokens are on their way: a refresh token that was rotated in this moment is not lost by an end of the process.
    pub async fn tokens_settled(&self) {
        self.tokens.settled().await;
    }

    /// Writes what is to be known of this process when it has ended. Call it when all sessions are over.
    pub async fn settle(&self) {
        self.accounts.pool.settle().await;
        self.accounts.write_sizes().await;
    }

    /// Where everything is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn store(&self) -> &Store {
        &self.accounts.store
    }
}
