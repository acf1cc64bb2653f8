//! UIDONLY (RFC 9586) and MESSAGELIMIT (RFC 9738), as Yahoo has them: messages have no numbers, and a command deals with so many of them
//! only. Nothing that the bridge asks may name a number, and nothing that was not told for such a reason is gone.

use crate::many::{before, bridged, log_in, quit};
use crate::support::bridge::Bridge;
use crate::support::clock::DAY;
use crate::support::fake_folders::Folders;
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::mail::{ordinary, repaired};
use crate::support::office::{fetch, listed};
use crate::support::peer_office::{PeerOffice, uidls};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

/// What Yahoo offers, as far as it matters here.
const YAHOO: &str =
    "IMAP4rev1 AUTH=PLAIN SASL-IR ID MOVE UIDPLUS UNSELECT ENABLE UIDONLY MESSAGELIMIT=1000";
const ALL: usize = 25_000;
const VISIBLE: usize = 10_000;

/// A mailbox of which the newest 10,000 messages are shown to who has not enabled UIDONLY, and 1000 dealt with by one command.
fn yahoo(count: usize) -> Peer {
    let mailbox = Mailbox::of_many(count);
    mailbox.lock().visible = Some(VISIBLE);
    mailbox.lock().at_once = Some(1000);
    Peer::with_mailbox(mailbox).capability(YAHOO)
}

/// Fails where a command has named a message by its number.
fn assert_by_uid_only(peer: &RunningPeer) {
    assert_eq!(peer.mailbox().lock().uid_required, [""; 0]);
}

fn of_number(n: usize) -> Vec<u8> {
    format!("Subject: {n}\r\n\r\nmessage {n}\r\n").into_bytes()
}

fn warnings_of_limit(bridge: &Bridge) -> usize {
    bridge.said("may show no more than its newest messages of this folder")
}

fn sizes(pop3: &mut Pop3) -> usize {
    usize::try_from(pop3.stat().0).unwrap()
}

#[test]
fn all_messages_of_a_long_folder_are_listed_and_read() {
    let (peer, bridge) = bridged(yahoo(ALL));
    let mut pop3 = log_in(&bridge);
    assert_eq!(sizes(&mut pop3), ALL);
    for n in [1, 2, 15_000, ALL] {
        assert_eq!(pop3.retr(n), of_number(n), "{n}");
        let top = format!("Subject: {n}\r\n\r\n");
        assert_eq!(pop3.multi(&format!("TOP {n} 0")), top.as_bytes());
    }
    quit(&bridge, pop3);
    assert_by_uid_only(&peer);
    // In portions of a thousand, from the newest down.
    let mut listed = peer.commands("UID FETCH");
    listed.retain(|command| command.contains("UID FETCH 1:"));
    let expected = format!("UID FETCH 1:{} (UID RFC822.SIZE INTERNALDATE)", ALL - 1000);
    assert_eq!((listed.len(), &listed[1]), (ALL / 1000, &expected));
    assert_eq!(warnings_of_limit(&bridge), 0);
}

#[test]
fn without_uidonly_it_is_said_once_that_a_folder_may_be_shown_in_part() {
    let peer = yahoo(VISIBLE + 5).start();
    let bridge = before(&peer, &peer.plain_url(), "uidonly = false");
    for _ in 0..3 {
        let mut pop3 = log_in(&bridge);
        assert_eq!(sizes(&mut pop3), VISIBLE);
        quit(&bridge, pop3);
    }
    assert_eq!(peer.commands("ENABLE").len(), 0);
    assert_eq!(warnings_of_limit(&bridge), 1);
}

#[test]
fn an_upstream_that_refuses_uidonly_is_gone_on_with_but_not_believed_when_messages_are_missing_then()
 {
    // It refuses the first and the third connection.
    let (_peer, bridge) = bridged(yahoo(VISIBLE + 5).on("ENABLE", |conn, cmd| {
        if conn.number % 2 == 1 {
            return Flow::Default;
        }
        conn.tagged(cmd, "NO [UNAVAILABLE] not now");
        Flow::Done
    }));
    let mut pop3 = log_in(&bridge);
    assert_eq!(sizes(&mut pop3), VISIBLE);
    quit(&bridge, pop3);
    assert_eq!(warnings_of_limit(&bridge), 1);
    let mut pop3 = log_in(&bridge);
    assert_eq!(sizes(&mut pop3), VISIBLE + 5);
    quit(&bridge, pop3);
    let mut pop3 = log_in(&bridge);
    assert_eq!(pop3.err("STAT").code(), Some("SYS/TEMP"));
    quit(&bridge, pop3);
    let mut pop3 = log_in(&bridge);
    assert_eq!(sizes(&mut pop3), VISIBLE + 5);
    quit(&bridge, pop3);
}

