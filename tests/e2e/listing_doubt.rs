//! Lists that do not add up: a folder that seems to have lost its mail, differences that hide a message, messages that come and go while
//! they are listed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::many::{bridged, log_in, quit};
use crate::support::bridge::{Bridge, field};
use crate::support::imap_peer::{Flow, Peer};

/// The UIDs that a session shows.
fn poll(bridge: &Bridge) -> Vec<u32> {
    let mut pop3 = log_in(bridge);
    let uidls = pop3.lines("UIDL");
    quit(bridge, pop3);
    let uid = |line: &String| {
        line.rsplit_once('-')
            .expect("a UIDL")
            .1
            .parse()
            .expect("a UID")
    };
    uidls.iter().map(uid).collect()
}

fn assert_temporary(bridge: &Bridge) {
    let mut pop3 = log_in(bridge);
    assert_eq!(pop3.err("STAT").code(), Some("SYS/TEMP"));
    quit(bridge, pop3);
}

fn row(position: u32, uid: u32) -> String {
    // As the decent answers of the peer have it: a message's date is made from its UID.
    format!(
        "* {position} FETCH (UID {uid} RFC822.SIZE 9 INTERNALDATE \"01-Jan-2024 00:{uid:0>2}:00 +0000\")"
    )
}

/// What connection `n` hears about a folder that in truth has five messages.
fn emptied(n: usize, exists: u32) -> Peer {
    Peer::with_mail(5).on("EXAMINE", move |conn, cmd| {
        if conn.number != n {
            return Flow::Default;
        }
        conn.answer(
            cmd,
            &format!("* {exists} EXISTS\n* OK [UIDVALIDITY 1700000000] x\n* OK [UIDNEXT 6] x\n{{tag}} OK [READ-ONLY] done"),
        );
        Flow::Done
    })
}

#[test]
fn a_folder_that_only_seems_to_be_empty_is_not_shown_as_empty() {
    let (peer, bridge) = bridged(emptied(1, 0));
    assert_eq!(poll(&bridge), [1, 2, 3, 4, 5]);
    assert_temporary(&bridge);
    bridge.wait_for_log("why", |line| {
        field(line, "message") == "listing failed"
            && field(line, "trouble").contains("not on a second connection")
    });
    // The old list was not overwritten: it is still the right one.
    assert_eq!(poll(&bridge), [1, 2, 3, 4, 5]);
    assert_eq!(
        bridge.metric("popbridge_index_lookups_total", &["outcome=\"hit\""]),
        1.0
    );
    assert_eq!(peer.connections(), 4);
}

#[test]
fn a_folder_that_has_lost_more_than_half_is_shown_once_a_second_connection_agrees() {
    let (peer, bridge) = bridged(Peer::with_mail(5));
    poll(&bridge);
    peer.mailbox().lock().mail.drain(1..4);
    assert_eq!(poll(&bridge), [1, 5]);
    assert_eq!(
        peer.connections(),
        3,
        "one session each, and one to be sure"
    );
    peer.mailbox().lock().mail.remove(0);
    assert_eq!(poll(&bridge), [5], "half is not more than half");
    assert_eq!(peer.connections(), 4);
    peer.mailbox().lock().mail.clear();
    assert_eq!(poll(&bridge), [] as [u32; 0]);
    assert_eq!(peer.connections(), 6);
}

#[test]
fn a_second_connection_that_fails_confirms_nothing() {
    let peer = Peer::with_mail(5).on("EXAMINE", |conn, _| {
        if conn.number == 2 {
            conn.close();
            return Flow::End;
        }
        Flow::Default
    });
    let (peer, bridge) = bridged(peer);
    poll(&bridge);
    peer.mailbox().lock().mail.clear();
    // Connections: 0 the first session's, 1 the second's, 2 the one that was to confirm.
    assert_temporary(&bridge);
    assert_eq!(poll(&bridge), [] as [u32; 0]);
}

#[test]
fn what_the_bridge_itself_removed_needs_no_second_connection() {
    let (peer, bridge) = bridged(Peer::with_mail(3));
    let mut pop3 = log_in(&bridge);
    for n in 1..=3 {
        pop3.ok(&format!("DELE {n}"));
    }
    quit(&bridge, pop3);
    assert_eq!(poll(&bridge), [] as [u32; 0]);
    assert_eq!(peer.connections(), 2);
}

/// The true row of a message, at a position of its own.
fn true_row(peer: &Peer, index: usize, position: u32) -> String {
    let mail = peer.mailbox().lock().mail[index].clone();
    format!(
        "* {position} FETCH (UID {} RFC822.SIZE {} INTERNALDATE \"{}\")",
        mail.uid,
        mail.raw.len(),
        mail.date
    )
}

