//! Messages in memory: those that several clients of a mailbox fetch cross the internet once, and those that a client is about to ask
//! for are on their way before it does.
//!
//! A message is kept under its mailbox and seq, which never name another one, so nothing here grows stale. Only short messages come here;
//! long ones are streamed. What cannot be had in this way is asked for in the direct one, which knows how to tell trouble.
//! Must not know: sessions, what is asked for next.

mod errand;
mod slot;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use errand::{Errand, Wish};
pub(super) use slot::{Claim, Outcome, Slot, Unfilled};

use crate::imap::Part;
use crate::maildrop::Seq;
use crate::metrics::Metrics;
use crate::store::MailboxId;

/// A message that nobody has asked for this long is forgotten: devices that poll every few minutes have had it by then.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// The longest message that is kept, in octets as it is listed: a session holds one of them whole while it sends it.
pub(super) const LONGEST: u32 = 256 * 1024;
/// What a message takes beside its octets.
const OVERHEAD: u32 = 256;
/// Most headers are shorter, in octets.
const HEADER: u32 = 8 * 1024;
/// What is longer than listed by more than this, in octets, and a quarter is asked for directly. Few headers are as long.
const MARGIN: u32 = 16 * 1024;
/// Read-ahead is measured in pieces of so many octets.
const PIECE: u64 = 1024;

/// What of a message is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Whole,
    Header,
}

impl Kind {
    /// None for parts that are not kept.
    pub(super) fn of(part: Part) -> Option<Self> {
        match part {
            Part::Whole => Some(Self::Whole),
            Part::Header => Some(Self::Header),
            Part::Range { .. } => None,
        }
    }

    /// The part that is asked for.
    pub(super) fn part(self) -> Part {
        match self {
            Self::Whole => Part::Whole,
            Self::Header => Part::Header,
        }
    }

    /// What is reckoned with for a message of this size, in octets.
    pub(super) fn octets(self, size: u32) -> u32 {
        match self {
            Self::Whole => size,
            Self::Header => size.min(HEADER),
        }
    }

    /// The most octets that are taken for one that is listed with this size, which some upstreams only estimate.
    pub(super) fn most(self, size: u32) -> u32 {
        match self {
            Self::Whole => size.saturating_add(size / 4).saturating_add(MARGIN),
            Self::Header => MARGIN,
        }
    }
}

/// A message's place among those that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) mailbox: MailboxId,
    pub(super) seq: Seq,
    pub(super) kind: Kind,
}

/// See the module.
pub(super) struct Bodies {
    /// None where it is switched off.
    kept: Option<Cache<Key, Arc<Slot>>>,
    /// Held while a slot is looked for and made where there is none. moka's own way to do both takes twice the time of the two.
    making: Mutex<()>,
    /// What all sessions together may have fetched ahead, in pieces. None where nothing is fetched ahead.
    ahead: Option<Arc<Semaphore>>,
    metrics: Arc<Metrics>,
}

