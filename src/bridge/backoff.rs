//! Leaving an upstream alone that asks for it: one account of it, or all of it where it turns everybody away.
//!
//! While that lasts no connection is opened and no kept one is used; what is under way goes on. Whoever comes is told at once.
//! Must not know: sessions, what is asked.

mod noting;
mod pace;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, Span, info, warn};

use super::trouble::Trouble;
use crate::auth::name::normalized;
use crate::imap::{Error, Pressure};
use crate::metrics::{BackOffCause, UpstreamMetrics};
pub(super) use noting::Noting;
use pace::Pace;

/// Where so many accounts are let in at nobody's log-in, one after the other, it is the upstream that lets nobody in.
const STRIKES: usize = 3;
/// More accounts are not remembered: then the upstream as a whole is left alone.
const MOST: usize = 10_000;

/// See the module. Of one upstream.
pub(super) struct Backoff {
    upstream: String,
    metrics: UpstreamMetrics,
    paces: Mutex<Paces>,
    /// Whether there is anything to look for.
    is_busy: AtomicBool,
}

#[derive(Default)]
struct Paces {
    /// By normalized log-in; none: the upstream as a whole.
    of: HashMap<Option<String>, Held>,
    /// Accounts whose log-ins were put off since one went well.
    struck: BTreeSet<String>,
}

struct Held {
    pace: Pace,
    /// Whether somebody tells of its end.
    is_watched: bool,
}

impl Backoff {
    pub(super) fn new(upstream: &str, metrics: UpstreamMetrics) -> Arc<Self> {
        Arc::new(Self {
            upstream: upstream.to_owned(),
            metrics,
            paces: Mutex::default(),
            is_busy: AtomicBool::new(false),
        })
    }

    /// Whether the upstream may be asked for this account now.
    ///
    /// # Errors
    /// [`Trouble::BackOff`].
    pub(super) fn may_ask(&self, login: &str) -> Result<(), Trouble> {
        match self.left(login) {
            Some((left, why)) => Err(Trouble::BackOff { left, why }),
            None => Ok(()),
        }
    }

    /// How long the upstream is still to be left alone for this account, and why.
    fn left(&self, login: &str) -> Option<(Duration, Pressure)> {
        if !self.is_busy.load(Ordering::Relaxed) {
            return None;
        }
        let now = Instant::now();
        let paces = self.paces();
        let keys = [None, Some(normalized(login))];
        let held = keys.iter().filter_map(|key| paces.of.get(key));
        held.filter_map(|held| held.pace.left(now))
            .max_by_key(|(left, _)| *left)
    }

