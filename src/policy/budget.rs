//! What a mailbox may still receive in a day, and when the next log-in may begin.
//!
//! A day is any 24 hours, as providers reckon it: octets are kept by the hour, and an hour counts until all of it is more than 24 hours
//! past. So the sum is never less than what the provider counts, and what was spent comes back hour by hour instead of all at midnight.

/// Seconds of an hour.
const HOUR: i64 = 60 * 60;
/// So many hours before the present one count, as some of each lies within the last day.
const BACK: i64 = 24;
/// From this part of a day's octets on, in percent, nothing is fetched that nobody has asked for.
const NEAR: u64 = 80;
/// From this part on messages wait. The rest is for lists and log-ins, and for the message that was on its way.
const FULL: u64 = 95;

/// What may be asked of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All.
    #[default]
    All,
    /// What is asked for: nothing is fetched ahead.
    Asked,
    /// Lists, and what has to be done: messages wait.
    Lists,
}

/// The hour, since 1970, in which this second is.
#[must_use]
pub fn hour_of(now: i64) -> i64 {
    now.div_euclid(HOUR)
}

/// The first hour that counts.
#[must_use]
pub fn first_hour(now: i64) -> i64 {
    hour_of(now) - BACK
}

/// What came for a mailbox lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Hours and octets, in order.
    hours: Vec<(i64, u64)>,
}

impl Spent {
    /// Of hours since 1970 with their octets, in order.
    pub fn new(hours: impl IntoIterator<Item = (i64, u64)>) -> Self {
        Self {
            hours: hours.into_iter().collect(),
        }
    }

    /// The octets that count at this second.
    #[must_use]
    pub fn total(&self, now: i64) -> u64 {
        let first = first_hour(now);
        let hours = self.hours.iter().filter(|(hour, _)| *hour >= first);
        hours.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// What may be asked for when so many octets a day are allowed and `more` have come that are not among these.
    #[must_use]
    pub fn level(&self, allowed: u64, more: u64, now: i64) -> Level {
        let total = self.total(now).saturating_add(more);
        if is_reached(total, allowed, FULL) {
            Level::Lists
        } else if is_reached(total, allowed, NEAR) {
            Level::Asked
        } else {
            Level::All
        }
    }

    /// The second from which on messages can be had again, if nothing more comes until then.
    #[must_use]
    pub fn free_at(&self, allowed: u64, more: u64, now: i64) -> i64 {
        let mut left = self.total(now).saturating_add(more);
        let first = first_hour(now);
        let end_of = |hour: i64| (hour + BACK + 1) * HOUR;
        for (hour, bytes) in self.hours.iter().filter(|(hour, _)| *hour >= first) {
            if !is_reached(left, allowed, FULL) {
                return now;
            }
            left = left.saturating_sub(*bytes);
            if !is_reached(left, allowed, FULL) {
                return end_of(*hour);
            }
        }
        // What is not among them has come in the present hour.
        match is_reached(left, allowed, FULL) {
            true => end_of(hour_of(now)),
            false => now,
        }
    }
}

/// How many octets more may come until nothing is fetched any more that nobody has asked for.
#[must_use]
pub fn until_near(total: u64, allowed: u64) -> u64 {
    let near = u128::from(allowed) * u128::from(NEAR) / 100;
    u64::try_from(near)
        .unwrap_or(u64::MAX)
        .saturating_sub(total)
}

/// How much of what is allowed was spent, in percent.
#[must_use]
pub fn percent(total: u64, allowed: u64) -> u64 {
    let percent = u128::from(total) * 100 / u128::from(allowed.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

fn is_reached(total: u64, allowed: u64, part: u64) -> bool {
    u128::from(total) * 100 >= u128::from(allowed) * u128::from(part)
}

/// A place in the row of log-ins, one of which begins every `interval`: how long it is to be waited for, and when the next one may
/// begin after it. `next` is when the next one may begin. None where the wait would be longer than `patience`. All in milliseconds.
///
/// There are no bursts: what begins at once, such as the log-ins of all clients after a restart, is what this is against.
#[must_use]
pub fn log_in_turn(next: u64, now: u64, interval: u64, patience: u64) -> Option<(u64, u64)> {
    let at = next.max(now);
    let wait = at - now;
    (wait <= patience).then_some((wait, at.saturating_add(interval)))
}

#[cfg(test)]
mod tests;
