//! What goes wrong with messages that are fetched ahead or for several clients: nothing of it is ever taken for a message, and what can be
//! had is had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ahead::{NO_CACHE, before, fetch_all, wire};
use crate::support::bridge::Options;
use crate::support::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap::Imap;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};
use crate::support::mail::{on_the_wire, ordinary};
use crate::support::pop3::Pop3;

/// Answers a FETCH of several messages up to the middle of the last one, and ends.
fn cut_in_the_last(conn: &mut crate::support::peer_conn::Conn, uids: &[u32], inner: &[Vec<u8>]) {
    for (n, uid) in uids.iter().enumerate() {
        let raw = &inner[*uid as usize - 1];
        let cut = if n + 1 == uids.len() {
            raw.len() / 2
        } else {
            raw.len()
        };
        conn.raw(format!(
            "* {uid} FETCH (UID {uid} BODY[] {{{}}}\r\n",
            raw.len()
        ));
        conn.raw(&raw[..cut]);
        if cut == raw.len() {
            conn.raw(")\r\n");
        }
    }
}

#[test]
fn a_message_that_breaks_off_while_it_is_fetched_ahead_is_fetched_again() {
    let mailbox = Mailbox::ordinary(12);
    let raw: Vec<Vec<u8>> = mailbox
        .lock()
        .mail
        .iter()
        .map(|one| one.raw.clone())
        .collect();
    let cuts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cuts);
    let peer = Peer::with_mailbox(mailbox)
        .on("UID FETCH 2:6", move |conn, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            cut_in_the_last(conn, &[2, 3, 4], &raw);
            conn.close();
            Flow::End
        })
        .start();
    for limits in ["", NO_CACHE] {
        let bridge = before(&peer, limits);
        let mut pop3 = bridge.pop3_as("user@example.com");
        fetch_all(&mut pop3, &peer);
        pop3.quit();
        assert!(cuts.swap(0, Ordering::SeqCst) > 0, "the cut was met");
    }
}

#[test]
fn a_refusal_of_several_is_no_refusal_of_each() {
    let peer = Peer::with_mail(12)
        .on("UID FETCH", |conn, cmd| {
            let set = cmd.set();
            if cmd.has("BODY.PEEK[]") && set.contains(':') {
                conn.tagged(cmd, "NO [LIMIT] not so many");
                return Flow::Done;
            }
            Flow::Default
        })
        .start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    fetch_all(&mut pop3, &peer);
    pop3.quit();
}

#[test]
fn the_octets_of_another_message_are_never_given_for_this_one() {
    // The upstream answers for a message that nobody asked for, and gives its octets a wrong name.
    let peer = Peer::with_mail(12)
        .on("UID FETCH 2:6", |conn, cmd| {
            conn.raw("* 3 FETCH (UID 3 BODY[] {9}\r\nwrong one)\r\n* 9 FETCH (UID 9 BODY[] {9}\r\nwrong one)\r\n");
            conn.ok(cmd);
            Flow::Done
        })
        .start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    assert_eq!(pop3.retr(1), wire(&peer, 1));
    assert_eq!(pop3.retr(2), wire(&peer, 2));
    // 3 was named in the answer, so what it said counts: sizes are often estimates. The others were not.
    for n in 4..=12 {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32), "message {n}");
    }
}

#[test]
fn exchanges_notice_is_not_kept_for_a_message() {
    let notice = "Subject: Retrieval using the IMAP4 protocol failed for the following message: 3\r\n\r\nThe server couldn't.\r\n";
    let peer = Peer::with_mail(8)
        .on("UID FETCH", move |conn, cmd| {
            let set = cmd.set();
            if !cmd.has("BODY.PEEK[]") || !(set == "3" || set == "2:6") {
                return Flow::Default;
            }
            conn.raw(format!(
                "* 3 FETCH (UID 3 BODY[] {{{}}}\r\n{notice})\r\n",
                notice.len()
            ));
            conn.ok(cmd);
            Flow::Done
        })
        .start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    assert_eq!(pop3.retr(1), wire(&peer, 1));
    assert_eq!(pop3.retr(2), wire(&peer, 2));
    for _ in 0..2 {
        let refused = pop3.err("RETR 3");
        assert!(
            refused.text.contains("no longer in the mailbox"),
            "{}",
            refused.text
        );
    }
    assert_eq!(pop3.retr(4), wire(&peer, 4));
}