    /// Waits for as long as an upstream wants that does what it is asked and says that it is too much.
    pub(super) async fn pause(&self, login: &str) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let pause = {
            let paces = self.paces();
            let held = paces.of.get(&Some(normalized(login)));
            held.map_or(Duration::ZERO, |held| held.pace.pause())
        };
        tokio::time::sleep(pause).await;
    }

    /// What came of opening a connection for the account.
    pub(super) fn opened(self: &Arc<Self>, login: &str, outcome: Result<(), &Error>) {
        let error = match outcome {
            Ok(()) => {
                self.paces().struck.clear();
                return self.went_well(login);
            }
            Err(error) => error,
        };
        let Some(pressure) = error.pressure_at_log_in() else {
            return;
        };
        if matches!(error, Error::TurnedAway(_)) {
            return self.complained(None, pressure, error);
        }
        if pressure == Pressure::Unavailable && self.strikes(login) >= STRIKES {
            self.complained(None, pressure, error);
        }
        self.complained(Some(login), pressure, error);
    }

    fn strikes(&self, login: &str) -> usize {
        let mut paces = self.paces();
        if paces.struck.len() < STRIKES {
            paces.struck.insert(normalized(login));
        }
        paces.struck.len()
    }

    /// A command for the account has failed.
    pub(super) fn failed(self: &Arc<Self>, login: &str, error: &Error) {
        if let Some(pressure) = error.pressure() {
            self.complained(Some(login), pressure, error);
        }
    }

    /// A command for the account was done.
    pub(super) fn went_well(&self, login: &str) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut paces = self.paces();
        for key in [None, Some(normalized(login))] {
            if let Some(held) = paces.of.get_mut(&key) {
                held.pace.went_well(now);
                if held.pace.is_forgotten(now) && !held.is_watched {
                    paces.of.remove(&key);
                }
            }
        }
        self.is_busy.store(!paces.of.is_empty(), Ordering::Relaxed);
    }

    /// A command for the account was done, and the upstream says that it is too much.
    pub(super) fn is_tired(&self, login: &str) {
        let now = Instant::now();
        let mut paces = self.paces();
        if let Some(held) = paces.held(Some(normalized(login)), now) {
            held.pace.is_tired(now);
        }
        self.is_busy.store(true, Ordering::Relaxed);
    }

    fn complained(self: &Arc<Self>, login: Option<&str>, pressure: Pressure, error: &Error) {
        let now = Instant::now();
        let mut key = login.map(normalized);
        let mut paces = self.paces();
        if paces.held(key.clone(), now).is_none() {
            key = None;
        }
        let Some(held) = paces.held(key.clone(), now) else {
            return;
        };
        held.pace.complained(now, pressure);
        let Some((left, _)) = held.pace.left(now) else {
            return;
        };
        let begins = !std::mem::replace(&mut held.is_watched, true);
        drop(paces);
        self.is_busy.store(true, Ordering::Relaxed);
        if begins {
            warn!(
                upstream = self.upstream,
                account = key.as_deref().unwrap_or("all"),
                seconds = seconds(left),
                %error,
                "the upstream is left alone for a while"
            );
            self.metrics.backed_off(cause(pressure));
            let watch = Arc::clone(self).watch(key);
            // Not in the session's span: it may end long before.
            tokio::spawn(watch.instrument(Span::none()));
        }
    }

    /// Tells of the end.
    async fn watch(self: Arc<Self>, key: Option<String>) {
        let began = Instant::now();
        loop {
            let now = Instant::now();
            let left = {
                let mut paces = self.paces();
                let Some(held) = paces.of.get_mut(&key) else {
                    break;
                };
                let left = held.pace.left(now);
                held.is_watched = left.is_some();
                left
            };
            match left {
                Some((left, _)) => sleep_until(now + left).await,
                None => break,
            }
        }
        self.metrics.backoff_ended();
        info!(
            upstream = self.upstream,
            account = key.as_deref().unwrap_or("all"),
            seconds = seconds(began.elapsed()),
            "the upstream may be asked again"
        );
    }

    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paces {
    /// The account's entry, made where there is none; none where there are too many.
    fn held(&mut self, key: Option<String>, now: Instant) -> Option<&mut Held> {
        if self.of.len() >= MOST && key.is_some() && !self.of.contains_key(&key) {
            self.of
                .retain(|_, held| held.is_watched || !held.pace.is_forgotten(now));
            if self.of.len() >= MOST {
                return None;
            }
        }
        let held = self.of.entry(key).or_insert_with(|| Held {
            pace: Pace::new(now),
            is_watched: false,
        });
        Some(held)
    }
}

/// For a person: rounded up, so that nobody comes back a moment too early.
pub(super) fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

fn cause(pressure: Pressure) -> BackOffCause {
    match pressure {
        Pressure::Suggested(_) => BackOffCause::Suggested,
        Pressure::Throttled => BackOffCause::Throttled,
        Pressure::OverQuota => BackOffCause::OverQuota,
        Pressure::Crowded => BackOffCause::Crowded,
        Pressure::Unavailable => BackOffCause::Unavailable,
    }
}

/// In words for the operator.
pub(super) struct Why(pub(super) Pressure);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Pressure::Suggested(_) => "it has said for how long",
            Pressure::Throttled => "it is asked too often",
            Pressure::OverQuota => "the mailbox has been read too much",
            Pressure::Crowded => "it has too many connections",
            Pressure::Unavailable => "it lets nobody in",
        })
    }
}

#[cfg(test)]
mod tests;
