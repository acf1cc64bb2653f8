//! One change of a folder at a time. Long stories are in `model`.

mod email_ids;
mod model;
mod names;
mod store;

use super::*;
use crate::maildrop::{Message, UidValidity};

/// A message of the index: UID, INTERNALDATE, size.
type Row = (u32, i64, u32);

fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn validity(number: u32) -> UidValidity {
    UidValidity::new(number).unwrap()
}

fn index(uid_validity: u32, uid_next: u32, rows: &[Row]) -> Index {
    let message = |(number, internal_date, size): &Row| Message {
        uid: uid(*number),
        size: *size,
        internal_date: *internal_date,
    };
    Index {
        uid_validity: validity(uid_validity),
        uid_next: Some(uid_next),
        highest_modseq: None,
        messages: rows.iter().map(message).collect(),
        gm_msgids: None,
        email_ids: None,
    }
}

/// A folder as the store has it, from one list to the next.
struct Story {
    register: Option<Register>,
    next_seq: Seq,
    now: i64,
    format: Format,
    linked: HashMap<Uid, (Seq, Box<str>)>,
    /// Headers' digests by UID, as far as they can be had.
    headers: HashMap<Uid, i64>,
    /// Whose headers were asked for at the last list.
    asked: Vec<u32>,
}

impl Story {
    fn new() -> Self {
        Self {
            register: None,
            next_seq: Seq::FIRST,
            now: 1_000_000,
            format: Format::default(),
            linked: HashMap::new(),
            headers: HashMap::new(),
            asked: Vec::new(),
        }
    }

    /// A folder that was listed once.
    fn of(uid_validity: u32, uid_next: u32, rows: &[Row]) -> Self {
        let mut story = Self::new();
        story.list(&index(uid_validity, uid_next, rows));
        story
    }

    /// Lists the folder a second later; `None` where nothing changed.
    fn list(&mut self, fresh: &Index) -> Option<Delta> {
        self.now += 1;
        self.asked.clear();
        let mut result = reconcile(self.register.as_ref(), fresh, &self.circumstances(None));
        if let Reconciled::NeedHeaders(wanted) = result {
            assert!(wanted.is_sorted_by(|one, next| one < next));
            self.asked = wanted.iter().map(|uid| uid.get()).collect();
            let had = |uid: &Uid| Some((*uid, *self.headers.get(uid)?));
            let headers = wanted.iter().filter_map(had).collect();
            result = reconcile(
                self.register.as_ref(),
                fresh,
                &self.circumstances(Some(&headers)),
            );
        }
        match result {
            Reconciled::NeedHeaders(_) => panic!("asked twice"),
            Reconciled::Unchanged => None,
            Reconciled::Changed { register, delta } => {
                self.register = Some(*register);
                self.next_seq = delta.next_seq;
                Some(*delta)
            }
        }
    }

    fn circumstances<'a>(&'a self, headers: Option<&'a HashMap<Uid, i64>>) -> Circumstances<'a> {
        Circumstances {
            now: self.now,
            next_seq: self.next_seq,
            format: &self.format,
            suffix: "",
            headers,
            linked: &self.linked,
        }
    }

    /// The bridge takes the message with this UID out of the folder.
    fn dispose_of(&mut self, number: u32) {
        let register = self.register();
        let at = register.position_of_uid(uid(number)).unwrap();
        let taken = [register.entries[at].seq].into_iter().collect();
        self.register = Some(register.without(&taken, self.now));
    }

    fn register(&self) -> &Register {
        self.register.as_ref().unwrap()
    }

    /// UID, number and unique-id of all that is there.
    fn shown(&self) -> Vec<(u32, u32, String)> {
        let register = self.register();
        let messages = register.index.messages.iter().zip(&register.entries);
        messages
            .enumerate()
            .map(|(position, (message, entry))| {
                let uidl = register.uidl(position).unwrap().to_string();
                (message.uid.get(), entry.seq.get(), uidl)
            })
            .collect()
    }

