//! What the bridge counts and measures, for Prometheus. The only place that names the `prometheus` crate, and the only place
//! that names a metric.
//!
//! No label carries what a client or an upstream has said: values are `&'static str`, or names of upstreams from the
//! configuration. It must not know who counts.
//!
//! | name | type | labels | what |
//! | --- | --- | --- | --- |
//! | `popbridge_build_info` | gauge | version | always 1 |
//! | `popbridge_config_last_reload_successful` | gauge | | 1 where the configuration that was read last is in use, 0 where it was refused |
//! | `popbridge_config_last_reload_success_timestamp_seconds` | gauge | | when the configuration that is in use was read |
//! | `popbridge_certificate_expiry_timestamp_seconds` | gauge | | when the certificate ends that POP3 clients are shown; 0 where that cannot be read from it |
//! | `popbridge_sessions` | gauge | tls | POP3 connections that are open |
//! | `popbridge_session_states` | gauge | state | POP3 sessions by where they stand (RFC 1939): before log-in, logged in, at their QUIT |
//! | `popbridge_sessions_total` | counter | | POP3 connections accepted |
//! | `popbridge_session_panics_total` | counter | | sessions ended by a defect of the bridge |
//! | `popbridge_commands_total` | counter | command, outcome | POP3 commands answered |
//! | `popbridge_command_seconds` | histogram | command | from a POP3 command to the end of its answer |
//! | `popbridge_logins_total` | counter | outcome | log-ins by POP3 clients |
//! | `popbridge_client_bytes_total` | counter | direction | bytes from and to POP3 clients, inside TLS |
//! | `popbridge_bad_input_total` | counter | kind | input of POP3 clients that no command allows |
//! | `popbridge_upstream_connections` | gauge | upstream | IMAP connections that are open |
//! | `popbridge_upstream_kept_connections` | gauge | upstream | those of them that nobody uses at the moment |
//! | `popbridge_upstream_connects_total` | counter | upstream, outcome | IMAP connections tried |
//! | `popbridge_upstream_reconnects_total` | counter | upstream | IMAP connections opened in the place of one that was lost while it was needed |
//! | `popbridge_upstream_commands_total` | counter | upstream, command, outcome | IMAP commands completed |
//! | `popbridge_upstream_command_seconds` | histogram | upstream, command | from an IMAP command to its tagged answer |
//! | `popbridge_upstream_bytes_total` | counter | upstream, direction | bytes from and to upstreams, inside TLS |
//! | `popbridge_upstream_backoffs_total` | counter | upstream, cause | times that an upstream or an account of it asked to be left alone |
//! | `popbridge_upstream_backing_off` | gauge | upstream | accounts that are left alone at the moment, once for log-ins and once for all else; the upstream as a whole is one, too |
//! | `popbridge_index_lookups_total` | counter | outcome | folder lists asked for |
//! | `popbridge_index_cache_bytes` | gauge | | memory that known folder lists take |
//! | `popbridge_index_cache_entries` | gauge | | folder lists that are known |
//! | `popbridge_index_cache_evictions_total` | counter | | folder lists that had to make room for others |
//! | `popbridge_body_lookups_total` | counter | outcome | messages asked for by POP3 clients, by where they were |
//! | `popbridge_body_fetched_bytes_total` | counter | | bytes of messages fetched into memory |
//! | `popbridge_body_unsent_bytes_total` | counter | | bytes of those that no client asked for before they were dropped |
//! | `popbridge_body_cache_bytes` | gauge | | memory that messages take, as they are listed |
//! | `popbridge_body_cache_entries` | gauge | | messages in memory |
//! | `popbridge_body_cache_evictions_total` | counter | | messages in memory that had to make room for others |
//! | `popbridge_client_waiting_messages` | gauge | account, client | messages that a client has not had |
//! | `popbridge_client_oldest_waiting_seconds` | gauge | account, client | age of the oldest of them; 0 where there is none |
//! | `popbridge_client_last_seen_timestamp_seconds` | gauge | account, client | last log-in; 0 before the first |
//! | `popbridge_client_lost_messages` | gauge | account, client | messages that others took away before the client had them |
//! | `popbridge_account_pending_disposals` | gauge | account | disposals and flags not done upstream yet |
//! | `popbridge_account_withheld_messages` | gauge | account | messages that cannot be read and are withheld |
//! | `popbridge_account_sweep_stopped` | gauge | account | 1 where a sweep would take so much that a person has to agree, otherwise 0 |
//! | `popbridge_account_connections` | gauge | account | connections to the mailbox that this instance has |
//! | `popbridge_account_budget_bytes` | gauge | account | what may be received for it in a day; only where there is a limit |
//! | `popbridge_account_received_bytes` | gauge | account | what was received for it in the last day, by all instances; likewise |
//! | `popbridge_account_quota_bytes` | gauge | account | what the mailbox may have; only where the upstream says (RFC 9208) |
//! | `popbridge_account_quota_used_bytes` | gauge | account | what the mailbox has; likewise |
//! | `popbridge_account_freeable_bytes` | gauge | account | what the account's rules would dispose of now |
//! | `popbridge_upstream_waits_total` | counter | upstream, what, outcome | waits because an upstream allows no more |
//! | `popbridge_upstream_wait_seconds` | histogram | upstream, what | how long they were |
//! | `popbridge_disposals_total` | counter | outcome | messages that were to be disposed of or flagged |
//! | `popbridge_token_expiry_timestamp_seconds` | gauge | account | when the account's access token ends |
//! | `popbridge_token_refreshes_total` | counter | account, outcome | access tokens asked for at an authorization server |
//! | `popbridge_token_revoked` | gauge | account | 1 where a person has to log in for the account, otherwise 0 |
//! | `popbridge_refused_connections_total` | counter | reason | POP3 connections refused before they were greeted |
//! | `popbridge_delayed_logins_total` | counter | | log-ins that had to wait for their turn, or were not looked at, because others were wrong |
//! | `popbridge_slow_readers_total` | counter | | sessions cut because the client took too little of what was sent |
//! | `popbridge_unreadable_messages_total` | counter | | times that a message could not be read for the third time or more |
//! | `popbridge_store_seconds` | histogram | operation | how long the store took |
//! | `popbridge_store_errors_total` | counter | operation | times that the store was in trouble |
//!
//! Label values: `tls` is none, starttls or implicit; `state` is authorization, transaction or update; `direction` is received or sent, as
//! the bridge sees it; `kind` is line_too_long, behind_stls (something in clear behind STLS) or tls_handshake (one that failed); `reason` is
//! full, source_full, memory, proxy (no PROXY header from where one must come, or a connection from elsewhere) or deadline (of PROXY header
//! and TLS handshake); `what` is connection, login or turn (a mailbox's connections were all in use); `operation`, `cause` and `outcome` are
//! spelled in the enum that the method takes. docs/metrics.md has the same table with units and alerts. Gauges of accounts and clients are
//! there for configured accounts and clients that the operator added, and are set when the
//! account is looked through (`limits.sweep_interval`) and after its clients' sessions.

