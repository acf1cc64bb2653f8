//! How many may be connected, and how long they may take to say who they are.

use crate::support::bridge::{Bridge, Options, field};
use crate::support::imap_peer::{PASSWORD, Peer, USER};
use crate::support::net::loopback;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

fn refused(bridge: &Bridge, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    bridge.metric("popbridge_refused_connections_total", &[&reason])
}

/// Instead of a greeting `-ERR [SYS/TEMP]`, and the end.
fn assert_turned_away(mut pop3: Pop3) {
    let status = pop3.status();
    assert!(!status.ok, "{status:?}");
    assert_eq!(status.code(), Some("SYS/TEMP"), "{status:?}");
    pop3.expect_end();
}

fn open_sessions(bridge: &Bridge) -> f64 {
    bridge.metric("popbridge_sessions", &[])
}

#[test]
fn who_comes_when_as_many_are_connected_as_may_be_is_told_to_come_again_in_clear_and_by_tls() {
    let peer = Peer::with_mail(3).start();
    let bridge = Options::limits(&peer.plain_url(), "connections = 2").start();
    let tls = bridge.tls_config();
    let mut first = bridge.pop3();
    // Nobody is believed here.
    first.err("PROXY TCP4 203.0.113.7 127.0.0.1 1 2");
    let second = Pop3::connect_tls(bridge.pop3s_port, tls.clone()).log_in(USER, PASSWORD);
    assert_turned_away(Pop3::connect_silently(loopback(bridge.pop3_port)));
    let mut fourth = Pop3::connect_silently(loopback(bridge.pop3s_port));
    fourth.start_tls(tls.clone());
    assert_turned_away(fourth);
    assert_eq!(refused(&bridge, "full"), 2.0);
    assert_eq!(bridge.metric("popbridge_sessions_total", &[]), 2.0);
    let warned = bridge.wait_for_log("a warning", |line| {
        field(line, "message").contains("limits.connections")
    });
    assert_eq!(warned["level"], "WARN");
    // Whoever is in notices nothing.
    assert_eq!(first.log_in("other@example.com", PASSWORD).stat().0, 3);
    second.quit();
    eventually("a place is free", || open_sessions(&bridge) < 2.0);
    Pop3::connect_tls(bridge.pop3s_port, tls).quit();
}

#[test]
fn with_too_much_in_memory_nobody_else_is_let_in_until_somebody_has_left() {
    let peer = Peer::with_mail(3).start();
    let bridge = Options::limits(&peer.plain_url(), "memory = \"1MiB\"").start();
    let mut inside: Vec<Pop3> = (0..8).map(|_| bridge.pop3()).collect();
    assert_turned_away(Pop3::connect_silently(loopback(bridge.pop3_port)));
    assert_eq!(refused(&bridge, "memory"), 1.0);
    inside.pop().unwrap().quit();
    eventually("a place is free", || open_sessions(&bridge) < 8.0);
    assert_eq!(bridge.pop3().log_in(USER, PASSWORD).stat().0, 3);
}

#[test]
fn who_does_not_get_through_a_tls_handshake_is_closed_at_the_deadline() {
    let peer = Peer::with_mail(1).start();
    let bridge = Options::limits(&peer.plain_url(), "handshake = \"1s\"").start();
    let mut silent = Pop3::connect_silently(loopback(bridge.pop3s_port));
    let mut halting = Pop3::connect_silently(loopback(bridge.pop3s_port));
    // The start of a ClientHello.
    halting.send_raw(b"\x16\x03\x01\x02\x00\x01");
    silent.expect_end();
    halting.expect_end();
    eventually("they are counted", || refused(&bridge, "deadline") == 2.0);
    // After the greeting there is more time.
    let pop3 = bridge.pop3();
    let mut other = Pop3::connect_silently(loopback(bridge.pop3s_port));
    other.expect_end();
    assert_eq!(pop3.log_in(USER, PASSWORD).stat().0, 1);
}