#[test]
fn what_is_much_longer_than_listed_is_given_and_not_kept() {
    // The cache is measured by what is listed: an upstream that lists little and gives much would fill the memory.
    let peer = Peer::with_mail(10)
        .on("UID FETCH", |conn, cmd| {
            if cmd.has("BODY.PEEK[") || !cmd.has("RFC822.SIZE") {
                return Flow::Default;
            }
            for n in 1..=10 {
                conn.line(&format!(
                    "* {n} FETCH (UID {n} RFC822.SIZE 20 INTERNALDATE \"01-Jan-2024 00:{n:02}:00 +0000\")"
                ));
            }
            conn.ok(cmd);
            Flow::Done
        })
        .start();
    for uid in 1..=10 {
        let mut inner = peer.mailbox().lock();
        inner.mail[uid - 1]
            .raw
            .extend(b"more than that\r\n".repeat(100));
    }
    let bridge = before(&peer, "");
    for name in ["user@example.com", "user@example.com/desk"] {
        let mut pop3 = bridge.pop3_as(name);
        fetch_all(&mut pop3, &peer);
        pop3.quit();
    }
    let kept = bridge.metric("popbridge_body_cache_entries", &[]);
    let fetched = bridge.metric("popbridge_body_fetched_bytes_total", &[]);
    assert_eq!(kept, 0.0);
    assert!(
        fetched >= 2.0 * 10.0 * 1_600.0,
        "{fetched} octets: each client's own"
    );
}

#[test]
fn an_upstream_that_lets_nobody_in_any_more_is_asked_once_for_a_message() {
    let log_ins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&log_ins);
    let peer = Peer::with_mail(3)
        .capability("IMAP4rev1 UIDPLUS")
        .on("LOGIN", move |conn, cmd| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                return Flow::Default;
            }
            conn.tagged(cmd, "NO [AUTHENTICATIONFAILED] no more");
            Flow::Done
        })
        .on("UID FETCH", |conn, cmd| {
            if !cmd.has("BODY.PEEK[]") {
                return Flow::Default;
            }
            conn.close();
            Flow::End
        })
        .start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(pop3.stat().0, 3);
    pop3.err("RETR 1");
    assert_eq!(log_ins.load(Ordering::SeqCst), 2);
}

#[test]
fn what_a_phone_removes_meanwhile_is_refused_alone() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir("ann");
    let all: Vec<_> = (1..=30).map(ordinary).collect();
    mail.fill(&all);
    let config = format!(
        "[limits]\n{NO_CACHE}\n[upstream.x]\nurl = \"{}\"\n",
        dovecot.plain_url()
    );
    let bridge = Options::config(&config).start();
    let mut pop3 = bridge.pop3_as("ann");
    let got = |pop3: &mut Pop3, n: usize| assert_eq!(pop3.retr(n), on_the_wire(&all[n - 1].raw));
    got(&mut pop3, 1);
    let mut phone = Imap::log_in(dovecot.imap_port, "ann", DOVECOT_PASSWORD);
    phone.command("SELECT INBOX");
    phone.command("UID STORE 3,5,25 +FLAGS (\\Deleted)");
    phone.command("UID EXPUNGE 3,5,25");
    for n in 2..=30 {
        match n {
            3 | 5 | 25 => assert!(pop3.err(&format!("RETR {n}")).text.contains("no longer")),
            n => got(&mut pop3, n),
        }
    }
    pop3.quit();
}
