//! Habits of POP3 programs: what they make of CAPA, of answers that are cut or slow, and of messages that they cannot take.

use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::many::{bridged, log_in};
use crate::support::bridge::Bridge;
use crate::support::certs::client_config;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::peer_office::PeerOffice;
use crate::support::pop3::{Mode, Pop3, Status};
use crate::support::process::require;

fn offered(pop3: &mut Pop3) -> Vec<String> {
    pop3.lines("CAPA")
}

fn has(offered: &[String], word: &str) -> bool {
    offered
        .iter()
        .any(|line| line.split(' ').next() == Some(word))
}

fn connect(peer: &RunningPeer, bridge: &Bridge, mode: Mode) -> Pop3 {
    let port = match mode {
        Mode::Tls => bridge.pop3s_port,
        _ => bridge.pop3_port,
    };
    Pop3::connect_as(mode, port, &client_config(&peer.certs.ca))
}

#[test]
fn capa_is_true_before_and_after_the_log_in_and_however_the_client_came() {
    let (peer, bridge) = bridged(Peer::with_mail(2));
    for mode in [Mode::Plain, Mode::Stls, Mode::Tls] {
        let mut pop3 = connect(&peer, &bridge, mode);
        let before = offered(&mut pop3);
        // Some programs look for UIDL before they log in; c-client warns of PLAIN, and curl takes CRAM-MD5, where they see them.
        for word in ["UIDL", "TOP", "USER", "PIPELINING", "RESP-CODES"] {
            assert!(has(&before, word), "{mode:?} {word}: {before:?}");
        }
        let sasl = before.iter().find(|line| line.starts_with("SASL "));
        let has_plain = sasl.is_some_and(|line| line.split(' ').any(|word| word == "PLAIN"));
        assert_eq!(has_plain, mode != Mode::Plain, "{before:?}");
        // A program with a token shows it to who offers to take it (RFC 7628 wants TLS for that).
        assert_eq!(has(&before, "SASL"), has_plain, "{before:?}");
        assert_eq!(has(&before, "STLS"), mode == Mode::Plain, "{before:?}");
        assert!(
            !before
                .iter()
                .any(|line| line.contains("CRAM") || line.contains("APOP")),
            "{before:?}"
        );
        let mut pop3 = pop3.log_in(USER, PASSWORD);
        let after = offered(&mut pop3);
        let lasting: Vec<_> = before
            .iter()
            .filter(|line| *line != "STLS")
            .cloned()
            .collect();
        assert_eq!(after, lasting, "{mode:?}");
        // As Outlook asks, and as others do.
        let all = pop3.lines("UIDL");
        assert_eq!(all.len(), 2);
        assert_eq!(pop3.ok("UIDL 2"), all[1]);
        assert!(!pop3.multi("TOP 1 0").is_empty());
        pop3.quit();
    }
}

/// How often AUTH and PASS were tried.
fn log_ins(bridge: &Bridge) -> (f64, f64) {
    let count = |command: &str| {
        let command = format!("command=\"{command}\"");
        bridge.metric("popbridge_commands_total", &[&command])
    };
    (count("AUTH"), count("PASS"))
}

fn curl(url: &str, more: &[&str]) -> (Option<i32>, Vec<u8>) {
    let output = Command::new(require("curl", "curl"))
        .args(["--silent", "--show-error", "--insecure", "--max-time", "20"])
        .args(["--user", &format!("{USER}:{PASSWORD}")])
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    (output.status.code(), output.stdout)
}

#[test]
fn curl_logs_in_by_what_is_offered_where_it_is() {
    let (peer, bridge) = bridged(Peer::with_mail(1));
    let message = peer.mailbox().lock().mail[0].raw.clone();
    let plain = format!("pop3://localhost:{}/1", bridge.pop3_port);
    let tls = format!("pop3s://localhost:{}/1", bridge.pop3s_port);
    assert_eq!(curl(&plain, &[]), (Some(0), message.clone()));
    assert_eq!(log_ins(&bridge), (0.0, 1.0), "in clear by USER and PASS");
    for (n, (url, more)) in [(&tls, &[][..]), (&plain, &["--ssl-reqd"])]
        .into_iter()
        .enumerate()
    {
        assert_eq!(curl(url, more), (Some(0), message.clone()));
        assert_eq!(
            log_ins(&bridge),
            (n as f64 + 1.0, 1.0),
            "under TLS by AUTH PLAIN"
        );
    }
}

/// One message of 300 kB, of which half comes before `then` says what becomes of the rest.
fn half(
    then: impl Fn(&mut crate::support::peer_conn::Conn) -> bool + Send + Sync + 'static,
) -> Peer {
    const SIZE: usize = 300_000;
    let peer = Peer::with_mail(1);
    // No line begins with a dot.
    let long = format!("{}\r\n", "x".repeat(98))
        .repeat(SIZE / 100)
        .into_bytes();
    peer.mailbox().lock().mail[0].raw.clone_from(&long);
    peer.on("UID FETCH 1 (UID BODY.PEEK[])", move |conn, cmd| {
        conn.line(&format!("* 1 FETCH (UID 1 BODY[] {{{}}}", long.len()));
        conn.raw(&long[..SIZE / 2]);
        if !then(conn) {
            return Flow::End;
        }
        conn.raw(&long[SIZE / 2..]);
        conn.line(")");
        conn.ok(cmd);
        Flow::Done
    })
}

