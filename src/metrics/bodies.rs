//! The metrics of messages in memory.
//!
//! Must not know: how they are kept.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::labels::{BodyLookup, Label as _};
use super::{Metrics, Registrar, start_at_zero};

/// See the module.
#[derive(Debug)]
pub(super) struct Families {
    lookups: IntCounterVec,
    fetched: IntCounter,
    unsent: IntCounter,
    evictions: IntCounter,
    cache_bytes: IntGauge,
    cache_entries: IntGauge,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        let families = Self {
            lookups: family.counters(
                "body_lookups_total",
                "Messages asked for by POP3 clients, by where they were.",
                &["outcome"],
            ),
            fetched: family.counter(
                "body_fetched_bytes_total",
                "Bytes of messages fetched into memory.",
            ),
            unsent: family.counter(
                "body_unsent_bytes_total",
                "Bytes of messages fetched into memory and dropped before a client asked for them.",
            ),
            evictions: family.counter(
                "body_cache_evictions_total",
                "Messages in memory that had to make room for others.",
            ),
            cache_bytes: family.gauge(
                "body_cache_bytes",
                "Bytes that messages in memory are reckoned with.",
            ),
            cache_entries: family.gauge("body_cache_entries", "Messages in memory."),
        };
        start_at_zero::<BodyLookup>(&families.lookups);
        families
    }
}

impl Metrics {
    /// A client asked for a message.
    pub fn body_lookup(&self, outcome: BodyLookup) {
        let lookups = &self.bodies.lookups;
        lookups.with_label_values(&[outcome.as_str()]).inc();
    }

    /// A message was fetched into memory.
    pub fn body_fetched(&self, bytes: u64) {
        self.bodies.fetched.inc_by(bytes);
    }

    /// A message was fetched into memory, and no client has asked for it.
    pub fn body_unsent(&self, bytes: u64) {
        self.bodies.unsent.inc_by(bytes);
    }

    /// A message was dropped, because others needed its room.
    pub fn body_evicted(&self) {
        self.bodies.evictions.inc();
    }

    /// The size of the cache of messages now.
    pub fn body_cache(&self, bytes: u64, entries: u64) {
        let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.bodies.cache_bytes.set(gauge(bytes));
        self.bodies.cache_entries.set(gauge(entries));
    }
}
