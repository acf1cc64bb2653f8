//! Much that is due at once: it is done in portions, and between two of them it is looked who would miss the rest.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use crate::many::{bridged, log_in};
use crate::support::bridge::Bridge;
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::pop3::Pop3;
use crate::support::process::{PATIENCE, eventually};

/// Two portions and a rest.
const MESSAGES: u32 = 1300;

/// Many messages on a peer that waits at each UID EXPUNGE until the test lets it go on.
fn waiting(gate: Receiver<()>) -> (RunningPeer, Bridge) {
    let mailbox = Mailbox::ordinary(0);
    for _ in 0..MESSAGES {
        mailbox.add(b"Subject: x\r\n\r\n");
    }
    let gate = Mutex::new(gate);
    let peer = Peer::with_mailbox(mailbox).on("UID EXPUNGE", move |_, _| {
        // A test that has failed lets go of the gate.
        let _ = gate.lock().expect("gate").recv_timeout(4 * PATIENCE);
        Flow::Default
    });
    bridged(peer)
}

/// Deletes everything that is listed; QUIT is sent and not waited for.
fn delete_all(mut pop3: Pop3) -> Pop3 {
    let (count, _) = pop3.stat();
    for n in 1..=count {
        pop3.ok(&format!("DELE {n}"));
    }
    pop3.send("QUIT");
    pop3
}

#[test]
fn more_than_a_portion_goes_with_one_quit() {
    let (open, gate) = channel();
    let (peer, bridge) = waiting(gate);
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    delete_all(log_in(&bridge)).expect_ok();
    eventually("all are gone", || peer.mailbox().uids().is_empty());
    let expunged = peer.commands("UID EXPUNGE");
    let portions = ["1:600", "601:1200", "1201:1300"];
    assert_eq!(expunged, portions.map(|set| format!("UID EXPUNGE {set}")));
    assert_eq!(peer.commands("SELECT").len(), portions.len());
    assert_eq!(log_in(&bridge).stat().0, 0);
}

#[test]
fn a_client_that_comes_between_two_portions_keeps_what_is_left() {
    let (open, gate) = channel();
    let (peer, bridge) = waiting(gate);
    let mut first = delete_all(log_in(&bridge));
    peer.wait_for("UID EXPUNGE", 1);
    let new = format!("{USER}/new");
    let mut second = bridge.pop3().log_in(&new, PASSWORD);
    // Gates for all that might follow.
    for _ in 0..10 {
        open.send(()).unwrap();
    }
    first.expect_ok();
    // Its list waits until the disposal is over.
    let left: Vec<u32> = (601..=MESSAGES).collect();
    assert_eq!(second.stat().0, left.len() as u64);
    assert_eq!(peer.mailbox().uids(), left);
    second.retr(1);
    second.quit();
    // What it has had now may go, as the first one's deletion says; the rest is still waited for.
    eventually("one more is gone", || peer.mailbox().uids() == left[1..]);
    assert_eq!(log_in(&bridge).stat().0, 0);
    let mut second = delete_all(bridge.pop3().log_in(&new, PASSWORD));
    second.expect_ok();
    eventually("nobody lacks the rest", || peer.mailbox().uids().is_empty());
}
