//! An authorization server on its bad days, and what the clients of a mailbox are told of them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::oauth_server::Failure;
use crate::support::process::eventually;
use crate::support::token_office::{LIFETIME, TokenOffice};

const BOTH: &str = "xoauth2 oauthbearer";

/// An office with one client that has had what was there.
fn office() -> TokenOffice {
    let it = TokenOffice::start(BOTH);
    it.office.deliver([1]);
    it.office.add("desk", &[]);
    assert!(it.works("desk"));
    it
}

#[test]
fn a_revoked_grant_is_told_once_asks_nobody_and_ends_with_a_log_in() {
    let it = office();
    it.server.revoke();
    it.tokens_end(1);
    let refusal = it.refusal("desk");
    assert_eq!(refusal.code(), Some("SYS/PERM"), "{}", refusal.text);
    let words = "popbridge oauth login info";
    assert!(refusal.text.contains(words), "{}", refusal.text);
    let connects = it.upstream_connects();
    for _ in 0..20 {
        assert_eq!(it.refusal("desk").code(), Some("SYS/PERM"));
    }
    assert_eq!(it.server.refreshes(), 1);
    assert_eq!(
        it.upstream_connects(),
        connects,
        "the upstream is not asked"
    );
    let bridge = it.office.bridge();
    let told = |line: &String| line.contains("authorization") && line.contains("is gone");
    let told: Vec<_> = bridge.log().into_iter().filter(told).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("\"ERROR\"") && told[0].contains(words),
        "{told:?}"
    );
    assert_eq!(bridge.metric("popbridge_token_revoked", &["info"]), 1.0);
    it.log_in();
    eventually("the bridge sees the log-in", || it.works("desk"));
    assert_eq!(bridge.metric("popbridge_token_revoked", &["info"]), 0.0);
}

#[test]
fn a_good_token_is_used_while_there_is_no_new_one() {
    let it = office();
    it.server.fail(Failure::Status(500, ""));
    it.office.ahead(LIFETIME * 9 / 10);
    eventually("a refresh is tried ahead of time", || {
        it.server.refreshes() > 0
    });
    assert!(it.works("desk"));
    it.tokens_end(1);
    let refusal = it.refusal("desk");
    assert_eq!(refusal.code(), Some("SYS/TEMP"), "{}", refusal.text);
    it.server.recover();
    it.office.ahead(2 * LIFETIME);
    eventually("a token is there again", || it.works("desk"));
}

#[test]
fn an_authorization_server_that_says_when_is_not_asked_before() {
    let it = office();
    it.server.fail_times(1, Failure::Status(429, "300"));
    it.tokens_end(1);
    assert_eq!(it.refusal("desk").code(), Some("SYS/TEMP"));
    assert_eq!(it.server.refreshes(), 1);
    it.office.ahead(LIFETIME + 60 + 200);
    for _ in 0..10 {
        assert_eq!(it.refusal("desk").code(), Some("SYS/TEMP"));
    }
    assert_eq!(it.server.refreshes(), 1);
    it.office.ahead(LIFETIME + 60 + 400);
    eventually("it is asked again", || it.works("desk"));
    assert_eq!(it.server.refreshes(), 2);
}

#[test]
fn an_authorization_server_that_is_slow_is_waited_for() {
    let it = office();
    it.server
        .fail_times(1, Failure::Slow(Duration::from_secs(2)));
    it.tokens_end(1);
    assert!(it.works("desk"));
    assert_eq!(it.server.refreshes(), 1);
}

#[test]
fn what_a_client_cannot_mend_is_permanent() {
    let it = office();
    it.server
        .fail(Failure::Error("invalid_client", "AADSTS7000215"));
    it.tokens_end(1);
    for _ in 0..10 {
        assert_eq!(it.refusal("desk").code(), Some("SYS/PERM"));
    }
    assert_eq!(it.server.refreshes(), 1);
}

#[test]
fn a_rotated_refresh_token_is_durable_before_anybody_sees_what_came_with_it() {
    let mut it = office();
    it.server.set_rotation(true);
    let port = it.office.dovecot.imap_port;
    for round in 1..=5 {
        it.office.dovecot.stop();
        let (seen, upstream) = upstream_that_only_listens(port);
        it.tokens_end(round);
        let mut pop3 = it.office.client("desk");
        pop3.send("STAT");
        // As soon as the new token has left it, the bridge dies.
        let response = seen.recv_timeout(Duration::from_secs(30)).expect("a token");
        it.office.bridge_mut().kill9();
        assert!(response.contains("AUTHENTICATE"), "{response}");
        upstream.join().expect("it ends with the connection");
        it.office.dovecot.restart();
        it.office.open();
        assert!(it.works("desk"), "with the token that was kept");
        assert_eq!(it.server.refreshes() as u64, round);
    }
    // What was kept beside it is what the authorization server wants to see.
    it.tokens_end(6);
    assert!(it.works("desk"));
}

#[test]
fn a_refresh_token_that_is_rotated_while_the_bridge_ends_is_kept() {
    let mut it = office();
    it.server.set_rotation(true);
    // Longer than all else at the end may take.
    it.server
        .fail_times(1, Failure::Slow(Duration::from_secs(8)));
    it.office.ahead(LIFETIME * 9 / 10);
    eventually("a refresh is under way", || it.server.refreshes() == 1);
    it.office.bridge().signal("TERM");
    let status = it.office.bridge_mut().wait();
    assert_eq!(status.code(), Some(0));
    it.office.open();
    it.tokens_end(1);
    assert!(it.works("desk"), "with what was given to the one before");
    assert_eq!(it.server.refreshes(), 2);
}

#[test]
fn a_second_signal_ends_a_bridge_that_waits_for_an_authorization_server() {
    let mut it = office();
    it.server
        .fail_times(1, Failure::Slow(Duration::from_secs(40)));
    it.office.ahead(LIFETIME * 9 / 10);
    eventually("a refresh is under way", || it.server.refreshes() == 1);
    let bridge = it.office.bridge_mut();
    bridge.signal("TERM");
    bridge.wait_for_line("it waits", |line| line.contains("its answer is waited for"));
    bridge.signal("TERM");
    assert_eq!(bridge.wait().code(), Some(0));
    it.office.open();
}

/// Takes one connection, and tells of the line with which somebody logs in.
fn upstream_that_only_listens(port: u16) -> (mpsc::Receiver<String>, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    let (tell, seen) = mpsc::channel();
    let upstream = std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else {
            return;
        };
        let greeting = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n";
        stream.write_all(greeting).expect("write");
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.contains("AUTHENTICATE") {
                let _ = tell.send(line);
                // And says nothing.
                while let Some(Ok(_)) = lines.next() {}
                return;
            }
        }
    });
    (seen, upstream)
}
