//! When the next try may be looked at, after so many that were wrong: each one more doubles the time between two.
//!
//! Pure: whoever asks brings the time. Must not know: whose tries these are.

use std::time::Duration;

use tokio::time::Instant;

/// Wrong tries are forgotten when there was no further one for so long.
pub(super) const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// How the time between two tries grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// Behind the first wrong try.
    pub(super) first: Duration,
    /// How often it is doubled at most.
    pub(super) doublings: u32,
}

impl Growth {
    fn gap(self, misses: u32) -> Duration {
        match misses.checked_sub(1) {
            Some(more) => self.first * (1 << more.min(self.doublings)),
            None => Duration::ZERO,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    misses: u32,
    last_miss: Option<Instant>,
    /// No try is looked at before.
    next: Option<Instant>,
    /// The turn that was taken last.
    taken: Option<Instant>,
}

impl Pace {
    /// Wrong tries that are not forgotten.
    pub(super) fn misses(&self, now: Instant) -> u32 {
        let is_recent = |last: Instant| now.saturating_duration_since(last) < FORGOTTEN;
        match self.last_miss.is_some_and(is_recent) {
            true => self.misses,
            false => 0,
        }
    }

    /// When a try that comes now may be looked at.
    pub(super) fn turn(&self, now: Instant) -> Instant {
        self.next.map_or(now, |next| next.max(now))
    }

    /// Whether somebody waits for a turn.
    pub(super) fn is_waited_for(&self, now: Instant) -> bool {
        self.taken.is_some_and(|taken| taken > now)
    }

    /// A try is looked at then: the next one waits for its own turn, although nobody knows yet what becomes of this one.
    pub(super) fn take(&mut self, turn: Instant, growth: Growth) {
        let next = turn + growth.gap(self.misses(turn));
        self.next = Some(self.turn(next));
        self.taken = Some(turn);
    }

    /// A try was wrong.
    pub(super) fn missed(&mut self, now: Instant, growth: Growth) {
        self.misses = self.misses(now).saturating_add(1);
        self.last_miss = Some(now);
        let next = now + growth.gap(self.misses);
        self.next = Some(self.turn(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const GROWTH: Growth = Growth {
        first: Duration::from_secs(2),
        doublings: 3,
    };

    #[test]
    fn nobody_waits_who_was_never_wrong() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(pace.turn(now), now);
            pace.take(now, GROWTH);
        }
    }

    #[test]
    fn the_time_between_two_tries_doubles_up_to_its_most() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for seconds in [2, 4, 8, 16, 16, 16] {
            pace.missed(now, GROWTH);
            let turn = pace.turn(now);
            assert_eq!(turn - now, seconds * SECOND);
            now = turn;
        }
    }

    #[test]
    fn tries_at_the_same_time_get_turns_one_after_the_other() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.missed(now, GROWTH);
        let turns: Vec<u64> = (0..4)
            .map(|_| {
                let turn = pace.turn(now);
                pace.take(turn, GROWTH);
                (turn - now).as_secs()
            })
            .collect();
        assert_eq!(turns, [2, 4, 6, 8]);
    }

    #[test]
    fn wrong_tries_are_forgotten_after_a_while_and_not_before() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.missed(now, GROWTH);
        pace.missed(now, GROWTH);
        assert_eq!(pace.misses(now + FORGOTTEN - SECOND), 2);
        assert_eq!(pace.misses(now + FORGOTTEN), 0);
        pace.missed(now + FORGOTTEN, GROWTH);
        assert_eq!(pace.misses(now + FORGOTTEN), 1);
    }

    #[test]
    fn no_number_of_wrong_tries_is_too_large() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.misses = u32::MAX;
        pace.last_miss = Some(now);
        pace.missed(now, GROWTH);
        assert_eq!(pace.turn(now) - now, 16 * SECOND);
    }
}
