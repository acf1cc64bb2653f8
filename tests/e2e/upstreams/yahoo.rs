//! Yahoo and AOL: single commands that are refused for the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::many::{Many, Row, bridged, log_in};
use crate::support::clock::HOUR;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};
use crate::support::mail::{ordinary, repaired};
use crate::support::office::listed;
use crate::support::peer_office::PeerOffice;

const YAHOO: &str =
    "IMAP4rev1 ID MOVE NAMESPACE UIDPLUS LITERAL+ SASL-IR AUTH=PLAIN AUTH=XOAUTH2 UNSELECT";

const UNAVAILABLE: &str = "NO [UNAVAILABLE] UID FETCH Server error - Please try again later";

/// Three messages, of which the second is not to be had until `mended`.
fn peer(mended: &Arc<AtomicBool>) -> Peer {
    let mended = Arc::clone(mended);
    Peer::with_mail(3)
        .capability(YAHOO)
        .on("UID FETCH", move |conn, cmd| {
            let set = cmd.set();
            if !cmd.has("BODY.PEEK[]")
                || !matches!(set, "2" | "2:3")
                || mended.load(Ordering::SeqCst)
            {
                return Flow::Default;
            }
            conn.tagged(cmd, UNAVAILABLE);
            Flow::Done
        })
}

#[test]
fn a_message_that_is_unavailable_for_the_moment_is_refused_alone_and_given_as_soon_as_it_is_there()
{
    let mended = Arc::new(AtomicBool::new(false));
    let (peer, bridge) = bridged(peer(&mended));
    let mut pop3 = log_in(&bridge);
    for _ in 0..3 {
        assert_eq!(pop3.err("RETR 2").code(), Some("SYS/TEMP"));
        assert_eq!(pop3.retr(3), repaired(&ordinary(3).raw));
        // Neither the account nor another client of it waits.
        let mut other = bridge.pop3().log_in(&format!("{USER}/other"), PASSWORD);
        assert_eq!(other.retr(1), repaired(&ordinary(1).raw));
        other.quit();
    }
    mended.store(true, Ordering::SeqCst);
    assert_eq!(pop3.retr(2), repaired(&ordinary(2).raw));
    pop3.quit();
    assert_eq!(peer.mailbox().uids(), [1, 2, 3]);
}

/// A device that stops at the message that it cannot have.
fn stops_at_the_second(office: &PeerOffice) {
    let mut pop3 = office.client("device");
    assert_eq!(listed(&mut pop3), [1, 2, 3]);
    assert_eq!(pop3.err("RETR 2").code(), Some("SYS/TEMP"));
    drop(pop3);
}

fn failures(office: &PeerOffice) -> i64 {
    office.status()["unreadable"][0]["failures"]
        .as_i64()
        .unwrap_or(0)
}

#[test]
fn a_message_that_is_unavailable_for_the_moment_is_withheld_only_after_hours_and_never_for_everyone()
 {
    let mended = Arc::new(AtomicBool::new(false));
    let peer = peer(&mended).start();
    let office = PeerOffice::that_keeps_nothing(&peer);
    office.add("device", &["view=undelivered"]);
    office.add("desk", &[]);
    for hours in 1..=3 {
        // From the third time on it is not shown any more.
        for _ in 0..[4, 4, 1][hours as usize - 1] {
            stops_at_the_second(&office);
            office.is_cleared_up();
            assert_eq!(failures(&office), hours, "once an hour");
        }
        office.ahead(hours.unsigned_abs() * HOUR);
    }
    // By now it would stop the device for ever.
    assert_eq!(listed(&mut office.client("device")), [1, 3]);
    assert_eq!(listed(&mut office.client("desk")), [1, 2, 3]);
    mended.store(true, Ordering::SeqCst);
    let mut desk = office.client("desk");
    assert_eq!(desk.retr(2), repaired(&ordinary(2).raw));
    desk.quit();
    assert_eq!(listed(&mut office.client("device")), [1, 2, 3]);
}

/// Commands that begin with these words are refused so many times.
fn refused(words: &'static str, of: &'static str, times: usize) -> Peer {
    let refused = AtomicUsize::new(0);
    Peer::with_mail(3)
        .capability(YAHOO)
        .on(words, move |conn, cmd| {
            if !cmd.has(of) || refused.fetch_add(1, Ordering::SeqCst) >= times {
                return Flow::Default;
            }
            let name = words.split(' ').next_back().unwrap_or_default();
            conn.tagged(cmd, &format!("NO [LIMIT] {name} Rate limit hit."));
            Flow::Done
        })
}

#[test]
fn a_rate_limit_that_a_command_hits_is_a_temporary_error_of_that_command() {
    let rows: Vec<Row> = vec![
        ("opening the folder", refused("EXAMINE", "INBOX", 1)),
        ("the list", refused("UID FETCH", "RFC822.SIZE", 1)),
        // What cannot be fetched for several clients is asked for once more.
        ("a message", refused("UID FETCH", "BODY.PEEK[]", 2)),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("RETR 1");
        one.assert_refused(&status, Some("SYS/TEMP"));
        assert_eq!(pop3.retr(1), repaired(&ordinary(1).raw), "{}", one.name);
        assert_eq!(pop3.stat().0, 3, "{}", one.name);
        pop3.quit();
        // Nor does anybody else wait.
        let mut next = one.log_in();
        assert_eq!(next.stat().0, 3, "{}", one.name);
        next.quit();
    });
}
