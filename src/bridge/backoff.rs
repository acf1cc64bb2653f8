//! Leaving an upstream alone that asks for it: one account of it, or all of it where it turns everybody away.
//!
//! While that lasts no connection is opened, and where it is asked too much no kept one is used either; what is under way goes on.
//! Must not know: sessions, what is asked.

mod noting;
mod pace;

use std::collections::HashMap;
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
/// One that was not let in so long ago says nothing of the upstream as it is now.
const STRIKE: Duration = Duration::from_secs(120);
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

/// What it is that is not done meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    /// Connections are not opened; those that are there are used.
    LogIns,
    /// Nothing is asked.
    All,
}

/// Something that is left alone, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The account by its normalized log-in; none: the upstream as a whole.
    pub login: Option<String>,
    /// For how long still.
    pub left: Duration,
    /// Whether connections that are there go on being used.
    pub keeps_connections: bool,
    /// Why, in words.
    pub why: String,
}

/// The account by its normalized log-in; none: the upstream as a whole.
type Key = (Reach, Option<String>);

#[derive(Default)]
struct Paces {
    of: HashMap<Key, Held>,
    /// Accounts whose log-ins were put off since anything went well, and when that was.
    struck: HashMap<String, Instant>,
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

    /// Whether the upstream may be asked for this account now, on a connection that there is.
    ///
    /// # Errors
    /// [`Trouble::BackOff`].
    pub(super) fn may_ask(&self, login: &str) -> Result<(), Trouble> {
        self.may(login, &[Reach::All])
    }

    /// Whether a connection may be opened for this account now.
    ///
    /// # Errors
    /// [`Trouble::BackOff`].
    pub(super) fn may_open(&self, login: &str) -> Result<(), Trouble> {
        self.may(login, &[Reach::All, Reach::LogIns])
    }

    fn may(&self, login: &str, reaches: &[Reach]) -> Result<(), Trouble> {
        if !self.is_busy.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = Instant::now();
        let login = normalized(login);
        let paces = self.paces();
        let keys = reaches
            .iter()
            .flat_map(|reach| [(*reach, None), (*reach, Some(login.clone()))]);
        let left = keys.filter_map(|key| paces.of.get(&key)?.pace.left(now));
        match left.max_by_key(|(left, _)| *left) {
            Some((left, why)) => Err(Trouble::BackOff { left, why }),
            None => Ok(()),
        }
    }

