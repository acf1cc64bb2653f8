//! The metrics that have an upstream as a label, bound to that upstream once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::labels::Label;
use super::{BackOffCause, ConnectOutcome, Direction, Metrics, Registrar, UpstreamOutcome};

/// The families, for all upstreams.
#[derive(Debug, Clone)]
pub(super) struct Families {
    connections: IntGaugeVec,
    kept: IntGaugeVec,
    connects: IntCounterVec,
    reconnects: IntCounterVec,
    commands: IntCounterVec,
    command_seconds: HistogramVec,
    bytes: IntCounterVec,
    backoffs: IntCounterVec,
    backing_off: IntGaugeVec,
    /// Upstreams that have metrics.
    names: Arc<Mutex<BTreeSet<Arc<str>>>>,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        Self {
            connections: family.gauges(
                "upstream_connections",
                "IMAP connections that are open.",
                &["upstream"],
            ),
            kept: family.gauges(
                "upstream_kept_connections",
                "IMAP connections that are open and that nobody uses at the moment.",
                &["upstream"],
            ),
            connects: family.counters(
                "upstream_connects_total",
                "IMAP connections tried.",
                &["upstream", "outcome"],
            ),
            reconnects: family.counters(
                "upstream_reconnects_total",
                "IMAP connections opened in the place of one that was lost while it was needed.",
                &["upstream"],
            ),
            commands: family.counters(
                "upstream_commands_total",
                "IMAP commands completed.",
                &["upstream", "command", "outcome"],
            ),
            command_seconds: family.seconds(
                "upstream_command_seconds",
                "Seconds from an IMAP command to its tagged answer.",
                &["upstream", "command"],
            ),
            bytes: family.counters(
                "upstream_bytes_total",
                "Bytes from (received) and to (sent) upstreams, inside TLS.",
                &["upstream", "direction"],
            ),
            backoffs: family.counters(
                "upstream_backoffs_total",
                "Times that an upstream or an account of it asked to be left alone.",
                &["upstream", "cause"],
            ),
            backing_off: family.gauges(
                "upstream_backing_off",
                "Accounts that are left alone at the moment; the upstream as a whole is one, too.",
                &["upstream"],
            ),
            names: Arc::default(),
        }
    }

    pub(super) fn of(&self, name: &str) -> UpstreamMetrics {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.into());
        drop(names);
        self.kept.with_label_values(&[name]);
        self.reconnects.with_label_values(&[name]);
        for outcome in ConnectOutcome::ALL {
            self.connects
                .with_label_values(&[name, outcome.as_str()])
                .inc_by(0);
        }
        for cause in BackOffCause::ALL {
            self.backoffs
                .with_label_values(&[name, cause.as_str()])
                .inc_by(0);
        }
        UpstreamMetrics {
            backing_off: self.backing_off.with_label_values(&[name]),
            connections: self.connections.with_label_values(&[name]),
            received: self
                .bytes
                .with_label_values(&[name, Direction::Received.as_str()]),
            sent: self
                .bytes
                .with_label_values(&[name, Direction::Sent.as_str()]),
            families: self.clone(),
            name: name.into(),
        }
    }
}

/// The metrics of one upstream. Clones count into the same.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    name: Arc<str>,
    families: Families,
    connections: IntGauge,
    backing_off: IntGauge,
    received: IntCounter,
    sent: IntCounter,
}

impl UpstreamMetrics {
    /// An attempt to connect ended.
    pub fn connect(&self, outcome: ConnectOutcome) {
        self.families
            .connects
            .with_label_values(&[&self.name, outcome.as_str()])
            .inc();
    }

    /// Counts an open connection for as long as the guard lives.
    #[must_use]
    pub fn connection_opened(&self) -> ConnectionGuard {
        self.connections.inc();
        ConnectionGuard(self.connections.clone())
    }

    /// The upstream or an account of it is left alone from now on.
    pub fn backed_off(&self, cause: BackOffCause) {
        let backoffs = &self.families.backoffs;
        backoffs
            .with_label_values(&[&self.name, cause.as_str()])
            .inc();
        self.backing_off.inc();
    }

    /// It is not any more.
    pub fn backoff_ended(&self) {
        self.backing_off.dec();
    }

    /// An IMAP command ended. `command` is a name of the bridge's own, such as "UID FETCH".
    pub fn command(&self, command: &'static str, outcome: UpstreamOutcome, took: Duration) {
        let families = &self.families;
        families
            .commands
            .with_label_values(&[&self.name, command, outcome.as_str()])
            .inc();
        families
            .command_seconds
            .with_label_values(&[&self.name, command])
            .observe(took.as_secs_f64());
    }

    /// Bytes read from or written to the upstream.
    pub fn bytes(&self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Received => self.received.inc_by(bytes),
            Direction::Sent => self.sent.inc_by(bytes),
        }
    }
}

impl Metrics {
    /// A connection to an upstream was lost, and there is another one in its place. Its name must be from the configuration.
    pub fn upstream_reconnected(&self, name: &str) {
        let reconnects = &self.upstream.reconnects;
        reconnects.with_label_values(&[name]).inc();
    }

    /// How many connections nobody uses, by upstream; none where an upstream is not among them.
    pub fn kept_connections(&self, kept: &HashMap<String, usize>) {
        let families = &self.upstream;
        let names = families
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for name in names.iter() {
            let connections = kept.get(&**name).copied().unwrap_or(0);
            let gauge = families.kept.with_label_values(&[name]);
            gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
        }
    }
}

/// An open connection to an upstream; dropped, it is closed.
#[derive(Debug)]
pub struct ConnectionGuard(IntGauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
