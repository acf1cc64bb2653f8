//! What sessions add up to: times, counts, the JSON line.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Errors that are told in full; the others are only counted.
const TOLD: usize = 3;

/// What some sessions have seen.
#[derive(Default)]
pub(crate) struct Tally {
    /// The part of each session that its scenario is about, in milliseconds.
    pub(crate) times: Vec<f64>,
    /// From RETR or TOP to the first line of the answer, in milliseconds, for each session's first message.
    pub(crate) first_byte: Vec<f64>,
    /// Messages that came.
    pub(crate) messages: u64,
    /// Their octets, without stuffed dots and ends.
    pub(crate) octets: u64,
    /// What was not as it should be: counts and messages.
    pub(crate) mismatches: u64,
    /// Sessions that failed, and why.
    pub(crate) errors: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.first_byte.extend(other.first_byte);
        self.errors.extend(other.errors);
        self.messages += other.messages;
        self.octets += other.octets;
        self.mismatches += other.mismatches;
    }

    /// One more count that must be as expected.
    pub(crate) fn expect(&mut self, count: usize, expected: usize) {
        if count != expected {
            self.mismatches += 1;
            self.errors
                .push(format!("{count} messages instead of {expected}"));
        }
    }
}

pub(crate) fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The value that the part `share` (0 to 1) of all values does not exceed; 0 where there are none.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let index = (last * share).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}

/// The CPU time of this process so far, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Prints the figures, with what every scenario has, and tells the first errors. Gives whether all was well.
pub(crate) fn print(mut figures: Value, errors: &[String], mismatches: u64) -> bool {
    figures["errors"] = json!(errors.len());
    figures["mismatches"] = json!(mismatches);
    figures["client_cpu_s"] = json!(cpu_seconds());
    println!("{figures}");
    for error in errors.iter().take(TOLD) {
        eprintln!("error: {error}");
    }
    errors.is_empty() && mismatches == 0
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), 51.0);
        assert_eq!(percentile(&mut values, 0.99), 100.0);
        assert_eq!(percentile(&mut values, 1.0), 101.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
