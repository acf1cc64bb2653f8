//! A message that the upstream lists and cannot give must not keep a device from the messages behind it.

use crate::support::bridge::{Bridge, run};
use crate::support::imap_peer::{Flow, Peer};

const DEVICE: &str = "user@example.com/device";

/// The UIDs that are listed, in order.
fn listed(bridge: &Bridge) -> Vec<String> {
    let mut pop3 = bridge.pop3_as(DEVICE);
    let uidls = pop3.lines("UIDL");
    pop3.quit();
    let uid = |line: &String| line.rsplit_once('-').expect("a UIDL").1.to_owned();
    uidls.iter().map(uid).collect()
}

#[test]
fn a_message_that_fails_three_times_is_withheld_from_a_device_that_would_stop_at_it() {
    let peer = Peer::with_mail(3).on("UID FETCH 2", |conn, cmd| {
        if !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        conn.line("* 2 FETCH (UID 2 BODY[] NIL)");
        conn.ok(cmd);
        Flow::Done
    });
    let peer = peer.start();
    let bridge = Bridge::before(&peer.plain_url());
    assert_eq!(listed(&bridge), ["1", "2", "3"]);
    let (url, state) = (
        peer.plain_url(),
        bridge.state().to_str().unwrap().to_owned(),
    );
    let place = ["--upstream", &url, "--state", &state];
    let command = |words: &[&str]| {
        let (code, output, errors) = run(&[words, &place].concat(), &[]);
        assert_eq!(code, Some(0), "{output}{errors}");
        output
    };
    command(&["client", "set", DEVICE, "view=undelivered"]);
    for _ in 0..3 {
        assert_eq!(listed(&bridge), ["1", "2", "3"]);
        let mut pop3 = bridge.pop3_as(DEVICE);
        pop3.err("RETR 2");
        pop3.quit();
    }
    assert_eq!(listed(&bridge), ["1", "3"]);
    bridge.wait_for_line("the alarm", |line| {
        line.contains("a message cannot be read")
    });
    let status = command(&["status"]);
    assert!(status.contains("could not be read 3 times"), "{status}");
    assert_eq!(
        bridge.metric("popbridge_unreadable_messages_total", &[]),
        1.0
    );
    // Whoever sees everything sees it still.
    command(&["client", "set", DEVICE, "view=all"]);
    assert_eq!(listed(&bridge), ["1", "2", "3"]);
}
