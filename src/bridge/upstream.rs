//! An upstream as the bridge uses it: its configuration made ready, its observer counting.
//!
//! Must not know: sessions, accounts.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::debug;

use super::backoff::Backoff;
use super::{Terms, clock};
use crate::config::{self, Security};
use crate::imap::{Endpoint, Error, Extensions, Observer};
use crate::maildrop::Format;
use crate::metrics::{
    ConnectOutcome, ConnectionGuard, Direction, Metrics, UpstreamMetrics, UpstreamOutcome,
};
use crate::trust::{ClientTlsError, client_config};

/// An upstream with all that is configured for it.
pub struct Upstream {
    /// Its name in the configuration.
    pub name: String,
    /// Which one it is of those that have been made in this process: a name may be given to another one when the configuration changes.
    pub version: u64,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// How messages are named to clients.
    pub uidl: Format,
    /// What stands between mailbox and client in a pass-through log-in; none where there are no such clients.
    pub separator: Option<char>,
    /// The most connections to one mailbox that are in use or kept.
    pub connections: usize,
    /// The most octets that are received for one mailbox in a day.
    pub bytes_per_day: Option<u64>,
    /// The most connections to the server.
    pub host_connections: Option<usize>,
    /// The most log-ins there that begin in a second.
    pub logins_per_second: Option<u16>,
    /// A connection that is older is not used for another session.
    pub session_life: Option<Duration>,
    /// Whether a message that is not as long as it is listed may be a notice of Exchange's.
    pub placeholder_text: bool,
    /// What is known of its forms of messages.
    pub(super) forms: Forms,
    /// Whether it is left alone for a while.
    pub(super) backoff: Arc<Backoff>,
    /// How opening connections has gone lately.
    pub(super) health: Arc<Health>,
    /// What holds for mailboxes that are passed through.
    pub terms: Arc<Terms>,
}

/// How many have been made.
static MADE: AtomicU64 = AtomicU64::new(0);

impl Upstream {
    /// Makes an upstream of its configuration.
    ///
    /// # Errors
    /// Where no trusted root can be had.
    pub fn new(config: &config::Upstream, metrics: &Metrics) -> Result<Self, ClientTlsError> {
        let tls = match config.url.security {
            // Without TLS nobody needs to be trusted, and a system without roots is no trouble.
            Security::Off => None,
            Security::Implicit | Security::StartTls => Some(client_config(config.ca.as_deref())?),
        };
        let metrics = metrics.upstream(&config.name);
        let backoff = Backoff::new(&config.name, metrics.clone());
        let health = Arc::<Health>::default();
        Ok(Self {
            name: config.name.clone(),
            version: MADE.fetch_add(1, Ordering::Relaxed),
            endpoint: Endpoint {
                host: config.url.host.clone(),
                port: config.url.port,
                security: config.url.security,
                tls,
                connect_timeout: config.connect_timeout,
                command_timeout: config.command_timeout,
                extensions: Extensions {
                    uidonly: config.uidonly,
                    id: config.send_id,
                },
                observer: Arc::new(Counting(metrics, Arc::clone(&health))),
            },
            uidl: config.uidl.clone(),
            separator: config.client_separator,
            connections: config.connections,
            bytes_per_day: config.bytes_per_day,
            host_connections: config.host_connections,
            logins_per_second: config.logins_per_second,
            session_life: config.session_life,
            placeholder_text: config.placeholder_text,
            forms: Forms::default(),
            backoff,
            health,
            terms: Arc::new(Terms::of_upstream(config)),
        })
    }

    /// The same in the place of another one: if it is the same server, it is left alone for as long as that one would have been.
    #[must_use]
    pub fn after(mut self, former: &Self) -> Self {
        if self.name == former.name && self.key() == former.key() {
            self.backoff = Arc::clone(&former.backoff);
        }
        self
    }

