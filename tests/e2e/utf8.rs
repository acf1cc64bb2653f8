//! UTF8 (RFC 6856): a client that takes headers in UTF-8 gets them as an upstream with UTF8=ACCEPT (RFC 6855) has them, and nobody else does.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::many::{bridged, log_in};
use crate::support::bridge::{Bridge, Options};
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};
use crate::support::peer_conn::{Cmd, Conn};
use crate::support::pop3::Pop3;

const NATIVE: &str = "From: J\u{f6}rg <j\u{f6}rg@example.com>\r\n\r\nhello\r\n";
const DOWNGRADED: &str =
    "From: =?utf-8?q?J=C3=B6rg?= <invalid@internationalized.invalid>\r\n\r\nhello\r\n";

/// Two messages of each of which there are two forms, with sizes of their own.
fn peer() -> Peer {
    let with_utf8 = Arc::new(Mutex::new(HashSet::new()));
    let enabling = Arc::clone(&with_utf8);
    let peer = Peer::with_mail(2).capability("IMAP4rev1 AUTH=PLAIN ENABLE UTF8=ACCEPT UIDPLUS");
    let fetch = move |conn: &mut Conn, cmd: &Cmd| {
        let native = with_utf8.lock().unwrap().contains(&conn.number);
        let text = if native { NATIVE } else { DOWNGRADED };
        let set = cmd.line.split(' ').nth(2).unwrap().to_owned();
        for uid in [1, 2] {
            let (from, to) = set.split_once(':').unwrap_or((&set, &set));
            let to = if to == "*" { "2" } else { to };
            if !(from.parse::<u32>().unwrap()..=to.parse().unwrap()).contains(&uid) {
                continue;
            }
            let size = text.len();
            let row = format!("* {uid} FETCH (UID {uid}");
            if cmd.has("RFC822.SIZE") {
                let date = "01-Jan-2024 00:00:00 +0000";
                conn.line(&format!(
                    "{row} RFC822.SIZE {size} INTERNALDATE \"{date}\")"
                ));
            } else if cmd.has("[HEADER]") {
                let header = &text[..text.len() - "hello\r\n".len()];
                conn.raw(format!(
                    "{row} BODY[HEADER] {{{}}}\r\n{header})\r\n",
                    header.len()
                ));
            } else {
                conn.raw(format!("{row} BODY[] {{{size}}}\r\n{text})\r\n"));
            }
        }
        conn.ok(cmd);
        Flow::Done
    };
    peer.on("UID FETCH", fetch).on("ENABLE", move |conn, cmd| {
        if cmd.has("UTF8=ACCEPT") {
            enabling.lock().unwrap().insert(conn.number);
            conn.line("* ENABLED UTF8=ACCEPT");
        }
        conn.ok(cmd);
        Flow::Done
    })
}

fn log_in_with_utf8(bridge: &Bridge) -> Pop3 {
    let mut pop3 = bridge.pop3();
    pop3.ok("UTF8");
    pop3.log_in(USER, PASSWORD)
}

#[test]
fn a_client_that_says_utf8_gets_headers_in_utf_8_and_no_other_does() {
    let peer = peer().start();
    // Connections and messages are kept for whoever comes next.
    let bridge = Options::limits(&peer.plain_url(), "").start();
    for _ in 0..2 {
        let mut pop3 = log_in_with_utf8(&bridge);
        for n in [1, 2] {
            assert_eq!(pop3.retr(n), NATIVE.as_bytes());
            assert!(
                pop3.multi(&format!("TOP {n} 0"))
                    .starts_with(&NATIVE.as_bytes()[..9])
            );
        }
        pop3.quit();
        let mut pop3 = log_in(&bridge);
        for n in [1, 2] {
            assert_eq!(pop3.retr(n), DOWNGRADED.as_bytes());
        }
        pop3.quit();
    }
    // One connection of each kind.
    let logins = peer.commands("LOGIN").len() + peer.commands("AUTHENTICATE").len();
    assert_eq!((logins, peer.commands("ENABLE").len()), (2, 1));
}

#[test]
fn the_list_is_the_same_with_utf8_and_without() {
    let (_peer, bridge) = bridged(peer());
    let lines = |mut pop3: Pop3| (pop3.lines("LIST"), pop3.lines("UIDL"));
    assert_eq!(lines(log_in_with_utf8(&bridge)), lines(log_in(&bridge)));
}

#[test]
fn with_an_upstream_that_has_one_form_only_utf8_changes_nothing() {
    let (peer, bridge) = bridged(Peer::with_mail(2));
    let whole = log_in(&bridge).retr(1);
    assert_eq!(log_in_with_utf8(&bridge).retr(1), whole);
    assert_eq!(peer.commands("ENABLE").len(), 0);
}

#[test]
fn with_an_upstream_that_has_one_form_only_a_client_with_utf8_reads_ahead_and_from_memory() {
    let peer = Peer::with_mail(40).start();
    let bridge = Options::limits(&peer.plain_url(), "").start();
    let bodies = || {
        let mut fetches = peer.commands("UID FETCH");
        fetches.retain(|command| command.contains("BODY.PEEK["));
        fetches.len()
    };
    for _ in 0..2 {
        let mut pop3 = log_in_with_utf8(&bridge);
        for n in 1..=40 {
            pop3.retr(n);
        }
        pop3.quit();
        assert!(bodies() < 20, "{}", bodies());
    }
    let once = bodies();
    log_in_with_utf8(&bridge).retr(1);
    assert_eq!(bodies(), once);
}
