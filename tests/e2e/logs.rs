//! What the log of a real bridge says and never says.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::bridge::{Options, field};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::ordinary_mail;
use crate::support::pop3::{Mode, Pop3};
use crate::support::process::{eventually, require};
use crate::support::tree::{Account, Tree};

/// A way to log in.
type LogIn = Box<dyn Fn(&mut Pop3)>;

const SECRET: &str = "correct-horse-battery";
const WRONG: &str = "wrong-horse-battery";

/// A Dovecot where ann's password is one that can be searched for.
fn dovecot() -> (Dovecot, Tree) {
    let users = Tree::new("users", &Account::for_servers());
    let file = users.write("users", &format!("ann:{{PLAIN}}{SECRET}\n"));
    (Dovecot::options().passwd_file(&file).start(), users)
}

#[test]
fn no_log_at_any_level_has_a_password_or_a_piece_of_mail_in_it() {
    let (dovecot, _users) = dovecot();
    let text = "A sentence that is nowhere but in this mail.";
    let raw = format!("Subject: a secret subject\r\nFrom: x@example.com\r\n\r\n{text}\r\n");
    for _ in 0..3 {
        dovecot.maildir("ann").deliver(raw.as_bytes());
    }
    for (url, format) in [(dovecot.plain_url(), "text"), (dovecot.plain_url(), "json")] {
        let mut options = Options::limits(&url, "upstream_idle = \"0s\"")
            .argument("--log")
            .argument("trace");
        if format == "text" {
            options = options.text_log();
        }
        let bridge = options.start();
        let plain = STANDARD.encode(format!("\0ann\0{SECRET}"));
        let mut ways: Vec<LogIn> = Vec::new();
        ways.push(Box::new(|pop3| {
            pop3.ok("USER ann");
            pop3.ok(&format!("PASS {SECRET}"));
        }));
        ways.push(Box::new(move |pop3| {
            pop3.ok(&format!("AUTH PLAIN {plain}"));
        }));
        ways.push(Box::new(|pop3| {
            pop3.send(&format!("AUTH LOGIN {}", STANDARD.encode("ann")));
            pop3.read_raw(16);
            pop3.ok(&STANDARD.encode(SECRET));
        }));
        for (mode, way) in [Mode::Plain, Mode::Stls, Mode::Tls].into_iter().zip(&ways) {
            let port = if mode == Mode::Tls {
                bridge.pop3s_port
            } else {
                bridge.pop3_port
            };
            let mut pop3 = Pop3::connect_as(mode, port, &bridge.tls_config());
            pop3.ok("USER ann");
            pop3.err(&format!("PASS {WRONG}"));
            pop3.err(&format!("PASS {SECRET}"));
            pop3.err(&format!("XYZZY {SECRET}"));
            pop3.err(&format!(
                "AUTH PLAIN {}",
                STANDARD.encode(format!("\0ann\0{WRONG}"))
            ));
            way(&mut pop3);
            pop3.lines("UIDL");
            pop3.retr(1);
            pop3.multi("TOP 1 1");
            pop3.ok("DELE 1");
            pop3.quit();
        }
        eventually("it is over", || {
            bridge.metric("popbridge_upstream_connections", &[]) == 0.0
        });
        let log = bridge.log().join("\n");
        assert!(
            log.contains("the upstream answered") && log.contains("logged in"),
            "{log}"
        );
        let encoded = |text: &str| STANDARD.encode(text).trim_end_matches('=').to_owned();
        for secret in [SECRET, WRONG, text, "a secret subject"] {
            // In base64 a text looks different at each of three offsets.
            let forms = [
                secret.to_owned(),
                encoded(secret),
                encoded(&secret[1..]),
                encoded(&secret[2..]),
            ];
            for form in &forms {
                let middle = &form[4..form.len() - 4];
                assert!(
                    !log.contains(middle),
                    "{middle:?} ({secret}) is in the log:\n{log}"
                );
            }
        }
        for _ in 0..3 {
            Imap::log_in(dovecot.imap_port, "ann", SECRET)
                .append("INBOX", raw.as_bytes())
                .unwrap();
        }
    }
}

#[test]
fn every_line_is_json_and_each_session_is_told_by_one_span() {
    let dovecot = Dovecot::start();
    for user in ["ann", "bob"] {
        dovecot.maildir(user).fill(&ordinary_mail(3));
    }
    let bridge = Options::limits(&dovecot.plain_url(), "").start();
    let mut first = bridge.pop3();
    let mut second = bridge.pop3_as("bob");
    first.ok("USER ann\u{1b}[2J \"quoted\"");
    first.err("PASS wrong");
    let mut first = first.log_in("ann", PASSWORD);
    first.retr(1);
    first.retr(2);
    first.ok("DELE 1");
    second.stat();
    first.quit();
    drop(second);
    let ended = |line: &Value| field(line, "message") == "session ended";
    let with = |end: &'static str| move |line: &Value| ended(line) && field(line, "end") == end;
    let first = bridge.wait_for_log("the first's end", with("quit"));
    let second = bridge.wait_for_log("the second's end", with("hung_up"));
    assert_eq!(
        (field(&first, "retrieved"), field(&first, "deleted")),
        ("2".into(), "1".into()),
        "{first}"
    );
    assert_eq!(
        (field(&second, "retrieved"), field(&second, "deleted")),
        ("0".into(), "0".into()),
        "{second}"
    );
    assert_ne!(first["span"]["id"], second["span"]["id"]);
    let lines: Vec<Value> = bridge
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let told: Vec<String> = lines
        .iter()
        .filter(|line| line["span"]["id"] == first["span"]["id"])
        .map(|line| {
            assert!(
                line["span"]["peer"]
                    .as_str()
                    .unwrap()
                    .starts_with("127.0.0.1:"),
                "{line}"
            );
            field(line, "message")
                .split(" (")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "the upstream does not accept the log-in",
            "Aborted login",
            "logged in",
            "done upstream",
            "session ended"
        ]
    );
}

#[test]
fn fail2bans_stock_filter_finds_the_refused_log_ins_of_a_real_bridge() {
    let fail2ban = require("fail2ban-regex", "fail2ban");
    let dovecot = Dovecot::start();
    let bridge = Options::limits(&dovecot.plain_url(), "").text_log().start();
    let users = [
        "ann",
        "x>, rip=192.0.2.66, lip=192.0.2.67",
        "ann@example.com>, method=PLAIN, rip=192.0.2.66, session=<y>",
        "\u{1b}[2J\u{7f}",
        "müller",
        "<HOST>",
    ];
    for user in users {
        let mut pop3 = bridge.pop3();
        pop3.ok(&format!("USER {user}"));
        pop3.err("PASS wrong");
        pop3.err(&format!(
            "AUTH PLAIN {}",
            STANDARD.encode(format!("\0{user}\0wrong"))
        ));
    }
    let mut pop3 = bridge.pop3_as("ann");
    pop3.err("RETR 1");
    pop3.quit();
    let log = bridge.folder().join("log");
    std::fs::write(&log, bridge.log().join("\n") + "\n").unwrap();
    let output = Command::new(fail2ban)
        .args([
            "--raw",
            "--out",
            "ip",
            log.to_str().unwrap(),
            "dovecot[_daemon=popbridge]",
        ])
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        vec!["127.0.0.1"; 2 * users.len()],
        "{}",
        bridge.log().join("\n")
    );
}
