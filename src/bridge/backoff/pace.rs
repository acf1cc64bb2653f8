//! How long an upstream is left alone: from what it says, and when, to the moment at which it is asked again.
//!
//! Pure: times are given. Must not know: upstreams, accounts, who waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::imap::Pressure;

/// No upstream is left alone for longer because it says so: a number may be wrong.
const LONGEST_SUGGESTED: Duration = Duration::from_secs(60 * 60);
/// The first wait before a command of one that does what it is asked and says that it is too much, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// What is so long past tells nothing of today.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The first time for which it is left alone, and the longest.
fn range(pressure: Pressure) -> (Duration, Duration) {
    let seconds = |first, most| (Duration::from_secs(first), Duration::from_secs(most));
    match pressure {
        Pressure::Throttled | Pressure::Suggested(_) => seconds(10, 15 * 60),
        // Connections of other programs come and go in minutes.
        Pressure::Crowded => seconds(10, 5 * 60),
        // A server that starts again is back soon, and devices poll every few minutes.
        Pressure::Unavailable => seconds(5, 5 * 60),
        // Gmail counts by the day, and shuts a mailbox for hours.
        Pressure::OverQuota => seconds(10 * 60, 4 * 60 * 60),
    }
}

/// One upstream's or one account's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The last time for which it was left alone; zero where it need not be.
    delay: Duration,
    /// It is asked nothing before this moment.
    until: Instant,
    /// Since when there is no complaint, or since when `delay` became shorter.
    calm_since: Instant,
    why: Pressure,
    tired: Tired,
}

/// Of an upstream that does what it is asked and says that it is too much.
#[derive(Clone, Copy, Debug)]
struct Tired {
    /// Waited after it has said so; zero where it has not.
    pause: Duration,
    said_at: Instant,
    raised_at: Instant,
    /// Since when it does not say so, or since when `pause` became shorter.
    calm_since: Instant,
}

impl Tired {
    /// It has said so. Within one pause that counts once, as many commands may be under way.
    fn said(&mut self, now: Instant) {
        let (first, most) = PAUSES;
        if now.saturating_duration_since(self.raised_at) >= self.pause {
            self.pause = (self.pause * 2).clamp(first, most);
            self.raised_at = now;
        }
        self.said_at = now;
        self.calm_since = now;
    }

    fn went_well(&mut self, now: Instant) {
        if now.saturating_duration_since(self.calm_since) >= self.pause {
            self.calm_since = now;
            self.pause = halved(self.pause, PAUSES.0);
        }
    }

    fn left(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.said_at);
        self.pause.saturating_sub(passed)
    }
}

