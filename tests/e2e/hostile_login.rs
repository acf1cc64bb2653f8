//! Upstreams that make trouble before or during the log-in: the client hears `[AUTH]` only when its own password was refused, so
//! that no device forgets it because an upstream had a bad day.

use crate::many::{Many, Row, bridged};
use crate::support::imap_peer::{Flow, Peer, RunningPeer, USER};

fn greeted(line: &str) -> Peer {
    Peer::with_mail(1).greeting(line)
}

/// AUTHENTICATE is answered by these lines once the password is there.
pub fn answered(lines: &'static str) -> Peer {
    Peer::with_mail(1).on("AUTHENTICATE", move |conn, cmd| {
        if conn.sasl_response(cmd).is_none() {
            return Flow::End;
        }
        conn.answer(cmd, lines);
        Flow::Done
    })
}

/// Each row twice: with the response in AUTHENTICATE itself (SASL-IR), and asked for.
pub fn in_both_ways<const N: usize>(rows: impl Fn() -> [Row; N]) -> Vec<Row> {
    let asking = rows().map(|(name, peer)| (name, peer.without_sasl_ir()));
    rows().into_iter().chain(asking).collect()
}

fn logging_in_by_login(lines: &str) -> Peer {
    Peer::with_mail(1)
        .capability("IMAP4rev1")
        .reply("LOGIN", lines)
}

#[test]
fn a_strange_greeting_is_a_temporary_error_and_nothing_is_sent() {
    let many = Many::start([
        ("BYE", greeted("* BYE [ALERT] Too many connections")),
        ("NO", greeted("* NO go away")),
        ("BAD", greeted("* BAD go away")),
        ("tagged", greeted("A0001 OK ready")),
        ("a continuation", greeted("+ ready")),
        ("data", greeted("* 5 EXISTS")),
        ("an empty line", greeted("")),
        ("SMTP", greeted("220 mail.example.com ESMTP")),
        ("POP3", greeted("+OK POP3 ready")),
        ("octets", greeted("\u{0}\u{1}\u{fffd}")),
        (
            "a line without end",
            Peer::with_mail(1).script(|conn| {
                while conn.try_raw("* OK ".repeat(10_000)) {}
                None
            }),
        ),
        (
            "nothing",
            Peer::with_mail(1).script(|conn| {
                conn.close();
                None
            }),
        ),
        (
            "a reset",
            Peer::with_mail(1).script(|conn| {
                conn.reset();
                None
            }),
        ),
    ]);
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("SYS/TEMP"));
        one.peer.assert_no_credentials_left();
    });
}

#[test]
fn trouble_during_the_log_in_is_a_temporary_error() {
    let many = Many::start(in_both_ways(|| {
        [
            ("unavailable", answered("{tag} NO [UNAVAILABLE] later")),
            ("limit", answered("{tag} NO [LIMIT] Rate limit hit.")),
            ("in use", answered("{tag} NO [INUSE] x")),
            ("server bug", answered("{tag} NO [SERVERBUG] x")),
            ("over quota", answered("{tag} NO [OVERQUOTA] x")),
            ("throttled", answered("{tag} NO [THROTTLED] x")),
            (
                "Gmail's limit of connections",
                answered("{tag} NO [ALERT] Too many simultaneous connections. (Failure)"),
            ),
            (
                "Exchange's throttling",
                answered("{tag} NO Request is throttled. Suggested Backoff Time: 92 milliseconds"),
            ),
            (
                "Exchange without a server",
                answered("{tag} NO Server Unavailable. 15"),
            ),
            (
                "Cyrus without its database",
                answered("{tag} NO Login failed: temporary failure"),
            ),
            ("BAD", answered("{tag} BAD what?")),
            ("BYE", answered("* BYE going down")),
            ("BYE and OK", answered("* BYE going down\n{tag} OK welcome")),
            ("another tag", answered("Z99 OK welcome")),
            ("garbage", answered("\u{1}\u{2}")),
            ("a literal", answered("* X {5}\nabcde\n{tag} OK welcome")),
            ("no status", answered("{tag} WELCOME")),
            (
                "clean end",
                Peer::with_mail(1).send_and_close("AUTHENTICATE", b""),
            ),
            (
                "clean end behind the password",
                Peer::with_mail(1).on("AUTHENTICATE", |conn, cmd| {
                    conn.sasl_response(cmd);
                    conn.close();
                    Flow::End
                }),
            ),
            (
                "LOGIN unavailable",
                logging_in_by_login("{tag} NO [UNAVAILABLE] x"),
            ),
            ("LOGIN BYE", logging_in_by_login("* BYE x")),
            (
                "capabilities refused afterwards",
                Peer::with_mail(1).reply("CAPABILITY", "{tag} NO no"),
            ),
            (
                "no capabilities afterwards",
                Peer::with_mail(1).reply("CAPABILITY", "{tag} OK none"),
            ),
        ]
    }));
    many.each(|one| {
        let (mut pop3, status) = one.pass();
        one.assert_refused(&status, Some("SYS/TEMP"));
        pop3.err("STAT");
    });
    assert_eq!(
        many.bridge
            .metric("popbridge_logins_total", &["outcome=\"rejected\""]),
        0.0
    );
}

