//! All ways to log in, over the wire: SASL with and without an initial response, passwords of every kind, and no password in clear
//! where it is not allowed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::bridge::{Bridge, Options, field};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap_peer::{self, Peer};
use crate::support::mail::ordinary_mail;
use crate::support::pop3::{Mode, Pop3};
use crate::support::tree::{Account, Tree};

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

/// Reads a `+ challenge` and gives the challenge as it is.
fn challenge(pop3: &mut Pop3) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(pop3.read_raw(1));
    }
    let line = String::from_utf8(line).unwrap();
    let challenge = line
        .strip_prefix("+ ")
        .unwrap_or_else(|| panic!("{line:?}"));
    challenge.trim_end().to_owned()
}

fn capabilities(pop3: &mut Pop3) -> Vec<String> {
    pop3.lines("CAPA")
}

#[test]
fn auth_plain_and_login_work_with_and_without_an_initial_response() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(2));
    let bridge = Bridge::before(&dovecot.plain_url());
    let plain = b64(&format!("\0ann\0{PASSWORD}"));

    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("AUTH PLAIN {plain}"));
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();

    let mut pop3 = bridge.pop3();
    pop3.ok(&format!(
        "auth plain {}",
        b64(&format!("ann\0ann\0{PASSWORD}"))
    ));
    pop3.quit();

    let mut pop3 = bridge.pop3();
    pop3.send("AUTH PLAIN");
    assert_eq!(challenge(&mut pop3), "");
    pop3.ok(&plain);
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();

    let mut pop3 = bridge.pop3();
    pop3.send("AUTH LOGIN");
    assert_eq!(challenge(&mut pop3), b64("Username:"));
    pop3.send(&b64("ann"));
    assert_eq!(challenge(&mut pop3), b64("Password:"));
    pop3.ok(&b64(PASSWORD));
    pop3.quit();

    let mut pop3 = bridge.pop3();
    pop3.send(&format!("AUTH LOGIN {}", b64("ann")));
    assert_eq!(challenge(&mut pop3), b64("Password:"));
    pop3.ok(&b64(PASSWORD));
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();
}

#[test]
fn what_is_wrong_in_an_auth_exchange_ends_the_exchange_and_not_the_session() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(1));
    let bridge = Options::limits(&dovecot.plain_url(), "").start();
    let mut pop3 = bridge.pop3();
    for exchange in [
        &["AUTH PLAIN", "*"][..],
        &["AUTH PLAIN", ""],
        &["AUTH PLAIN", "no base64!"],
        &["AUTH PLAIN", "YW5u"],
        &["AUTH PLAIN", "STAT"],
        &["AUTH LOGIN", "*"],
        &["AUTH LOGIN", "YW5u", "*"],
        &["AUTH LOGIN", "YW5u", "cHc"],
        &["AUTH LOGIN", "="],
        &["AUTH XOAUTH2", "*"],
        &["AUTH XOAUTH2", "YW5u"],
        &["AUTH OAUTHBEARER", "no base64!"],
    ] {
        let (last, first) = exchange.split_last().unwrap();
        for line in first {
            pop3.send(line);
            challenge(&mut pop3);
        }
        let refused = pop3.err(last);
        assert_eq!(refused.code(), None, "{exchange:?}: {}", refused.text);
    }
    for line in [
        "AUTH CRAM-MD5",
        "AUTH XOAUTH2 dXNlcg==",
        "AUTH PLAIN =",
        "AUTH PLAIN = =",
        "AUTH PLAIN AAAA AAAA",
    ] {
        pop3.err(line);
    }
    let for_bob = b64(&format!("bob\0ann\0{PASSWORD}"));
    assert_eq!(
        pop3.err(&format!("AUTH PLAIN {for_bob}")).code(),
        Some("AUTH")
    );
    let wrong = b64("\0ann\0wrong");
    assert_eq!(
        pop3.err(&format!("AUTH PLAIN {wrong}")).code(),
        Some("AUTH")
    );
    assert_eq!(pop3.log_in("ann", PASSWORD).stat().0, 1);
}

