//! From the start to the end of the bridge: what it binds, which certificate it shows, and that its end costs nobody anything.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use crate::support::bridge::{Options, run};
use crate::support::certs::{Certs, client_config};
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail;
use crate::support::net::{Stream, loopback};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

/// Two small messages and a large one, whose second half comes only after somebody else has come to the barrier.
fn slow_peer(large: &[u8]) -> (RunningPeer, Arc<Barrier>) {
    let barrier = Arc::new(Barrier::new(2));
    let (gate, body) = (Arc::clone(&barrier), large.to_vec());
    let peer = Peer::with_mail(2)
        .on("UID FETCH 3", move |conn, cmd| {
            let (first, second) = body.split_at(body.len() / 2);
            conn.raw(format!("* 3 FETCH (UID 3 BODY[] {{{}}}\r\n", body.len()));
            conn.raw(first);
            gate.wait();
            conn.raw(second);
            conn.line(")");
            conn.ok(cmd);
            Flow::Done
        })
        .start();
    peer.mailbox().add(large);
    (peer, barrier)
}

#[test]
fn at_sigterm_and_sigint_idle_clients_are_closed_and_an_answer_under_way_is_finished() {
    let large = mail::large(500_000).raw;
    for signal in ["TERM", "INT"] {
        let (peer, barrier) = slow_peer(&large);
        let mut bridge = Options::limits(&peer.plain_url(), "drain = \"30s\"").start();
        let mut reader = bridge.pop3().log_in(USER, PASSWORD);
        reader.ok("DELE 1");
        reader.send_raw(b"RETR 3\r\nRETR 2\r\nQUIT\r\n");
        reader.expect_ok();
        let mut deleter = bridge.pop3().log_in(&format!("{USER}/deleter"), PASSWORD);
        deleter.ok("DELE 2");
        let over_tls = Pop3::connect_tls(bridge.pop3s_port, bridge.tls_config());
        let mut in_stls = bridge.pop3();
        in_stls.ok("STLS");
        let silent = Pop3::connect_silently(loopback(bridge.pop3s_port));
        let greeted = bridge.pop3();
        bridge.signal(signal);
        for mut idle in [deleter, over_tls, in_stls, silent, greeted] {
            assert_eq!(idle.read_raw(1), b"", "closed without a line");
        }
        for port in [bridge.pop3_port, bridge.pop3s_port] {
            eventually("nobody listens", || {
                Stream::connect(loopback(port)).is_err()
            });
        }
        assert_eq!(bridge.get("/readyz").0, 503);
        assert_eq!(bridge.get("/healthz").0, 200);
        barrier.wait();
        assert_eq!(reader.body(), mail::on_the_wire(&large));
        reader.expect_end();
        assert_eq!(bridge.wait().code(), Some(0));
        assert_eq!(peer.mailbox().uids(), [1, 2, 3], "no QUIT was executed");
        assert!(Stream::connect(loopback(bridge.admin_port)).is_err());
    }
}

#[test]
fn an_answer_that_takes_too_long_at_the_end_is_reset_and_the_exit_code_is_still_0() {
    let peer = Peer::with_mail(0).start();
    peer.mailbox().add(&mail::large(24_000_000).raw);
    let mut bridge = Options::limits(&peer.plain_url(), "drain = \"0s\"").start();
    let mut stuck = bridge.pop3().log_in(USER, PASSWORD);
    stuck.send("RETR 1");
    stuck.expect_ok();
    bridge.signal("TERM");
    assert_eq!(bridge.wait().code(), Some(0));
    bridge.wait_for_log("a warning", |line| {
        line["fields"]["message"] == "sessions were cut because they did not end in time"
            && line["fields"]["sessions"] == 1
    });
    let mut heard = Vec::new();
    let error = stuck
        .into_stream()
        .read_to_end(&mut heard)
        .expect_err("an orderly end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_address_that_is_taken_is_named_and_nothing_is_served() {
    let peer = Peer::with_mail(0).start();
    let state = Tree::new("state", &Account::for_servers());
    let taken = format!("127.0.0.1:{}", peer.port);
    let other = [
        "--listen",
        "127.0.0.1:0",
        "--state",
        state.path().to_str().unwrap(),
    ];
    for flag in ["--tls-listen", "--admin"] {
        let upstream = peer.plain_url();
        let arguments = [
            &["serve", "--upstream", &upstream, flag, &taken],
            &other[..],
        ]
        .concat();
        let (code, _, errors) = run(&arguments, &[]);
        assert_eq!(code, Some(1), "{errors}");
        let last = errors.lines().last().unwrap();
        assert!(
            last.starts_with(&format!("popbridge: cannot listen on {taken}: "))
                && last.ends_with("(another program listens there)"),
            "{errors}"
        );
    }
    let arguments = [
        &[
            "serve",
            "--upstream",
            "imap://[::1]:1",
            "--tls-listen",
            "192.0.2.1:995",
        ],
        &other[..],
    ]
    .concat();
    let (code, _, errors) = run(&arguments, &[]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("192.0.2.1:995") && errors.contains("does not have this address"),
        "{errors}"
    );
}

#[test]
fn the_self_signed_certificate_is_kept_private_and_good_for_old_clients() {
    let peer = Peer::with_mail(1).start();
    let state = Tree::new("state", &Account::for_servers());
    let mut certificates = Vec::new();
    for _ in 0..2 {
        let bridge = Options::upstream(&peer.plain_url())
            .state(state.path())
            .start();
        certificates.push(std::fs::read(bridge.certificate()).unwrap());
        let mut pop3 =
            Pop3::connect_tls(bridge.pop3s_port, bridge.tls_config()).log_in(USER, PASSWORD);
        assert_eq!(pop3.stat().0, 1);
        let heard = old_client(bridge.pop3s_port, bridge.certificate().to_str().unwrap());
        assert!(heard.contains("+OK Bye."), "{heard}");
        assert_eq!(bridge.stop().code(), Some(0));
    }
    assert_eq!(certificates[0], certificates[1]);
    let key = state.join("selfsigned.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = openssl(
        &[
            "x509",
            "-noout",
            "-text",
            "-in",
            state.join("selfsigned.pem").to_str().unwrap(),
        ],
        b"",
    );
    assert!(
        text.contains("RSA Public-Key: (2048 bit)") || text.contains("Public-Key: (2048 bit)"),
        "{text}"
    );
}

/// What a client hears that knows TLS 1.2 and RSA and nothing newer.
fn old_client(port: u16, certificate: &str) -> String {
    let address = format!("localhost:{port}");
    let arguments = [
        &[
            "s_client",
            "-quiet",
            "-connect",
            &address,
            "-tls1_2",
            "-cipher",
            "ECDHE-RSA-AES128-GCM-SHA256",
        ][..],
        &[
            "-sigalgs",
            "RSA+SHA256",
            "-groups",
            "P-256",
            "-CAfile",
            certificate,
        ],
        &["-verify_return_error", "-verify_hostname", "localhost"],
    ];
    openssl(&arguments.concat(), b"QUIT\r\n")
}

/// Standard output and standard error of an openssl command.
fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed: make deps");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat()
}

