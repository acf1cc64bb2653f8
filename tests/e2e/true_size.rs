//! Upstreams that list sizes which are not those of the messages: once a message was read LIST and STAT say what it has.

use crate::many::{in_a_hurry, log_in};
use crate::support::bridge::{Bridge, Options};
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::peer_office::{PeerOffice, uidls};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

/// A message of so many octets.
fn message(octets: usize) -> Vec<u8> {
    let mut raw = b"Subject: one\r\n\r\n".to_vec();
    while raw.len() < octets - 2 {
        let line = (octets - 2 - raw.len()).min(70);
        raw.extend(vec![b'a'; line]);
        if raw.len() + 4 <= octets {
            raw.extend(b"\r\n");
        }
    }
    raw.truncate(octets - 2);
    raw.extend(b"\r\n");
    assert_eq!(raw.len(), octets);
    raw
}

/// Messages of so many octets, and what they are listed with.
fn listed(messages: &[(usize, usize)]) -> Peer {
    let peer = Peer::with_mail(0);
    for (octets, size) in messages {
        let uid = peer.mailbox().add(&message(*octets));
        peer.mailbox().lock().sizes.insert(uid, *size);
    }
    peer
}

fn list(pop3: &mut Pop3) -> Vec<String> {
    pop3.lines("LIST")
}

#[test]
fn what_was_read_is_listed_with_its_true_size_to_every_client_from_the_next_session_on() {
    let peer = listed(&[(1234, 1000), (500, 500), (800, 900)]).start();
    let office = PeerOffice::start(&peer, "");
    for name in ["desk", "lap"] {
        office.add(name, &[]);
    }
    let mut desk = office.client("desk");
    let names = uidls(&mut desk);
    let before = ["1 1000", "2 500", "3 900"];
    assert_eq!(list(&mut desk), before);
    assert_eq!(desk.stat(), (3, 2400));
    assert_eq!(desk.retr(1).len(), 1234);
    assert_eq!(desk.retr(2).len(), 500);
    // Whoever looks at a part has not seen how long it is.
    desk.multi("TOP 3 0");
    desk.multi("TOP 3 2");
    assert_eq!(list(&mut desk), before, "the list is frozen");
    assert_eq!(desk.stat(), (3, 2400));
    desk.quit();
    for name in ["desk", "lap"] {
        let mut pop3 = office.client(name);
        assert_eq!(list(&mut pop3), ["1 1234", "2 500", "3 900"], "{name}");
        assert_eq!(pop3.stat(), (3, 2634), "{name}");
        assert_eq!(pop3.ok("RETR 1"), "1234 octets");
        pop3.body();
        assert_eq!(uidls(&mut pop3), names, "{name}");
        pop3.ok("DELE 1");
        assert_eq!(pop3.stat(), (2, 1400), "{name}");
        pop3.ok("RSET");
        pop3.quit();
    }
}

fn bridge(peer: &RunningPeer, state: &std::path::Path) -> Bridge {
    let config = format!(
        "{}[upstream.x]\nurl = \"{}\"\n",
        in_a_hurry(&peer.certs),
        peer.plain_url()
    );
    Options::config(&config).state(state).start()
}

#[test]
fn a_true_size_outlives_a_restart_and_its_message_can_still_be_removed() {
    let peer = listed(&[(1234, 1000), (500, 700)]).start();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let before = bridge(&peer, &state);
    let mut pop3 = log_in(&before);
    let names = uidls(&mut pop3);
    assert_eq!(list(&mut pop3), ["1 1000", "2 700"]);
    pop3.retr(1);
    pop3.quit();
    assert!(before.stop().success());
    let after = bridge(&peer, &state);
    let mut pop3 = log_in(&after);
    assert_eq!(uidls(&mut pop3), names);
    assert_eq!(list(&mut pop3), ["1 1234", "2 700"]);
    assert_eq!(pop3.stat(), (2, 1934));
    assert_eq!(pop3.retr(1), message(1234));
    pop3.ok("DELE 1");
    pop3.quit();
    eventually("it is gone", || peer.mailbox().uids().len() == 1);
    let mut pop3 = log_in(&after);
    assert_eq!(list(&mut pop3), ["1 700"]);
    pop3.quit();
}

#[test]
fn a_header_line_and_repaired_line_ends_are_counted_and_stuffed_dots_are_not() {
    let raw = b"Subject: one\n\n.dots\n..\nno end";
    let peer = Peer::with_mail(0);
    peer.mailbox().add(raw);
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "folder_header = \"X-Folder\"");
    office.add("desk", &[]);
    let mut desk = office.client("desk");
    let header = "X-Folder: INBOX\r\n".len();
    assert_eq!(desk.stat(), (1, (header + raw.len()) as u64));
    let got = desk.retr(1);
    assert!(got.starts_with(b"X-Folder: INBOX\r\nSubject: one\r\n"));
    desk.quit();
    let mut desk = office.client("desk");
    // The line end behind the last line is not counted, as Dovecot does not.
    assert_eq!(desk.stat(), (1, (got.len() - 2) as u64));
    assert_eq!(got.len() - 2, header + raw.len() + 4);
    desk.quit();
}

#[test]
fn a_client_with_a_largest_size_goes_on_seeing_what_it_was_shown() {
    let peer = listed(&[(1234, 1000), (500, 2000)]).start();
    let office = PeerOffice::start(&peer, "");
    office.add("desk", &[]);
    office.add("phone", &["max_size=1KiB"]);
    for expected in ["1 1000", "1 1234"] {
        let mut phone = office.client("phone");
        assert_eq!(list(&mut phone), [expected]);
        phone.quit();
        let mut desk = office.client("desk");
        desk.retr(1);
        desk.retr(2);
        desk.quit();
    }
}

#[test]
fn a_message_that_broke_off_is_listed_as_before() {
    let peer = listed(&[(300_000, 290_000)]).on("UID FETCH 1", |conn, cmd| {
        if !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        conn.raw("* 1 FETCH (UID 1 BODY[] {300000}\r\n");
        conn.raw(&message(300_000)[..200_000]);
        conn.close();
        Flow::End
    });
    let peer = peer.start();
    let folder = tempfile::tempdir().unwrap();
    let bridge = bridge(&peer, &folder.path().join("state"));
    let mut pop3 = log_in(&bridge);
    pop3.send("RETR 1");
    pop3.expect_ok();
    assert!(pop3.try_body().is_err());
    let mut pop3 = log_in(&bridge);
    assert_eq!(list(&mut pop3), ["1 290000"]);
    pop3.quit();
}
