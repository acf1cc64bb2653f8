//! Upstreams that say the password back, or do not want it: no log has it, and nobody gets in without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hostile_login::{answered, in_both_ways};
use crate::many::Many;
use crate::support::bridge::field;
use crate::support::imap_peer::{Flow, PASSWORD, Peer};

/// The command and what followed it are said back behind `start`.
fn echoing(start: &'static str) -> Peer {
    Peer::with_mail(1).on("AUTHENTICATE", move |conn, cmd| {
        let Some(response) = conn.sasl_response(cmd) else {
            return Flow::End;
        };
        conn.answer(cmd, &format!("{start} {} {response}", cmd.line));
        Flow::Done
    })
}

/// LOGIN's own line is said back, changed by `change`, behind `start`.
fn echoing_login(start: &'static str, change: fn(&str) -> String) -> Peer {
    Peer::with_mail(1)
        .capability("IMAP4rev1")
        .on("LOGIN", move |conn, cmd| {
            conn.answer(cmd, &format!("{start} {}", change(&cmd.line)));
            Flow::Done
        })
}

#[test]
fn a_password_that_an_upstream_says_back_is_not_logged() {
    let same: fn(&str) -> String = str::to_owned;
    let many = Many::start(in_both_ways(|| {
        [
            (
                "BAD",
                echoing_login("{tag} BAD Error in IMAP command", same),
            ),
            ("NO", echoing_login("{tag} NO [UNAVAILABLE] Error in", same)),
            ("BYE", echoing_login("* BYE Error in", same)),
            (
                "inside a code",
                echoing_login("{tag} NO [UNAVAILABLE", |line| {
                    format!("{}] {line}", line.replace(' ', "_"))
                }),
            ),
            (
                "as a code",
                echoing_login("{tag} BAD", |_| format!("[{}]", PASSWORD.replace(' ', "_"))),
            ),
            (
                "in capitals",
                echoing_login("{tag} NO [LIMIT]", str::to_uppercase),
            ),
            (
                "cut in the middle",
                echoing_login("{tag} NO [LIMIT]", |line| line[..line.len() - 9].to_owned()),
            ),
            ("PLAIN, BAD", echoing("{tag} BAD Error in")),
            ("PLAIN, NO", echoing("{tag} NO [UNAVAILABLE] Error in")),
            ("PLAIN, BYE", echoing("* BYE Error in")),
            (
                "the password's own base64",
                answered("{tag} NO [LIMIT] Y29ycmVjdCBob3JzZSA3"),
            ),
            (
                "harmless",
                answered("{tag} NO [LIMIT] Too many simultaneous sessions"),
            ),
        ]
    }));
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("SYS/TEMP"));
        let line = one.bridge.wait_for_log("the warning", |line| {
            field(line, "account") == one.user && field(line, "level") == "WARN"
        });
        let line = line.to_string().to_lowercase();
        let sent = STANDARD.encode(format!("\0{}\0{PASSWORD}", one.user));
        for secret in ["corr", "horse", "y29ycmvj", &sent[..8].to_lowercase()] {
            assert!(!line.contains(secret), "{}: {line}", one.name);
        }
        if one.name == "harmless" {
            assert!(line.contains("too many simultaneous"), "{line}");
        }
    });
}

#[test]
fn an_upstream_that_accepts_before_it_has_the_password_lets_nobody_in() {
    let many = Many::start([(
        "OK at once",
        Peer::with_mail(1)
            .without_sasl_ir()
            .reply("AUTHENTICATE", "{tag} OK welcome"),
    )]);
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("SYS/PERM"));
    });
}