#[test]
fn silence_is_a_temporary_error() {
    let silent = |words: &'static str| {
        Peer::with_mail(1).on(words, |conn, _| {
            conn.stall();
            Flow::End
        })
    };
    let rows = [
        (
            "no greeting",
            Peer::with_mail(1).script(|conn| {
                conn.stall();
                None
            }),
        ),
        ("no answer to the password", silent("AUTHENTICATE")),
        (
            "no question for the password",
            silent("AUTHENTICATE").without_sasl_ir(),
        ),
    ];
    let keys = "connect_timeout = \"1s\"\ncommand_timeout = \"1s\"";
    Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("SYS/TEMP"));
    });
}

#[test]
fn a_refused_password_is_auth() {
    let many = Many::start(in_both_ways(|| {
        [
            ("plain NO", answered("{tag} NO no")),
            (
                "with a code",
                answered("{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"),
            ),
            (
                "authorization",
                answered("{tag} NO [AUTHORIZATIONFAILED] no"),
            ),
            ("expired", answered("{tag} NO [EXPIRED] change it")),
            (
                "Gmail wants an app password",
                answered(
                    "{tag} NO [ALERT] Application-specific password required: https://x (Failure)",
                ),
            ),
            (
                "in letters that are not ASCII",
                answered("{tag} NO [ALERT]Password ung\u{fc}ltig"),
            ),
            ("Courier", answered("{tag} NO Login failed.")),
            (
                "invalid, with advice that does not make it temporary",
                answered("{tag} NO Invalid credentials, try again later"),
            ),
            ("LOGIN", logging_in_by_login("{tag} NO Login failed.")),
            (
                "at once, before the password was asked for",
                Peer::with_mail(1).reply("AUTHENTICATE", "{tag} NO [AUTHENTICATIONFAILED] no"),
            ),
        ]
    }));
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("AUTH"));
    });
}

#[test]
fn what_only_a_person_can_change_is_permanent() {
    let many = Many::start([
        ("contact", answered("{tag} NO [CONTACTADMIN] blocked")),
        ("privacy", answered("{tag} NO [PRIVACYREQUIRED] TLS")),
        (
            "LOGIN disabled",
            Peer::with_mail(1).capability("IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2"),
        ),
    ]);
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some("SYS/PERM"));
    });
    let many = Many::start([(
        "Exchange Online, connected to nothing",
        Peer::with_mail(1).reply(
            "EXAMINE",
            "{tag} BAD User is authenticated but not connected.",
        ),
    )]);
    many.each(|one| {
        let status = one.log_in().command("STAT");
        one.assert_refused(&status, Some("SYS/PERM"));
    });
}

#[test]
fn an_unusual_log_in_works() {
    let noisy = |lines: &'static str| {
        Peer::with_mail(1).on("AUTHENTICATE", move |conn, _| {
            conn.answer_untagged(lines);
            Flow::Default
        })
    };
    let many = Many::start(in_both_ways(|| {
        [
            (
                "a greeting with an alert that is not ASCII",
                greeted("* OK [ALERT]\u{fc}berlastet"),
            ),
            ("a greeting without text", greeted("* OK")),
            ("a greeting in other letters", greeted("* ok hello {5}")),
            ("an untagged line before +", noisy("* OK [ALERT] careful")),
            (
                "many untagged lines before +",
                noisy(
                    "* NAMESPACE ((\"\" \"/\")) NIL NIL\n* ESEARCH (TAG \"A1\") UID\n* 7 EXISTS\n* X-NEW \u{e9}",
                ),
            ),
            (
                "capabilities in the tagged OK",
                answered("* OK [ALERT]\u{e9}\n{tag} OK [CAPABILITY IMAP4rev1] welcome"),
            ),
            (
                "capabilities before the tagged OK",
                answered("* CAPABILITY IMAP4rev1 UIDPLUS\n{tag} OK welcome"),
            ),
            (
                "an OK with an alert that is not ASCII",
                answered("{tag} OK [ALERT]\u{e9}t\u{e9}"),
            ),
            ("an OK without text", answered("{tag} ok")),
            (
                "other capabilities after the log-in",
                Peer::with_mail(1).capability_after_login("IMAP4rev1 UIDPLUS XLIST"),
            ),
            (
                "a challenge with text",
                Peer::with_mail(1).on("AUTHENTICATE", |conn, cmd| {
                    conn.line("+ say the word");
                    if conn.read_line().is_none() {
                        return Flow::End;
                    }
                    conn.ok(cmd);
                    Flow::Done
                }),
            ),
            (
                "LOGIN",
                logging_in_by_login("* OK [ALERT]\u{e9}\n{tag} OK welcome"),
            ),
        ]
    }));
    many.each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("NOOP");
        pop3.quit();
    });
}

#[test]
fn a_name_with_a_line_end_or_nul_in_it_is_not_passed_on() {
    let (peer, bridge) = bridged(Peer::with_mail(1));
    let mut pop3 = bridge.pop3();
    // base64 of NUL user NUL "a\r\nA2 LOGOUT", and of one with a NUL too many.
    for response in ["AHVzZXIAYQ0KQTIgTE9HT1VU", "AHUAcABw"] {
        let status = pop3.command(&format!("AUTH PLAIN {response}"));
        assert!(!status.ok, "{}", status.text);
    }
    assert_eq!(peer.connections(), 0);
    pop3.ok(&format!("USER {USER}"));
}
