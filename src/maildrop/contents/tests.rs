//! Several folders as one list.

use proptest::prelude::*;

use super::*;
use crate::maildrop::Measured;
use crate::maildrop::tests::{place, register};

fn folder(name: &str, messages: &[(u32, u32, u32)]) -> (Place, Arc<Register>) {
    let register = register(messages.iter().copied());
    (place(name), Arc::new(register))
}

#[test]
fn an_item_takes_at_most_thirty_two_bytes() {
    assert!(size_of::<Item>() <= 32);
}

#[test]
fn folders_are_one_list_by_number() {
    let inbox = folder("INBOX", &[(1, 10, 100), (4, 20, 200)]);
    let junk = folder("Junk", &[(3, 5, 300), (2, 6, 400)]);
    let contents = Contents::new(vec![inbox, junk]);
    let items = contents.items.iter();
    let items: Vec<_> = items
        .map(|i| (i.seq.get(), i.uid.get(), i.size, i.place))
        .collect();
    let expected = [
        (1, 10, 100, 0),
        (2, 6, 400, 1),
        (3, 5, 300, 1),
        (4, 20, 200, 0),
    ];
    assert_eq!(items, expected);
    assert_eq!(contents.uidl(1).unwrap().as_str(), "7-6");
    assert_eq!(contents.uidl(4), None);
    assert_eq!(contents.position_of(Seq::new(3).unwrap()), Some(2));
    assert_eq!(contents.position_of(Seq::new(5).unwrap()), None);
    assert_eq!(contents.place(&contents.items[2]).unwrap().folder, "Junk");
}

#[test]
fn a_message_in_two_folders_is_one_item_of_the_first() {
    let hold = folder("hold", &[(2, 7, 50)]);
    let inbox = folder("INBOX", &[(1, 10, 100), (2, 20, 50)]);
    let contents = Contents::new(vec![hold, inbox]);
    let items = contents.items.iter();
    let items: Vec<_> = items.map(|i| (i.seq.get(), i.place)).collect();
    assert_eq!(items, [(1, 1), (2, 0)]);
    assert_eq!(contents.uidl(1).unwrap().as_str(), "7-7");
}

#[test]
fn a_header_line_makes_its_folders_messages_larger() {
    let mut junk = folder("Junk", &[(1, 1, 100), (2, 2, u32::MAX)]);
    junk.0.header = Some("X-Folder: Junk".to_owned());
    let contents = Contents::new(vec![junk]);
    let sizes: Vec<u32> = contents.items.iter().map(|item| item.size).collect();
    assert_eq!(sizes, [116, u32::MAX]);
}

#[test]
fn what_was_counted_is_listed_as_long_as_the_size_is_that_was_listed_then() {
    let mut junk = folder("Junk", &[(2, 2, 100), (4, 4, 100), (9, 9, 100)]);
    junk.0.header = Some("X-Folder: Junk".to_owned());
    let inbox = folder("INBOX", &[(1, 1, 100), (3, 3, 100)]);
    let mut sizes = Sizes::default();
    for (number, listed, octets) in [
        (1, 100, 123),
        (2, 100, 150),
        (3, 99, 7),
        (5, 100, 7),
        (9, 100, u32::MAX),
    ] {
        sizes.insert(Measured {
            seq: Seq::new(number).unwrap(),
            listed,
            octets,
        });
    }
    let contents = Contents::measured(vec![inbox, junk], &sizes);
    let octets: Vec<u32> = contents.items.iter().map(|item| item.octets).collect();
    assert_eq!(octets, [123, 166, 100, 116, u32::MAX]);
    assert_eq!(contents.octets(0..4), 123 + 166 + 100 + 116);
    let listed: Vec<u32> = contents.items.iter().map(|item| item.size).collect();
    assert_eq!(listed, [100, 116, 100, 116, 116], "what it is known by");
}

#[test]
fn mail_that_was_moved_here_is_as_old_as_the_bridge_has_known_it() {
    let mut item = Contents::new(vec![folder("INBOX", &[(9, 1, 1)])]).items[0];
    assert_eq!(item.arrived(), 9);
    item.internal_date = 1000;
    assert_eq!(item.arrived(), 1000);
}

#[test]
fn memory_is_counted_with_the_registers() {
    let many: Vec<_> = (1..=1000).map(|n| (n, n, 1)).collect();
    let contents = Contents::new(vec![folder("INBOX", &many)]);
    let bytes = contents.heap_bytes();
    assert!((56_000..60_000).contains(&bytes), "{bytes}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_places_are_those_of_a_plain_loop(
        numbers in proptest::collection::btree_set(1_u32..400, 0..300),
        (start, end) in (0_usize..320, 0_usize..320),
        number in 1_u32..420,
    ) {
        let messages: Vec<_> = numbers.iter().map(|n| (*n, *n, u32::MAX - n)).collect();
        let contents = Contents::new(vec![folder("INBOX", &messages)]);
        let items = contents.items.iter().take(end).skip(start);
        let sum: u64 = items.map(|item| u64::from(item.size)).sum();
        prop_assert_eq!(contents.octets(start..end), sum);
        let start = start.min(numbers.len());
        let before = contents.items.iter().skip(start).filter(|item| item.seq.get() < number).count();
        prop_assert_eq!(contents.seek(start, Seq::new(number).unwrap()), start + before);
    }
}
