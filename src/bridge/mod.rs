//! The meeting point of the two sides: runs a POP3 session's actions against its upstream.
//!
//! Must not know: listeners, the configuration file's shape beyond what it is given, how metrics are kept.

mod accounts;
mod mailbox;
mod refusals;
mod retrieve;
mod session;
mod upstream;
mod visitor;
mod wire;

pub use session::serve;
pub use upstream::Upstream;
pub use visitor::{End, Visitor, told};
pub use wire::Wire;

use std::sync::Arc;

use accounts::Accounts;

use crate::auth::Router;
use crate::config::Limits;
use crate::metrics::Metrics;

/// What all sessions share.
pub struct Bridge {
    router: Router<Upstream>,
    accounts: Arc<Accounts>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

impl Bridge {
    /// A bridge for these upstreams.
    pub fn new(router: Router<Upstream>, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let accounts = Arc::new(Accounts::new(limits.index_cache, Arc::clone(&metrics)));
        Self {
            router,
            accounts,
            metrics,
            limits,
        }
    }

    /// The limits that sessions keep to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// All metrics in Prometheus' text format, with the cache's size as it is now.
    pub fn render_metrics(&self) -> String {
        self.accounts.gauge();
        self.metrics.render()
    }

    /// Where everything is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
