//! Numbers of messages in a mailbox's register, and sets of them.
//!
//! A number is given once, in the order in which the bridge first saw the messages, and never again. What a client has done is a set
//! of such numbers; as it mostly fetches in order, that set is a few ranges.
//! Must not know: what a set means.

use std::fmt;
use std::num::NonZeroU32;

/// A message's number in its mailbox's register, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU32);

impl Seq {
    /// The first one that a mailbox gives.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The number after this one; `None` after four billion messages.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    const fn before(self) -> Option<Self> {
        Self::new(self.get() - 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of numbers: ascending inclusive ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqSet {
    ranges: Vec<(Seq, Seq)>,
}

impl SeqSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many numbers are in it.
    pub fn len(&self) -> u64 {
        let length = |(first, last): &(Seq, Seq)| u64::from(last.get() - first.get()) + 1;
        self.ranges.iter().map(length).sum()
    }

    /// Whether the number is in it.
    pub fn contains(&self, seq: Seq) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= seq);
        let range = after.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(_, last)| seq <= *last)
    }

    /// The ranges, first and last included, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (Seq, Seq)> + '_ {
        self.ranges.iter().copied()
    }

    /// Adds one number.
    pub fn insert(&mut self, seq: Seq) {
        self.insert_range(seq, seq);
    }

    /// Adds all numbers from `first` to `last`, both included. Nothing where `last` is the smaller one.
    pub fn insert_range(&mut self, first: Seq, last: Seq) {
        if last < first {
            return;
        }
        // All that overlap or touch are one range afterwards.
        let start = self
            .ranges
            .partition_point(|(_, end)| end.next().is_some_and(|after| after < first));
        let end = match last.next() {
            Some(after) => self.ranges.partition_point(|(begin, _)| *begin <= after),
            None => self.ranges.len(),
        };
        let swallowed = self.ranges.get(start..end).unwrap_or_default();
        let first = swallowed.first().map_or(first, |range| range.0.min(first));
        let last = swallowed.last().map_or(last, |range| range.1.max(last));
        self.ranges.splice(start..end.max(start), [(first, last)]);
    }

    /// Adds all of another set.
    pub fn union_with(&mut self, other: &Self) {
        for (first, last) in other.ranges() {
            self.insert_range(first, last);
        }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::new();
        let mut others = other.ranges.iter().peekable();
        for (first, last) in self.ranges() {
            let mut from = Some(first);
            while let Some((begin, end)) = others.peek() {
                if from.is_some_and(|from| *end < from) {
                    others.next();
                    continue;
                }
                if *begin > last {
                    break;
                }
                if let (Some(from), Some(to)) = (from, begin.before()) {
                    left.insert_range(from, to);
                }
                from = end.next();
                if *end >= last {
                    break;
                }
                others.next();
            }
            if let Some(from) = from {
                left.insert_range(from, last);
            }
        }
        left
    }
}

impl Extend<Seq> for SeqSet {
    fn extend<T: IntoIterator<Item = Seq>>(&mut self, numbers: T) {
        for seq in numbers {
            self.insert(seq);
        }
    }
}

impl FromIterator<Seq> for SeqSet {
    fn from_iter<T: IntoIterator<Item = Seq>>(numbers: T) -> Self {
        let mut set = Self::new();
        set.extend(numbers);
        set
    }
}

#[cfg(test)]
mod tests;
