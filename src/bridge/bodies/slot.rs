//! A message that is here or on its way.
//!
//! Must not know: which message it is, who fetches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::SetOnce;

use crate::metrics::Metrics;

/// See the module.
pub(in super::super) struct Slot {
    /// None within: it cannot be had in this way.
    octets: SetOnce<Option<Bytes>>,
    /// Somebody has had it.
    taken: AtomicBool,
    /// What it is thought to take, in octets.
    reckoned: u32,
    metrics: Arc<Metrics>,
}

impl Slot {
    pub(in super::super) fn new(reckoned: u32, metrics: Arc<Metrics>) -> Self {
        Self {
            octets: SetOnce::new(),
            taken: AtomicBool::new(false),
            reckoned,
            metrics,
        }
    }

    /// What it is thought to take, in octets, before it is here.
    pub(super) fn reckoned(&self) -> u32 {
        self.reckoned
    }

    /// It is here, or cannot be had. What is said first counts.
    pub(in super::super) fn fill(&self, octets: Option<Bytes>) {
        let length = octets.as_ref().map(Bytes::len);
        if self.octets.set(octets).is_ok()
            && let Some(length) = length
        {
            self.metrics.body_fetched(length as u64);
        }
    }

    /// Whether it is here, or cannot be had.
    pub(in super::super) fn is_filled(&self) -> bool {
        self.octets.initialized()
    }

    /// Whether it cannot be had.
    pub(super) fn has_failed(&self) -> bool {
        self.octets.get().is_some_and(Option::is_none)
    }

    /// Waits until it is here; `None` where it cannot be had.
    pub(in super::super) async fn take(&self) -> Option<Bytes> {
        let octets = self.octets.wait().await.clone();
        self.note(&octets);
        octets
    }

    /// It, if it is here.
    pub(super) fn now(&self) -> Option<Bytes> {
        let octets = self.octets.get()?.clone();
        self.note(&octets);
        octets
    }

    fn note(&self, octets: &Option<Bytes>) {
        if octets.is_some() {
            self.taken.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !*self.taken.get_mut()
            && let Some(Some(octets)) = self.octets.get()
        {
            self.metrics.body_unsent(octets.len() as u64);
        }
    }
}