mod bodies;
mod budgets;
mod labels;
mod life;
mod mailboxes;
mod quotas;
mod refusals;
mod store;
mod tokens;
mod upstream;

#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use labels::Label;
pub use labels::{
    Awaited, BackOffCause, BadInput, BodyLookup, CommandOutcome, ConnectOutcome, Direction,
    DisposalOutcome, IndexLookup, LoginOutcome, Refused, SessionState, SessionTls, StoreOperation,
    TokenRefresh, UpstreamOutcome, WaitOutcome,
};
pub use mailboxes::ClientFigures;
pub use upstream::{ConnectionGuard, UpstreamMetrics};

/// From an answer out of memory to a command that nearly timed out, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// All metrics of one bridge, in a registry of their own: two bridges in one process do not mix.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sessions: IntGaugeVec,
    session_states: IntGaugeVec,
    sessions_total: IntCounter,
    session_panics: IntCounter,
    commands: IntCounterVec,
    command_seconds: HistogramVec,
    logins: IntCounterVec,
    client_bytes: IntCounterVec,
    bad_input: IntCounterVec,
    upstream: upstream::Families,
    index_lookups: IntCounterVec,
    index_cache_bytes: IntGauge,
    index_cache_entries: IntGauge,
    index_cache_evictions: IntCounter,
    bodies: bodies::Families,
    budgets: budgets::Families,
    life: life::Families,
    mailboxes: mailboxes::Families,
    refusals: refusals::Families,
    quotas: quotas::Families,
    store: store::Families,
    tokens: tokens::Families,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that all stand at 0, with every value of every fixed label there from the start, so that rates are right from the
    /// first event on.
    #[must_use]
    pub fn new() -> Self {
        let family = Registrar::default();
        let build_info = family.gauges(
            "build_info",
            "Always 1; the label says the version.",
            &["version"],
        );
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let metrics = Self {
            sessions: family.gauges("sessions", "POP3 connections that are open.", &["tls"]),
            session_states: family.gauges(
                "session_states",
                "POP3 sessions by where they stand: before log-in, logged in, at their QUIT.",
                &["state"],
            ),
            sessions_total: family.counter("sessions_total", "POP3 connections accepted."),
            session_panics: family.counter(
                "session_panics_total",
                "Sessions ended by a defect of the bridge.",
            ),
            commands: family.counters(
                "commands_total",
                "POP3 commands answered.",
                &["command", "outcome"],
            ),
            command_seconds: family.seconds(
                "command_seconds",
                "Seconds from a POP3 command to the end of its answer.",
                &["command"],
            ),
            logins: family.counters("logins_total", "Log-ins by POP3 clients.", &["outcome"]),
            client_bytes: family.counters(
                "client_bytes_total",
                "Bytes from (received) and to (sent) POP3 clients, inside TLS.",
                &["direction"],
            ),
            bad_input: family.counters(
                "bad_input_total",
                "Input of POP3 clients that no command allows.",
                &["kind"],
            ),
            upstream: upstream::Families::new(&family),
            index_lookups: family.counters(
                "index_lookups_total",
                "Folder lists asked for, by what it took to have them.",
                &["outcome"],
            ),
            index_cache_bytes: family.gauge(
                "index_cache_bytes",
                "Bytes of memory that known folder lists take.",
            ),
            index_cache_entries: family
                .gauge("index_cache_entries", "Folder lists that are known."),
            index_cache_evictions: family.counter(
                "index_cache_evictions_total",
                "Folder lists that had to make room for others.",
            ),
            bodies: bodies::Families::new(&family),
            budgets: budgets::Families::new(&family),
            life: life::Families::new(&family),
            mailboxes: mailboxes::Families::new(&family),
            refusals: refusals::Families::new(&family),
            quotas: quotas::Families::new(&family),
            store: store::Families::new(&family),
            tokens: tokens::Families::new(&family),
            registry: family.registry,
        };
        start_at_zero::<LoginOutcome>(&metrics.logins);
        start_at_zero::<Direction>(&metrics.client_bytes);
        start_at_zero::<BadInput>(&metrics.bad_input);
        start_at_zero::<IndexLookup>(&metrics.index_lookups);
        for tls in SessionTls::ALL {
            metrics.sessions.with_label_values(&[tls.as_str()]).set(0);
        }
        for state in SessionState::ALL {
            let states = &metrics.session_states;
            states.with_label_values(&[state.as_str()]).set(0);
        }
        metrics
    }

    /// Counts a POP3 connection for as long as the guard lives.
    #[must_use]
    pub fn session_started(&self, tls: SessionTls) -> SessionGuard {
        self.sessions_total.inc();
        let guard = SessionGuard {
            sessions: self.sessions.clone(),
            tls,
        };
        guard.gauge().inc();
        guard
    }

    /// A session has come from one state to another; none: it was not there before, or is not any more.
    pub fn session_state(&self, from: Option<SessionState>, to: Option<SessionState>) {
        let gauge = |state: SessionState| self.session_states.with_label_values(&[state.as_str()]);
        if let Some(from) = from {
            gauge(from).dec();
        }
        if let Some(to) = to {
            gauge(to).inc();
        }
    }

    /// A session ended by a panic.
    pub fn session_panicked(&self) {
        self.session_panics.inc();
    }

    /// A POP3 command was answered completely. `command` is a name of the bridge's own, "unknown" for all others.
    pub fn command(&self, command: &'static str, outcome: CommandOutcome, took: Duration) {
        self.commands
            .with_label_values(&[command, outcome.as_str()])
            .inc();
        self.command_seconds
            .with_label_values(&[command])
            .observe(took.as_secs_f64());
    }

    /// A POP3 client tried to log in.
    pub fn login(&self, outcome: LoginOutcome) {
        self.logins.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Bytes read from or written to a POP3 client.
    pub fn client_bytes(&self, direction: Direction, bytes: u64) {
        self.client_bytes
            .with_label_values(&[direction.as_str()])
            .inc_by(bytes);
    }

    /// A POP3 client sent what no command allows, such as an over-long line.
    pub fn bad_input(&self, kind: BadInput) {
        self.bad_input.with_label_values(&[kind.as_str()]).inc();
    }

    /// A session wanted the list of a folder.
    pub fn index_lookup(&self, outcome: IndexLookup) {
        self.index_lookups
            .with_label_values(&[outcome.as_str()])
            .inc();
    }

    /// The size of the cache of folder lists now.
    pub fn index_cache(&self, bytes: u64, entries: u64) {
        self.index_cache_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.index_cache_entries
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A folder list was dropped, because others needed its room.
    pub fn index_evicted(&self) {
        self.index_cache_evictions.inc();
    }

    /// The metrics of one upstream. `name` must be from the configuration, as it becomes a label.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        self.budgets.of_upstream(name);
        self.upstream.of(name)
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                // Only an empty family can fail, and `gather` leaves those out.
                tracing::error!(%error, "metrics cannot be rendered");
                String::new()
            })
    }
}

/// An open POP3 connection; dropped, it is closed.
#[derive(Debug)]
pub struct SessionGuard {
    sessions: IntGaugeVec,
    tls: SessionTls,
}

impl SessionGuard {
    /// The connection is encrypted from now on by STLS.
    pub fn tls_started(&mut self) {
        self.gauge().dec();
        self.tls = SessionTls::StartTls;
        self.gauge().inc();
    }

    fn gauge(&self) -> IntGauge {
        self.sessions.with_label_values(&[self.tls.as_str()])
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.gauge().dec();
    }
}

fn start_at_zero<L: Label>(counters: &IntCounterVec) {
    for label in L::ALL {
        counters.with_label_values(&[label.as_str()]).inc_by(0);
    }
}

/// Makes metrics with the common prefix and registers them.
#[derive(Default)]
struct Registrar {
    registry: Registry,
}

#[expect(
    clippy::expect_used,
    reason = "names and labels are constants, and a test makes them all"
)]
impl Registrar {
    fn add<C: Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("a valid metric");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("a metric of a new name");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(opts(name, help), labels))
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histograms(name, help, labels, &SECONDS)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("popbridge")
}
