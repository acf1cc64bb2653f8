//! A message that the upstream lists and cannot give is never disposed of: nobody has had it, whatever clients do to it and however
//! long ago it was tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::clock::{DAY, HOUR};
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::office::listed;
use crate::support::peer_office::PeerOffice;
use crate::support::process::eventually;

/// Three messages, of which the second cannot be read until `mended`.
fn peer(mended: &Arc<AtomicBool>) -> RunningPeer {
    let mended = Arc::clone(mended);
    let peer = Peer::with_mail(3).on("UID FETCH 2", move |conn, cmd| {
        if mended.load(Ordering::Relaxed) || !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        conn.line("* 2 FETCH (UID 2 BODY[] NIL)");
        conn.ok(cmd);
        Flow::Done
    });
    peer.start()
}

fn assert_kept(office: &PeerOffice, peer: &RunningPeer) {
    office.sweep_disposes_of(0);
    assert_eq!(peer.mailbox().uids(), [2, 3]);
    let said = office.ok(&["sweep", "--dry-run"]);
    let stays = "  1 stay: it could not be read and is withheld\n";
    assert!(said.contains(stays), "{said}");
    let said = office.ok(&["status"]);
    assert!(
        said.contains("message 2 could not be read 3 times"),
        "{said}"
    );
    assert_eq!(office.status()["unreadable"][0]["failures"], 3);
}

#[test]
fn a_message_that_cannot_be_read_stays_though_the_rules_would_take_it_and_goes_once_it_was_read() {
    let mended = Arc::default();
    let peer = peer(&mended);
    // Whatever is deleted goes, had or not.
    let office = PeerOffice::start(
        &peer,
        "retention = { when = \"any-client-deleted\", undelivered = \"dispose\" }",
    );
    office.add("desk1", &[]);
    office.add("device", &["view=undelivered"]);
    let mut desk1 = office.client("desk1");
    for _ in 0..3 {
        desk1.err("RETR 2");
    }
    desk1.ok("DELE 1");
    desk1.ok("DELE 2");
    desk1.quit();
    eventually("the other one goes", || peer.mailbox().uids() == [2, 3]);
    assert_kept(&office, &peer);
    assert_eq!(listed(&mut office.client("device")), [3]);

    // By now a device may try it again, and that is all.
    office.ahead(DAY + HOUR);
    assert_kept(&office, &peer);
    assert_eq!(listed(&mut office.client("device")), [2, 3]);
    assert_kept(&office, &peer);
    office.ahead(400 * DAY);
    assert_kept(&office, &peer);

    mended.store(true, Ordering::Relaxed);
    let mut device = office.client("device");
    device.retr(1);
    device.quit();
    eventually("it goes", || peer.mailbox().uids() == [3]);
    assert_eq!(office.status()["unreadable"].as_array().unwrap().len(), 0);
}
