//! EMAILID (RFC 8474), with INTERNALDATE: what it says of messages, and what it does not.

use super::*;

fn with_email_ids(index: Index, ids: &[u64]) -> Index {
    Index {
        email_ids: Some(ids.to_vec()),
        ..index
    }
}

#[test]
fn a_message_with_a_new_uid_is_known_by_emailid_and_date() {
    let mut story = Story::new();
    // Two of one date and one size, and their headers cannot be had.
    let rows = [(1, 10, 1), (2, 10, 1), (3, 30, 1)];
    story.list(&with_email_ids(index(7, 4, &rows), &[0xA, 0xB, 0xC]));
    // Moved away and back within one poll.
    let rows = [(2, 10, 1), (3, 30, 1), (4, 10, 1)];
    let delta = story.list(&with_email_ids(index(7, 5, &rows), &[0xB, 0xC, 0xA]));
    story.check(&[(2, 2, "7-2"), (3, 3, "7-3"), (4, 1, "7-1")]);
    assert_eq!(delta.unwrap().moved.len(), 1);
    // Another UIDVALIDITY, and other sizes.
    let rows = [(7, 10, 5), (8, 10, 5), (9, 30, 5)];
    story.list(&with_email_ids(index(8, 10, &rows), &[0xA, 0xB, 0xC]));
    story.check(&[(7, 1, "7-1"), (8, 2, "7-2"), (9, 3, "7-3")]);
}

#[test]
fn copies_have_one_emailid_and_tell_nothing() {
    let mut story = Story::new();
    story.list(&with_email_ids(index(7, 2, &[(1, 10, 1)]), &[0xA]));
    // The same octets come again, later: that is another message.
    let rows = [(2, 20, 1)];
    story.list(&with_email_ids(index(7, 3, &rows), &[0xA]));
    story.check(&[(2, 2, "7-2")]);
    // Two copies, and another UIDVALIDITY.
    let rows = [(2, 20, 1), (3, 20, 1)];
    story.list(&with_email_ids(index(7, 4, &rows), &[0xA, 0xA]));
    let rows = [(5, 20, 1), (6, 20, 1)];
    story.list(&with_email_ids(index(8, 7, &rows), &[0xA, 0xA]));
    story.check(&[(5, 4, "8-5"), (6, 5, "8-6")]);
}

#[test]
fn another_emailid_or_none_is_no_reason_to_doubt() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 1)]);
    let fresh =
        |validity, ids: &[u64]| with_email_ids(index(validity, 3, &[(1, 10, 1), (2, 20, 1)]), ids);
    let delta = story.list(&fresh(7, &[0xA, 0])).unwrap();
    assert_eq!(delta.email_ids, [(seq(1), 0xA)]);
    assert!(story.list(&fresh(7, &[0xA, 0])).is_none());
    let delta = story.list(&fresh(7, &[0xB, 0])).unwrap();
    assert!(!delta.regenerated);
    assert_eq!(delta.email_ids, [(seq(1), 0xB)]);
    // A server that has taken over the mail names it anew.
    story.list(&fresh(8, &[0xC, 0xD]));
    story.check(&[(1, 1, "7-1"), (2, 2, "7-2")]);
}

#[test]
fn another_emailid_is_another_message_where_the_known_ones_are_still_in_use() {
    // A scanner's messages have one size, and came within one second.
    let mut story = Story::new();
    let rows = [(1, 10, 1), (2, 20, 2)];
    story.list(&with_email_ids(index(7, 3, &rows), &[0xA, 0xC]));
    let rows = [(1, 10, 1), (2, 20, 2)];
    story.list(&with_email_ids(index(8, 3, &rows), &[0xB, 0xC]));
    story.check(&[(1, 3, "8-1"), (2, 2, "7-2")]);
    // So it is when the folder was empty in between, and where the known one is among those that are gone.
    story.list(&with_email_ids(index(9, 1, &[]), &[]));
    story.list(&with_email_ids(index(9, 4, &[(3, 10, 1)]), &[0xD]));
    story.list(&with_email_ids(
        index(9, 5, &[(3, 10, 1), (4, 20, 2)]),
        &[0xD, 0xC],
    ));
    assert_eq!(story.shown().last().unwrap(), &(4, 2, "7-2".to_owned()));
    // Headers that are alike do not outweigh it.
    let mut story = Story::new();
    story.headers.extend([(uid(1), 111), (uid(2), 222)]);
    let rows = [(1, 10, 1), (2, 10, 1), (3, 30, 3)];
    story.list(&with_email_ids(index(7, 4, &rows), &[0xA, 0xB, 0xC]));
    story.list(&with_email_ids(index(8, 4, &rows), &[0xE, 0xF, 0xC]));
    story.check(&[(1, 4, "8-1"), (2, 5, "8-2"), (3, 3, "7-3")]);
}

#[test]
fn what_the_bridge_has_disposed_of_and_somebody_puts_back_is_a_new_message() {
    let id = |ids: &[u64], index: Index, gmail: bool| match gmail {
        true => Index {
            gm_msgids: Some(ids.to_vec()),
            ..index
        },
        false => with_email_ids(index, ids),
    };
    for gmail in [false, true] {
        let mut story = Story::new();
        let rows = [(1, 10, 1), (2, 20, 1)];
        story.list(&id(&[0xA, 0xB], index(7, 3, &rows), gmail));
        story.dispose_of(1);
        // Out of the trash, and again.
        story.list(&id(
            &[0xB, 0xA],
            index(7, 4, &[(2, 20, 1), (3, 10, 1)]),
            gmail,
        ));
        story.check(&[(2, 2, "7-2"), (3, 3, "7-3")]);
        story.dispose_of(3);
        story.list(&id(
            &[0xB, 0xA],
            index(7, 5, &[(2, 20, 1), (4, 10, 1)]),
            gmail,
        ));
        story.check(&[(2, 2, "7-2"), (4, 4, "7-4")]);
        // A phone that moves it away and back makes nothing new of it, whatever was disposed of before.
        story.list(&id(&[0xB], index(7, 5, &[(2, 20, 1)]), gmail));
        story.list(&id(
            &[0xB, 0xA],
            index(7, 6, &[(2, 20, 1), (5, 10, 1)]),
            gmail,
        ));
        story.check(&[(2, 2, "7-2"), (5, 4, "7-4")]);
        // A folder that blinks brings back what was disposed of under its UID: that is the same.
        story.dispose_of(5);
        story.list(&id(
            &[0xB, 0xA],
            index(7, 6, &[(2, 20, 1), (5, 10, 1)]),
            gmail,
        ));
        story.check(&[(2, 2, "7-2"), (5, 4, "7-4")]);
    }
}

#[test]
fn what_was_disposed_of_under_another_uidvalidity_and_is_put_back_is_new() {
    let mut story = Story::of(7, 3, &[(1, 10, 1), (2, 20, 2)]);
    story.dispose_of(1);
    // What comes with the change itself is what it was: the folder is rebuilt, perhaps from a copy that still has it.
    story.list(&index(8, 3, &[(1, 20, 2), (2, 10, 1)]));
    story.check(&[(1, 2, "7-2"), (2, 1, "7-1")]);
    story.dispose_of(2);
    story.list(&index(9, 2, &[(1, 20, 2)]));
    story.list(&index(9, 3, &[(1, 20, 2), (2, 10, 1)]));
    story.check(&[(1, 2, "7-2"), (2, 3, "9-2")]);
}
