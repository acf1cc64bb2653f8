//! Notes what one account's connections are told, on the way to whoever counts it.
//!
//! Must not know: what follows from it.

use std::sync::Arc;
use std::time::Duration;

use super::Backoff;
use crate::imap::{Error, Observer};

/// See the module.
pub(in super::super) struct Noting {
    inner: Arc<dyn Observer>,
    backoff: Arc<Backoff>,
    login: Box<str>,
    /// Whether the credential is the bridge's own.
    is_own: bool,
}

impl Noting {
    pub(in super::super) fn new(
        inner: Arc<dyn Observer>,
        backoff: &Arc<Backoff>,
        login: &str,
        is_own: bool,
    ) -> Self {
        Self {
            inner,
            backoff: Arc::clone(backoff),
            login: login.into(),
            is_own,
        }
    }
}

impl Observer for Noting {
    fn received(&self, bytes: u64) {
        self.inner.received(bytes);
    }

    fn sent(&self, bytes: u64) {
        self.inner.sent(bytes);
    }

    fn connected(&self, outcome: Result<(), &Error>) {
        match self.is_own {
            true => self.backoff.opened(&self.login, outcome),
            false => self.backoff.opened_for_client(&self.login, outcome),
        }
        self.inner.connected(outcome);
    }

    fn open(&self) -> Box<dyn Send> {
        self.inner.open()
    }

    fn command(&self, command: &'static str, outcome: Result<(), &Error>, took: Duration) {
        match outcome {
            Ok(()) => self.backoff.went_well(&self.login),
            Err(error) => self.backoff.failed(&self.login, error),
        }
        self.inner.command(command, outcome, took);
    }

    fn throttled(&self) {
        self.backoff.is_tired(&self.login);
        self.inner.throttled();
    }
}