#[test]
fn curl_knows_that_a_message_was_cut() {
    let (_peer, bridge) = bridged(half(|conn| {
        conn.close();
        false
    }));
    for (url, more) in [
        (format!("pop3://localhost:{}/1", bridge.pop3_port), &[][..]),
        (
            format!("pop3://localhost:{}/1", bridge.pop3_port),
            &["--ssl-reqd"],
        ),
        (format!("pop3s://localhost:{}/1", bridge.pop3s_port), &[]),
    ] {
        let (code, got) = curl(&url, more);
        assert!(!got.is_empty() && got.len() < 300_000, "{url}");
        assert_eq!(
            code,
            Some(56),
            "{url}: curl takes {} octets for the message",
            got.len()
        );
    }
}

#[test]
fn a_long_message_flows_to_the_client_while_it_comes() {
    let (go_on, word) = channel::<()>();
    let word = Mutex::new(word);
    let (peer, bridge) = bridged(half(move |_| word.lock().unwrap().recv().is_ok()));
    let mut pop3 = log_in(&bridge);
    pop3.ok("RETR 1");
    // The upstream has not sent the rest.
    let first = pop3.read_raw(100_000);
    assert_eq!(first.len(), 100_000);
    go_on.send(()).unwrap();
    let whole = [first, pop3.body()].concat();
    assert!(whole == peer.mailbox().lock().mail[0].raw);
    pop3.quit();
}

#[test]
fn a_client_whose_download_was_dropped_is_let_in_again_at_once() {
    // On its first connection the upstream falls silent, before the message or in the middle of it.
    let before = Peer::with_mail(1).on("UID FETCH 1 (UID BODY.PEEK[])", |conn, _| {
        if conn.number > 0 {
            return Flow::Default;
        }
        conn.stall();
        Flow::End
    });
    let inside = half(|conn| {
        if conn.number == 0 {
            conn.stall();
        }
        conn.number > 0
    });
    for (peer, comes) in [(before, 0), (inside, 110_000)] {
        let (peer, bridge) = bridged(peer);
        let mut first = log_in(&bridge);
        first.send("RETR 1");
        peer.wait_for("UID FETCH 1 (UID BODY.PEEK[])", 1);
        assert_eq!(first.read_raw(comes).len(), comes);
        first.into_stream().reset();
        let mut second = log_in(&bridge);
        assert!(second.retr(1) == peer.mailbox().lock().mail[0].raw);
        second.quit();
    }
}

#[test]
fn a_script_that_ends_its_side_reads_its_message_to_the_end_whoever_comes_meanwhile() {
    let (go_on, word) = channel::<()>();
    let word = Mutex::new(word);
    let (peer, bridge) = bridged(half(move |_| word.lock().unwrap().recv().is_ok()));
    let mut script = log_in(&bridge);
    script.ok("RETR 1");
    let socket = script.stream().socket();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let first = script.read_raw(100_000);
    let mut second = bridge.pop3();
    second.ok(&format!("USER {USER}"));
    let status: Status = second.command(&format!("PASS {PASSWORD}"));
    assert_eq!(status.code(), Some("IN-USE"), "{}", status.text);
    go_on.send(()).unwrap();
    let whole = [first, script.body()].concat();
    assert!(whole == peer.mailbox().lock().mail[0].raw);
}

const ODD: &[u8] = b"Subject: odd\r\n\r\na\0b\r\n";
const HEADER_ONLY: &[u8] = b"Subject: no end\r\n";

#[test]
fn what_old_outlooks_need_is_done_for_the_clients_that_are_set_so_and_for_no_other() {
    let peer = Peer::with_mail(0);
    peer.mailbox().add(ODD);
    peer.mailbox().add(HEADER_ONLY);
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "");
    office.add("desk", &[]);
    office.add("outlook", &["workarounds=outlook-no-nuls"]);
    office.add("express", &["workarounds=outlook-no-nuls,oe-ns-eoh"]);
    let messages = |name: &str| {
        let mut pop3 = office.client(name);
        let sizes = pop3.lines("LIST");
        assert_eq!(
            sizes,
            [
                format!("1 {}", ODD.len()),
                format!("2 {}", HEADER_ONLY.len())
            ]
        );
        let got = [
            pop3.retr(1),
            pop3.retr(2),
            pop3.multi("TOP 1 1"),
            pop3.multi("TOP 2 0"),
        ];
        pop3.quit();
        got
    };
    let without_nul = ODD
        .iter()
        .map(|octet| if *octet == 0 { 0x80 } else { *octet })
        .collect::<Vec<u8>>();
    let with_end = [HEADER_ONLY, b"\r\n"].concat();
    let (without_nul, with_end) = (without_nul.as_slice(), with_end.as_slice());
    let as_they_are = [ODD, HEADER_ONLY, ODD, HEADER_ONLY];
    let for_outlook = [without_nul, HEADER_ONLY, without_nul, HEADER_ONLY];
    let for_both = [without_nul, with_end, without_nul, with_end];
    assert_eq!(messages("desk"), as_they_are);
    assert_eq!(messages("outlook"), for_outlook);
    assert_eq!(messages("express"), for_both);
    office.ok(&["client", "set", "express", "workarounds=none"]);
    assert_eq!(messages("express"), as_they_are);
}

#[test]
fn pass_is_answered_before_anything_is_listed() {
    // An upstream that takes its time for a list.
    let peer = Peer::with_mail(1).on("EXAMINE", |conn, _| {
        conn.stall();
        Flow::End
    });
    let (peer, bridge) = bridged(peer);
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    let status: Status = pop3.command(&format!("PASS {PASSWORD}"));
    assert!(status.ok, "{}", status.text);
    pop3.ok("NOOP");
    assert_eq!(peer.commands("EXAMINE").len(), 0);
    // Nor does it wait for one that another session waits for.
    pop3.send("STAT");
    peer.wait_for("EXAMINE", 1);
    let other = bridge.pop3().log_in(&format!("{USER}/other"), PASSWORD);
    drop(other);
}
