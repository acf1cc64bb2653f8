//! POP3 clients that have a token of their own (AUTH XOAUTH2, AUTH OAUTHBEARER): the bridge shows it to the upstream, and tells the client
//! what came of it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::many::{Many, One, bridged, quit};
use crate::support::bridge::{Bridge, Options, field};
use crate::support::dovecot::Dovecot;
use crate::support::imap_peer::{Flow, Peer, USER};
use crate::support::jwt::Issuer;
use crate::support::mail::ordinary_mail;
use crate::support::office::Office;
use crate::support::pop3::{Pop3, Status};
use crate::support::process::require;
use crate::support::tree::{Account, Tree};

const TOKEN: &str = "ya29.a0AfH6SMBx-0123456789_abcdefghijklmnopqrstuvwxyz";
/// What Gmail says of a token that it does not know.
const UNKNOWN: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
const NO: &str = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)";

/// What a client says; OAUTHBEARER with a host that is the bridge's, not the upstream's.
fn message(mechanism: &str, user: &str, token: &str) -> String {
    STANDARD.encode(match mechanism {
        "XOAUTH2" => format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"),
        _ => format!("n,a={user},\u{1}host=bridge\u{1}port=110\u{1}auth=Bearer {token}\u{1}\u{1}"),
    })
}

/// Knows `token` and nothing else; of others it says `json` and then `no`.
fn knowing(mechanisms: &str, token: &'static str, json: &'static str, no: &'static str) -> Peer {
    Peer::with_mail(2)
        .capability(&format!(
            "IMAP4rev1 SASL-IR LOGINDISABLED UIDPLUS {mechanisms}"
        ))
        .on("AUTHENTICATE", move |conn, cmd| {
            let Some(response) = conn.sasl_response(cmd) else {
                return Flow::End;
            };
            let said = STANDARD.decode(response).expect("base64");
            let said = String::from_utf8(said).expect("UTF-8");
            let proof = format!("\u{1}auth=Bearer {token}\u{1}\u{1}");
            if said.ends_with(&proof) {
                conn.ok(cmd);
                return Flow::LoggedIn;
            }
            conn.line(&format!("+ {}", STANDARD.encode(json)));
            let dummy = conn.read_line();
            let expected = if cmd.has("OAUTHBEARER") { "AQ==" } else { "" };
            assert_eq!(dummy.as_deref(), Some(expected));
            conn.tagged(cmd, no);
            Flow::Done
        })
}

/// Microsoft's.
fn peer() -> Peer {
    knowing("AUTH=XOAUTH2", TOKEN, UNKNOWN, NO)
}

/// What the client hears, and what it was asked before that.
fn auth(pop3: &mut Pop3, mechanism: &str, user: &str, token: &str) -> (Option<String>, Status) {
    pop3.send(&format!(
        "AUTH {mechanism} {}",
        message(mechanism, user, token)
    ));
    outcome(pop3)
}

fn outcome(pop3: &mut Pop3) -> (Option<String>, Status) {
    let mut first = pop3.read_raw(1);
    while !first.ends_with(b"\r\n") {
        first.extend(pop3.read_raw(1));
    }
    let first = String::from_utf8(first).unwrap();
    if let Some(challenge) = first.strip_prefix("+ ") {
        let challenge = STANDARD.decode(challenge.trim_end()).expect("base64");
        pop3.send("AQ==");
        let status = pop3.status();
        return (Some(String::from_utf8(challenge).unwrap()), status);
    }
    let (word, text) = first.trim_end().split_once(' ').unwrap();
    let ok = word == "+OK";
    assert!(ok || word == "-ERR", "{first}");
    let text = text.to_owned();
    (None, Status { ok, text })
}

fn log_in(one: &One<'_>, mechanism: &str) -> (Option<String>, Status) {
    auth(&mut one.bridge.pop3(), mechanism, &one.user, TOKEN)
}

#[test]
fn a_client_with_a_token_reads_a_mailbox_whose_upstream_takes_nothing_else() {
    let both = "AUTH=OAUTHBEARER AUTH=XOAUTH2";
    let many = Many::start([
        ("AUTHENTICATE XOAUTH2", peer()),
        (
            "AUTHENTICATE OAUTHBEARER",
            knowing("AUTH=OAUTHBEARER", TOKEN, UNKNOWN, NO),
        ),
        (
            "AUTHENTICATE OAUTHBEARER",
            knowing(both, TOKEN, UNKNOWN, NO),
        ),
        ("AUTHENTICATE XOAUTH2", peer().without_sasl_ir()),
    ]);
    many.each(|one| {
        for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
            let mut pop3 = one.bridge.pop3();
            let (_, status) = auth(&mut pop3, mechanism, &one.user, TOKEN);
            assert!(status.ok, "{}", status.text);
            assert_eq!(pop3.stat().0, 2);
            quit(one.bridge, pop3);
            // What the message is does not fit into a command line of RFC 2449.
            let mut pop3 = one.bridge.pop3();
            pop3.send(&format!("AUTH {mechanism}"));
            assert_eq!(pop3.read_raw(4), b"+ \r\n");
            pop3.ok(&message(mechanism, &one.user, TOKEN));
            assert_eq!(pop3.stat().0, 2);
            quit(one.bridge, pop3);
            let logged = one
                .bridge
                .wait_for_log("the log-in", |line| field(line, "mechanism") == mechanism);
            assert!(!logged.to_string().contains("ya29"), "{logged}");
        }
        assert_eq!(one.peer.commands(one.name).len(), 4);
    });
}

