//! Clients that make others wait: who says nothing, who sends octets but no lines, who never reads. Each is closed at its limit,
//! and nobody else notices.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::support::bridge::{Bridge, Options};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail;
use crate::support::net::loopback;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

/// The limits here are one second, the least that can be configured; this is a sign of a limit that does not hold.
const FAR_TOO_LONG: Duration = Duration::from_secs(15);

/// A large message and two small ones, behind a bridge with these limits.
fn impatient(limits: &str) -> (Bridge, RunningPeer) {
    let peer = Peer::with_mail(2).start();
    peer.mailbox().add(&mail::large(24_000_000).raw);
    let bridge = Options::limits(&peer.plain_url(), limits).start();
    (bridge, peer)
}

fn end_of_a_session(bridge: &Bridge, end: &str) {
    bridge.wait_for_log(&format!("the end {end:?}"), |line| {
        line["fields"]["message"] == "session ended" && line["fields"]["end"] == end
    });
}

#[test]
fn a_client_that_says_nothing_is_closed_without_a_line_and_without_its_deletions() {
    let (bridge, peer) = impatient("inactivity = \"1s\"");
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    pop3.ok("DELE 1");
    pop3.expect_end();
    end_of_a_session(&bridge, "idle");
    assert_eq!(peer.mailbox().uids(), [1, 2, 3]);
    assert!(peer.commands("SELECT").is_empty());
}

#[test]
fn a_connection_without_a_log_in_is_closed_also_in_the_middle_of_a_handshake() {
    let (bridge, _peer) = impatient("login = \"1s\"");
    let since = Instant::now();
    let mut stls = bridge.pop3();
    stls.ok("STLS");
    let mut busy = bridge.pop3();
    busy.ok("CAPA");
    busy.body();
    let implicit = Pop3::connect_silently(loopback(bridge.pop3s_port));
    for mut pop3 in [bridge.pop3(), busy, stls, implicit] {
        assert_eq!(pop3.read_raw(1), b"");
    }
    assert!(since.elapsed() < FAR_TOO_LONG);
    eventually("all are gone", || {
        bridge.metric("popbridge_sessions", &[]) == 0.0
    });
}

#[test]
fn a_client_that_asks_and_never_reads_has_no_more_time_to_log_in_by_tls_or_without() {
    let (bridge, _peer) = impatient("login = \"2s\"");
    let since = Instant::now();
    let tls = Pop3::connect_tls(bridge.pop3s_port, bridge.tls_config());
    let mut both = [bridge.pop3(), tls].map(Pop3::into_stream);
    for stream in &mut both {
        let some_time = Some(Duration::from_millis(200));
        stream.socket().set_write_timeout(some_time).unwrap();
        // Until the bridge takes no more, because its answers are not taken.
        let questions = "CAPA\r\n".repeat(10_000);
        while stream.write_all(questions.as_bytes()).is_ok() {}
    }
    eventually("both are gone", || {
        bridge.metric("popbridge_sessions", &[]) == 0.0
    });
    end_of_a_session(&bridge, "idle");
    drop(both);
    assert!(since.elapsed() < FAR_TOO_LONG);
}

#[test]
fn octets_alone_do_not_put_the_deadline_off() {
    let (bridge, _peer) = impatient("inactivity = \"1s\"");
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    let since = Instant::now();
    let mut socket = pop3.stream().socket().try_clone().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    // One octet each time that the read has waited in vain for the end.
    while socket
        .read(&mut [0; 10])
        .is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    {
        assert!(
            since.elapsed() < FAR_TOO_LONG,
            "one octet at a time keeps the session alive"
        );
        let _ = socket.write(b"N");
    }
    pop3.expect_end();
}

#[test]
fn a_flood_without_a_line_end_does_not_put_the_deadline_off() {
    let (bridge, _peer) = impatient("inactivity = \"1s\"");
    let pop3 = bridge.pop3().log_in(USER, PASSWORD);
    let since = Instant::now();
    let mut socket = pop3.into_stream();
    let flood = vec![b'x'; 1 << 16];
    while socket.write(&flood).is_ok() {
        assert!(
            since.elapsed() < FAR_TOO_LONG,
            "a flood keeps the session alive"
        );
    }
}

#[test]
fn a_client_that_never_reads_its_message_is_reset_and_others_are_served_meanwhile() {
    let (bridge, _peer) = impatient("inactivity = \"1s\"");
    let mut stuck = bridge.pop3().log_in(USER, PASSWORD);
    stuck.send("RETR 3");
    for _ in 0..5 {
        let mut other = bridge.pop3().log_in(&format!("{USER}/other"), PASSWORD);
        assert_eq!(other.stat().0, 3);
        other.retr(1);
        other.quit();
    }
    end_of_a_session(&bridge, "idle");
    // Now it reads: neither the final dot nor an orderly end, which some clients take for the end of the message.
    let mut heard = Vec::new();
    let error = stuck
        .into_stream()
        .read_to_end(&mut heard)
        .expect_err("an orderly end inside a message");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(heard.len() < 24_000_000);
}

#[test]
fn a_client_that_asks_and_asks_and_never_reads_costs_no_memory() {
    let (bridge, _peer) = impatient("inactivity = \"1s\"");
    let pop3 = bridge.pop3().log_in(USER, PASSWORD);
    let before = bridge.memory("VmRSS");
    let socket = pop3.stream().socket();
    socket
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let questions = b"UIDL\r\n".repeat(10_000);
    let mut sent = 0;
    // Until the bridge takes no more, because its answers are not taken.
    while let Ok(n) = (&mut &*socket).write(&questions) {
        sent += n;
    }
    let added = bridge.memory("VmRSS").saturating_sub(before);
    assert!(
        added < 1 << 20,
        "{added} octets of memory for {sent} octets of questions"
    );
    end_of_a_session(&bridge, "idle");
}

#[test]
fn a_client_that_hangs_up_in_the_middle_of_a_message_ends_alone() {
    let (bridge, peer) = impatient("");
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    pop3.send("RETR 3");
    pop3.expect_ok();
    pop3.stream().socket().shutdown(Shutdown::Both).unwrap();
    drop(pop3);
    end_of_a_session(&bridge, "broken");
    let mut other = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(other.retr(3), peer.mailbox().lock().mail[2].raw);
    other.quit();
}