#[test]
fn configured_pem_files_are_shown_and_a_key_of_another_certificate_is_refused() {
    let peer = Peer::with_mail(1).start();
    let account = Account::for_servers();
    let (one, other) = (Tree::new("pem", &account), Tree::new("pem", &account));
    let (certs, others) = (Certs::make(one.path()), Certs::make(other.path()));
    let config = |key: &std::path::Path| {
        let certificate = certs.cert.display();
        let key = key.display();
        let upstream = format!("[upstream.mail]\nurl = \"{}\"", peer.plain_url());
        format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{upstream}\n")
    };
    let bridge = Options::config(&config(&certs.key)).start();
    for mut pop3 in [
        Pop3::connect_tls(bridge.pop3s_port, client_config(&certs.ca)),
        Pop3::connect_as(
            crate::support::pop3::Mode::Stls,
            bridge.pop3_port,
            &client_config(&certs.ca),
        ),
    ] {
        pop3.ok("CAPA");
        pop3.body();
    }
    for file in ["selfsigned.pem", "selfsigned.key"] {
        let made = bridge.state().join(file).exists();
        assert!(!made, "{file}: no self-signed one was made");
    }
    let file = one.write("wrong.toml", &config(&others.key));
    for command in ["serve", "check"] {
        let (code, _, errors) = run(
            &[
                command,
                "--config",
                file.to_str().unwrap(),
                "--listen",
                "127.0.0.1:0",
            ],
            &[],
        );
        assert_eq!(code, Some(1), "{errors}");
        let key = others.key.display();
        assert!(
            errors.contains(&format!("the key in {key} does not belong to")),
            "{errors}"
        );
    }
}

#[test]
fn the_admin_listener_tells_of_health_and_of_every_session() {
    let peer = Peer::with_mail(2).start();
    let bridge = Options::limits(&peer.plain_url(), "upstream_idle = \"0s\"").start();
    assert_eq!(bridge.get("/healthz"), (200, "ok\n".into()));
    assert_eq!(bridge.get("/readyz"), (200, "ok\n".into()));
    assert_eq!(bridge.get("/nowhere").0, 404);
    assert_eq!(bridge.metric("popbridge_sessions_total", &[]), 0.0);
    let mut pop3 = Pop3::connect_as(
        crate::support::pop3::Mode::Stls,
        bridge.pop3_port,
        &bridge.tls_config(),
    );
    pop3.ok("CAPA");
    pop3.body();
    assert_eq!(bridge.metric("popbridge_sessions", &["starttls"]), 1.0);
    pop3 = pop3.log_in(USER, PASSWORD);
    pop3.stat();
    let octets = pop3.retr(1).len() as f64;
    pop3.err("RETR 9");
    pop3.quit();
    eventually("it is over", || {
        bridge.metric("popbridge_sessions", &[]) == 0.0
    });
    let metrics = [
        (
            "popbridge_commands_total",
            &["command=\"RETR\"", "outcome=\"ok\""][..],
            1.0,
        ),
        (
            "popbridge_commands_total",
            &["command=\"RETR\"", "outcome=\"err\""],
            1.0,
        ),
        (
            "popbridge_commands_total",
            &["command=\"STLS\"", "outcome=\"ok\""],
            1.0,
        ),
        (
            "popbridge_command_seconds_count",
            &["command=\"RETR\""],
            2.0,
        ),
        ("popbridge_logins_total", &["outcome=\"ok\""], 1.0),
        ("popbridge_logins_total", &["outcome=\"rejected\""], 0.0),
        (
            "popbridge_upstream_connects_total",
            &["upstream=\"mail\"", "outcome=\"ok\""],
            1.0,
        ),
        ("popbridge_index_lookups_total", &["outcome=\"cold\""], 1.0),
        ("popbridge_session_panics_total", &[], 0.0),
    ];
    for (name, labels, value) in metrics {
        assert_eq!(bridge.metric(name, labels), value, "{name} {labels:?}");
    }
    let sent = bridge.metric("popbridge_client_bytes_total", &["direction=\"sent\""]);
    assert!(
        sent > octets && sent < octets + 1000.0,
        "{sent} octets for a message of {octets}"
    );
    eventually("the upstream's connection is closed", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    assert!(!bridge.metrics().contains(USER));
}
