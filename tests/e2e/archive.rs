//! `after_retrieve = "archive"`: what everybody has had is in the mailbox's archive folder, as it was, and nothing is there before.

use crate::support::clock::{DAY, HOUR};
use crate::support::dovecot::PASSWORD;
use crate::support::imap::Imap;
use crate::support::office::{LOGIN, NONE, Office, Plan, fetch, listed, position};
use crate::support::process::eventually;

fn archiving() -> Plan {
    Office::plan().rules("after_retrieve = \"archive\"")
}

/// A client has these messages and says QUIT.
fn take(office: &Office, name: &str, numbers: &[usize]) {
    let mut pop3 = office.client(name);
    for n in numbers {
        let at = position(&mut pop3, *n);
        pop3.retr(at);
    }
    pop3.quit();
}

/// INBOX and archive, each in ascending order.
fn folders(office: &Office) -> [Vec<usize>; 2] {
    ["INBOX", "Archive"].map(|folder| {
        let mut numbers = office.numbers_in(folder);
        numbers.sort_unstable();
        numbers
    })
}

/// A sweep that finds nothing to do.
fn assert_nothing_is_due(office: &Office) {
    assert_eq!(office.sweep(), "info: 0 disposed of\n");
}

#[test]
fn what_all_have_had_is_moved_to_the_archive_and_not_before() {
    let office = archiving().with_clock().start();
    office.deliver(1..=4);
    for name in ["desk1", "desk2", "scanner"] {
        office.add(name, &[]);
    }
    take(&office, "desk1", &[1, 2, 3]);
    take(&office, "desk2", &[1, 2, 4]);
    // Without QUIT nothing was had.
    let mut scanner = office.client("scanner");
    assert_eq!(fetch(&mut scanner), [1, 2, 3, 4]);
    drop(scanner);
    assert_nothing_is_due(&office);
    assert_eq!(folders(&office), [vec![1, 2, 3, 4], vec![]]);
    let pending = &office.status()["pending"][0];
    assert_eq!(
        (&pending["action"], &pending["messages"]),
        (&"archive".into(), &4.into())
    );

    // The last one has it: it goes with its QUIT, and nobody has lost it.
    take(&office, "scanner", &[1]);
    eventually("it goes", || folders(&office) == [vec![2, 3, 4], vec![1]]);
    assert_eq!(listed(&mut office.client("desk1")), [2, 3, 4]);

    // Who comes later is waited for, too, and so is for a week who was removed.
    office.add("late", &[]);
    take(&office, "scanner", &[2, 3, 4]);
    assert_nothing_is_due(&office);
    office.ok(&["client", "remove", "late"]);
    office.ahead(7 * DAY - HOUR);
    assert_nothing_is_due(&office);
    assert_eq!(folders(&office), [vec![2, 3, 4], vec![1]]);
    office.ahead(7 * DAY + HOUR);
    assert_eq!(office.sweep(), "info: 1 disposed of\n");
    assert_eq!(folders(&office), [vec![3, 4], vec![1, 2]]);
    take(&office, "desk2", &[3]);
    take(&office, "desk1", &[4]);
    eventually("the last ones go", || {
        folders(&office) == [vec![], vec![1, 2, 3, 4]]
    });
    assert_eq!(office.figures("lost").values().sum::<i64>(), 0);
    assert_eq!(office.numbers_in("Trash"), NONE);
}

#[test]
fn a_message_comes_to_the_archive_as_it_was() {
    let office = archiving().start();
    office.deliver(1..=2);
    office.add("desk1", &[]);
    office.phone().flag("1", "\\Seen \\Flagged");
    let look = |folder| {
        let mut imap = Imap::log_in(office.dovecot.imap_port, LOGIN, PASSWORD);
        let messages = imap.fetch_all(folder).into_iter();
        let mut messages: Vec<_> = messages
            .map(|message| (message.body, message.flags.replace("\\Recent", "")))
            .map(|(body, flags)| (body, flags.trim().to_owned()))
            .collect();
        messages.sort();
        messages
    };
    let before = look("INBOX");
    assert_eq!(before.len(), 2);
    take(&office, "desk1", &[1, 2]);
    eventually("they go", || look("Archive") == before);
    assert_eq!(look("INBOX"), []);
}

#[test]
fn what_is_held_is_archived_once_and_held_no_longer() {
    let office = archiving().rules("hold = \"popbridge\"").start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    take(&office, "desk1", &[1, 2, 3]);
    take(&office, "desk2", &[1]);
    let held = || office.numbers_in("popbridge");
    eventually("it goes", || {
        folders(&office) == [vec![2, 3], vec![1]] && held() == [2, 3]
    });
    // What the phone has taken away is archived all the same when the last one has had it.
    office.phone().remove(&[2]);
    take(&office, "desk2", &[2, 3]);
    eventually("all go", || {
        folders(&office) == [vec![], vec![1, 2, 3]] && held() == NONE
    });
}