    #[track_caller]
    fn check(&self, expected: &[(u32, u32, &str)]) {
        let shown = self.shown();
        let shown: Vec<_> = shown.iter().map(|(u, s, t)| (*u, *s, t.as_str())).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn the_first_list_numbers_messages_by_uid() {
    let mut story = Story::new();
    let delta = story.list(&index(7, 9, &[(3, 10, 1), (8, 5, 2)])).unwrap();
    story.check(&[(3, 1, "7-3"), (8, 2, "7-8")]);
    assert_eq!(delta.new.len(), 2);
    assert_eq!(delta.next_seq, seq(3));
    assert_eq!(delta.floors, [(validity(7), 9)]);
    assert_eq!(delta.format, Some(Format::default()));
    assert!(!delta.regenerated);
    assert_eq!(story.register().entries[0].first_seen, 1_000_001);
}

#[test]
fn an_empty_folder_is_a_first_list_too() {
    let mut story = Story::new();
    assert!(story.list(&index(7, 1, &[])).is_some());
    assert!(story.list(&index(7, 1, &[])).is_none());
}

#[test]
fn a_poll_without_news_writes_nothing() {
    let mut story = Story::of(7, 9, &[(3, 10, 1)]);
    let mut again = index(7, 12, &[(3, 10, 1)]);
    again.highest_modseq = Some(99);
    assert_eq!(story.list(&again), None);
}

#[test]
fn what_arrives_is_numbered_on_and_what_is_missed_is_remembered() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 2)]);
    let delta = story.list(&index(7, 4, &[(2, 20, 2), (3, 30, 3)])).unwrap();
    story.check(&[(2, 2, "7-2"), (3, 3, "7-3")]);
    assert_eq!(delta.gone, [seq(1)]);
    assert_eq!(delta.pinned, [(seq(1), "7-1".into())]);
    let gone = &story.register().gone[0];
    assert_eq!((gone.seq, &*gone.uidl), (seq(1), "7-1"));
    assert_eq!((gone.gone_at, gone.disposed), (1_000_002, false));
}

#[test]
fn a_folder_that_blinks_empty_comes_back_as_it_was() {
    let rows = [(1, 10, 1), (2, 10, 1)];
    let mut story = Story::of(7, 3, &rows);
    story.list(&index(7, 3, &[])).unwrap();
    story.check(&[]);
    let delta = story.list(&index(7, 3, &rows)).unwrap();
    story.check(&[(1, 1, "7-1"), (2, 2, "7-2")]);
    assert_eq!((delta.back.len(), delta.new.len()), (2, 0));
    assert!(delta.back.iter().all(|back| back.uidl.is_none()));
    assert!(story.register().gone.is_empty() && story.register().uidls.is_empty());
}

#[test]
fn what_comes_back_after_ninety_days_is_new_under_a_text_of_its_own() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 1)]);
    story.list(&index(7, 3, &[(2, 20, 1)])).unwrap();
    story.now += KEPT;
    story.list(&index(7, 3, &[(1, 10, 1), (2, 20, 1)])).unwrap();
    story.check(&[(1, 3, "7-1-s3"), (2, 2, "7-2")]);
    assert!(story.register().gone.is_empty());
}

#[test]
fn another_size_is_noted_and_changes_nothing_else() {
    let mut story = Story::of(7, 3, &[(1, 10, 1)]);
    let delta = story.list(&index(7, 3, &[(1, 10, 5)])).unwrap();
    assert_eq!(delta.sized, [(seq(1), 5)]);
    assert!(!delta.regenerated);
    story.check(&[(1, 1, "7-1")]);
}

#[test]
fn after_another_uidvalidity_messages_are_known_by_date_and_size_in_any_order() {
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 20, 2), (3, 30, 3)]);
    let rows = [(1, 30, 3), (2, 20, 9), (5, 10, 1)];
    let delta = story.list(&index(8, 6, &rows)).unwrap();
    story.check(&[(1, 3, "7-3"), (2, 4, "8-2"), (5, 1, "7-1")]);
    assert!(delta.regenerated);
    assert_eq!(delta.gone, [seq(2)]);
    assert_eq!(delta.moved.len(), 2);
    let last = &delta.moved[1];
    assert_eq!(
        (last.seq, last.uid, last.uidl.as_deref()),
        (seq(1), uid(5), Some("7-1"))
    );
    assert_eq!(story.register().gone[0].uid_validity, validity(7));
    // The next change starts from there.
    story.list(&index(9, 2, &[(1, 10, 1)])).unwrap();
    story.check(&[(1, 1, "7-1")]);
}