#[test]
fn passwords_with_spaces_and_letters_of_all_kinds_reach_the_upstream_as_they_are() {
    let passwords = [
        "two words",
        " a space before and two  inside ",
        "pä ss-ключ-鍵",
        "\"quoted\" \\ {5}",
        "*",
        "=",
    ];
    let users = Tree::new("users", &Account::for_servers());
    let file: String = (0..)
        .zip(passwords)
        .map(|(n, password)| format!("user{n}:{{PLAIN.b64}}{}\n", b64(password)))
        .collect();
    let file = users.write("users", &file);
    let dovecot = Dovecot::options().passwd_file(&file).start();
    let bridge = Options::limits(&dovecot.plain_url(), "").start();
    for (n, password) in (0..).zip(passwords) {
        let user = format!("user{n}");
        dovecot.maildir(&user).fill(&ordinary_mail(n + 1));
        let mut pop3 = bridge.pop3().log_in(&user, password);
        assert_eq!(pop3.stat().0, n as u64 + 1, "{password:?}");
        pop3.quit();
        let mut pop3 = bridge.pop3();
        pop3.ok(&format!(
            "AUTH PLAIN {}",
            b64(&format!("\0{user}\0{password}"))
        ));
        pop3.quit();
        let mut pop3 = bridge.pop3();
        pop3.ok(&format!("USER {user}"));
        assert_eq!(
            pop3.err(&format!("PASS {password} ")).code(),
            Some("AUTH"),
            "{password:?} and a space"
        );
    }
}

#[test]
fn without_tls_nobody_logs_in_where_plaintext_names_no_network() {
    let peer = Peer::with_mail(3).capability("IMAP4rev1").start();
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nplaintext = []\n[upstream.mail]\nurl = \"{}\"\n",
        peer.plain_url()
    );
    let bridge = Options::config(&config).listeners_of_the_file().start();
    let mut pop3 = bridge.pop3();
    let offered = capabilities(&mut pop3);
    assert!(offered.contains(&"STLS".to_owned()), "{offered:?}");
    assert!(
        !offered
            .iter()
            .any(|word| word == "USER" || word.starts_with("SASL")),
        "{offered:?}"
    );
    for line in [
        "USER ann",
        "PASS secret",
        "AUTH PLAIN AGFubgBzZWNyZXQ=",
        "AUTH LOGIN",
        "AUTH XOAUTH2",
    ] {
        let refused = pop3.err(line);
        assert_eq!(refused.code(), Some("SYS/PERM"), "{line}: {}", refused.text);
        assert!(refused.text.contains("STLS"), "{}", refused.text);
    }
    pop3.quit();
    assert_eq!(peer.connections(), 0);
    let hint = bridge.wait_for_log("what the operator can do", |line| {
        line["span"]["name"] == "session"
    });
    assert!(
        hint["fields"]["message"]
            .as_str()
            .unwrap()
            .contains("plaintext = [...]"),
        "{hint}"
    );

    let mut pop3 = Pop3::connect_as(Mode::Stls, bridge.pop3_port, &bridge.tls_config());
    let offered = capabilities(&mut pop3);
    assert!(!offered.contains(&"STLS".to_owned()), "{offered:?}");
    assert!(
        offered.contains(&"USER".to_owned())
            && offered.contains(&"SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER".to_owned()),
        "{offered:?}"
    );
    pop3.err("STLS");
    pop3.err("NOOP");
    let user = crate::support::imap_peer::USER;
    assert_eq!(
        pop3.log_in(user, crate::support::imap_peer::PASSWORD)
            .stat()
            .0,
        3
    );
}

#[test]
fn what_was_said_before_stls_is_forgotten() {
    let peer = Peer::with_mail(1).start();
    let bridge = Bridge::before(&peer.plain_url());
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {}", crate::support::imap_peer::USER));
    pop3.ok("STLS");
    pop3.start_tls(bridge.tls_config());
    pop3.err(&format!("PASS {}", crate::support::imap_peer::PASSWORD));
    assert_eq!(peer.connections(), 0);
}

#[test]
fn a_listener_without_tls_says_so() {
    let peer = Peer::with_mail(1).start();
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\nplaintext = [\"192.0.2.0/24\"]\n[upstream.mail]\nurl = \"{}\"\n",
        peer.plain_url()
    );
    let bridge = Options::config(&config).listeners_of_the_file().start();
    let mut pop3 = bridge.pop3();
    let offered = capabilities(&mut pop3);
    assert!(
        !offered
            .iter()
            .any(|word| word == "STLS" || word == "USER" || word.starts_with("SASL")),
        "{offered:?}"
    );
    pop3.err("STLS");
    assert_eq!(pop3.err("USER ann").code(), Some("SYS/PERM"));
    pop3.quit();
}