#[test]
fn a_message_that_a_difference_hides_is_found() {
    // One is gone and one has come, so that the count is right; and the new one is missing from the answer.
    let peer = Peer::with_mail(3);
    let last = true_row(&peer, 2, 2);
    let (peer, bridge) = bridged(peer.reply("UID FETCH 3:*", &format!("{last}\n{{tag}} OK done")));
    poll(&bridge);
    peer.mailbox().lock().mail.remove(1);
    peer.mailbox().add(b"Subject: new\r\n\r\nnew\r\n");
    assert_eq!(poll(&bridge), [1, 3, 4]);
    assert_eq!(poll(&bridge), [1, 3, 4]);
}

#[test]
fn a_difference_without_a_row_or_with_half_a_row_is_not_believed() {
    let peer = Peer::with_mail(3);
    let last = true_row(&peer, 2, 2);
    let half = "* 3 FETCH (UID 4 RFC822.SIZE 20)";
    for (answer, comes) in [
        ("{tag} OK done".to_owned(), Some([1, 3, 4])),
        (
            format!("{last}\n* 3 FETCH (UID 4)\n{{tag}} OK done"),
            Some([1, 3, 4]),
        ),
        (format!("{last}\n{half}\n{{tag}} OK done"), None),
        (format!("{last}\n{{tag}} NO no"), None),
    ] {
        let (peer, bridge) = bridged(Peer::with_mail(3).reply("UID FETCH 3:*", &answer));
        poll(&bridge);
        peer.mailbox().lock().mail.remove(1);
        peer.mailbox().add(b"Subject: new\r\n\r\nnew\r\n");
        match comes {
            Some(uids) => assert_eq!(poll(&bridge), uids, "{answer}"),
            None => assert_temporary(&bridge),
        }
    }
}

#[test]
fn more_messages_than_the_difference_tells_are_listed_from_the_start() {
    for (comes_back, expected) in [(true, "-1"), (false, "-1-s4")] {
        let (peer, bridge) = bridged(Peer::with_mail(3));
        poll(&bridge);
        let mut inner = peer.mailbox().lock();
        let mut late = inner.mail.remove(0);
        inner.uid_next += 1;
        drop(inner);
        assert_eq!(poll(&bridge), [2, 3]);
        // Below the last known UID: no decent server does this, but a message that is there is shown. If it is the one that was gone, it is
        // known by its UIDL; if not, it has one of its own.
        if !comes_back {
            late.date = "02-Feb-2020 00:00:00 +0000".into();
        }
        peer.mailbox().lock().mail.insert(0, late);
        for _ in 0..2 {
            let uidls = log_in(&bridge).lines("UIDL");
            let ends = ["-2", "-3", expected];
            let all = uidls.len() == 3
                && ends
                    .iter()
                    .all(|end| uidls.iter().any(|line| line.ends_with(end)));
            assert!(all, "{ends:?}: {uidls:?}");
        }
    }
}

#[test]
fn messages_that_come_and_go_while_they_are_listed_are_told_apart() {
    let (one, two, three) = (row(1, 1), row(2, 2), row(3, 3));
    for (answer, uids) in [
        (
            format!("{one}\n{two}\n* 1 EXPUNGE\n{}", row(2, 3)),
            vec![2, 3],
        ),
        (format!("* 2 EXPUNGE\n{one}\n{}", row(2, 3)), vec![1, 3]),
        (
            format!("{one}\n{two}\n{three}\n* 3 EXPUNGE\n* 1 EXPUNGE"),
            vec![2],
        ),
        (format!("{one}\n{two}\n{three}\n* VANISHED 1,3"), vec![2]),
        ("* 1 EXPUNGE\n* 1 EXPUNGE\n* 1 EXPUNGE".to_owned(), vec![]),
        (
            format!(
                "{three}\n* 4 EXISTS\n* 1 RECENT\n{one}\n{}\n{two}\n* 1 FETCH (UID 1 FLAGS ())",
                row(4, 4)
            ),
            vec![1, 2, 3, 4],
        ),
        // Arrived, and only the next command tells it.
        (
            format!("{one}\n{two}\n* 4 EXISTS\n{three}"),
            vec![1, 2, 3, 4],
        ),
    ] {
        let peer = Peer::with_mail(4)
            .on("EXAMINE", |conn, cmd| {
                conn.answer(
                    cmd,
                    "* 3 EXISTS\n* OK [UIDVALIDITY 1700000000] x\n* OK [UIDNEXT 4] x\n{tag} OK [READ-ONLY] done",
                );
                Flow::Done
            })
            .reply("UID FETCH 1:*", &format!("{answer}\n{{tag}} OK done"));
        let (_peer, bridge) = bridged(peer);
        assert_eq!(poll(&bridge), uids, "{answer}");
    }
}

/// A peer that says so when it hears `words`, waits to be told, and then says `line` before its decent answer.
fn waiting(peer: Peer, words: &str, line: &'static str) -> (Peer, Receiver<()>, Sender<()>) {
    let (heard, hears) = channel();
    let (open, gate) = channel();
    let shared = Mutex::new((heard, gate));
    let peer = peer.on(words, move |conn, _| {
        let (heard, gate) = &*shared.lock().expect("gate");
        let _ = heard.send(());
        let _ = gate.recv();
        if !line.is_empty() {
            conn.line(line);
        }
        Flow::Default
    });
    (peer, hears, open)
}

