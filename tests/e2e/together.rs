//! Sessions that list one mailbox at the same time share the question to the upstream, and no answer is older than its question.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::ahead::wire;
use crate::support::bridge::{Bridge, Options};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::ordinary;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

/// A peer that answers the first NOOP on its first connection when it is told to, and then as things were when it was asked.
fn slow_once(peer: Peer) -> (RunningPeer, Sender<()>) {
    let (release, released) = channel();
    let released: Arc<Mutex<Option<Receiver<()>>>> = Arc::new(Mutex::new(Some(released)));
    let peer = peer.on("NOOP", move |conn, cmd| {
        let first = match conn.number {
            0 => released.lock().expect("the word").take(),
            _ => None,
        };
        let Some(word) = first else {
            return Flow::Default;
        };
        // An error is the end of the test.
        let _ = word.recv();
        conn.ok(cmd);
        Flow::Done
    });
    (peer.start(), release)
}

fn before(peer: &RunningPeer) -> Bridge {
    let url = peer.plain_url();
    // Nothing is to be done for anybody after a session, which would ask the upstream, too.
    let config =
        format!("[upstream.x]\nurl = \"{url}\"\nclient_separator = \"/\"\non_delete = \"hide\"\n");
    Options::config(&config).start()
}

fn desk(bridge: &Bridge, number: usize, password: &str) -> Pop3 {
    bridge
        .pop3()
        .log_in(&format!("{USER}/desk{number}"), password)
}

/// Asks for the list and waits until the bridge has heard that: it answers a stranger who comes later, and what came before has had its
/// turn then.
fn asks(bridge: &Bridge, pop3: &mut Pop3) {
    pop3.send("STAT");
    for _ in 0..2 {
        bridge.pop3().quit();
    }
}

/// The number of messages that a STAT which was sent before is answered with.
fn count(pop3: &mut Pop3) -> String {
    let text = pop3.expect_ok();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn eight_pollers_at_once_ask_the_upstream_twice_at_most() {
    let (peer, release) = slow_once(Peer::with_mail(3));
    let bridge = before(&peer);
    for n in 1..=8 {
        // Nobody is made to wait yet: the first list is had without NOOP.
        let mut pop3 = desk(&bridge, n, PASSWORD);
        if n == 1 {
            pop3.stat();
        }
        pop3.quit();
    }
    let mut pollers: Vec<Pop3> = (1..=8).map(|n| desk(&bridge, n, PASSWORD)).collect();
    let asked = peer.commands("NOOP").len();
    pollers[0].send("STAT");
    peer.wait_for("NOOP", asked + 1);
    for poller in &mut pollers[1..] {
        asks(&bridge, poller);
    }
    assert_eq!(peer.commands("NOOP").len(), asked + 1);
    release.send(()).expect("the peer waits");
    for poller in &mut pollers {
        assert_eq!(count(poller), "3");
    }
    assert_eq!(peer.commands("NOOP").len(), asked + 2);
    // Each list is its client's own, all the same.
    pollers[3].ok("DELE 1");
    assert_eq!(pollers[3].stat().0, 2);
    assert_eq!(pollers[4].stat().0, 3);
}

#[test]
fn who_asks_after_the_upstream_was_asked_is_told_what_came_meanwhile() {
    let mailbox = Mailbox::ordinary(3);
    let (peer, release) = slow_once(Peer::with_mailbox(mailbox));
    let bridge = before(&peer);
    let mut early = desk(&bridge, 1, PASSWORD);
    early.stat();
    early.quit();
    let (mut early, mut late) = (desk(&bridge, 1, PASSWORD), desk(&bridge, 2, PASSWORD));
    early.send("STAT");
    peer.wait_for("NOOP", 1);
    peer.mailbox().add(&ordinary(4).raw);
    asks(&bridge, &mut late);
    release.send(()).expect("the peer waits");
    assert_eq!(count(&mut early), "3");
    assert_eq!(count(&mut late), "4");
}

#[test]
fn an_error_is_shared_only_by_those_who_have_the_same_password() {
    // The peer lets everybody in; each password has a connection of its own, and the second one's is of no use.
    let (peer, release) = slow_once(Peer::with_mail(3).on("NOOP", |conn, cmd| {
        if conn.number != 1 {
            return Flow::Default;
        }
        conn.tagged(cmd, "NO [UNAVAILABLE] not now");
        Flow::Done
    }));
    let bridge = before(&peer);
    let sessions = [(1, "first"), (2, "second"), (3, "second"), (4, "third")];
    for (number, password) in sessions {
        let mut pop3 = desk(&bridge, number, password);
        if number != 3 {
            // The first list on a connection is had without NOOP.
            pop3.stat();
        }
        pop3.quit();
    }
    assert_eq!(peer.connections(), 3);
    let [mut first, mut leads, mut same, mut other] =
        sessions.map(|(number, password)| desk(&bridge, number, password));
    first.send("STAT");
    peer.wait_for("NOOP", 1);
    asks(&bridge, &mut leads);
    asks(&bridge, &mut same);
    asks(&bridge, &mut other);
    release.send(()).expect("the peer waits");
    assert_eq!(count(&mut first), "3");
    assert_eq!(leads.status().code(), Some("SYS/TEMP"));
    assert_eq!(same.status().code(), Some("SYS/TEMP"));
    assert_eq!(count(&mut other), "3");
    // The last one has asked for itself: after a refusal the folder is opened anew.
    assert_eq!(peer.commands("NOOP").len(), 2);
    assert_eq!(peer.commands("EXAMINE").len(), 4);
}

#[test]
fn whose_password_is_refused_meanwhile_keeps_the_message_from_nobody_else() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let connections = AtomicUsize::new(0);
    let peer = Peer::with_mail(3)
        .capability("IMAP4rev1 UIDPLUS")
        .on("LOGIN", move |conn, cmd| {
            // The first password is good for one connection.
            let first = cmd.line.ends_with(&format!(" \"{PASSWORD}\""));
            if !first || connections.fetch_add(1, Ordering::SeqCst) == 0 {
                return Flow::Default;
            }
            conn.tagged(cmd, "NO [AUTHENTICATIONFAILED] no more");
            Flow::Done
        })
        .on("UID FETCH", move |conn, cmd| {
            if conn.number != 0 || !cmd.has("BODY.PEEK[]") {
                return Flow::Default;
            }
            // An error is the end of the test.
            let _ = released.lock().expect("the word").recv();
            conn.close();
            Flow::End
        })
        .start();
    let bridge = before(&peer);
    // To the peer this is as good as the first one.
    let other = format!("{PASSWORD}2");
    let (mut first, mut second) = (desk(&bridge, 1, PASSWORD), desk(&bridge, 2, &other));
    assert_eq!(first.stat().0, 3);
    assert_eq!(second.stat().0, 3);
    first.send("RETR 1");
    peer.wait_for("UID FETCH 1 (UID BODY.PEEK[])", 1);
    second.send("RETR 1");
    eventually(
        "the second one waits for what the first one has sent for",
        || bridge.metric("popbridge_body_lookups_total", &["outcome=\"awaited\""]) == 1.0,
    );
    release.send(()).expect("the peer waits");
    assert_eq!(first.status().code(), Some("SYS/TEMP"));
    second.expect_ok();
    assert_eq!(second.body(), wire(&peer, 1));
}