#[test]
fn a_token_that_the_upstream_refuses_is_complained_of_and_then_refused_as_auth() {
    let other = "another token, which is no bearer's";
    let many = Many::start([
        ("XOAUTH2", knowing("AUTH=XOAUTH2", other, UNKNOWN, NO)),
        (
            "OAUTHBEARER",
            knowing(
                "AUTH=OAUTHBEARER",
                other,
                r#"{"status":"invalid_token","scope":"mail","openid-configuration":"https://x"}"#,
                "BAD no",
            ),
        ),
    ]);
    many.each(|one| {
        let (complaint, status) = log_in(&one, one.name);
        one.assert_refused(&status, Some("AUTH"));
        let complaint: serde_json::Value = serde_json::from_str(&complaint.unwrap()).unwrap();
        let (known, scope) = match one.name {
            "XOAUTH2" => ("401", "status 400, scope https://mail.google.com/"),
            _ => ("invalid_token", "status invalid_token, scope mail"),
        };
        assert_eq!(complaint["status"], known);
        one.bridge.wait_for_log("what the upstream says", |line| {
            field(line, "account") == one.user && field(line, "error").contains(scope)
        });
        // For a minute the upstream is not asked again, and the client is told the same.
        let (complaint, status) = log_in(&one, one.name);
        assert!(complaint.is_some());
        one.assert_refused(&status, Some("AUTH"));
        assert_eq!(one.peer.connections(), 1);
        let log = one.bridge.log().join("\n");
        assert!(!log.contains("ya29") && !log.contains("eWEyOS"), "{log}");
    });
    let rejected = ["outcome=\"rejected\""];
    let count = many.bridge.metric("popbridge_logins_total", &rejected);
    assert_eq!(count, 4.0);
}

#[test]
fn what_is_not_about_the_token_itself_is_not_complained_of() {
    let other = "another token, which is no bearer's";
    let scope = r#"{"status":"insufficient_scope","scope":"mail.read"}"#;
    let many = Many::start([
        ("SYS/PERM", knowing("AUTH=XOAUTH2", other, scope, NO)),
        (
            "SYS/TEMP",
            knowing("AUTH=XOAUTH2", other, UNKNOWN, "NO [UNAVAILABLE] later"),
        ),
        (
            "SYS/TEMP",
            peer().reply("AUTHENTICATE", "{tag} NO [THROTTLED] later"),
        ),
        ("SYS/TEMP", peer().reply("AUTHENTICATE", "* BYE later")),
        // Takes no tokens at all.
        ("SYS/PERM", Peer::with_mail(1)),
    ]);
    many.each(|one| {
        let (complaint, status) = log_in(&one, "XOAUTH2");
        assert_eq!(complaint, None);
        one.assert_refused(&status, Some(one.name));
    });
    many.bridge.wait_for_log("what the upstream lacks", |line| {
        let error = field(line, "error");
        error.contains("AUTH=OAUTHBEARER") && error.contains("AUTH=XOAUTH2")
    });
}

#[test]
fn a_client_that_hangs_up_on_the_complaint_disturbs_nobody() {
    let (_peer, bridge) = bridged(peer());
    let mut pop3 = bridge.pop3();
    pop3.send(&format!(
        "AUTH XOAUTH2 {}",
        message("XOAUTH2", USER, "wrong")
    ));
    assert_eq!(pop3.read_raw(2), b"+ ");
    drop(pop3);
    let (_, status) = auth(&mut bridge.pop3(), "XOAUTH2", USER, TOKEN);
    assert!(status.ok, "{}", status.text);
}

#[test]
fn a_token_of_many_kilobytes_gets_through_and_other_lines_stay_short() {
    let token: &'static str = "x".repeat(9000).leak();
    let (peer, bridge) = bridged(knowing("AUTH=OAUTHBEARER", token, UNKNOWN, NO));
    for initial in [false, true] {
        let mut pop3 = bridge.pop3();
        let message = message("OAUTHBEARER", USER, token);
        assert!(message.len() > 12_000);
        if initial {
            pop3.ok(&format!("AUTH OAUTHBEARER {message}"));
        } else {
            pop3.send("AUTH OAUTHBEARER");
            assert_eq!(pop3.read_raw(4), b"+ \r\n");
            pop3.ok(&message);
        }
        pop3.quit();
    }
    // Longer than command lines may be upstream, so that it was asked for.
    assert_eq!(peer.commands("AUTHENTICATE")[0], "AUTHENTICATE OAUTHBEARER");
    let mut pop3 = bridge.pop3();
    let long = "x".repeat(9000);
    for line in [
        format!("USER {long}"),
        format!("AUTH OAUTHBEARER {long}{long}"),
    ] {
        let refused = pop3.err(&line);
        assert_eq!(refused.text, "The line is too long.");
    }
}