#[test]
fn a_message_that_goes_while_the_difference_is_asked_for_is_not_shown() {
    for line in ["* 1 EXPUNGE", "* VANISHED 1"] {
        let (peer, heard, open) = waiting(Peer::with_mail(4), "UID FETCH 4:*", line);
        let (peer, bridge) = bridged(peer);
        poll(&bridge);
        peer.mailbox().add(b"Subject: new\r\n\r\nnew\r\n");
        let mut pop3 = log_in(&bridge);
        pop3.send("STAT");
        heard.recv().expect("the peer");
        peer.mailbox().lock().mail.remove(0);
        open.send(()).expect("the peer");
        assert!(pop3.expect_ok().starts_with("4 "));
        let uids: Vec<String> = pop3.lines("UIDL");
        assert!(
            uids[0].ends_with("-2") && uids[3].ends_with("-5"),
            "{uids:?}"
        );
    }
}

#[test]
fn a_message_that_arrives_while_the_uids_are_asked_for_is_shown() {
    let (peer, heard, open) = waiting(Peer::with_mail(4), "UID FETCH 1:* (UID)", "* 4 EXISTS");
    let (peer, bridge) = bridged(peer);
    poll(&bridge);
    peer.mailbox().lock().mail.remove(1);
    let mut pop3 = log_in(&bridge);
    pop3.send("STAT");
    heard.recv().expect("the peer");
    peer.mailbox().add(b"Subject: new\r\n\r\nnew\r\n");
    open.send(()).expect("the peer");
    assert!(pop3.expect_ok().starts_with("4 "));
    quit(&bridge, pop3);
    assert_eq!(poll(&bridge), [1, 3, 4, 5]);
}

#[test]
fn messages_that_arrive_behind_the_rows_of_the_difference_are_asked_for_and_nothing_is_distrusted()
{
    // Five messages in the first session, six at the beginning of the second, and more while it lists them.
    let peer = Peer::with_mail(8);
    let rows: Vec<String> = (1..)
        .zip(0..8)
        .map(|(n, at)| true_row(&peer, at, n))
        .collect();
    let first = format!("{}\n{{tag}} OK done", rows[..5].join("\n"));
    let peer = peer
        .on("EXAMINE", |conn, cmd| {
            if conn.number > 1 {
                return Flow::Default;
            }
            let exists = 5 + conn.number;
            conn.answer(
                cmd,
                &format!("* {exists} EXISTS\n* OK [UIDVALIDITY 1700000000] x\n* OK [UIDNEXT {}] x\n{{tag}} OK [READ-ONLY] done", exists + 1),
            );
            Flow::Done
        })
        .reply("UID FETCH 1:*", &first)
        .reply(
            "UID FETCH 5:*",
            &format!("{}\n* 7 EXISTS\n{{tag}} OK done", rows[4..6].join("\n")),
        )
        .reply(
            "UID FETCH 6:*",
            &format!("{}\n* 8 EXISTS\n{{tag}} OK done", rows[5..7].join("\n")),
        );
    let (peer, bridge) = bridged(peer);
    assert_eq!(poll(&bridge), [1, 2, 3, 4, 5]);
    assert_eq!(poll(&bridge), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(poll(&bridge), [1, 2, 3, 4, 5, 6, 7, 8]);
    let items = "(UID RFC822.SIZE INTERNALDATE)";
    let asked = [1, 5, 6, 7].map(|uid| format!("UID FETCH {uid}:* {items}"));
    assert_eq!(peer.commands("UID FETCH"), asked);
    let log = bridge.log();
    let warning = log.iter().find(|line| line.contains("\"WARN\""));
    assert_eq!(warning, None);
    for outcome in ["cold", "delta", "hit"] {
        let label = format!("outcome=\"{outcome}\"");
        let lookups = bridge.metric("popbridge_index_lookups_total", &[&label]);
        assert_eq!(lookups, 1.0, "{outcome}");
    }
}

#[test]
fn a_folder_that_grows_with_each_question_is_not_asked_for_ever() {
    let peer = Peer::with_mail(3).on("UID FETCH 3:*", |conn, cmd| {
        static EXISTS: AtomicUsize = AtomicUsize::new(10);
        let exists = EXISTS.fetch_add(1, Ordering::Relaxed);
        conn.answer(cmd, &format!("* {exists} EXISTS\n{{tag}} OK done"));
        Flow::Done
    });
    let (peer, bridge) = bridged(peer);
    poll(&bridge);
    peer.mailbox().add(b"Subject: new\r\n\r\nnew\r\n");
    assert_temporary(&bridge);
    assert!(peer.commands("UID FETCH").len() < 20);
}
