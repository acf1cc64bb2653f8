//! The set against a plain one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

fn set(numbers: &BTreeSet<u32>) -> SeqSet {
    numbers.iter().copied().map(seq).collect()
}

#[test]
fn neighbours_become_one_range() {
    let set: SeqSet = [3, 1, 2, 7].map(seq).into_iter().collect();
    let ranges: Vec<_> = set.ranges().collect();
    assert_eq!(ranges, [(seq(1), seq(3)), (seq(7), seq(7))]);
}

#[test]
fn the_largest_number_has_no_next_one() {
    assert_eq!(seq(u32::MAX).next(), None);
    let mut set = SeqSet::new();
    set.insert_range(seq(u32::MAX - 1), seq(u32::MAX));
    set.insert(seq(u32::MAX));
    assert_eq!(set.len(), 2);
    assert!(set.difference(&set).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_of_ranges_is_a_set(
        ranges in proptest::collection::vec((1_u32..60, 0_u32..12), 0..20),
        others in proptest::collection::btree_set(1_u32..75, 0..40),
    ) {
        let mut plain = BTreeSet::new();
        let mut set = SeqSet::new();
        for (first, length) in ranges {
            set.insert_range(seq(first), seq(first + length));
            plain.extend(first..=first + length);
        }
        let other = self::set(&others);
        prop_assert_eq!(&set, &self::set(&plain));
        prop_assert_eq!(set.len(), plain.len() as u64);
        for number in 1..80 {
            prop_assert_eq!(set.contains(seq(number)), plain.contains(&number));
        }
        let left: BTreeSet<u32> = plain.difference(&others).copied().collect();
        prop_assert_eq!(set.difference(&other), self::set(&left));
        let mut union = set.clone();
        union.union_with(&other);
        prop_assert_eq!(union, self::set(&plain.union(&others).copied().collect()));
        let mut touching = set.ranges().zip(set.ranges().skip(1));
        prop_assert!(touching.all(|(a, b)| a.1.get() + 1 < b.0.get()));
    }
}