#[test]
fn uidnext_going_back_means_that_uids_mean_nothing() {
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 20, 2), (3, 30, 3)]);
    let rows = [(1, 10, 1), (2, 99, 9)];
    let delta = story.list(&index(7, 3, &rows)).unwrap();
    assert!(delta.regenerated);
    // 7-2 was another message's.
    story.check(&[(1, 1, "7-1"), (2, 4, "7-2-s4")]);
    assert!(story.list(&index(7, 3, &rows)).is_none());
}

#[test]
fn another_date_under_a_known_uid_means_that_uids_mean_nothing() {
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 20, 2)]);
    let delta = story.list(&index(7, 4, &[(1, 20, 2), (2, 10, 1)])).unwrap();
    assert!(delta.regenerated);
    story.check(&[(1, 2, "7-2"), (2, 1, "7-1")]);
    // The same of a UID whose message is gone.
    story.list(&index(7, 4, &[(1, 20, 2)])).unwrap();
    let delta = story.list(&index(7, 4, &[(1, 20, 2), (2, 70, 7)])).unwrap();
    assert!(delta.regenerated);
    story.check(&[(1, 2, "7-2"), (2, 3, "7-2-s3")]);
}

#[test]
fn an_upstream_that_goes_back_and_forth_between_two_states_delivers_nothing_twice() {
    let later = index(7, 4, &[(1, 10, 1), (2, 20, 2), (3, 30, 3)]);
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 20, 2), (3, 30, 3)]);
    for _ in 0..3 {
        story.list(&index(7, 2, &[(1, 10, 1)])).unwrap();
        story.list(&later).unwrap();
        story.check(&[(1, 1, "7-1"), (2, 2, "7-2"), (3, 3, "7-3")]);
    }
}

#[test]
fn a_uid_given_again_after_uidnext_went_back_is_no_evidence_by_itself() {
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 20, 2), (3, 20, 2)]);
    story.list(&index(7, 2, &[(1, 10, 1)])).unwrap();
    // One of the two, but which?
    story.list(&index(7, 3, &[(1, 10, 1), (2, 20, 2)])).unwrap();
    story.check(&[(1, 1, "7-1"), (2, 4, "7-2-s4")]);
}

#[test]
fn what_is_ambiguous_is_new() {
    let mut story = Story::of(7, 4, &[(1, 10, 1), (2, 10, 1), (3, 30, 3)]);
    assert_eq!(story.asked, [1, 2]);
    let rows = [(1, 10, 1), (2, 30, 3), (3, 10, 1)];
    story.list(&index(8, 4, &rows)).unwrap();
    assert_eq!(story.asked, [1, 3]);
    story.check(&[(1, 4, "8-1"), (2, 3, "7-3"), (3, 5, "8-3")]);
}

#[test]
fn one_of_two_that_look_alike_is_not_taken_for_the_other_because_that_is_gone() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 10, 1)]);
    story.list(&index(7, 3, &[(2, 10, 1)])).unwrap();
    story.list(&index(8, 2, &[(1, 10, 1)])).unwrap();
    story.check(&[(1, 3, "8-1")]);
}

#[test]
fn headers_tell_messages_of_one_date_and_size_apart() {
    let mut story = Story::new();
    story.headers.extend([(uid(1), 111), (uid(2), 222)]);
    let delta = story.list(&index(7, 3, &[(1, 10, 1), (2, 10, 1)])).unwrap();
    assert_eq!(delta.new[1].header_hash, Some(222));
    story.headers.clear();
    story.headers.extend([(uid(4), 222), (uid(5), 333)]);
    let delta = story.list(&index(8, 6, &[(4, 10, 1), (5, 10, 1)])).unwrap();
    story.check(&[(4, 2, "7-2"), (5, 3, "8-5")]);
    assert_eq!(delta.moved[0].header_hash, Some(222));
    assert_eq!(story.register().header_hashes.len(), 2);
}

