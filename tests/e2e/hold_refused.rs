//! A mailbox whose arrivals are to be held, on an upstream that does not take the copies: clients have their mail nevertheless.

use std::os::unix::fs::PermissionsExt;

use crate::support::office::{Office, fetch, listed};
use crate::support::process::eventually;

/// Lets nobody write into the hold folder, or lets them again. A quota that is used up does the same.
fn lock_folder(office: &Office, mode: u32) {
    let folder = office.mail.path().join(".popbridge");
    for part in ["cur", "new", "tmp"] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.join(part), permissions).expect("chmod");
    }
}

#[test]
fn what_cannot_be_copied_is_served_from_inbox_and_is_held_when_it_can_be() {
    let office = Office::plan().rules("hold = \"popbridge\"").start();
    office.add("desk1", &[]);
    office.deliver(1..=2);
    eventually("copies", || office.numbers_in("popbridge") == [1, 2]);
    lock_folder(&office, 0o500);
    office.deliver([3]);
    let mut desk1 = office.client("desk1");
    assert_eq!(listed(&mut desk1), [1, 2, 3]);
    let uidls = desk1.lines("UIDL");
    assert_eq!(fetch(&mut desk1), [1, 2, 3]);
    desk1.quit();
    office.bridge().wait_for_line("a warning", |line| {
        line.contains("not all arrivals could be held")
    });
    assert_eq!(office.numbers_in("popbridge"), [1, 2]);

    lock_folder(&office, 0o700);
    assert_eq!(office.client("desk1").lines("UIDL"), uidls);
    assert_eq!(office.numbers_in("popbridge"), [1, 2, 3]);
    office.phone().remove(&[1, 2, 3]);
    assert_eq!(office.client("desk1").lines("UIDL"), uidls);
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2, 3]);
    assert_eq!(office.figures("lost")["desk1"], 0);
}
