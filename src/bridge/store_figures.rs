//! Counts what the store does.
//!
//! Must not know: what it does.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{Metrics, StoreOperation};
use crate::store::{Observer, Operation, StoreError};

/// See the module.
pub(super) struct StoreFigures(pub(super) Arc<Metrics>);

impl Observer for StoreFigures {
    fn done(&self, operation: Operation, outcome: Result<(), &StoreError>, took: Duration) {
        let operation = match operation {
            Operation::Read => StoreOperation::Read,
            Operation::Snapshot => StoreOperation::Snapshot,
            Operation::Write => StoreOperation::Write,
            Operation::Commit => StoreOperation::Commit,
        };
        let in_trouble = outcome.is_err_and(StoreError::is_trouble);
        self.0.store(operation, took, in_trouble);
    }
}