#[test]
fn the_domain_of_the_log_in_name_decides_which_upstream_is_asked() {
    let peers = [3, 5, 7].map(|count| Peer::with_mail(count).start());
    let [office, other, rest] = &peers;
    let bridge = Options::config(&format!(
        "[upstream.office]\nurl = \"{}\"\ndomains = [\"example.com\"]\n\
         [upstream.other]\nurl = \"{}\"\ndomains = [\"example.net\", \"example.org\"]\n\
         [upstream.rest]\nurl = \"{}\"\n",
        office.plain_url(),
        other.plain_url(),
        rest.plain_url()
    ))
    .start();
    for (user, count) in [
        ("ann@Example.COM", 3),
        ("ann@example.org", 5),
        ("ann@example.net", 5),
        ("ann@elsewhere.example", 7),
        ("ann", 7),
    ] {
        assert_eq!(bridge.pop3_as(user).stat().0, count, "{user}");
    }
    assert_eq!(office.connections(), 1);
    assert_eq!(other.connections(), 2);
}

#[test]
fn a_name_that_belongs_to_no_upstream_is_refused_like_a_wrong_password() {
    let peer = Peer::with_mail(1).start();
    let bridge = Options::config(&format!(
        "[upstream.office]\nurl = \"{}\"\ndomains = [\"example.com\"]\n[limits]\nauth_failure_delay = \"0s\"\n",
        peer.plain_url()
    ))
    .start();
    let mut pop3 = bridge.pop3();
    pop3.ok("USER ann@example.net");
    assert_eq!(pop3.err("PASS x").code(), Some("AUTH"));
    assert_eq!(peer.connections(), 0);
}

#[test]
fn an_exchange_of_auth_counts_as_one_command_with_its_last_answer() {
    let peer = Peer::with_mail(1).start();
    let bridge = Bridge::before(&peer.plain_url());
    let mut pop3 = bridge.pop3();
    pop3.send("AUTH PLAIN");
    challenge(&mut pop3);
    pop3.send("*");
    assert!(!pop3.status().ok);
    pop3.send("AUTH PLAIN");
    challenge(&mut pop3);
    pop3.send(&b64(&format!(
        "\0{}\0{}",
        imap_peer::USER,
        imap_peer::PASSWORD
    )));
    pop3.expect_ok();
    pop3.quit();
    let count = |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        bridge.metric("popbridge_commands_total", &["command=\"AUTH\"", &outcome])
    };
    assert_eq!((count("ok"), count("err")), (1.0, 1.0));
}

#[test]
fn the_log_tells_why_a_log_in_was_refused_and_to_whom_a_session_belongs() {
    let peer = Peer::with_mail(1)
        .capability("IMAP4rev1")
        .reply(
            "LOGIN \"user@example.com\" \"wrong-7\"",
            "{tag} NO [AUTHENTICATIONFAILED] app password needed",
        )
        .start();
    let bridge = Options::config(&format!(
        "[upstream.office]\nurl = \"{}\"\ndomains = [\"example.com\"]\n[limits]\nauth_failure_delay = \"0s\"\n",
        peer.plain_url()
    ))
    .start();
    let mut pop3 = bridge.pop3();
    pop3.ok("USER ann@example.net");
    pop3.err("PASS x");
    pop3.ok("USER user@example.com");
    pop3.err("PASS wrong-7");
    pop3.ok("USER user@example.com");
    pop3.ok(&format!("PASS {}", imap_peer::PASSWORD));
    pop3.quit();
    bridge.wait_for_log("no upstream", |line| {
        field(line, "message").contains("belongs to no client and to no upstream")
            && field(line, "account") == "ann@example.net"
    });
    bridge.wait_for_log("the reason", |line| {
        field(line, "error").contains("app password needed")
    });
    bridge.wait_for_log("whose session it was", |line| {
        field(line, "message") == "session ended" && line["span"]["account"] == "user@example.com"
    });
}
