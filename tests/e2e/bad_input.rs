//! What clients send that no command allows: it is answered or the connection is closed, nothing is lost, nobody else suffers.

use crate::support::bridge::{Bridge, Options};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::pop3::{Broken, Pop3};
use crate::support::process::eventually;

/// Three messages behind a bridge that does not pause after a wrong password.
fn bridge_and_peer() -> (Bridge, RunningPeer) {
    let peer = Peer::with_mail(3).start();
    let bridge = Options::limits(&peer.plain_url(), "").start();
    (bridge, peer)
}

fn logged_in(bridge: &Bridge) -> Pop3 {
    bridge.pop3().log_in(USER, PASSWORD)
}

fn bad_input(bridge: &Bridge, kind: &str) -> f64 {
    bridge.metric("popbridge_bad_input_total", &[&format!("kind=\"{kind}\"")])
}

#[test]
fn a_bad_command_is_refused_and_the_session_goes_on() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = logged_in(&bridge);
    let lines: [&[u8]; 36] = [
        b"",
        b" ",
        b" NOOP",
        b"XYZZY",
        b"\xff\xfe",
        b"N\xc3\xb6\xc3\xb6P",
        b"NOOP\0",
        b"\0",
        b"RETR",
        b"RETR 0",
        b"RETR -1",
        b"RETR +1",
        b"RETR 99999999999999999999",
        b"RETR 4294967297",
        b"RETR 4",
        b"RETR 1 2",
        b"RETR 1\0",
        b"RETR\t1",
        b"RETR \xd9\xa1",
        b"RETR 1:3",
        b"RETR *",
        b"TOP",
        b"TOP 1",
        b"TOP 1 -1",
        b"TOP 1 x",
        b"TOP 0 0",
        b"LIST 0",
        b"LIST x",
        b"UIDL 4",
        b"DELE",
        b"DELE 0",
        b"DELE 4",
        b"USER somebody",
        b"PASS something",
        b"AUTH PLAIN",
        b"STLS",
    ];
    for line in lines {
        pop3.send_raw(&[line, b"\r\n"].concat());
        let status = pop3.status();
        assert!(
            !status.ok,
            "{:?} was accepted",
            line.escape_ascii().to_string()
        );
        assert_eq!(status.code(), None, "{}", status.text);
        pop3.ok("NOOP");
    }
    assert_eq!(pop3.stat().0, 3);
    pop3.quit();
    assert_eq!(
        peer.commands("UID FETCH").len(),
        1,
        "one list and nothing else"
    );
    assert_eq!(peer.mailbox().uids(), [1, 2, 3]);
    let unknown = &["command=\"unknown\"", "outcome=\"err\""];
    assert_eq!(bridge.metric("popbridge_commands_total", unknown), 9.0);
}

#[test]
fn commands_of_the_transaction_state_are_refused_before_the_log_in() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    for line in [
        "STAT", "LIST", "LIST 1", "UIDL", "RETR 1", "TOP 1 0", "DELE 1", "NOOP", "RSET",
    ] {
        pop3.err(line);
    }
    for line in ["PASS before user", "USER", "USER ", "PASS", "APOP x y"] {
        pop3.err(line);
    }
    pop3.quit();
    assert_eq!(peer.connections(), 0);
}

#[test]
fn a_line_longer_than_the_limit_is_answered_once_and_skipped() {
    let (bridge, _peer) = bridge_and_peer();
    let long = [&b"USER "[..], &[b'x'; 100_000], b"\r\nCAPA\r\n"].concat();
    let mut pop3 = bridge.pop3();
    pop3.send_raw(&long);
    assert!(!pop3.status().ok);
    pop3.expect_ok();
    pop3.body();
    let mut pop3 = pop3.log_in(USER, PASSWORD);
    pop3.send_raw(&[&b"RETR "[..], &[b'1'; 100_000], b"\r\nNOOP\r\n"].concat());
    assert!(!pop3.status().ok);
    pop3.expect_ok();
    pop3.quit();
    assert_eq!(bad_input(&bridge, "line_too_long"), 2.0);
}

