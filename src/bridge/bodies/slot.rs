//! A message that is here or on its way.
//!
//! Must not know: which message it is, who fetches it. Whose credential was refused is only passed on.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::SetOnce;

use super::super::pool::Credential;
use super::super::trouble::Trouble;
use crate::metrics::Metrics;

/// See the module.
pub(in super::super) struct Slot {
    outcome: SetOnce<Outcome>,
    /// Somebody has had it.
    taken: AtomicBool,
    /// How many sessions wait for it or will ask for it.
    claims: AtomicUsize,
    /// What it is thought to take, in octets.
    reckoned: u32,
    metrics: Arc<Metrics>,
}

impl Slot {
    pub(in super::super) fn new(reckoned: u32, metrics: Arc<Metrics>) -> Self {
        Self {
            outcome: SetOnce::new(),
            taken: AtomicBool::new(false),
            claims: AtomicUsize::new(0),
            reckoned,
            metrics,
        }
    }

    /// What it is thought to take, in octets, before it is here.
    pub(in super::super) fn reckoned(&self) -> u32 {
        self.reckoned
    }

    /// Whether so many octets are about as many as were thought of, so that the message may be kept.
    pub(super) fn suits(&self, octets: usize) -> bool {
        octets as u64 <= u64::from(self.reckoned) + u64::from(self.reckoned / 4)
    }

    /// Whether a session waits for it or will ask for it.
    pub(super) fn is_claimed(&self) -> bool {
        self.claims.load(Ordering::Acquire) > 0
    }

    /// What is said first counts.
    pub(super) fn fill(&self, outcome: Outcome) {
        let length = outcome.octets().map(Bytes::len);
        if self.outcome.set(outcome).is_ok()
            && let Some(length) = length
        {
            self.metrics.body_fetched(length as u64);
        }
    }

    /// Whether it is here, or cannot be had.
    pub(in super::super) fn is_filled(&self) -> bool {
        self.outcome.initialized()
    }

    /// Whether it cannot be had.
    pub(super) fn has_failed(&self) -> bool {
        let outcome = self.outcome.get();
        outcome.is_some_and(|outcome| outcome.octets().is_none())
    }

    /// Waits until it is here, or cannot be had.
    pub(in super::super) async fn take(&self) -> Outcome {
        let outcome = self.outcome.wait().await.clone();
        self.note(&outcome);
        outcome
    }

    /// It, if it is here.
    pub(super) fn now(&self) -> Option<Bytes> {
        let outcome = self.outcome.get()?;
        self.note(outcome);
        outcome.octets().cloned()
    }

    fn note(&self, outcome: &Outcome) {
        if outcome.octets().is_some() {
            self.taken.store(true, Ordering::Relaxed);
        }
    }
}

/// What became of a message that was sent for.
#[derive(Clone)]
pub(in super::super) enum Outcome {
    Here(Bytes),
    /// It is to be asked for directly, which tells what is wrong.
    Nowhere,
    /// No connection could be opened with this credential: whoever asks directly with it would hear the same.
    Refused(Credential, Trouble),
}

impl Outcome {
    fn octets(&self) -> Option<&Bytes> {
        match self {
            Self::Here(octets) => Some(octets),
            Self::Nowhere | Self::Refused(..) => None,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !*self.taken.get_mut()
            && let Some(octets) = self.outcome.get().and_then(Outcome::octets)
        {
            self.metrics.body_unsent(octets.len() as u64);
        }
    }
}

/// A session's interest in a slot: while there is none, nobody need fetch it.
pub(in super::super) struct Claim(Arc<Slot>);

impl Claim {
    pub(in super::super) fn new(slot: Arc<Slot>) -> Self {
        slot.claims.fetch_add(1, Ordering::AcqRel);
        Self(slot)
    }
}

impl Deref for Claim {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.claims.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A slot that somebody has to fill: should it be forgotten on the way there, nobody waits for it for ever.
pub(in super::super) struct Unfilled(Arc<Slot>);

impl Unfilled {
    pub(in super::super) fn new(slot: Arc<Slot>) -> Self {
        Self(slot)
    }
}

impl Deref for Unfilled {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl Drop for Unfilled {
    fn drop(&mut self) {
        // Where it was filled this changes nothing.
        self.0.fill(Outcome::Nowhere);
    }
}
