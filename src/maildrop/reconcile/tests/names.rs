//! Unique-ids: formats that change, copies, links to other folders.

use super::*;

#[test]
fn a_format_that_changes_is_for_new_messages() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 2)]);
    story.format = Format::parse("cyrus").unwrap();
    let rows = [(1, 10, 1), (2, 20, 2), (3, 30, 3)];
    let delta = story.list(&index(7, 4, &rows)).unwrap();
    story.check(&[(1, 1, "7-1"), (2, 2, "7-2"), (3, 3, "7.3")]);
    let pinned = [(seq(1), "7-1".into()), (seq(2), "7-2".into())];
    assert_eq!(delta.pinned, pinned);
    assert_eq!(delta.format, Some(story.format.clone()));
    // And back again.
    story.format = Format::default();
    let delta = story.list(&index(7, 4, &rows)).unwrap();
    assert_eq!(delta.pinned, [(seq(3), "7.3".into())]);
    story.check(&[(1, 1, "7-1"), (2, 2, "7-2"), (3, 3, "7.3")]);
}

#[test]
fn without_uidvalidity_in_the_format_a_uid_must_be_the_highest_ever() {
    let mut story = Story::new();
    story.format = Format::parse("{uid}").unwrap();
    story.list(&index(7, 6, &[(5, 10, 1)]));
    story.list(&index(8, 7, &[(3, 30, 3), (6, 60, 6)]));
    story.check(&[(3, 2, "3-s2"), (6, 3, "6")]);
    story.list(&index(8, 8, &[(3, 30, 3), (6, 60, 6), (7, 70, 7)]));
    story.check(&[(3, 2, "3-s2"), (6, 3, "6"), (7, 4, "7")]);
}

#[test]
fn an_old_uidvalidity_that_comes_again_gives_no_old_unique_id_to_a_new_message() {
    let mut story = Story::of(7, 6, &[(5, 10, 1)]);
    story.list(&index(8, 2, &[(1, 20, 1)]));
    story.list(&index(7, 7, &[(5, 30, 3), (6, 60, 6)]));
    story.check(&[(5, 3, "7-5-s3"), (6, 4, "7-6")]);
}

#[test]
fn two_messages_with_one_gmail_number_have_two_unique_ids() {
    let mut story = Story::new();
    story.format = Format::parse("gmail").unwrap();
    let mut fresh = index(7, 3, &[(1, 10, 1), (2, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA, 0xA]);
    story.list(&fresh);
    story.check(&[(1, 1, "GmailIda"), (2, 2, "GmailIda-s2")]);
    fresh = index(7, 4, &[(1, 10, 1), (2, 10, 1), (3, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA, 0xA, 0xA]);
    story.list(&fresh);
    assert_eq!(story.shown()[2], (3, 3, "GmailIda-s3".to_owned()));
}

#[test]
fn what_gmail_gives_back_after_ninety_days_has_its_unique_id_again() {
    let mut story = Story::new();
    story.format = Format::parse("gmail").unwrap();
    let mut fresh = index(7, 2, &[(1, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA]);
    let mut empty = index(7, 2, &[]);
    empty.gm_msgids = Some(Vec::new());
    story.list(&fresh);
    story.list(&empty);
    story.now += KEPT;
    story.list(&fresh);
    // The row of before is still kept, though not compared with any more.
    assert_eq!(story.shown().len(), 1);
    let uidl = story.shown()[0].2.clone();
    assert!(
        ["GmailIda", "GmailIda-s2"].contains(&uidl.as_str()),
        "{uidl}"
    );
}

#[test]
fn without_the_numbers_that_a_format_needs_unique_ids_are_made_otherwise() {
    let mut story = Story::new();
    story.format = Format::parse("gmail").unwrap();
    let mut fresh = index(7, 2, &[(1, 10, 1)]);
    fresh.gm_msgids = Some(vec![0xA]);
    story.list(&fresh);
    story.list(&index(7, 3, &[(1, 10, 1), (2, 20, 2)]));
    story.check(&[(1, 1, "GmailIda"), (2, 2, "7-2-s2")]);
}

#[test]
fn a_folder_that_is_not_the_first_has_unique_ids_of_its_own() {
    let mut story = Story::new();
    let fresh = index(7, 3, &[(1, 10, 1), (2, 20, 2)]);
    let at = Circumstances {
        suffix: "-f2",
        ..story.circumstances(None)
    };
    let Reconciled::Changed { register, .. } = reconcile(None, &fresh, &at) else {
        panic!("a first list");
    };
    story.register = Some(*register);
    story.next_seq = seq(3);
    story.check(&[(1, 1, "7-1-f2"), (2, 2, "7-2-f2")]);
    // It stays so, whatever is said later.
    story.list(&index(7, 2, &[(1, 99, 9), (3, 30, 3)]));
    story.check(&[(1, 3, "7-1-f2-s3"), (3, 4, "7-3-f2")]);
}

#[test]
fn a_copy_of_a_message_in_another_folder_has_its_number_and_unique_id() {
    let mut story = Story::of(7, 2, &[(1, 10, 1)]);
    story.next_seq = seq(50);
    story.linked.insert(uid(2), (seq(40), "9-4".into()));
    let rows = [(1, 10, 1), (2, 20, 2), (3, 30, 3)];
    let delta = story.list(&index(7, 4, &rows)).unwrap();
    story.check(&[(1, 1, "7-1"), (2, 40, "9-4"), (3, 50, "7-3")]);
    assert_eq!(delta.next_seq, seq(51));
    assert_eq!(delta.new[0].uidl.as_deref(), Some("9-4"));
    // A second copy is a message of its own.
    story.linked.insert(uid(4), (seq(40), "9-4".into()));
    story.list(&index(7, 5, &[(2, 20, 2), (4, 20, 2)]));
    story.check(&[(2, 40, "9-4"), (4, 51, "7-4")]);
}

#[test]
fn two_copies_of_one_message_that_arrive_together_have_two_numbers() {
    let mut story = Story::new();
    story.next_seq = seq(50);
    for number in [1, 2] {
        story.linked.insert(uid(number), (seq(40), "9-4".into()));
    }
    story.list(&index(7, 3, &[(1, 10, 1), (2, 10, 1)]));
    story.check(&[(1, 40, "9-4"), (2, 50, "7-2")]);
}

#[test]
fn a_message_that_was_here_and_is_copied_back_is_back() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 2)]);
    story.list(&index(7, 3, &[(2, 20, 2)]));
    story.linked.insert(uid(3), (seq(1), "7-1".into()));
    let delta = story.list(&index(7, 4, &[(2, 20, 2), (3, 10, 1)])).unwrap();
    story.check(&[(2, 2, "7-2"), (3, 1, "7-1")]);
    assert_eq!(delta.back[0].uidl.as_deref(), Some("7-1"));
    assert!(delta.new.is_empty());
}

#[test]
fn no_unique_id_is_longer_than_pop3_allows() {
    let longest = "{uid}-{uid}-{uid}-{uid}-xx";
    let mut story = Story::new();
    story.format = Format::parse(longest).unwrap();
    story.next_seq = seq(u32::MAX - 1);
    let all = u32::MAX;
    story.list(&index(all, all, &[(all - 1, 10, 1)]));
    story.list(&index(all, all, &[(all - 1, 20, 1)]));
    let uidl = story.shown()[0].2.clone();
    assert!(
        uidl.ends_with("-xx-s4294967295") && uidl.len() <= 70,
        "{uidl}"
    );
}
