//! Which items of a mailbox one client sees, as runs of neighbours.
//!
//! A client mostly has had or deleted what is old, so that what is left for it is a few runs, however many messages there are.
//! Must not know: why something is not shown.

use std::ops::Range;

/// Which items of a mailbox a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All.
    All,
    /// Those at these positions in [`Contents::items`](super::Contents::items).
    Part(Runs),
}

/// Ascending positions, kept as runs: 8 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    runs: Vec<Run>,
    /// How many positions there are.
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Its first position.
    first: u32,
    /// How many positions the runs before it have.
    before: u32,
}

impl Runs {
    /// How many positions there are.
    pub const fn len(&self) -> usize {
        // u32 to usize: the bridge runs on 32 bits and more.
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds positions behind all that are there; those that are not behind them are left out. A mailbox has at most as many as there are
    /// [`Seq`](super::Seq)s.
    pub fn push(&mut self, positions: Range<usize>) {
        let end = self
            .runs
            .last()
            .map(|run| run.first + (self.count - run.before));
        let number = |position| u32::try_from(position).unwrap_or(u32::MAX);
        let first = number(positions.start).max(end.unwrap_or(0));
        let count = number(positions.end).saturating_sub(first);
        if count == 0 {
            return;
        }
        if end != Some(first) {
            let before = self.count;
            self.runs.push(Run { first, before });
        }
        self.count += count;
    }

    /// The n-th position, from 0.
    pub fn get(&self, n: usize) -> Option<usize> {
        let n = u32::try_from(n).ok().filter(|n| *n < self.count)?;
        let run = self.runs.get(self.run_of(n))?;
        Some((run.first + (n - run.before)) as usize)
    }

    /// The positions from the n-th on, run by run.
    pub fn from(&self, n: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let runs = self.runs.get(self.run_of(n)..).unwrap_or_default();
        let ends = runs.iter().skip(1).map(|next| next.before);
        let ends = ends.chain([self.count]);
        runs.iter().zip(ends).filter_map(move |(run, end)| {
            let from = run.first + n.saturating_sub(run.before);
            let to = run.first + (end - run.before);
            (from < to).then_some(from as usize..to as usize)
        })
    }

    /// All positions, run by run.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.from(0)
    }

    /// Gives back what memory was taken for more.
    pub fn shrink_to_fit(&mut self) {
        self.runs.shrink_to_fit();
    }

    /// The run that the n-th position is in; the last one beyond the end.
    fn run_of(&self, n: u32) -> usize {
        let behind = self.runs.partition_point(|run| run.before <= n);
        behind.saturating_sub(1)
    }
}

impl FromIterator<usize> for Runs {
    fn from_iter<T: IntoIterator<Item = usize>>(positions: T) -> Self {
        let mut runs = Self::default();
        for position in positions {
            runs.push(position..position + 1);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_one_run_however_they_come() {
        let runs: Runs = [3, 4, 5, 9].into_iter().collect();
        assert_eq!(runs.iter().collect::<Vec<_>>(), [3..6, 9..10]);
        assert_eq!(
            (runs.len(), runs.get(2), runs.get(3), runs.get(4)),
            (4, Some(5), Some(9), None)
        );
        assert_eq!(runs.from(1).collect::<Vec<_>>(), [4..6, 9..10]);
        assert_eq!(runs.from(4).next(), None);
        assert_eq!(Runs::default().from(0).next(), None);
    }

    #[test]
    fn what_is_there_is_not_added_twice() {
        let mut runs = Runs::default();
        for positions in [2..4, 3..6, 0..1, 6..6] {
            runs.push(positions);
        }
        assert_eq!((runs.len(), runs.iter().next()), (4, Some(2..6)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_agree_with_a_plain_set(
            positions in proptest::collection::btree_set(0_usize..60, 0..40),
            n in 0_usize..70,
        ) {
            let runs: Runs = positions.iter().copied().collect();
            prop_assert_eq!(runs.len(), positions.len());
            prop_assert_eq!(runs.is_empty(), positions.is_empty());
            prop_assert_eq!(runs.get(n), positions.iter().nth(n).copied());
            let rest: BTreeSet<usize> = runs.from(n).flatten().collect();
            prop_assert_eq!(rest, positions.iter().copied().skip(n).collect());
            let mut ends = None;
            for run in runs.iter() {
                prop_assert!(ends.is_none_or(|end| end < run.start) && !run.is_empty());
                ends = Some(run.end);
            }
        }
    }
}
