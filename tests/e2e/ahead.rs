//! Messages fetched before they are asked for, and kept for other clients: how few round trips and octets that costs. Round trips are counted, not timed.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::support::bridge::{Bridge, Options};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::mail::{large, on_the_wire};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

const MESSAGES: usize = 200;
pub(crate) const NO_CACHE: &str = "body_cache = \"0B\"";
const NOTHING_AHEAD: &str = "read_ahead = \"0B\"";
const DIRECT: &str = "body_cache = \"0B\"\nread_ahead = \"0B\"";

pub(crate) fn before(peer: &RunningPeer, limits: &str) -> Bridge {
    Options::limits(&peer.plain_url(), limits).start()
}

/// The commands that asked for messages or their headers.
fn fetches(peer: &RunningPeer) -> Vec<String> {
    let mut all = peer.commands("UID FETCH");
    all.retain(|command| command.contains("BODY.PEEK["));
    all
}

/// Commands that the upstream was asked since there were so many.
fn asked_since(peer: &RunningPeer, before: usize) -> Vec<String> {
    let heard = peer.heard();
    let commands = heard.lines().skip(before);
    commands
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .collect()
}

/// What the peer's message with this UID must be on the wire.
pub(crate) fn wire(peer: &RunningPeer, uid: u32) -> Vec<u8> {
    let inner = peer.mailbox().lock();
    let mail = inner.mail.iter().find(|mail| mail.uid == uid);
    on_the_wire(&mail.expect("a message").raw)
}

/// Fetches all in order, and compares.
pub(crate) fn fetch_all(pop3: &mut Pop3, peer: &RunningPeer) {
    for uid in peer.mailbox().uids() {
        assert_eq!(pop3.retr(uid as usize), wire(peer, uid), "message {uid}");
    }
}

fn mailbox(sizes: &[usize]) -> Mailbox {
    let mailbox = Mailbox::ordinary(0);
    for size in sizes {
        mailbox.add(&large(*size).raw);
    }
    mailbox
}

fn unsent(bridge: &Bridge) -> (f64, f64) {
    (
        bridge.metric("popbridge_body_unsent_bytes_total", &[]),
        bridge.metric("popbridge_body_fetched_bytes_total", &[]),
    )
}

#[test]
fn a_client_that_fetches_200_messages_in_order_waits_for_nine_round_trips() {
    for limits in ["", NO_CACHE] {
        let peer = Peer::with_mail(MESSAGES).start();
        let bridge = before(&peer, limits);
        bridge.pop3_as("user@example.com").quit();
        let mut first = bridge.pop3_as("user@example.com");
        assert_eq!(first.stat().0, MESSAGES as u64);
        first.quit();
        let heard = peer.heard().lines().count();
        let mut pop3 = bridge.pop3_as("user@example.com");
        fetch_all(&mut pop3, &peer);
        pop3.quit();
        let asked = asked_since(&peer, heard);
        let mut sets: Vec<&str> = asked
            .iter()
            .filter_map(|command| command.strip_prefix("UID FETCH ")?.split(' ').next())
            .collect();
        assert_eq!(asked.first().map(String::as_str), Some("NOOP"), "{asked:?}");
        assert_eq!(
            sets,
            [
                "1", "2:6", "7:14", "15:30", "31:62", "63:126", "127:190", "191:200"
            ],
            "with {limits:?}"
        );
        sets.push("NOOP");
        assert_eq!(asked.len(), sets.len(), "{asked:?}");
        assert_eq!(unsent(&bridge).0, 0.0);
    }
}

#[test]
fn a_client_that_asks_for_all_at_once_uses_one_connection_too() {
    let peer = Peer::with_mail(MESSAGES).start();
    let bridge = before(&peer, NO_CACHE);
    let mut pop3 = bridge.pop3_as("user@example.com");
    let lines: String = (1..=MESSAGES).map(|n| format!("RETR {n}\r\n")).collect();
    pop3.send_raw(lines.as_bytes());
    for uid in peer.mailbox().uids() {
        pop3.expect_ok();
        assert_eq!(pop3.body(), wire(&peer, uid), "message {uid}");
    }
    pop3.quit();
    assert_eq!(peer.connections(), 1);
    let all = fetches(&peer);
    assert!(all.len() <= 9, "{all:?}");
}