#[test]
fn a_poll_transfers_what_is_new_and_finds_what_is_gone() {
    let (peer, bridge) = bridged(yahoo(3000));
    let poll = || {
        let before = peer.commands("UID FETCH").len();
        let mut pop3 = log_in(&bridge);
        let count = sizes(&mut pop3);
        quit(&bridge, pop3);
        (count, peer.commands("UID FETCH").split_off(before))
    };
    assert_eq!(poll().0, 3000);
    assert_eq!(poll(), (3000, Vec::new()));
    peer.mailbox().add(b"Subject: new\r\n\r\n");
    let items = "(UID RFC822.SIZE INTERNALDATE)";
    let news = format!("UID FETCH 3000:4294967295 {items}");
    assert_eq!(poll(), (3001, vec![news]));
    peer.mailbox().lock().mail.remove(10);
    let uids = |range| format!("UID FETCH {range} (UID)");
    let asked = vec![
        format!("UID FETCH 3001:4294967295 {items}"),
        uids("1:4294967295"),
        uids("1:2001"),
        uids("1:1001"),
    ];
    assert_eq!(poll(), (3000, asked));
    assert_by_uid_only(&peer);
}

#[test]
fn what_is_deleted_goes_in_portions_and_by_uid() {
    let peer = yahoo(200).capability(&YAHOO.replace("LIMIT=1000", "LIMIT=70"));
    peer.mailbox().lock().at_once = Some(70);
    let (peer, bridge) = bridged(peer);
    let mut pop3 = log_in(&bridge);
    assert_eq!(sizes(&mut pop3), 200);
    for n in 1..=150 {
        pop3.ok(&format!("DELE {n}"));
    }
    pop3.quit();
    let left: Vec<u32> = (151..=200).collect();
    eventually("they go", || peer.mailbox().uids() == left);
    assert_eq!(peer.commands("UID EXPUNGE").len(), 3);
    assert_eq!(sizes(&mut log_in(&bridge)), 50);
    assert_by_uid_only(&peer);
}

#[test]
fn messages_are_fetched_ahead_by_uid() {
    let (peer, bridge) = bridged(yahoo(200));
    let mut pop3 = log_in(&bridge);
    for n in 1..=200 {
        assert_eq!(pop3.retr(n), of_number(n));
    }
    for n in 1..=200 {
        let top = format!("Subject: {n}\r\n\r\n");
        assert_eq!(pop3.multi(&format!("TOP {n} 0")), top.as_bytes());
    }
    pop3.quit();
    let mut bodies = peer.commands("UID FETCH");
    bodies.retain(|command| command.contains("BODY.PEEK["));
    assert!(bodies.len() < 30, "{}", bodies.len());
    assert_by_uid_only(&peer);
}

#[test]
fn retention_disposes_of_what_all_have_had() {
    for dispose in ["expunge", "trash"] {
        let peer = yahoo(3).start();
        let rules = format!(
            "dispose = \"{dispose}\"\nretention = {{ when = \"all-clients-delivered\", min_age = \"7d\" }}"
        );
        let office = PeerOffice::start(&peer, &rules);
        office.add("desk1", &["view=undelivered", "after_retrieve=seen"]);
        let mut pop3 = office.client("desk1");
        for n in 1..=3 {
            assert_eq!(pop3.retr(n), of_number(n));
        }
        pop3.quit();
        eventually("each gets its mark", || {
            peer.commands("UID STORE").len() == 1
        });
        office.ahead(8 * DAY);
        office.sweep_disposes_of(3);
        assert_eq!(peer.mailbox().uids(), [] as [u32; 0], "{dispose}");
        assert_eq!(sizes(&mut office.client("desk1")), 0);
        assert_by_uid_only(&peer);
    }
}

#[test]
fn arrivals_are_held_by_copies_in_portions() {
    let folders = Folders::new(&[("INBOX", ""), ("Trash", "\\Trash")]);
    for n in 1..=9 {
        folders.of("INBOX").add(&repaired(&ordinary(n).raw));
    }
    folders.of("INBOX").lock().at_once = Some(4);
    let capability = YAHOO.replace("LIMIT=1000", "LIMIT=4");
    let peer = folders.peer().capability(&capability).start();
    let office = PeerOffice::start(&peer, "hold = \"popbridge\"");
    office.add("desk1", &[]);
    let mut pop3 = office.client("desk1");
    assert_eq!(listed(&mut pop3), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let before = uidls(&mut pop3);
    pop3.quit();
    eventually("all are held", || folders.of("popbridge").uids().len() == 9);
    assert_eq!(peer.commands("UID COPY").len(), 3);
    // What others do to INBOX matters no more.
    folders.of("INBOX").lock().mail.clear();
    let mut pop3 = office.client("desk1");
    assert_eq!(uidls(&mut pop3), before);
    assert_eq!(fetch(&mut pop3), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    pop3.quit();
    for folder in ["INBOX", "popbridge"] {
        assert_eq!(folders.of(folder).lock().uid_required, [""; 0]);
    }
}