#[test]
fn a_header_is_fetched_when_a_message_looks_like_one_that_arrives() {
    let mut story = Story::of(7, 2, &[(1, 10, 1)]);
    assert!(story.asked.is_empty());
    story.headers.extend([(uid(1), 111), (uid(2), 222)]);
    let delta = story.list(&index(7, 3, &[(1, 10, 1), (2, 10, 1)])).unwrap();
    assert_eq!(story.asked, [1, 2]);
    assert_eq!(delta.hashes, [(seq(1), 111)]);
    // Once is enough.
    story.list(&index(7, 4, &[(1, 10, 1), (2, 10, 1), (3, 10, 1)]));
    assert_eq!(story.asked, [3]);
    story.list(&index(
        7,
        5,
        &[(1, 10, 1), (2, 10, 1), (3, 10, 1), (4, 40, 4)],
    ));
    assert!(story.asked.is_empty());
}

#[test]
fn a_message_whose_header_is_known_is_not_taken_for_one_with_another_header() {
    let mut story = Story::new();
    story.headers.extend([(uid(1), 111), (uid(2), 222)]);
    story.list(&index(7, 3, &[(1, 10, 1), (2, 10, 1)]));
    story.list(&index(7, 3, &[(1, 10, 1)]));
    story.now += KEPT;
    story.headers.clear();
    story.headers.insert(uid(9), 222);
    story.list(&index(8, 10, &[(9, 10, 1)])).unwrap();
    assert_eq!(story.asked, [9]);
    story.check(&[(9, 3, "8-9")]);
}

#[test]
fn of_too_many_messages_no_header_is_fetched() {
    let rows = |count| (1..=count).map(|n| (n, 10, 1)).collect::<Vec<_>>();
    assert_eq!(Story::of(7, 2001, &rows(2000)).asked.len(), 2000);
    assert_eq!(Story::of(7, 2002, &rows(2001)).asked.len(), 0);
}

#[test]
fn gmails_number_is_the_message_wherever_it_went() {
    let mut fresh = index(7, 3, &[(1, 10, 1), (2, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA, 0xB]);
    let mut story = Story::new();
    story.list(&fresh);
    assert!(story.asked.is_empty());
    // Archived, and moved back within one poll.
    fresh = index(7, 4, &[(2, 10, 1), (3, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xB, 0xA]);
    let delta = story.list(&fresh).unwrap();
    story.check(&[(2, 2, "7-2"), (3, 1, "7-1")]);
    assert_eq!((delta.moved.len(), delta.gone.len()), (1, 0));
    // The same with a poll in between, and another UIDVALIDITY.
    fresh = index(7, 4, &[(2, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xB]);
    story.list(&fresh);
    fresh = index(8, 9, &[(5, 10, 1), (6, 10, 1), (7, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA, 0xC, 0xB]);
    let delta = story.list(&fresh).unwrap();
    story.check(&[(5, 1, "7-1"), (6, 3, "8-6"), (7, 2, "7-2")]);
    assert_eq!((delta.back.len(), delta.moved.len()), (1, 1));
}

#[test]
fn gmails_numbers_are_learnt_when_they_are_first_told() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 1)]);
    let mut fresh = index(7, 3, &[(1, 10, 1), (2, 20, 1)]);
    fresh.gm_msgids = Some(vec![0xA, 0xB]);
    let delta = story.list(&fresh).unwrap();
    assert_eq!(delta.msgids, [(seq(1), 0xA), (seq(2), 0xB)]);
    assert!(story.list(&fresh).is_none());
    // Another one under the same UID is another message.
    fresh.gm_msgids = Some(vec![0xA, 0xC]);
    assert!(story.list(&fresh).unwrap().regenerated);
    story.check(&[(1, 1, "7-1"), (2, 3, "7-2-s3")]);
}
