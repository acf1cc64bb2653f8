//! The octets that come for one mailbox, and what follows for what may be asked for.
//!
//! Must not know: where they are added up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Pass;
use crate::imap::{Error, Observer};
use crate::policy::budget::{Level, Spent, percent, until_near};
use crate::store::{Hour, MailboxId, StoreError};

/// What is more than this, in octets, or than a hundredth of what is allowed, is written soon.
const MUCH: u64 = 256 * 1024;
/// What is less is written after so long: a poll brings a few octets, and shall not make the disk work.
const LITTLE_LATER: Duration = Duration::from_secs(5 * 60);

/// So long a message waits for what the store says.
const PATIENCE: Duration = Duration::from_secs(2);

/// What may be asked of an upstream for a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Allowance {
    /// Messages, and so many octets of what nobody has asked for.
    Messages { ahead: u64 },
    /// Messages wait, for so many seconds.
    Lists { seconds: u64 },
}

/// See the module.
pub(in super::super) struct Meter {
    upstream: String,
    allowed: AtomicU64,
    owner: OnceLock<Owner>,
    /// Octets that the store does not know of.
    unwritten: AtomicU64,
    known: Mutex<Known>,
    /// What goes to and comes from the store goes one after the other, so that nothing is counted twice.
    turn: tokio::sync::Mutex<()>,
}

/// Whose it is: known once somebody has logged in.
struct Owner {
    mailbox: MailboxId,
    /// As the log calls it.
    name: String,
}

struct Known {
    /// What the store has said.
    spent: Spent,
    /// When it said so.
    read_at: Option<Instant>,
    /// When it was last asked in vain.
    failed_at: Option<Instant>,
    /// When something was last written, or there was nothing to write.
    written_at: Instant,
    /// What the log was told last.
    told: Level,
}