#[test]
fn a_client_with_a_password_of_its_own_here_gets_in_with_no_token() {
    let office = Office::start();
    office.add("desk1", &[]);
    let password = office.password("desk1");
    for token in [TOKEN, &password] {
        let mut pop3 = office.bridge().pop3();
        let (complaint, status) = auth(&mut pop3, "XOAUTH2", "desk1", token);
        assert!(complaint.is_some());
        assert_eq!((status.ok, status.code()), (false, Some("AUTH")));
    }
    office.client("desk1").quit();
}

#[test]
fn a_token_that_the_upstream_has_accepted_is_believed_and_is_no_password() {
    let peer = peer().start();
    let config = format!(
        "[limits]\nauth_failure_delay = \"0s\"\n[upstream.x]\nurl = \"{}\"\n",
        peer.plain_url()
    );
    let bridge = Options::config(&config).start();
    for _ in 0..2 {
        let mut pop3 = bridge.pop3();
        assert!(auth(&mut pop3, "XOAUTH2", USER, TOKEN).1.ok);
        assert_eq!(pop3.stat().0, 2);
        pop3.quit();
    }
    assert_eq!(peer.connections(), 1, "the token is not shown again");
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    // LOGINDISABLED: as a password it is not even sent.
    let status = pop3.err(&format!("PASS {TOKEN}"));
    assert_eq!(status.code(), Some("SYS/PERM"));
    assert_eq!(peer.connections(), 2);
}

/// A program that fetches all mail of a mailbox under TLS, and the mail that it has got; none where it was refused.
type Program = fn(bridge: &Bridge, mechanism: &str, user: &str, token: &str) -> Option<String>;

fn curl(bridge: &Bridge, mechanism: &str, user: &str, token: &str) -> Option<String> {
    let output = Command::new(require("curl", "curl"))
        .args(["--silent", "--show-error", "--fail", "--max-time", "20"])
        .args(["--user", user, "--oauth2-bearer", token])
        .args(["--login-options", &format!("AUTH={mechanism}")])
        .arg("--cacert")
        .arg(bridge.certificate())
        .arg(format!("pop3s://localhost:{}/[1-2]", bridge.pop3s_port))
        .output()
        .expect("curl");
    let mail = String::from_utf8_lossy(&output.stdout).into_owned();
    // 67: the log-in was refused.
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 67)), "{output:?}");
    (code == Some(0)).then_some(mail)
}

fn mpop(bridge: &Bridge, mechanism: &str, user: &str, token: &str) -> Option<String> {
    let home = Tree::new("mpop", &Account::for_servers());
    let (uidls, mbox) = (home.join("uidls"), home.join("mbox"));
    let settings = format!(
        "account default\nhost localhost\nport {}\nuser {user}\npassword {token}\nauth {mechanism}\ntls on\ntls_starttls off\n\
         tls_trust_file {}\nkeep on\nuidls_file {}\ndelivery mbox {}\n",
        bridge.pop3s_port,
        bridge.certificate().display(),
        uidls.display(),
        mbox.display()
    );
    let settings = home.write("mpoprc", &settings);
    std::fs::set_permissions(&settings, Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(require("mpop", "mpop"))
        .arg("--file")
        .arg(settings)
        .arg("--quiet")
        .output()
        .expect("mpop");
    // 77: EX_NOPERM.
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 77)), "{output:?}");
    (code == Some(0)).then(|| std::fs::read_to_string(mbox).unwrap())
}

#[test]
fn real_programs_with_tokens_reach_a_real_server_that_believes_them() {
    let issuer = Issuer::new();
    let dovecot = Dovecot::options().signed_tokens(&issuer.keys()).start();
    dovecot.maildir("ann").fill(&ordinary_mail(2));
    let bridge = Options::limits(&dovecot.plain_url(), "").start();
    let (good, over) = (issuer.token("ann", 600), issuer.token("ann", -10));
    let programs: [(&str, Program); 3] = [
        ("xoauth2", mpop),
        ("oauthbearer", mpop),
        ("OAUTHBEARER", curl),
    ];
    for (mechanism, program) in programs {
        let mail = program(&bridge, mechanism, "ann", &good).expect(mechanism);
        assert_eq!(
            mail.matches("Message-ID: ").count(),
            2,
            "{mechanism}: {mail}"
        );
        let mail = program(&bridge, mechanism, "ann", &over);
        assert_eq!(mail, None, "{mechanism}");
        bridge.wait_for_log("the log-in", |line| {
            field(line, "mechanism").eq_ignore_ascii_case(mechanism)
        });
    }
    bridge.wait_for_log("what Dovecot says", |line| {
        field(line, "error").contains("status invalid_token")
    });
    // Somebody else's mailbox is not opened by it.
    let (complaint, status) = auth(&mut bridge.pop3(), "XOAUTH2", "bob", &good);
    assert!(complaint.is_some());
    assert_eq!((status.ok, status.code()), (false, Some("AUTH")));
}
