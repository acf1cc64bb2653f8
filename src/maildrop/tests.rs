//! The list against a plain set, and the maildrop that other tests use.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

/// A client that deletes from the end on is not slowed down by what it has deleted, and sees the same as any other.
#[test]
fn what_is_deleted_in_long_stretches_is_passed_over() {
    let mut maildrop = maildrop(&[1; 400]);
    let number = |number: u32| MsgNo::new(number).unwrap();
    for deleted in (50..=250).chain(300..=400) {
        maildrop.delete(number(deleted)).unwrap();
    }
    for from in 1..=400 {
        let left = (from..=400).find(|n| !(50..=250).contains(n) && *n < 300);
        let found = maildrop.messages_from(number(from)).next();
        assert_eq!(found.map(|(number, _)| number.get()), left, "from {from}");
    }
}

/// A maildrop of messages of these sizes with the UIDs 10, 20, 30 ...
pub(crate) fn maildrop(sizes: &[u32]) -> Maildrop {
    Maildrop::new(contents(sizes), Shown::All)
}

pub(crate) fn contents(sizes: &[u32]) -> Arc<Contents> {
    let register = register(sizes.iter().zip(1..).map(|(size, n)| (n, n * 10, *size)));
    Arc::new(Contents::new(vec![(place("INBOX"), register.into())]))
}

/// A folder's place without a header line.
pub(crate) fn place(folder: &str) -> Place {
    Place {
        folder: folder.to_owned(),
        folder_id: 1,
        uid_validity: UidValidity::new(7).unwrap(),
        header: None,
    }
}

/// A register of these messages: number, UID, size. Each is as old as its number says.
pub(crate) fn register(messages: impl Iterator<Item = (u32, u32, u32)>) -> Register {
    let (entries, messages) = messages
        .map(|(seq, uid, size)| {
            let entry = Entry {
                seq: Seq::new(seq).unwrap(),
                first_seen: seq,
            };
            let message = Message {
                uid: Uid::new(uid).unwrap(),
                size,
                internal_date: 0,
            };
            (entry, message)
        })
        .unzip();
    Register {
        index: Arc::new(Index {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next: None,
            highest_modseq: None,
            messages,
            gm_msgids: None,
            email_ids: None,
        }),
        entries,
        uidls: HashMap::new(),
        header_hashes: HashMap::new(),
        gone: Vec::new(),
        floors: Vec::new(),
        format: Format::default(),
        first_listed: 0,
        suffix: "".into(),
    }
}

fn no(number: u32) -> MsgNo {
    MsgNo::new(number).unwrap()
}

#[test]
fn there_is_no_message_zero() {
    assert_eq!(MsgNo::new(0), None);
}

#[test]
fn messages_are_numbered_from_one_in_the_order_of_their_uids() {
    let maildrop = maildrop(&[100, 200]);
    assert_eq!(maildrop.lookup(no(1)).unwrap().uid.get(), 10);
    assert_eq!(maildrop.lookup(no(2)).unwrap().uid.get(), 20);
    assert_eq!(maildrop.lookup(no(3)), Err(LookupError::NoSuchMessage));
    let last = maildrop.lookup(no(u32::MAX));
    assert_eq!(last, Err(LookupError::NoSuchMessage));
}

#[test]
fn a_deleted_message_is_hidden_from_every_question() {
    let mut maildrop = maildrop(&[100, 200, 300]);
    maildrop.delete(no(2)).unwrap();
    assert_eq!(maildrop.lookup(no(2)), Err(LookupError::Deleted));
    assert_eq!(maildrop.uidl(no(2)), Err(LookupError::Deleted));
    assert_eq!(maildrop.delete(no(2)), Err(LookupError::Deleted));
    assert_eq!(maildrop.messages_from(no(2)).next().unwrap().0, no(3));
    assert_eq!(maildrop.uidls_from(no(2)).next().unwrap().0, no(3));
    assert_eq!((maildrop.count(), maildrop.octets()), (2, 400));
}

#[test]
fn undeleting_brings_all_back() {
    let mut maildrop = maildrop(&[100, 200]);
    maildrop.delete(no(1)).unwrap();
    maildrop.delete(no(2)).unwrap();
    maildrop.undelete_all();
    assert_eq!((maildrop.count(), maildrop.octets()), (2, 300));
    assert!(!maildrop.has_deletions());
    assert_eq!(maildrop.deleted().count(), 0);
}

#[test]
fn sizes_are_added_beyond_four_gigabytes() {
    assert_eq!(maildrop(&[u32::MAX; 3]).octets(), 3 * u64::from(u32::MAX));
}

#[test]
fn a_part_of_the_contents_is_numbered_from_one() {
    let shown = Shown::Part([1, 3].into_iter().collect());
    let mut maildrop = Maildrop::new(contents(&[100, 200, 300, 400]), shown);
    assert_eq!((maildrop.count(), maildrop.octets()), (2, 600));
    assert_eq!(maildrop.lookup(no(1)).unwrap().uid.get(), 20);
    assert_eq!(maildrop.uidl(no(2)).unwrap().as_str(), "7-40");
    assert_eq!(maildrop.lookup(no(3)), Err(LookupError::NoSuchMessage));
    maildrop.delete(no(2)).unwrap();
    let deleted: Vec<u32> = maildrop.deleted().map(|item| item.seq.get()).collect();
    assert_eq!(deleted, [4]);
    assert_eq!((maildrop.count(), maildrop.octets()), (1, 200));
    maildrop.undelete_all();
    assert_eq!((maildrop.count(), maildrop.octets()), (2, 600));
}

#[test]
fn a_session_without_deletions_adds_nothing_per_message() {
    let mut maildrop = maildrop(&[1; 1000]);
    assert_eq!(maildrop.deleted.capacity(), 0);
    maildrop.delete(no(1000)).unwrap();
    assert_eq!(maildrop.deleted.len() * 64, 1024);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_sums_and_marks_agree_with_a_plain_set(
        sizes in proptest::collection::vec(any::<u32>(), 0..200),
        numbers in proptest::collection::vec(1_u32..220, 0..60),
    ) {
        let mut maildrop = maildrop(&sizes);
        let mut gone = BTreeSet::new();
        for number in numbers {
            let known = (number as usize) <= sizes.len();
            let expected = match known {
                false => Err(LookupError::NoSuchMessage),
                true if !gone.insert(number) => Err(LookupError::Deleted),
                true => Ok(()),
            };
            prop_assert_eq!(maildrop.delete(no(number)), expected);
        }
        let left: Vec<u32> = (1..).take(sizes.len()).filter(|n| !gone.contains(n)).collect();
        let octets: u64 = left.iter().map(|n| u64::from(sizes[*n as usize - 1])).sum();
        prop_assert_eq!(maildrop.count() as usize, left.len());
        prop_assert_eq!(maildrop.octets(), octets);
        let deleted: Vec<u32> = maildrop.deleted().map(|m| m.uid.get() / 10).collect();
        prop_assert_eq!(deleted, gone.into_iter().collect::<Vec<_>>());

        let walked: Vec<u32> = maildrop.messages_from(no(1)).map(|(n, _)| n.get()).collect();
        prop_assert_eq!(walked, left);
    }
}
