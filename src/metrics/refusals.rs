//! The metrics of what the bridge does against abuse.
//!
//! Must not know: where the limits are.

use prometheus::{IntCounter, IntCounterVec};

use super::labels::{Label as _, Refused};
use super::{Metrics, Registrar, start_at_zero};

/// See the module.
#[derive(Debug)]
pub(super) struct Families {
    connections: IntCounterVec,
    delayed_logins: IntCounter,
    slow_readers: IntCounter,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        let families = Self {
            connections: family.counters(
                "refused_connections_total",
                "POP3 connections that were refused before they were greeted.",
                &["reason"],
            ),
            delayed_logins: family.counter(
                "delayed_logins_total",
                "Log-ins that had to wait for their turn, or were not looked at, because others were wrong.",
            ),
            slow_readers: family.counter(
                "slow_readers_total",
                "Sessions that were cut because the client took too little of what was sent to it.",
            ),
        };
        start_at_zero::<Refused>(&families.connections);
        families
    }
}

impl Metrics {
    /// A POP3 connection was refused before it was greeted.
    pub fn refused_connection(&self, reason: Refused) {
        let connections = &self.refusals.connections;
        connections.with_label_values(&[reason.as_str()]).inc();
    }

    /// A log-in had to wait for its turn, or was not looked at.
    pub fn delayed_login(&self) {
        self.refusals.delayed_logins.inc();
    }

    /// A session was cut because its client takes too little of what is sent to it.
    pub fn slow_reader(&self) {
        self.refusals.slow_readers.inc();
    }
}
