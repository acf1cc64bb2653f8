//! The time of day, in the one form that rules and the store use.
//!
//! The only place that asks the system for it. Must not know: what it is wanted for.

use std::time::SystemTime;

/// Seconds since 1970-01-01T00:00:00Z; 0 on a machine whose clock says that it is earlier.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
