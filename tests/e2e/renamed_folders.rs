//! Folders that another program gives other names while the bridge runs: the new name is found without a new start.

use std::sync::Arc;

use crate::many::{an_hour_passes, before};
use crate::support::bridge::{Bridge, field};
use crate::support::fake_folders::Folders;
use crate::support::imap_peer::{Flow, PASSWORD, RunningPeer, USER};
use crate::support::mail::{ordinary, repaired};
use crate::support::peer_office::PeerOffice;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

const CAPABILITY: &str = "IMAP4rev1 AUTH=PLAIN UIDPLUS MOVE SPECIAL-USE";

/// Delivers the messages with these numbers.
fn deliver(folders: &Folders, folder: &str, numbers: std::ops::RangeInclusive<usize>) {
    for n in numbers {
        folders.of(folder).add(&repaired(&ordinary(n).raw));
    }
}

/// A session of the client and what it sets going upstream, to its end.
fn session(bridge: &Bridge, of: impl FnOnce(&mut Pop3)) {
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    of(&mut pop3);
    pop3.quit();
    eventually("the upstream's connection is closed", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
}

/// A peer whose trash folder gets another name when the first connection has asked for the name and has not used it yet.
fn peer() -> (Arc<Folders>, RunningPeer) {
    let folders = Folders::new(&[("INBOX", ""), ("Trash", "\\Trash")]);
    deliver(&folders, "INBOX", 1..=5);
    let renamed = Arc::clone(&folders);
    let peer = folders
        .peer()
        .capability(CAPABILITY)
        .on("UID MOVE", move |conn, _| {
            if conn.number == 0 {
                renamed.rename("Trash", "Papierkorb");
            }
            Flow::Default
        });
    (folders, peer.start())
}

#[test]
fn a_trash_folder_that_gets_another_name_is_found_at_the_next_attempt() {
    let (folders, peer) = peer();
    let bridge = before(&peer, &peer.plain_url(), "dispose = \"trash\"");
    session(&bridge, |pop3| {
        pop3.ok("DELE 2");
        pop3.ok("DELE 4");
    });
    assert_eq!(folders.of("INBOX").uids(), [1, 2, 3, 4, 5]);
    bridge.wait_for_log("why", |line| {
        field(line, "message") == "not done upstream; it will be tried again"
            && field(line, "error").contains("TRYCREATE")
    });
    an_hour_passes(&bridge);
    session(&bridge, |pop3| assert_eq!(pop3.stat().0, 3));
    let moved = peer.commands("UID MOVE");
    assert_eq!(
        moved,
        ["UID MOVE 2,4 \"Trash\"", "UID MOVE 2,4 \"Papierkorb\""]
    );
    assert_eq!(folders.of("INBOX").uids(), [1, 3, 5]);
    assert_eq!(folders.of("Papierkorb").uids().len(), 2);
}

#[test]
fn a_folder_that_is_served_by_its_use_is_found_under_its_new_name_and_disposed_of_there() {
    let folders = Folders::new(&[("INBOX", ""), ("Junk", "\\Junk")]);
    deliver(&folders, "INBOX", 1..=2);
    deliver(&folders, "Junk", 3..=4);
    let peer = folders.peer().capability(CAPABILITY).start();
    let office = PeerOffice::start(
        &peer,
        "folders = [\"INBOX\", \"\\\\Junk\"]\non_delete = \"dispose\"",
    );
    office.add("desk1", &[]);
    let mut pop3 = office.client("desk1");
    assert_eq!(pop3.stat().0, 4);
    pop3.quit();

    folders.rename("Junk", "Unerw&APw-nscht");
    // No client hears of it.
    let mut pop3 = office.client("desk1");
    assert_eq!(pop3.stat().0, 4);
    for n in 1..=4 {
        if pop3.retr(n) == repaired(&ordinary(4).raw) {
            pop3.ok(&format!("DELE {n}"));
        }
    }
    pop3.quit();
    eventually("it is disposed of where it is now", || {
        folders.of("Unerw&APw-nscht").uids() == [1]
    });
    assert_eq!(folders.of("INBOX").uids(), [1, 2]);
    assert_eq!(office.client("desk1").stat().0, 3);
}
