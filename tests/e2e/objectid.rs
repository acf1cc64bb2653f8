//! EMAILID (RFC 8474): messages that nothing else tells apart keep their unique-ids when the upstream gives out new UIDs. And ID (RFC 2971).

use crate::many::{before, bridged, log_in, quit};
use crate::support::bridge::{Bridge, Options};
use crate::support::fake_folders::Folders;
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, Peer};
use crate::support::mail::{ordinary, repaired};
use crate::support::office::{listed, position};
use crate::support::peer_office::{PeerOffice, uidls};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

/// Three messages of one date and one size, with one header.
fn alike() -> Peer {
    let mailbox = Mailbox::ordinary(0);
    for n in 1..=3 {
        mailbox.add(format!("Subject: alarm\r\n\r\nof sensor {n}\r\n").as_bytes());
    }
    for mail in &mut mailbox.lock().mail {
        mail.date = "01-Jan-2024 00:00:00 +0000".to_owned();
    }
    mailbox.lock().email_ids = true;
    Peer::with_mailbox(mailbox)
}

/// Each message with its unique-id, ordered by its text.
fn poll(bridge: &Bridge) -> Vec<(Vec<u8>, String)> {
    let mut pop3 = log_in(bridge);
    let uidl = |line: String| line.split_once(' ').unwrap().1.to_owned();
    let uidls: Vec<String> = pop3.lines("UIDL").into_iter().map(uidl).collect();
    let mut all: Vec<_> = (1..)
        .zip(uidls)
        .map(|(n, uidl)| (pop3.retr(n), uidl))
        .collect();
    quit(bridge, pop3);
    all.sort();
    all
}

#[test]
fn messages_that_are_alike_keep_their_unique_ids_by_emailid_when_uids_change() {
    for (capability, kept) in [("OBJECTID", 3), ("CONDSTORE", 0)] {
        let (peer, bridge) =
            bridged(alike().capability(&format!("IMAP4rev1 AUTH=PLAIN UIDPLUS {capability}")));
        let first = poll(&bridge);
        {
            // In another order under another UIDVALIDITY.
            let mut inner = peer.mailbox().lock();
            inner.uid_validity += 1;
            inner.mail.reverse();
            for (uid, mail) in (11..).zip(&mut inner.mail) {
                mail.uid = uid;
            }
            inner.uid_next = 14;
        }
        let second = poll(&bridge);
        let same = first.iter().filter(|one| second.contains(one)).count();
        assert_eq!((second.len(), same), (3, kept), "{first:?} {second:?}");
    }
}

#[test]
fn an_upstream_that_offers_emailids_and_has_none_is_not_listed_whole_again_and_again() {
    let capability = "IMAP4rev1 AUTH=PLAIN UIDPLUS OBJECTID";
    let plain = || Peer::with_mail(3).capability(capability);
    let refusing = plain().on("UID FETCH", |conn, cmd| {
        if cmd.has("EMAILID") {
            conn.tagged(cmd, "BAD there is no such item");
            return Flow::Done;
        }
        Flow::Default
    });
    for (peer, refused) in [(plain(), 0), (refusing, 1)] {
        let peer = peer.start();
        // Nothing that is known stays in memory, and no connection.
        let limits = "index_cache = \"0B\"\nupstream_idle = \"0s\"";
        let bridge = Options::limits(&peer.plain_url(), limits).start();
        for _ in 0..3 {
            let mut pop3 = log_in(&bridge);
            assert_eq!(pop3.stat().0, 3);
            quit(&bridge, pop3);
        }
        let lists = peer.commands("UID FETCH");
        assert_eq!(lists.len(), 1 + refused, "{lists:?}");
    }
}

#[test]
fn what_goes_to_the_trash_and_is_put_back_by_somebody_is_a_new_message_whatever_its_emailid() {
    let folders = Folders::new(&[("INBOX", ""), ("Trash", "\\Trash")]);
    for n in 1..=2 {
        folders.of("INBOX").add(&repaired(&ordinary(n).raw));
    }
    folders.of("INBOX").lock().email_ids = true;
    let capability = "IMAP4rev1 AUTH=PLAIN UIDPLUS MOVE SPECIAL-USE OBJECTID";
    let peer = folders.peer().capability(capability).start();
    let office = PeerOffice::start(&peer, "on_delete = \"dispose\"\ndispose = \"trash\"");
    office.add("desk1", &[]);
    let mut before = Vec::new();
    for _ in 0..2 {
        let mut pop3 = office.client("desk1");
        let mut numbers = listed(&mut pop3);
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
        let now = uidls(&mut pop3);
        assert_ne!(now, before);
        before = now;
        let at = position(&mut pop3, 1);
        pop3.ok(&format!("DELE {at}"));
        pop3.quit();
        let trash = folders.of("Trash");
        eventually("it goes", || trash.uids().len() == 1);
        let uid = trash.uids()[0];
        folders.put("INBOX", folders.take("Trash", uid));
    }
    let mut pop3 = office.client("desk1");
    assert_eq!(listed(&mut pop3).len(), 2);
    pop3.quit();
}

#[test]
fn an_upstream_that_wants_to_know_who_is_there_is_told_and_others_are_not() {
    // NetEase's opens no folder before.
    let suspicious = || {
        let peer = Peer::with_mail(1).capability("IMAP4rev1 AUTH=PLAIN UIDPLUS ID");
        let known = std::sync::Mutex::new(std::collections::HashSet::new());
        let known = std::sync::Arc::new(known);
        let told = std::sync::Arc::clone(&known);
        peer.on("ID", move |conn, _| {
            told.lock().unwrap().insert(conn.number);
            conn.line("* ID (\"name\" \"Coremail Imap\")");
            Flow::Default
        })
        .on("EXAMINE", move |conn, cmd| {
            if known.lock().unwrap().contains(&conn.number) {
                return Flow::Default;
            }
            conn.tagged(
                cmd,
                "NO EXAMINE Unsafe Login. Please contact kefu@188.com for help",
            );
            Flow::Done
        })
        .start()
    };
    let stat = |bridge: &Bridge| -> Pop3 { log_in(bridge) };
    let peer = suspicious();
    let bridge = before(&peer, &peer.plain_url(), "");
    assert!(!stat(&bridge).err("STAT").ok);
    assert_eq!(peer.commands("ID").len(), 0);
    let peer = suspicious();
    let bridge = before(&peer, &peer.plain_url(), "send_id = true");
    assert_eq!(stat(&bridge).stat().0, 1);
    let version = env!("CARGO_PKG_VERSION");
    let said = format!("ID (\"name\" \"popbridge\" \"version\" \"{version}\")");
    assert_eq!(peer.commands("ID"), [said]);
}
