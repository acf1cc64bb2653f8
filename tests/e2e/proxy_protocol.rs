//! Clients behind a proxy that says where they come from, and what others that say so get.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use crate::support::bridge::{Bridge, Options, field};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::net::loopback;
use crate::support::pop3::Pop3;
use crate::support::process::{eventually, require};

/// Whose clients may log in in clear.
const NEAR: &str = "203.0.113.7";
const FAR: &str = "198.51.100.1";

/// Two listeners behind a proxy at 127.0.0.1.
fn start(limits: &str, text_log: bool) -> (Bridge, RunningPeer) {
    let peer = Peer::with_mail(3).capability("IMAP4rev1").start();
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.1\"]\nplaintext = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\nproxy_protocol = [\"127.0.0.1\", \"10.0.0.0/8\"]\n\
         [limits]\nauth_failure_delay = \"0s\"\n{limits}\n[upstream.mail]\nurl = \"{}\"\n",
        peer.plain_url()
    );
    let options = Options::config(&config).listeners_of_the_file();
    let options = match text_log {
        true => options.text_log(),
        false => options,
    };
    (options.start(), peer)
}

fn version_1(from: &str) -> Vec<u8> {
    let (protocol, to) = match from.parse().unwrap() {
        IpAddr::V4(_) => ("TCP4", "127.0.0.1"),
        IpAddr::V6(_) => ("TCP6", "::1"),
    };
    format!("PROXY {protocol} {from} {to} 40000 110\r\n").into_bytes()
}

fn version_2(from: &str) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match from.parse().unwrap() {
        IpAddr::V4(from) => {
            // With an authority behind the addresses, as HAProxy sends it where it is told to.
            header.extend([0x11, 0, 12 + 7]);
            header.extend(from.octets());
            header.extend([127, 0, 0, 1]);
            header.extend([0x9c, 0x40, 0, 110]);
            header.extend(b"\x02\x00\x04mail");
        }
        IpAddr::V6(from) => {
            header.extend([0x21, 0, 36]);
            header.extend(from.octets());
            header.extend(std::net::Ipv6Addr::LOCALHOST.octets());
            header.extend([0x9c, 0x40, 0, 110]);
        }
    }
    header
}

/// A connection that begins with these octets.
fn with(port: u16, header: &[u8]) -> Pop3 {
    let mut pop3 = Pop3::connect_silently(loopback(port));
    pop3.send_raw(header);
    pop3
}

fn refused(bridge: &Bridge, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    bridge.metric("popbridge_refused_connections_total", &[&reason])
}

#[test]
fn a_client_is_where_the_proxy_says_for_plaintext_and_in_the_log() {
    let (bridge, _peer) = start("", false);
    for header in [version_1, version_2] {
        let mut near = with(bridge.pop3_port, &header(NEAR));
        near.expect_ok();
        let mut near = near.log_in(USER, PASSWORD);
        assert_eq!(near.stat().0, 3);
        near.quit();
        let mut far = with(bridge.pop3_port, &header(FAR));
        far.expect_ok();
        assert_eq!(far.err(&format!("USER {USER}")).code(), Some("SYS/PERM"));
        far.quit();
        // What follows the header is the client's: here a TLS handshake.
        let mut far = with(bridge.pop3s_port, &header(FAR));
        far.start_tls(bridge.tls_config());
        far.expect_ok();
        far.log_in(USER, PASSWORD).quit();
    }
    let peers: Vec<String> = bridge
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| field(line, "message") == "logged in")
        .map(|line| line["span"]["peer"].as_str().unwrap().to_owned())
        .collect();
    let (near, far) = (format!("{NEAR}:40000"), format!("{FAR}:40000"));
    assert_eq!(peers, [near.as_str(), &far, &near, &far]);
}

#[test]
fn who_is_no_proxy_or_does_not_speak_like_one_is_closed_without_a_word() {
    let (bridge, peer) = start("handshake = \"5s\"", false);
    let port = bridge.pop3_port;
    let no_headers: [&[u8]; 4] = [
        b"USER user@example.com\r\nPASS guess\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c............",
    ];
    for octets in no_headers {
        let mut pop3 = with(port, octets);
        assert_eq!(pop3.read_raw(1), b"", "{}", octets.escape_ascii());
    }
    eventually("they are counted", || refused(&bridge, "proxy") == 4.0);
    // From elsewhere the best header is not believed.
    let mut stranger = Pop3::connect_from(Ipv4Addr::new(127, 0, 0, 2), port);
    stranger.try_send("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n");
    assert_eq!(stranger.read_raw(1), b"");
    eventually("it is counted", || refused(&bridge, "proxy") == 5.0);
    // A proxy that looks whether somebody is there hears the greeting, or just leaves.
    let mut check = with(port, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    check.expect_ok();
    check.quit();
    drop(Pop3::connect_silently(loopback(port)));
    // One that says nothing is not waited for.
    let mut silent = with(port, b"PROXY TCP4 ");
    silent.expect_end();
    eventually("it is counted", || refused(&bridge, "deadline") == 1.0);
    assert_eq!(refused(&bridge, "proxy"), 5.0);
    assert_eq!(peer.connections(), 0);
}

#[test]
fn connections_are_counted_by_the_clients_addresses() {
    let (bridge, _peer) = start("source_connections = 2", false);
    let port = bridge.pop3_port;
    let mut inside = Vec::new();
    for from in [
        NEAR,
        NEAR,
        FAR,
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8:0:1::1",
    ] {
        let mut pop3 = with(port, &version_2(from));
        pop3.expect_ok();
        inside.push(pop3);
    }
    for from in [NEAR, "2001:db8::3"] {
        let mut pop3 = with(port, &version_1(from));
        assert_eq!(pop3.status().code(), Some("SYS/TEMP"));
        pop3.expect_end();
    }
    assert_eq!(refused(&bridge, "source_full"), 2.0);
    inside.remove(0).quit();
    eventually("a place is free", || {
        bridge.metric("popbridge_sessions", &[]) == 5.0
    });
    with(port, &version_1(NEAR)).expect_ok();
}

#[test]
fn fail2ban_finds_the_clients_in_the_real_log_and_never_the_proxy() {
    let fail2ban = require("fail2ban-regex", "fail2ban");
    let (bridge, _peer) = start("source_connections = 2", true);
    let port = bridge.pop3_port;
    let six = "2001:db8::7";
    for (from, header) in [(NEAR, version_1(NEAR)), (six, version_2(six))] {
        let mut pop3 = with(port, &header);
        pop3.expect_ok();
        for n in 0..2 {
            pop3.ok(&format!("USER {USER}"));
            assert_eq!(
                pop3.err(&format!("PASS wrong{n}")).code(),
                Some("AUTH"),
                "{from}"
            );
        }
        pop3.log_in(USER, PASSWORD).quit();
    }
    // Lines about other things than wrong passwords.
    with(port, b"USER no header\r\n").read_raw(1);
    let mut inside = Vec::new();
    for _ in 0..3 {
        let mut pop3 = with(port, &version_2("203.0.113.9"));
        pop3.status();
        inside.push(pop3);
    }
    bridge.wait_for_line("a refused connection", |line| {
        line.contains("limits.source_connections")
    });
    let log = bridge.folder().join("log");
    std::fs::write(&log, bridge.log().join("\n") + "\n").unwrap();
    let output = Command::new(fail2ban)
        .args(["--raw", "--out", "ip"])
        .arg(&log)
        .arg("dovecot[_daemon=popbridge]")
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        [NEAR, NEAR, six, six],
        "{}",
        bridge.log().join("\n")
    );
}