#[test]
fn what_comes_next_is_sent_for_while_something_is_still_on_its_way() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let mailbox = Mailbox::ordinary(MESSAGES);
    let raw: Vec<_> = mailbox
        .lock()
        .mail
        .iter()
        .map(|one| one.raw.clone())
        .collect();
    let peer = Peer::with_mailbox(mailbox)
        .on("UID FETCH 2:6", move |conn, cmd| {
            for uid in 2..=6 {
                if uid == 5 {
                    // An error is the end of the test.
                    let _ = released.lock().expect("the word").recv();
                }
                let raw = &raw[uid - 1];
                conn.line(&format!(
                    "* {uid} FETCH (UID {uid} BODY[] {{{}}}",
                    raw.len()
                ));
                conn.raw(raw);
                conn.line(")");
            }
            conn.ok(cmd);
            Flow::Done
        })
        .start();
    let bridge = before(&peer, NO_CACHE);
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in 1..=3 {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32));
    }
    // Three are still to come, and the client asks for none of them.
    release.send(()).expect("the peer waits");
    peer.wait_for("UID FETCH 7:14", 1);
    for n in 4..=MESSAGES {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32));
    }
    pop3.quit();
    assert_eq!(peer.connections(), 1);
}

#[test]
fn headers_in_order_come_together_too() {
    let peer = Peer::with_mail(MESSAGES).start();
    let bridge = before(&peer, NO_CACHE);
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in 1..=MESSAGES {
        let header = pop3.multi(&format!("TOP {n} 0"));
        assert!(wire(&peer, n as u32).starts_with(&header), "message {n}");
        assert!(header.ends_with(b"\r\n\r\n"));
    }
    pop3.quit();
    let all = fetches(&peer);
    assert!(all.len() <= 10, "{all:?}");
    assert!(
        all.iter()
            .all(|one| one.ends_with("(UID BODY.PEEK[HEADER])"))
    );
}

#[test]
fn headers_come_together_whatever_the_length_of_their_messages() {
    let peer = Peer::with_mailbox(mailbox(&[900, 300_000, 900, 300_000, 900, 900])).start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in 1..=6 {
        let header = pop3.multi(&format!("TOP {n} 0"));
        assert!(wire(&peer, n).starts_with(&header) && header.ends_with(b"\r\n\r\n"));
    }
    let all = fetches(&peer);
    let sets: Vec<&str> = all.iter().filter_map(|one| one.split(' ').nth(2)).collect();
    assert_eq!(sets, ["1", "2:6"], "{all:?}");
}

#[test]
fn a_cache_in_which_nothing_has_room_is_no_hindrance() {
    let peer = Peer::with_mail(MESSAGES).start();
    let bridge = before(&peer, "body_cache = \"1B\"");
    for name in ["user@example.com", "user@example.com/desk"] {
        let mut pop3 = bridge.pop3_as(name);
        fetch_all(&mut pop3, &peer);
        pop3.quit();
    }
    let all = fetches(&peer);
    assert!(all.len() <= 2 * 10, "{all:?}");
}

#[test]
fn headers_that_came_ahead_are_not_given_for_messages() {
    for limits in ["", NO_CACHE] {
        let peer = Peer::with_mail(8).start();
        let bridge = before(&peer, limits);
        let mut pop3 = bridge.pop3_as("user@example.com");
        for n in 1..=3 {
            pop3.multi(&format!("TOP {n} 0"));
        }
        assert_eq!(pop3.retr(4), wire(&peer, 4));
        assert_eq!(pop3.multi("TOP 5 9"), wire(&peer, 5));
        assert!(pop3.multi("TOP 6 0").ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn eight_clients_of_a_mailbox_fetch_each_message_once() {
    let peer = Peer::with_mail(MESSAGES).start();
    let bridge = before(&peer, "");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (bridge, peer) = (&bridge, &peer);
            scope.spawn(move || {
                let mut pop3 = bridge.pop3_as(&format!("user@example.com/desk{n}"));
                fetch_all(&mut pop3, peer);
                pop3.quit();
            });
        }
    });
    let once: usize = peer
        .mailbox()
        .lock()
        .mail
        .iter()
        .map(|one| one.raw.len())
        .sum();
    assert_eq!(unsent(&bridge), (0.0, once as f64));
    let streamed = ["outcome=\"streamed\""];
    assert_eq!(
        bridge.metric("popbridge_body_lookups_total", &streamed),
        0.0
    );
    assert!(bridge.metric("popbridge_body_cache_entries", &[]) > 0.0);
}