#[test]
fn nul_and_text_that_is_no_utf_8_in_user_and_password_never_reach_the_upstream() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    for line in [&b"USER a\0b"[..], b"USER \xe4nne", b"USER a\rb"] {
        pop3.send_raw(&[line, b"\r\n"].concat());
        assert!(!pop3.status().ok);
        assert!(!pop3.command("PASS x").ok, "the name was taken");
    }
    for line in [&b"PASS a\0b"[..], b"PASS p\xe4ss", b"PASS a\rLOGIN"] {
        pop3.ok("USER ann");
        pop3.send_raw(&[line, b"\r\n"].concat());
        assert!(!pop3.status().ok);
    }
    pop3.quit();
    assert_eq!(peer.connections(), 0);
}

#[test]
fn an_http_client_hears_errors_and_then_the_end() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    let header = "X-Header: value\r\n".repeat(1000);
    pop3.send_raw(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").as_bytes());
    let mut answers = 0;
    while let Ok(status) = pop3.try_status() {
        assert!(!status.ok);
        answers += 1;
    }
    assert_eq!(answers, 20);
    let ended = bridge.wait_for_log("the end", |line| {
        line["fields"]["message"] == "session ended"
    });
    assert_eq!(ended["fields"]["end"], "refused");
    assert_eq!(logged_in(&bridge).stat().0, 3);
    drop(peer);
}

#[test]
fn three_wrong_passwords_close_the_connection_and_further_ones_in_the_pipe_are_not_tried() {
    // The peer looks at passwords in LOGIN only.
    let peer = Peer::with_mail(3).capability("IMAP4rev1").start();
    let bridge = Options::limits(&peer.plain_url(), "").start();
    let mut pop3 = bridge.pop3();
    pop3.send_raw(
        format!("USER {USER}\r\nPASS wrong\r\n")
            .repeat(2000)
            .as_bytes(),
    );
    for _ in 0..3 {
        pop3.expect_ok();
        assert_eq!(pop3.status().code(), Some("AUTH"));
    }
    pop3.expect_end();
    // The same wrong password need not be shown to the upstream again.
    assert_eq!(peer.connections(), 1);
    assert_eq!(bridge.metric("popbridge_logins_total", &["rejected"]), 3.0);
}

#[test]
fn a_whole_session_in_one_segment_is_answered_in_order() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    pop3.send_raw(
        format!(
            "CAPA\r\nUSER {USER}\r\nPASS {PASSWORD}\r\nSTAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nDELE 1\r\nRETR 1\r\nTOP 2 0\r\n\
             RSET\r\nDELE 3\r\nNONSENSE\r\nQUIT\r\n"
        )
        .as_bytes(),
    );
    pop3.expect_ok();
    assert!(
        String::from_utf8(pop3.body())
            .unwrap()
            .contains("PIPELINING\r\n")
    );
    assert!(pop3.expect_ok().contains("password"));
    assert!(pop3.expect_ok().contains("Logged in"));
    assert!(pop3.expect_ok().starts_with("3 "));
    pop3.expect_ok();
    assert_eq!(pop3.body().iter().filter(|&&b| b == b'\n').count(), 3);
    assert!(
        pop3.expect_ok().starts_with("2 1700000000"),
        "number, UIDVALIDITY and UID"
    );
    assert!(pop3.expect_ok().ends_with("octets"));
    assert!(pop3.body().starts_with(b"From: "));
    pop3.expect_ok();
    assert!(!pop3.status().ok, "a deleted message");
    pop3.expect_ok();
    assert!(pop3.body().ends_with(b"\r\n\r\n"));
    pop3.expect_ok();
    pop3.expect_ok();
    assert!(!pop3.status().ok, "nonsense");
    pop3.expect_ok();
    pop3.expect_end();
    assert_eq!(peer.mailbox().uids(), [1, 2]);
}

