//! The metrics of the store: how long it takes, and how often it is in trouble.
//!
//! Must not know: where it is, what is asked of it.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::labels::{Label as _, StoreOperation};
use super::{Metrics, Registrar};

/// From a row out of a file in memory to a disk that nearly timed out, in seconds.
const SECONDS: [f64; 14] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0,
];

/// See the module. In the order of the operations.
#[derive(Debug)]
pub(super) struct Families(Vec<(Histogram, IntCounter)>);

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        let seconds = family.histograms(
            "store_seconds",
            "Seconds that the store took for an operation.",
            &["operation"],
            &SECONDS,
        );
        let errors = family.counters(
            "store_errors_total",
            "Operations that the store could not do because it was in trouble itself.",
            &["operation"],
        );
        let each = StoreOperation::ALL.iter().map(|operation| {
            let label = [operation.as_str()];
            (
                seconds.with_label_values(&label),
                errors.with_label_values(&label),
            )
        });
        Self(each.collect())
    }
}

impl Metrics {
    /// The store has done something, or was in trouble.
    pub fn store(&self, operation: StoreOperation, took: Duration, in_trouble: bool) {
        if let Some((seconds, errors)) = self.store.0.get(operation as usize) {
            seconds.observe(took.as_secs_f64());
            errors.inc_by(u64::from(in_trouble));
        }
    }
}