#[test]
fn switched_off_each_message_is_fetched_when_it_is_asked_for() {
    let peer = Peer::with_mail(6).start();
    let bridge = before(&peer, DIRECT);
    for times in 1..=2 {
        let mut pop3 = bridge.pop3_as("user@example.com");
        fetch_all(&mut pop3, &peer);
        pop3.quit();
        assert_eq!(fetches(&peer).len(), 6 * times);
    }
    assert_eq!(
        bridge.metric("popbridge_body_fetched_bytes_total", &[]),
        0.0
    );
}

#[test]
fn without_read_ahead_a_message_is_still_fetched_once_for_all() {
    let peer = Peer::with_mail(6).start();
    let bridge = before(&peer, NOTHING_AHEAD);
    for name in ["user@example.com", "user@example.com/desk"] {
        let mut pop3 = bridge.pop3_as(name);
        fetch_all(&mut pop3, &peer);
        pop3.quit();
        assert_eq!(fetches(&peer).len(), 6);
    }
}

#[test]
fn who_fetches_out_of_order_gets_nothing_ahead() {
    let peer = Peer::with_mail(20).start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in [5, 3, 9, 7, 20, 1, 12] {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32));
    }
    pop3.quit();
    assert_eq!(fetches(&peer).len(), 7);
    assert_eq!(unsent(&bridge).0, 0.0);
}

#[test]
fn deleted_messages_are_not_fetched_ahead() {
    let peer = Peer::with_mail(10).start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in [4, 5, 7] {
        pop3.ok(&format!("DELE {n}"));
    }
    for n in [1, 2, 3, 6, 8, 9, 10] {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32));
    }
    let all = fetches(&peer);
    let sets: Vec<&str> = all.iter().filter_map(|one| one.split(' ').nth(2)).collect();
    assert_eq!(sets, ["1", "2:3,6,8:9", "10"], "{all:?}");
}

#[test]
fn long_messages_are_streamed_and_the_short_ones_between_come_together() {
    let sizes = [900, 900, 900, 300_000, 900, 900, 900, 900];
    let peer = Peer::with_mailbox(mailbox(&sizes)).start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    fetch_all(&mut pop3, &peer);
    pop3.quit();
    let all = fetches(&peer);
    let sets: Vec<&str> = all.iter().filter_map(|one| one.split(' ').nth(2)).collect();
    assert_eq!(sets, ["1", "2:3", "4", "5:8"], "{all:?}");
}

#[test]
fn a_client_that_leaves_early_leaves_the_upstream_alone() {
    // 60 messages of 40 KB: what is on its way is too much to be read for nobody.
    let peer = Peer::with_mailbox(mailbox(&[40_000; 60])).start();
    let bridge = before(&peer, "");
    let mut pop3 = bridge.pop3_as("user@example.com");
    for n in 1..=10 {
        assert_eq!(pop3.retr(n), wire(&peer, n as u32));
    }
    pop3.quit();
    let (mut last, mut now) = (-1.0, unsent(&bridge).1);
    eventually("nothing more comes", || {
        (last, now) = (now, unsent(&bridge).1);
        last == now
    });
    assert!(now <= (30 * 41_000) as f64, "{now} octets for ten messages");
    // And the next one is served.
    let mut pop3 = bridge.pop3_as("user@example.com");
    fetch_all(&mut pop3, &peer);
    pop3.quit();
    let (unsent, fetched) = unsent(&bridge);
    assert!(
        unsent < 0.05 * fetched,
        "{unsent} of {fetched} octets were never sent"
    );
}

#[test]
fn a_client_that_does_not_read_holds_no_connection_for_what_was_fetched() {
    let peer = Peer::with_mailbox(mailbox(&[60_000; 40])).start();
    let limits = format!(
        "[limits]\n{NO_CACHE}\n[upstream.x]\nurl = \"{}\"\nconnections = 1\n",
        peer.plain_url()
    );
    let bridge = Options::config(&limits).start();
    let mut slow = bridge.pop3_as("user@example.com");
    // All at once, and nothing is read of what comes.
    let lines: String = (1..=40).map(|n| format!("RETR {n}\r\n")).collect();
    slow.send_raw(lines.as_bytes());
    eventually("it is under way", || fetches(&peer).len() > 2);
    // The only connection that there may be is free for the next one, whose list and messages come without delay.
    let mut quick = bridge.pop3_as("user@example.com/desk");
    assert_eq!(quick.retr(1), wire(&peer, 1));
    quick.quit();
    assert_eq!(peer.connections(), 1);
    for n in 1..=40 {
        slow.expect_ok();
        assert_eq!(slow.body(), wire(&peer, n));
    }
    slow.quit();
}