    /// What the state of its mailboxes is kept by: where it is, whatever it is called.
    pub fn key(&self) -> String {
        key(&self.endpoint.host, self.endpoint.port)
    }
}

/// Whether an upstream has a second form of messages, with headers in UTF-8 (RFC 6855), as far as its connections have told.
#[derive(Default)]
pub(super) struct Forms {
    has_one: AtomicBool,
    has_two: AtomicBool,
}

impl Forms {
    /// A connection was opened that offers it or not. It counts for ever that one has: of several servers behind one name not all may.
    pub(super) fn note(&self, offers_utf8: bool) {
        let seen = if offers_utf8 {
            &self.has_two
        } else {
            &self.has_one
        };
        seen.store(true, Ordering::Relaxed);
    }

    /// Whether a client that takes headers in UTF-8 may be given something else than others.
    pub(super) fn may_be_two(&self) -> bool {
        self.has_two.load(Ordering::Relaxed) || !self.has_one.load(Ordering::Relaxed)
    }
}

/// What the state of an upstream's mailboxes is kept by.
pub fn key(host: &str, port: u16) -> String {
    format!("{}:{port}", host.to_lowercase())
}

/// How opening connections to an upstream has gone lately, for the operator.
#[derive(Default)]
pub(super) struct Health {
    /// In seconds since 1970; 0: never.
    connected_at: AtomicI64,
    failed: Mutex<Option<(i64, String)>>,
}

impl Health {
    fn note(&self, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.connected_at.store(clock::now(), Ordering::Relaxed),
            // Of somebody who is not let in the upstream itself knows nothing.
            Err(Error::LoginRefused(_) | Error::TokenRefused { .. }) => {}
            Err(error) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some((clock::now(), error.to_string()));
            }
        }
    }

    /// When a connection was last opened, in seconds since 1970; none: not since the start.
    pub(super) fn connected_at(&self) -> Option<i64> {
        let at = self.connected_at.load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    /// When opening one failed last, and why.
    pub(super) fn failed(&self) -> Option<(i64, String)> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone()
    }
}

struct Counting(UpstreamMetrics, Arc<Health>);

impl Observer for Counting {
    fn received(&self, bytes: u64) {
        self.0.bytes(Direction::Received, bytes);
    }

    fn sent(&self, bytes: u64) {
        self.0.bytes(Direction::Sent, bytes);
    }

    fn connected(&self, outcome: Result<(), &Error>) {
        self.1.note(outcome);
        self.0.connect(match outcome {
            Ok(()) => ConnectOutcome::Ok,
            Err(Error::Unreachable(_) | Error::Lost(_)) => ConnectOutcome::Unreachable,
            Err(Error::Timeout(_)) => ConnectOutcome::TimedOut,
            Err(Error::Tls(_)) => ConnectOutcome::Tls,
            Err(_) => ConnectOutcome::Refused,
        });
    }

    fn open(&self) -> Box<dyn Send> {
        Box::new(Open(self.0.connection_opened()))
    }

    fn command(&self, command: &'static str, outcome: Result<(), &Error>, took: Duration) {
        let outcome = match outcome {
            Ok(()) => UpstreamOutcome::Ok,
            Err(Error::Refused { reply, .. }) if reply.is_bad() => UpstreamOutcome::Bad,
            Err(Error::Refused { .. }) => UpstreamOutcome::No,
            Err(_) => UpstreamOutcome::Lost,
        };
        debug!(command, ?outcome, ?took, "the upstream answered");
        self.0.command(command, outcome, took);
    }
}

/// Kept by a connection for as long as it lives.
struct Open(#[expect(dead_code, reason = "it counts until it is dropped")] ConnectionGuard);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_has_one_form_of_messages_once_a_connection_says_so_and_none_has_said_otherwise()
    {
        let forms = Forms::default();
        assert!(forms.may_be_two());
        forms.note(false);
        assert!(!forms.may_be_two());
        forms.note(true);
        forms.note(false);
        assert!(forms.may_be_two());
    }
}