impl Bodies {
    /// Keeps and fetches ahead so many octets; zero switches it off.
    pub(super) fn new(body_cache: u64, read_ahead: u64, metrics: Arc<Metrics>) -> Self {
        let counted = Arc::clone(&metrics);
        let kept = (body_cache > 0).then(|| {
            Cache::builder()
                .max_capacity(body_cache)
                // The rule that moka has by default would not take in what was never asked for before.
                .eviction_policy(EvictionPolicy::lru())
                .weigher(|_: &Key, slot: &Arc<Slot>| slot.reckoned())
                .time_to_idle(IDLE)
                .eviction_listener(move |_, _, cause| {
                    if cause == RemovalCause::Size {
                        counted.body_evicted();
                    }
                })
                .build()
        });
        let pieces = usize::try_from(read_ahead / PIECE).unwrap_or(usize::MAX);
        Self {
            kept,
            making: Mutex::new(()),
            ahead: (pieces > 0)
                .then(|| Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS)))),
            metrics,
        }
    }

    /// Whether messages are kept for others.
    pub(super) fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// Room for one message that is fetched ahead, for as long as what is returned lives; none where there is none.
    pub(super) fn room(&self, octets: u32) -> Option<OwnedSemaphorePermit> {
        let pieces = u64::from(octets).div_ceil(PIECE).max(1);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let ahead = Arc::clone(self.ahead.as_ref()?);
        ahead.try_acquire_many_owned(pieces).ok()
    }

    /// A claim on the message's slot; where the slot is new, with the duty to see to it that it is filled.
    pub(super) fn slot(&self, key: Key, size: u32) -> (Claim, Option<Unfilled>) {
        let reckoned = key.kind.octets(size).saturating_add(OVERHEAD);
        let new = || Arc::new(Slot::new(reckoned, Arc::clone(&self.metrics)));
        let Some(kept) = &self.kept else {
            return Self::made(new());
        };
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(&key) {
            Some(slot) if !slot.has_failed() => (Claim::new(slot), None),
            _ => {
                let slot = new();
                kept.insert(key, Arc::clone(&slot));
                Self::made(slot)
            }
        }
    }

    fn made(slot: Arc<Slot>) -> (Claim, Option<Unfilled>) {
        let unfilled = Unfilled::new(Arc::clone(&slot));
        (Claim::new(slot), Some(unfilled))
    }

    /// The whole message, if it is here already.
    pub(super) fn ready(&self, mailbox: MailboxId, seq: Seq) -> Option<Bytes> {
        let kind = Kind::Whole;
        let key = Key { mailbox, seq, kind };
        let slot = self.kept.as_ref()?.get(&key)?;
        slot.now()
    }

    /// The message could not be had, or is not as long as it was thought: whoever wants it next fetches it again.
    fn forget(&self, key: &Key) {
        if let Some(kept) = &self.kept {
            kept.invalidate(key);
        }
    }

    /// Lets go of what nobody has asked for for long: the cache does it only when it is used. Call it every few seconds.
    pub(super) fn tidy(&self) {
        if let Some(kept) = &self.kept {
            kept.run_pending_tasks();
        }
    }

    /// Sets the gauges to what is kept now.
    pub(super) fn gauge(&self) {
        if let Some(kept) = &self.kept {
            // What was put in and taken out is counted only then.
            kept.run_pending_tasks();
            self.metrics
                .body_cache(kept.weighted_size(), kept.entry_count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> Bodies {
        Bodies::new(4 << 20, 0, Arc::new(Metrics::new()))
    }

    fn key(number: u32) -> Key {
        Key {
            mailbox: MailboxId::made_up(1),
            seq: Seq::new(number).unwrap(),
            kind: Kind::Whole,
        }
    }

    #[test]
    fn of_many_who_ask_at_once_one_has_to_see_to_each_message() {
        let bodies = bodies();
        let duties: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    // They are held, as one that is given up is made anew.
                    scope.spawn(|| {
                        (1..=500)
                            .map(|n| bodies.slot(key(n), 1000))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let slots: Vec<_> = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect();
            slots.iter().filter(|(_, duty)| duty.is_some()).count()
        });
        assert_eq!(duties, 500);
    }

    #[test]
    fn what_could_not_be_had_is_fetched_again_for_who_asks_next() {
        let bodies = bodies();
        let (first, duty) = bodies.slot(key(1), 1000);
        assert!(bodies.slot(key(1), 1000).1.is_none());
        drop(duty);
        assert!(first.has_failed());
        assert!(bodies.slot(key(1), 1000).1.is_some());
    }

    #[test]
    fn what_makes_room_for_others_is_counted() {
        let metrics = Arc::new(Metrics::new());
        let bodies = Bodies::new(1 << 20, 0, Arc::clone(&metrics));
        let evictions = || {
            bodies.gauge();
            let text = metrics.render();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("popbridge_body_cache_evictions_total "));
            line.unwrap().parse::<u32>().unwrap()
        };
        for n in 1..=4 {
            drop(bodies.slot(key(n), 200_000));
        }
        bodies.forget(&key(1));
        assert_eq!(evictions(), 0);
        for n in 11..=20 {
            drop(bodies.slot(key(n), 200_000));
        }
        assert_eq!(evictions(), 8);
    }
}
