//! What upstreams allow, and how much of it is used.
//!
//! Accounts are those of the configuration: a mailbox that is passed through is no label.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::labels::{Awaited, Label, WaitOutcome};
use super::{Metrics, Registrar};

#[derive(Debug)]
pub(super) struct Families {
    connections: IntGaugeVec,
    allowed: IntGaugeVec,
    received: IntGaugeVec,
    waits: IntCounterVec,
    wait_seconds: HistogramVec,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        Self {
            connections: family.gauges(
                "account_connections",
                "Connections to an account's mailbox that this instance has, in use or kept.",
                &["account"],
            ),
            allowed: family.gauges(
                "account_budget_bytes",
                "Bytes that may be received for an account in 24 hours, by all instances together.",
                &["account"],
            ),
            received: family.gauges(
                "account_received_bytes",
                "Bytes that were received for an account in the last 24 hours, by all instances together.",
                &["account"],
            ),
            waits: family.counters(
                "upstream_waits_total",
                "Waits for a connection or the turn to log in, because the upstream allows no more, or others use it.",
                &["upstream", "what", "outcome"],
            ),
            wait_seconds: family.seconds(
                "upstream_wait_seconds",
                "Seconds of such waits.",
                &["upstream", "what"],
            ),
        }
    }

    /// Takes away what is of an account.
    pub(super) fn forget(&self, account: &str) {
        for family in [&self.connections, &self.allowed, &self.received] {
            // It was there, or else there is nothing to take away.
            let _ = family.remove_label_values(&[account]);
        }
    }

    /// Starts the counters of an upstream at 0.
    pub(super) fn of_upstream(&self, upstream: &str) {
        for what in Awaited::ALL {
            for outcome in WaitOutcome::ALL {
                let labels = [upstream, what.as_str(), outcome.as_str()];
                self.waits.with_label_values(&labels).inc_by(0);
            }
        }
    }
}

impl Metrics {
    /// Connections to a configured account's mailbox.
    pub fn account_connections(&self, account: &str, connections: usize) {
        let gauge = self.budgets.connections.with_label_values(&[account]);
        gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// What may be received for a configured account in a day, and what was.
    pub fn account_budget(&self, account: &str, allowed: u64, received: u64) {
        let families = &self.budgets;
        for (gauge, bytes) in [(&families.allowed, allowed), (&families.received, received)] {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            gauge.with_label_values(&[account]).set(bytes);
        }
    }

    /// Somebody has waited for what the upstream allows. Its name must be from the configuration.
    pub fn waited(&self, upstream: &str, what: Awaited, outcome: WaitOutcome, wait: Duration) {
        let families = &self.budgets;
        families
            .waits
            .with_label_values(&[upstream, what.as_str(), outcome.as_str()])
            .inc();
        families
            .wait_seconds
            .with_label_values(&[upstream, what.as_str()])
            .observe(wait.as_secs_f64());
    }
}
