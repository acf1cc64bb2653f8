//! Times as people read them.
//!
//! Must not know: what happened then.

use time::OffsetDateTime;

/// `2026-01-31 12:00 UTC`; the number itself where no calendar has it.
pub(crate) fn utc(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02} UTC",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute()
        ),
        Err(_) => seconds.to_string(),
    }
}

/// How long something has lasted, in its largest whole unit: `3 days`.
pub(crate) fn ago(seconds: i64) -> String {
    let (number, unit) = match seconds.max(0) {
        seconds @ ..120 => (seconds, "s"),
        seconds @ ..7200 => (seconds / 60, "min"),
        seconds @ ..172_800 => (seconds / 3600, "h"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_utc_and_to_the_minute() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(1_769_860_799), "2026-01-31 11:59 UTC");
        assert_eq!(utc(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn a_duration_is_said_in_the_unit_that_fits() {
        assert_eq!(ago(-5), "0 s");
        assert_eq!(ago(119), "119 s");
        assert_eq!(ago(120), "2 min");
        assert_eq!(ago(7_200), "2 h");
        assert_eq!(ago(172_800), "2 days");
    }
}
