//! How long the store takes and when it is in trouble, for whoever wants to know.
//!
//! Must not know: who that is, how it is counted, what was asked for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::{Store, StoreError};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One statement that reads. What is remembered is not read.
    Read,
    /// Several that read what is there at one moment, such as the register of a folder.
    Snapshot,
    /// A change, as long as its caller waits until it is kept.
    Write,
    /// What the database needs of that: on SQLite the transaction that a group of changes share, on PostgreSQL that of one change, with
    /// the wait for a connection and further tries.
    Commit,
}

/// Whoever wants to know.
pub trait Observer: Send + Sync {
    /// An operation has ended.
    fn done(&self, operation: Operation, outcome: Result<(), &StoreError>, took: Duration);
}

impl Store {
    /// Tells `observer` of every operation from now on, unless there is one already.
    pub fn observed_by(&self, observer: Arc<dyn Observer>) {
        // The first one who wants to know hears it.
        let _ = self.0.watched.0.set(observer);
    }
}

/// Passes on what is to be known, once there is somebody. Clones pass it to the same.
#[derive(Clone, Default)]
pub(super) struct Watched(Arc<OnceLock<Arc<dyn Observer>>>);

impl Watched {
    /// Tells of an operation that was begun then. One that is given up is not told of.
    pub(super) fn done<T>(
        &self,
        operation: Operation,
        began: Instant,
        outcome: &Result<T, StoreError>,
    ) {
        if let Some(observer) = self.0.get() {
            observer.done(operation, outcome.as_ref().map(|_| ()), began.elapsed());
        }
    }
}