    /// Waits for as long as an upstream wants that does what it is asked and says that it is too much.
    pub(super) async fn pause(&self, login: &str) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let pause = {
            let paces = self.paces();
            let held = paces.of.get(&(Reach::All, Some(normalized(login))));
            let now = Instant::now();
            held.map_or(Duration::ZERO, |held| held.pace.pause(now))
        };
        tokio::time::sleep(pause).await;
    }

    /// What came of opening a connection for the account, with a credential of the bridge's own.
    pub(super) fn opened(self: &Arc<Self>, login: &str, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.let_in(login),
            Err(error) => self.not_let_in(login, error, Reach::of),
        }
    }

    /// The same with one that a client presented. Whoever is not let in may be anybody: that is no reason to leave connections alone which
    /// others have opened.
    pub(super) fn opened_for_client(self: &Arc<Self>, login: &str, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.let_in(login),
            Err(error) => self.not_let_in(login, error, |_| Reach::LogIns),
        }
    }

    fn let_in(&self, login: &str) {
        self.succeeded(login, &[Reach::All, Reach::LogIns]);
    }

    fn not_let_in(self: &Arc<Self>, login: &str, error: &Error, reach: impl Fn(Pressure) -> Reach) {
        // A command behind the log-in, which was noted by itself.
        if matches!(error, Error::Refused { .. }) {
            return;
        }
        let Some(pressure) = error.pressure_at_log_in() else {
            return;
        };
        if matches!(error, Error::TurnedAway(_)) {
            return self.complained((Reach::LogIns, None), pressure, error);
        }
        if pressure == Pressure::Unavailable && self.strikes(login) >= STRIKES {
            self.complained((Reach::LogIns, None), pressure, error);
        }
        let key = (reach(pressure), Some(normalized(login)));
        self.complained(key, pressure, error);
    }

    fn strikes(&self, login: &str) -> usize {
        let now = Instant::now();
        let struck = &mut self.paces().struck;
        struck.retain(|_, at| now.saturating_duration_since(*at) < STRIKE);
        let login = normalized(login);
        if struck.len() < STRIKES || struck.contains_key(&login) {
            struck.insert(login, now);
        }
        struck.len()
    }

    /// A command for the account has failed.
    pub(super) fn failed(self: &Arc<Self>, login: &str, error: &Error) {
        if let Some(pressure) = error.pressure() {
            let key = (Reach::of(pressure), Some(normalized(login)));
            self.complained(key, pressure, error);
        }
    }

    /// A command for the account was done. That tells nothing of whether there is room for one more connection.
    pub(super) fn went_well(&self, login: &str) {
        self.succeeded(login, &[Reach::All]);
    }

    fn succeeded(&self, login: &str, reaches: &[Reach]) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let login = normalized(login);
        let mut paces = self.paces();
        paces.struck.clear();
        let keys = reaches
            .iter()
            .flat_map(|reach| [(*reach, None), (*reach, Some(login.clone()))]);
        for key in keys {
            if let Some(held) = paces.of.get_mut(&key) {
                held.pace.went_well(now);
                if held.pace.is_forgotten(now) && !held.is_watched {
                    paces.of.remove(&key);
                }
            }
        }
        let is_busy = !paces.of.is_empty() || !paces.struck.is_empty();
        self.is_busy.store(is_busy, Ordering::Relaxed);
    }

    /// A command for the account was done, and the upstream says that it is too much.
    pub(super) fn is_tired(&self, login: &str) {
        let now = Instant::now();
        let mut paces = self.paces();
        if let Some(held) = paces.held((Reach::All, Some(normalized(login))), now) {
            held.pace.is_tired(now);
        }
        self.is_busy.store(true, Ordering::Relaxed);
    }

    fn complained(self: &Arc<Self>, mut key: Key, pressure: Pressure, error: &Error) {
        let now = Instant::now();
        let mut paces = self.paces();
        if paces.held(key.clone(), now).is_none() {
            key.1 = None;
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
                account = key.1.as_deref().unwrap_or("all"),
                seconds = seconds(left),
                keeps_connections = key.0 == Reach::LogIns,
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
    async fn watch(self: Arc<Self>, key: Key) {
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
            account = key.1.as_deref().unwrap_or("all"),
            seconds = seconds(began.elapsed()),
            "the upstream may be asked again"
        );
    }

    /// At most so many of those that are left alone now, the upstream as a whole first.
    pub(super) fn left_alone(&self, most: usize) -> Vec<LeftAlone> {
        if !self.is_busy.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let now = Instant::now();
        let paces = self.paces();
        let all = paces.of.iter().filter_map(|((reach, login), held)| {
            let (left, why) = held.pace.left(now)?;
            Some(LeftAlone {
                login: login.clone(),
                left,
                keeps_connections: *reach == Reach::LogIns,
                why: Why(why).to_string(),
            })
        });
        let mut all: Vec<LeftAlone> = all.collect();
        drop(paces);
        all.sort_by(|a, b| a.login.cmp(&b.login));
        all.truncate(most);
        all
    }

    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach {
    /// Of what was said on a connection, or to a log-in that is the bridge's own: where there is no room for one more connection, those that
    /// are there have theirs.
    fn of(pressure: Pressure) -> Self {
        match pressure {
            Pressure::Crowded | Pressure::Unavailable => Self::LogIns,
            Pressure::Suggested(_) | Pressure::Throttled | Pressure::OverQuota => Self::All,
        }
    }
}

impl Paces {
    /// The account's entry, made where there is none; none where there are too many.
    fn held(&mut self, key: Key, now: Instant) -> Option<&mut Held> {
        if self.of.len() >= MOST && key.1.is_some() && !self.of.contains_key(&key) {
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