#[test]
fn one_octet_at_a_time_is_as_good_as_lines() {
    let (bridge, _peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    for octet in format!("USER {USER}\r\nPASS {PASSWORD}\r\nSTAT\nQUIT\r\n").bytes() {
        pop3.send_raw(&[octet]);
    }
    pop3.expect_ok();
    pop3.expect_ok();
    assert!(pop3.expect_ok().starts_with("3 "));
    pop3.expect_ok();
    pop3.expect_end();
}

#[test]
fn a_client_that_has_shut_down_its_sending_side_gets_all_its_answers() {
    let (bridge, peer) = bridge_and_peer();
    let tls = bridge.tls_config();
    for mut pop3 in [bridge.pop3(), Pop3::connect_tls(bridge.pop3s_port, tls)] {
        pop3.send_raw(
            format!("USER {USER}\r\nPASS {PASSWORD}\r\nRETR 1\r\nDELE 2\r\nSTA").as_bytes(),
        );
        pop3.stream()
            .socket()
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
        pop3.expect_ok();
        pop3.expect_ok();
        pop3.expect_ok();
        assert!(pop3.body().starts_with(b"From: "));
        pop3.expect_ok();
        pop3.expect_end();
    }
    assert_eq!(peer.mailbox().uids(), [1, 2, 3], "no QUIT, no deletion");
}

#[test]
fn what_comes_behind_quit_does_not_cost_its_answer() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = logged_in(&bridge);
    pop3.ok("DELE 1");
    let junk = "NOOP\r\n".repeat(20_000);
    pop3.send_raw(format!("QUIT\r\n{junk}").as_bytes());
    pop3.expect_ok();
    pop3.expect_end();
    assert_eq!(peer.mailbox().uids(), [2, 3]);
}

#[test]
fn commands_behind_stls_in_the_same_segment_close_the_connection_unexecuted() {
    let (bridge, peer) = bridge_and_peer();
    let mut pop3 = bridge.pop3();
    pop3.send_raw(format!("STLS\r\nUSER {USER}\r\nPASS {PASSWORD}\r\n").as_bytes());
    match pop3.try_status() {
        Ok(status) => {
            assert!(status.text.contains("TLS"), "{}", status.text);
            pop3.expect_end();
        }
        Err(Broken::Ended(rest)) => assert!(rest.is_empty()),
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(bad_input(&bridge, "behind_stls"), 1.0);
    assert_eq!(peer.connections(), 0);
}

#[test]
fn garbage_instead_of_a_tls_handshake_ends_that_connection_and_is_logged_with_its_reason() {
    let (bridge, _peer) = bridge_and_peer();
    let mut stls = bridge.pop3();
    stls.ok("STLS");
    let implicit = Pop3::connect_silently(crate::support::net::loopback(bridge.pop3s_port));
    for mut pop3 in [stls, implicit] {
        pop3.send_raw(b"USER somebody\r\nPASS something\r\n");
        // A TLS alert may come, no POP3.
        let heard = pop3.read_raw(1000);
        assert!(heard.len() < 20 && !heard.starts_with(b"+OK"), "{heard:?}");
    }
    eventually("both are counted", || {
        bad_input(&bridge, "tls_handshake") == 2.0
    });
    let failed = bridge.wait_for_log("why", |line| {
        line["fields"]["message"] == "the TLS handshake failed"
    });
    assert!(
        failed["fields"]["error"]
            .as_str()
            .is_some_and(|why| !why.is_empty()),
        "{failed}"
    );
    assert_eq!(logged_in(&bridge).stat().0, 3);
}

#[test]
fn whoever_connects_and_hangs_up_leaves_nothing_behind_and_is_no_bad_input() {
    let (bridge, peer) = bridge_and_peer();
    for _ in 0..20 {
        for port in [bridge.pop3_port, bridge.pop3s_port] {
            drop(Pop3::connect_silently(crate::support::net::loopback(port)));
        }
        drop(bridge.pop3());
    }
    eventually("all are over", || {
        bridge.metric("popbridge_sessions_total", &[]) == 60.0
            && bridge.metric("popbridge_sessions", &[]) == 0.0
    });
    assert_eq!(bad_input(&bridge, ""), 0.0);
    assert_eq!(bridge.metric("popbridge_bad_input_total", &[]), 0.0);
    assert_eq!(peer.connections(), 0);
}
