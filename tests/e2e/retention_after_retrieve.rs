//! What is to be done to a message because a client has had it, and cannot be done, is no reason for the rules to wait.

use crate::support::clock::{DAY, HOUR};
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::peer_office::PeerOffice;
use crate::support::process::eventually;

const RETENTION: &str = "retention = { when = \"all-clients-delivered\", min_age = \"7d\" }";

/// The client has all messages, and says QUIT.
fn collect(office: &PeerOffice) {
    let mut pop3 = office.client("desk1");
    let (count, _) = pop3.stat();
    for n in 1..=usize::try_from(count).unwrap() {
        pop3.retr(n);
    }
    pop3.quit();
}

/// So many messages wait for this, which has failed with these words.
fn assert_pending(office: &PeerOffice, action: &str, messages: usize, words: &str) {
    eventually("it was tried", || {
        let pending = &office.status()["pending"];
        let error = pending[0]["last_error"].as_str().unwrap_or_default();
        pending[0]["action"] == action
            && pending[0]["messages"] == messages
            && error.contains(words)
    });
}

/// Nothing before the day, everything on it, and then there is nothing left to do.
fn assert_disposed_of_in_time(office: &PeerOffice, peer: &RunningPeer, messages: usize) {
    let left = || peer.mailbox().uids();
    office.ahead(7 * DAY - HOUR);
    let (code, said) = office.sweep();
    assert!(said.starts_with("info: 0 disposed of\n"), "{code:?} {said}");
    assert_eq!(left().len(), messages);
    office.ahead(7 * DAY + HOUR);
    let said = office.ok(&["sweep", "--dry-run"]);
    let would = format!("  {messages} of {messages} would go\n");
    assert!(said.contains(&would), "{said}");
    let (code, said) = office.sweep();
    let expected = format!("info: {messages} disposed of\n");
    assert!(said.starts_with(&expected), "{code:?} {said}");
    assert_eq!(left(), [] as [u32; 0]);
    office.ahead(8 * DAY);
    office.sweep_disposes_of(0);
    let pending = &office.status()["pending"];
    assert_eq!(pending.as_array().map(Vec::len), Some(0), "{pending}");
}

#[test]
fn messages_that_cannot_get_a_flag_are_disposed_of_when_they_are_old_enough() {
    let peer = Peer::with_mail(3).on("SELECT", |conn, _| {
        conn.line("* OK [PERMANENTFLAGS (\\Seen \\Deleted)] no keywords");
        Flow::Default
    });
    let peer = peer.start();
    let office = PeerOffice::start(&peer, RETENTION);
    office.add("desk1", &["after_retrieve=flag:$Fetched"]);
    collect(&office);
    assert_pending(&office, "flag:$Fetched", 3, "$Fetched");
    assert_disposed_of_in_time(&office, &peer, 3);
}

#[test]
fn messages_that_cannot_go_to_the_trash_are_expunged_when_they_are_old_enough() {
    let peer = Peer::with_mail(3).reply("LIST", "* LIST () \"/\" INBOX\n{tag} OK done");
    let peer = peer.start();
    let rules = format!("dispose = \"expunge\"\n{RETENTION}");
    let office = PeerOffice::start(&peer, &rules);
    office.add("desk1", &["after_retrieve=trash"]);
    collect(&office);
    assert_pending(&office, "trash", 3, "\\Trash");
    assert_disposed_of_in_time(&office, &peer, 3);
}

#[test]
fn messages_that_wait_for_the_trash_count_where_a_sweep_would_take_many() {
    let peer = Peer::with_mail(150).reply("LIST", "* LIST () \"/\" INBOX\n{tag} OK done");
    let peer = peer.start();
    let rules = "dispose = \"expunge\"\nretention = { when = \"all-clients-delivered\" }";
    let office = PeerOffice::start(&peer, rules);
    office.add("desk1", &["after_retrieve=trash"]);
    collect(&office);
    assert_pending(&office, "trash", 150, "\\Trash");
    let (code, said) = office.sweep();
    assert_eq!(code, Some(1));
    assert!(said.contains("would take 150 of 150"), "{said}");
    assert_eq!(peer.mailbox().uids().len(), 150);
    let said = office.ok(&["sweep", "--confirm"]);
    assert!(said.contains("info: 150 disposed of\n"), "{said}");
    assert_eq!(peer.mailbox().uids(), [] as [u32; 0]);
}
