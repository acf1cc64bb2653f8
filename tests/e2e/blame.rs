//! A message that cannot be read without anybody saying why: whether it is the message is found out by reading another one.

use std::os::unix::fs::PermissionsExt;

use crate::support::bridge::{Bridge, Options, run};
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::mail::ordinary;
use crate::support::office::{Office, listed};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

const DEVICE: &str = "user@example.com/device";

/// A bridge with a device that is shown what it has not had.
fn with_device(peer: &RunningPeer) -> Bridge {
    // The farewell of the connection tells that a session is over.
    let bridge = Options::limits(&peer.plain_url(), "upstream_idle = \"0s\"").start();
    bridge.pop3_as(DEVICE).quit();
    command(
        peer,
        &bridge,
        &["client", "set", DEVICE, "view=undelivered"],
    );
    bridge
}

fn command(peer: &RunningPeer, bridge: &Bridge, words: &[&str]) -> String {
    let (url, state) = (peer.plain_url(), bridge.state().display().to_string());
    let place = ["--upstream", &url, "--state", &state];
    let (code, output, errors) = run(&[words, &place].concat(), &[]);
    assert_eq!(code, Some(0), "{output}{errors}");
    output
}

/// The UIDs that are listed, in order.
fn uids(bridge: &Bridge) -> Vec<String> {
    let mut pop3 = bridge.pop3_as(DEVICE);
    let uidls = pop3.lines("UIDL");
    pop3.quit();
    let uid = |line: &String| line.rsplit_once('-').expect("a UIDL").1.to_owned();
    uidls.iter().map(uid).collect()
}

/// Asks for a message, which is refused or cut, and hangs up.
fn is_not_had(mut pop3: Pop3, number: usize) {
    pop3.send(&format!("RETR {number}"));
    let whole = pop3.try_status().is_ok_and(|status| status.ok) && pop3.try_body().is_ok();
    assert!(!whole, "{}", pop3.transcript());
}

fn times(bridge: &Bridge, words: &str) -> usize {
    let lines = bridge.log().into_iter();
    lines.filter(|line| line.contains(words)).count()
}

const BLAMED: &str = "it is this one that cannot";

#[test]
fn a_message_that_is_refused_without_a_reason_is_withheld_where_others_can_be_read() {
    let peer = Peer::with_mail(3)
        .on("UID FETCH 2", |conn, cmd| match cmd.has("BODY.PEEK[]") {
            true => {
                conn.tagged(cmd, "NO [SERVERBUG] Internal error occurred");
                Flow::Done
            }
            false => Flow::Default,
        })
        .start();
    let bridge = with_device(&peer);
    for time in 1..=3 {
        assert_eq!(uids(&bridge), ["1", "2", "3"]);
        let mut pop3 = bridge.pop3_as(DEVICE);
        // A device that tries again at once has tried once.
        for _ in 0..3 {
            assert_eq!(pop3.err("RETR 2").code(), Some("SYS/TEMP"));
        }
        pop3.quit();
        eventually("the blame", || times(&bridge, BLAMED) == time);
    }
    eventually("it is withheld", || uids(&bridge) == ["1", "3"]);
    let status = command(&peer, &bridge, &["status"]);
    assert!(status.contains("could not be read 3 times"), "{status}");
    assert!(status.contains("Internal error occurred"), "{status}");
}

#[test]
fn a_message_at_which_the_connection_always_breaks_is_withheld_where_others_can_be_read() {
    let peer = Peer::with_mail(3)
        .on("UID FETCH", |conn, cmd| {
            // Also where it is asked for together with what follows it.
            if !cmd.has("BODY.PEEK[]") || !(cmd.has("FETCH 2 ") || cmd.has("FETCH 2:3 ")) {
                return Flow::Default;
            }
            conn.raw("* 2 FETCH (UID 2 BODY[] {500}\r\nSubject: cut");
            conn.close();
            Flow::End
        })
        .start();
    let bridge = with_device(&peer);
    for time in 1..=3 {
        let mut pop3 = bridge.pop3_as(DEVICE);
        assert_eq!(pop3.stat().0, 3);
        pop3.retr(1);
        is_not_had(pop3, 2);
        eventually("the blame", || times(&bridge, BLAMED) == time);
    }
    eventually("it is withheld", || uids(&bridge) == ["1", "3"]);
}

#[test]
fn a_message_is_not_to_blame_where_no_other_can_be_read_either() {
    let peer = Peer::with_mail(3)
        .on("UID FETCH", |conn, cmd| match cmd.has("BODY.PEEK[]") {
            true => {
                conn.tagged(cmd, "NO Account exceeded bandwidth limits");
                Flow::Done
            }
            false => Flow::Default,
        })
        .start();
    let bridge = with_device(&peer);
    for _ in 0..4 {
        let goodbyes = || peer.heard().matches("LOGOUT").count();
        let before = goodbyes();
        let mut pop3 = bridge.pop3_as(DEVICE);
        pop3.err("RETR 2");
        pop3.quit();
        eventually("the session is cleared up", || goodbyes() > before);
    }
    assert_eq!(uids(&bridge), ["1", "2", "3"]);
    assert_eq!(times(&bridge, BLAMED), 0);
    let status = command(&peer, &bridge, &["status"]);
    assert!(!status.contains("could not be read"), "{status}");
}

#[test]
fn a_message_that_can_be_read_in_the_end_is_not_blamed() {
    let (peer, fails) = {
        let fails = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let told = std::sync::Arc::clone(&fails);
        let peer = Peer::with_mail(3).on("UID FETCH 2", move |conn, cmd| {
            let fails = told.load(std::sync::atomic::Ordering::SeqCst);
            match fails && cmd.has("BODY.PEEK[]") {
                true => {
                    conn.tagged(cmd, "NO try again");
                    Flow::Done
                }
                false => Flow::Default,
            }
        });
        (peer.start(), fails)
    };
    let bridge = with_device(&peer);
    let mut pop3 = bridge.pop3_as(DEVICE);
    pop3.err("RETR 2");
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    pop3.retr(2);
    let goodbyes = || peer.heard().matches("LOGOUT").count();
    let before = goodbyes();
    pop3.quit();
    eventually("the session is cleared up", || goodbyes() > before);
    assert_eq!(times(&bridge, BLAMED), 0);
    assert!(!command(&peer, &bridge, &["status"]).contains("could not be read"));
}

#[test]
fn a_message_whose_file_dovecot_cannot_read_does_not_stop_a_device() {
    let office = Office::start();
    office.deliver([1]);
    let second = office.mail.deliver(&ordinary(2).raw);
    office.deliver([3]);
    office.add("device", &["view=undelivered"]);
    assert_eq!(listed(&mut office.client("device")), [1, 2, 3]);
    // A damaged disk would do the same.
    std::fs::set_permissions(&second, std::fs::Permissions::from_mode(0o000)).expect("chmod");
    for time in 1..=3 {
        is_not_had(office.client("device"), 2);
        eventually("the blame", || times(office.bridge(), BLAMED) == time);
    }
    eventually("it is withheld", || office.client("device").stat().0 == 2);
    let mut device = office.client("device");
    device.retr(1);
    device.retr(2);
    device.quit();
}