fn halved(time: Duration, least: Duration) -> Duration {
    let half = Some(time / 2).filter(|half| *half >= least);
    half.unwrap_or_default()
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            delay: Duration::ZERO,
            until: now,
            calm_since: now,
            why: Pressure::Unavailable,
            tired: Tired {
                pause: Duration::ZERO,
                said_at: now,
                raised_at: now,
                calm_since: now,
            },
        }
    }

    /// The upstream has complained. Complaints of several connections at a time are one.
    pub(super) fn complained(&mut self, now: Instant, pressure: Pressure) {
        let is_left_alone = now < self.until;
        let (first, most) = range(pressure);
        let length = match pressure {
            Pressure::Suggested(time) => time.min(LONGEST_SUGGESTED),
            _ if is_left_alone && pressure == self.why => return,
            // Of what was under way.
            _ if is_left_alone => first,
            _ => {
                let is_old = now.saturating_duration_since(self.calm_since) >= FORGOTTEN;
                let last = if is_old { Duration::ZERO } else { self.delay };
                (last * 2).clamp(first, most)
            }
        };
        let until = now + length;
        if until <= self.until {
            return;
        }
        if !matches!(pressure, Pressure::Suggested(_)) {
            self.delay = match is_left_alone {
                true => self.delay.max(length),
                false => length,
            };
        }
        self.why = pressure;
        self.until = until;
        self.calm_since = until;
    }

    /// A command was done, and yet the upstream says that it is too much.
    pub(super) fn is_tired(&mut self, now: Instant) {
        self.tired.said(now);
    }

    /// A command was done, and there was no complaint. What was doubled is halved, once for each such time without a complaint.
    pub(super) fn went_well(&mut self, now: Instant) {
        self.tired.went_well(now);
        let calm = now.saturating_duration_since(self.calm_since);
        if now < self.until || calm < self.delay {
            return;
        }
        self.calm_since = now;
        self.delay = halved(self.delay, range(self.why).0);
    }

    /// How long it is still to be left alone, and why.
    pub(super) fn left(&self, now: Instant) -> Option<(Duration, Pressure)> {
        let left = self.until.saturating_duration_since(now);
        (!left.is_zero()).then_some((left, self.why))
    }

    /// How long a command waits.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.tired.left(now)
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let is_easy = self.delay.is_zero() && self.tired.pause.is_zero();
        let calm = now.saturating_duration_since(self.calm_since);
        now >= self.until && (is_easy || calm >= FORGOTTEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// How long it is left alone after each complaint, when each comes as soon as it is asked again.
    fn delays(pressure: Pressure, complaints: usize) -> Vec<Duration> {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut delays = Vec::new();
        for _ in 0..complaints {
            pace.complained(now, pressure);
            let (left, why) = pace.left(now).unwrap();
            assert_eq!(why, pressure);
            delays.push(left);
            now += left;
            assert_eq!(pace.left(now), None);
        }
        delays
    }

    #[test]
    fn the_time_doubles_with_each_complaint_up_to_a_bound() {
        let quota = delays(Pressure::OverQuota, 7);
        let minutes: Vec<u64> = quota.iter().map(|delay| delay.as_secs() / 60).collect();
        assert_eq!(minutes, [10, 20, 40, 80, 160, 240, 240]);
        let throttled = delays(Pressure::Throttled, 9);
        assert_eq!(throttled[..3], [10 * SECOND, 20 * SECOND, 40 * SECOND]);
        assert_eq!(throttled[8], 15 * MINUTE);
        assert_eq!(delays(Pressure::Unavailable, 2), [5 * SECOND, 10 * SECOND]);
    }

    #[test]
    fn a_suggested_time_is_honoured_exactly_and_within_reason() {
        let time = Duration::from_millis(299_609);
        assert_eq!(delays(Pressure::Suggested(time), 2), [time, time]);
        let year = Pressure::Suggested(HOUR * 24 * 365);
        assert_eq!(delays_of_one(year), HOUR);
        // One that is longer than what was left counts, a shorter one takes nothing away.
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.complained(now, Pressure::Suggested(10 * SECOND));
        pace.complained(now + SECOND, Pressure::Suggested(MINUTE));
        pace.complained(now + 2 * SECOND, Pressure::Suggested(SECOND));
        assert_eq!(pace.left(now + SECOND).unwrap().0, MINUTE);
    }

    fn delays_of_one(pressure: Pressure) -> Duration {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.complained(now, pressure);
        pace.left(now).unwrap().0
    }

    #[test]
    fn many_connections_that_are_told_the_same_at_a_time_count_as_one() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..5 {
            pace.complained(now, Pressure::Throttled);
        }
        assert_eq!(pace.left(now).unwrap().0, 10 * SECOND);
        // Another reason counts.
        pace.complained(now, Pressure::OverQuota);
        assert_eq!(pace.left(now), Some((10 * MINUTE, Pressure::OverQuota)));
    }

    #[test]
    fn many_that_are_told_different_things_at_a_time_double_nothing() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..5 {
            pace.complained(now, Pressure::OverQuota);
            pace.complained(now, Pressure::Throttled);
            pace.complained(now, Pressure::Suggested(SECOND));
        }
        // The longest counts, and why.
        assert_eq!(pace.left(now), Some((10 * MINUTE, Pressure::OverQuota)));
        now += 10 * MINUTE;
        let mut throttled = pace;
        throttled.complained(now, Pressure::Throttled);
        assert_eq!(
            throttled.left(now),
            Some((15 * MINUTE, Pressure::Throttled))
        );
        pace.complained(now, Pressure::OverQuota);
        assert_eq!(pace.left(now).unwrap().0, 20 * MINUTE);
    }

    #[test]
    fn what_was_doubled_is_halved_slowly_by_success() {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(now);
        for _ in 0..3 {
            pace.complained(now, Pressure::Throttled);
            now += pace.left(now).unwrap().0;
        }
        // 40 seconds: as long without a complaint, and it is 20.
        now += 39 * SECOND;
        pace.went_well(now);
        let mut not_yet = pace;
        not_yet.complained(now, Pressure::Throttled);
        assert_eq!(not_yet.left(now).unwrap().0, 80 * SECOND);
        now += SECOND;
        pace.went_well(now);
        pace.went_well(now);
        let mut halved = pace;
        halved.complained(now, Pressure::Throttled);
        assert_eq!(halved.left(now).unwrap().0, 40 * SECOND);
        for _ in 0..2 {
            now += 20 * SECOND;
            pace.went_well(now);
        }
        assert!(pace.is_forgotten(now));
    }

    #[test]
    fn success_of_what_was_under_way_ends_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.complained(now, Pressure::OverQuota);
        pace.went_well(now + 9 * MINUTE);
        assert_eq!(pace.left(now + 9 * MINUTE).unwrap().0, MINUTE);
        assert!(!pace.is_forgotten(now + 11 * MINUTE) && pace.is_forgotten(now + 25 * HOUR));
    }

    #[test]
    fn who_is_tired_is_asked_more_slowly_and_not_left_alone() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            // The commands of a list, at once.
            for _ in 0..20 {
                pace.is_tired(now);
                pace.went_well(now);
            }
            pauses.push(pace.pause(now).as_secs());
            now += pace.pause(now);
        }
        assert_eq!(pauses, [1, 2, 3, 3, 3]);
        assert_eq!((pace.left(now), pace.pause(now)), (None, Duration::ZERO));
        // Whatever else it complains of meanwhile.
        pace.complained(now, Pressure::Throttled);
        for _ in 0..2 {
            pace.went_well(now);
            now += 3 * SECOND;
        }
        pace.is_tired(now);
        assert_eq!(pace.pause(now), SECOND);
    }
}
