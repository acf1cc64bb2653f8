//! A mailbox whose arrivals are held: what a phone does to INBOX does not matter any more.

use crate::support::clock::DAY;
use crate::support::office::{NONE, Office, Plan, fetch, listed};

const HELD: &str = "hold = \"popbridge\"";

fn held() -> Plan {
    Office::plan().rules(HELD)
}

#[test]
fn what_a_phone_takes_away_is_still_there_for_every_reader() {
    let office = held().start();
    office.add("desk1", &[]);
    office.add("desk2", &["view=undelivered"]);
    office.deliver(1..=3);
    office.wait_for_copies(1);
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2, 3]);
    let before = office.client("desk1").lines("UIDL");

    office.phone().remove(&[1, 2, 3]);
    assert_eq!(office.numbers_in("INBOX"), NONE);
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    assert_eq!(fetch(&mut office.client("desk2")), [1, 2, 3]);
    let lost = office.figures("lost");
    assert_eq!((lost["desk1"], lost["desk2"]), (0, 0));
}

#[test]
fn arrivals_are_held_at_once_without_anybody_asking_for_them() {
    let office = held().limits("sweep_interval = \"1d\"").start();
    wait_for_idle(&office);
    office.deliver([1]);
    office.wait_for_copies(1);
    office.phone().remove(&[1]);
    office.add("desk1", &[]);
    assert_eq!(fetch(&mut office.client("desk1")), [1]);
}

/// Waits until the bridge waits for mail.
fn wait_for_idle(office: &Office) {
    crate::support::process::eventually("IDLE", || {
        let labels = ["command=\"EXAMINE\"", "outcome=\"ok\""];
        office
            .bridge()
            .metric("popbridge_upstream_commands_total", &labels)
            >= 1.0
    });
}

#[test]
fn messages_keep_their_unique_ids_when_holding_begins_and_when_the_bridge_is_started_again() {
    let mut office = Office::plan().start();
    office.add("desk1", &[]);
    office.deliver(1..=4);
    let before = office.client("desk1").lines("UIDL");
    office.close();
    office.also(HELD);
    office.open();
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    office.wait_for_copies(1);
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    office.phone().remove(&[2]);
    office.close();
    office.open();
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2, 3, 4]);
    assert_eq!(
        office.numbers_in("popbridge"),
        [1, 2, 3, 4],
        "each is held once"
    );
}

#[test]
fn what_is_due_goes_from_both_folders_and_only_then() {
    let retention =
        "dispose = \"trash\"\nretention = { when = \"all-clients-delivered\", min_age = \"7d\" }";
    let office = held().rules(retention).with_clock().start();
    office.add("desk1", &[]);
    office.deliver(1..=3);
    office.wait_for_copies(1);
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), [1, 2, 3]);
    desk1.quit();
    office.phone().remove(&[3]);

    office.ahead(6 * DAY);
    office.sweep();
    assert_eq!(office.numbers_in("popbridge"), [1, 2, 3]);
    office.ahead(8 * DAY);
    office.sweep();
    assert_eq!(office.numbers_in("popbridge"), NONE);
    assert_eq!(office.numbers_in("INBOX"), NONE);
    let mut trash = office.numbers_in("Trash");
    trash.sort_unstable();
    assert_eq!(trash, [1, 2, 3], "each of them once");
    assert_eq!(listed(&mut office.client("desk1")), NONE);
}

#[test]
fn copies_that_a_crash_left_unrecorded_are_found_again() {
    let mut office = held().start();
    office.add("desk1", &[]);
    office.deliver(1..=2);
    office.wait_for_copies(1);
    let before = office.client("desk1").lines("UIDL");
    // As if the store had not been told of the copies: the copies are made by somebody else.
    office.close();
    office.deliver([3]);
    let mut phone = office.phone();
    phone.copy("3", "popbridge");
    office.open();
    let after = office.client("desk1").lines("UIDL");
    assert_eq!(after[..2], before[..]);
    assert_eq!(after.len(), 3);
    assert_eq!(
        office.numbers_in("popbridge"),
        [1, 2, 3],
        "none is copied twice"
    );
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2, 3]);
}

#[test]
fn mail_in_junk_is_listed_too_and_a_header_line_names_its_folder() {
    let office = Office::plan()
        .rules("folders = [\"INBOX\", \"Junk\"]\nfolder_header = \"X-Folder\"")
        .junk([7])
        .start();
    office.add("desk1", &[]);
    office.deliver(1..=2);
    let mut desk1 = office.client("desk1");
    let (count, octets) = desk1.stat();
    assert_eq!(count, 3);
    let mut total = 0;
    let mut seen = Vec::new();
    for n in 1..=3 {
        let message = String::from_utf8(desk1.retr(n)).unwrap();
        total += message.len() as u64;
        let (first, rest) = message.split_once("\r\n").unwrap();
        seen.push((
            first.to_owned(),
            crate::support::office::number_of(rest.as_bytes()),
        ));
    }
    seen.sort();
    let expected = [
        ("X-Folder: INBOX", 1),
        ("X-Folder: INBOX", 2),
        ("X-Folder: Junk", 7),
    ];
    assert_eq!(seen, expected.map(|(line, n)| (line.to_owned(), n)));
    assert_eq!(octets, total, "LIST counts the line");
    let uidls = desk1.lines("UIDL");
    assert_eq!(
        uidls.iter().filter(|line| line.ends_with("-f2")).count(),
        1,
        "{uidls:?}"
    );
}

#[test]
fn a_hold_folder_that_somebody_removes_is_made_again() {
    let office = held().start();
    office.add("desk1", &[]);
    office.deliver(1..=2);
    office.wait_for_copies(1);
    let before = office.client("desk1").lines("UIDL");
    office.phone().delete_folder("popbridge");
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    assert_eq!(office.numbers_in("popbridge"), [1, 2]);
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2]);
}

#[test]
fn a_held_message_that_is_the_last_one_goes_to_the_trash_and_not_for_good() {
    let rules = "after_retrieve = \"trash\"";
    let office = held().rules(rules).start();
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    office.deliver(1..=2);
    office.wait_for_copies(1);
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), [1, 2]);
    desk1.quit();
    office.phone().remove(&[1]);
    let mut desk2 = office.client("desk2");
    assert_eq!(fetch(&mut desk2), [1, 2]);
    desk2.quit();
    crate::support::process::eventually("the trash", || office.numbers_in("Trash").contains(&2));
    let mut left = [office.numbers_in("popbridge"), office.numbers_in("Trash")].concat();
    left.sort_unstable();
    assert_eq!(
        left,
        [1, 2],
        "what the phone took away is still held or in the trash"
    );
}