impl Meter {
    /// For a mailbox that may receive so many octets a day.
    pub(super) fn new(upstream: String, allowed: u64) -> Self {
        Self {
            upstream,
            allowed: AtomicU64::new(allowed),
            owner: OnceLock::new(),
            unwritten: AtomicU64::new(0),
            known: Mutex::new(Known {
                spent: Spent::default(),
                read_at: None,
                failed_at: None,
                written_at: Instant::now(),
                told: Level::All,
            }),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Somebody is in: this is the mailbox, and the log calls it so.
    pub(in super::super) fn belongs_to(&self, mailbox: MailboxId, name: &str) {
        self.owner.get_or_init(|| Owner {
            mailbox,
            name: name.to_owned(),
        });
    }

    pub(super) fn mailbox(&self) -> Option<MailboxId> {
        self.owner.get().map(|owner| owner.mailbox)
    }

    /// So many octets have come.
    fn add(&self, octets: u64) {
        self.unwritten.fetch_add(octets, Ordering::Relaxed);
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// The store knows of so many of them now, and has said what came in all.
    pub(super) fn written(&self, octets: u64, hours: impl IntoIterator<Item = Hour>) {
        self.unwritten.fetch_sub(octets, Ordering::Relaxed);
        self.set(hours);
        self.known().written_at = Instant::now();
    }

    /// The store has said what came in all.
    pub(super) fn set(&self, hours: impl IntoIterator<Item = Hour>) {
        let hours = hours.into_iter().map(|hour| (hour.hour, hour.bytes));
        let mut known = self.known();
        known.spent = Spent::new(hours);
        known.read_at = Some(Instant::now());
    }

    /// The turn to write to the store and to read from it what came.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The same, if nobody has it.
    pub(super) fn turn_now(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// Asks the store what came if it has never said it, or longer ago than this. Not for long: what it has said before is good enough then,
    /// and it is not asked again before that time is over.
    ///
    /// # Errors
    /// The store's, if it has never said it.
    pub(super) async fn look<H: IntoIterator<Item = Hour>>(
        &self,
        limit: Option<Duration>,
        ask: impl Future<Output = Result<H, StoreError>>,
    ) -> Result<(), StoreError> {
        if !self.is_older(limit) {
            return Ok(());
        }
        let asked = async {
            let _turn = self.turn().await;
            // Who had the turn before may have asked.
            if self.is_older(limit) {
                self.set(ask.await?);
            }
            Ok(())
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        let asked = asked.unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            Err(StoreError::Unavailable(format!(
                "no answer in {seconds} seconds"
            )))
        });
        let Err(error) = asked else {
            return Ok(());
        };
        self.known().failed_at = Some(Instant::now());
        if self.is_older(None) {
            return Err(error);
        }
        warn!(%error, "what other instances have received for a mailbox is not known");
        Ok(())
    }

    /// Whether the store has never said it, or longer ago than this, and was not asked in vain since.
    fn is_older(&self, limit: Option<Duration>) -> bool {
        let known = self.known();
        let is_past = |at: Option<Instant>| {
            at.is_none_or(|at| limit.is_some_and(|limit| at.elapsed() > limit))
        };
        known.read_at.is_none() || is_past(known.read_at) && is_past(known.failed_at)
    }

    /// Whether something is to be written, or was never read.
    pub(super) fn is_due(&self, all: bool) -> bool {
        let unwritten = self.unwritten();
        let mut known = self.known();
        if unwritten == 0 {
            known.written_at = Instant::now();
            return known.read_at.is_none();
        }
        all || unwritten >= MUCH.min(self.allowed() / 100)
            || known.written_at.elapsed() >= LITTLE_LATER
    }

    /// From now on it may receive so many octets a day.
    pub(super) fn may_receive(&self, allowed: u64) {
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Whether nothing is lost when it is made anew, once nobody has it any more.
    pub(super) fn is_forgettable(&self) -> bool {
        // What somebody was sent who could not log in is nobody's.
        self.mailbox().is_none() || self.unwritten() == 0 && self.known().told == Level::All
    }

    /// The octets that count now.
    pub(super) fn total(&self, now: i64) -> u64 {
        let written = self.known().spent.total(now);
        written.saturating_add(self.unwritten())
    }

    /// What may be asked for now.
    pub(super) fn allowance(&self, now: i64) -> Allowance {
        match self.note_level(now) {
            Level::All => Allowance::Messages {
                ahead: until_near(self.total(now), self.allowed()),
            },
            Level::Asked => Allowance::Messages { ahead: 0 },
            Level::Lists => {
                let known = self.known();
                let free_at = known.spent.free_at(self.allowed(), self.unwritten(), now);
                Allowance::Lists {
                    seconds: u64::try_from(free_at - now).unwrap_or(0),
                }
            }
        }
    }

    /// What may be asked for now. Where it is not what it was, the log hears of it, once.
    pub(super) fn note_level(&self, now: i64) -> Level {
        let unwritten = self.unwritten();
        let mut known = self.known();
        let level = known.spent.level(self.allowed(), unwritten, now);
        let before = std::mem::replace(&mut known.told, level);
        if level == before {
            return level;
        }
        let total = known.spent.total(now).saturating_add(unwritten);
        drop(known);
        let account = self.owner.get().map_or("", |owner| owner.name.as_str());
        let (upstream, percent) = (&self.upstream, percent(total, self.allowed()));
        match level {
            Level::All => info!(
                upstream,
                account, percent, "the upstream's limit for a day is far enough away again"
            ),
            Level::Asked => warn!(
                upstream,
                account,
                percent,
                "the upstream's limit for a day is near: nothing is fetched before it is asked for"
            ),
            Level::Lists => warn!(
                upstream,
                account,
                percent,
                "the upstream's limit for a day is reached: messages wait, lists go on"
            ),
        }
        level
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Observes one connection for its mailbox as well, and has the right to it for as long as it is there.
pub(in super::super) struct Metered {
    upstream: Arc<dyn Observer>,
    meter: Option<Arc<Meter>>,
    pass: Mutex<Option<Pass>>,
}

impl Metered {
    pub(in super::super) fn new(
        upstream: Arc<dyn Observer>,
        meter: Option<Arc<Meter>>,
        pass: Pass,
    ) -> Self {
        Self {
            upstream,
            meter,
            pass: Mutex::new(Some(pass)),
        }
    }
}

impl Observer for Metered {
    fn received(&self, bytes: u64) {
        self.upstream.received(bytes);
        if let Some(meter) = &self.meter {
            meter.add(bytes);
        }
    }

    fn sent(&self, bytes: u64) {
        self.upstream.sent(bytes);
    }

    fn connected(&self, outcome: Result<(), &Error>) {
        self.upstream.connected(outcome);
    }

    fn open(&self) -> Box<dyn Send> {
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new((self.upstream.open(), pass.take()))
    }

    fn command(&self, command: &'static str, outcome: Result<(), &Error>, took: Duration) {
        self.upstream.command(command, outcome, took);
    }
}

#[cfg(test)]
mod tests;
