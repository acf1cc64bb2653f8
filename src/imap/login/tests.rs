//! Log-ins on a pipe, at whose other end a test says every line.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::imap::bench::Nobody;
use crate::imap::driver::Stranger;
use crate::imap::error::Nature;

const TOKEN: &str = "ya29.a0AfH6SMBx-0123456789_abcdefghijklmnopqrstuvwxyz";
/// `{"status":"401","scope":"mail"}`
const ERROR: &str = "+ eyJzdGF0dXMiOiI0MDEiLCJzY29wZSI6Im1haWwifQ==\r\n";

fn claim(mechanism: Mechanism, secret: &str) -> Claim<'_> {
    Claim {
        mechanism,
        user: "ann",
        secret,
        host: "localhost",
        port: 143,
    }
}

/// Logs in to a server that has said `early` before, answers each thing that it hears with the next of `answers`, and hangs up behind
/// the last one. Gives what came of it (the capabilities told behind the credentials) and what the server heard, one
/// after the other.
fn talk(
    claim: &Claim<'_>,
    offered: &str,
    early: &str,
    answers: &[&str],
) -> (Result<Option<Capabilities>, Error>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
        theirs.write_all(early.as_bytes()).await.unwrap();
        let patience = Duration::from_secs(60);
        let mut transport = Transport::new(Box::new(ours), Arc::new(Nobody), patience);
        if !early.is_empty() {
            transport.line().await.unwrap();
        }
        let answers: Vec<String> = answers.iter().map(|text| (*text).to_owned()).collect();
        let server = tokio::spawn(async move {
            let mut heard = Vec::new();
            let mut room = vec![0; 64 * 1024];
            for answer in answers {
                // What is sent comes in one piece.
                let n = theirs.read(&mut room).await.unwrap();
                if n == 0 {
                    break;
                }
                heard.push(String::from_utf8(room[..n].to_vec()).unwrap());
                theirs.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        let offered = Capabilities::parse(offered.as_bytes());
        let outcome = Stranger::new(transport).login(claim, &offered).await;
        let outcome = outcome.map(|(_, told)| told);
        (outcome, server.await.unwrap())
    })
}

#[test]
fn a_log_in_with_sasl_ir_costs_one_round_trip_and_two_without() {
    let plain = claim(Mechanism::Plain, "pw");
    let message = STANDARD.encode("\0ann\0pw");
    let (outcome, heard) = talk(&plain, "SASL-IR", "", &["S0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(heard, [format!("S0001 AUTHENTICATE PLAIN {message}\r\n")]);
    let (outcome, heard) = talk(&plain, "", "", &["+ \r\n", "S0001 OK in\r\n"]);
    outcome.unwrap();
    let expected = [
        "S0001 AUTHENTICATE PLAIN\r\n".to_owned(),
        format!("{message}\r\n"),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn untagged_lines_before_the_question_do_not_disturb() {
    let lines = "* OK [ALERT] \u{fc}\r\n* CAPABILITY IMAP4rev1 X\r\n* NAMESPACE ((\r\n+ \r\n";
    let answers = [lines, "* 3 EXISTS\r\nS0001 OK in\r\n"];
    let (outcome, heard) = talk(&claim(Mechanism::Plain, "pw"), "", "", &answers);
    assert_eq!(
        outcome.unwrap(),
        None,
        "what is offered before the log-in may not be what is offered behind it"
    );
    assert_eq!(heard.len(), 2);
    let answers = ["+ \r\n", "* CAPABILITY IMAP4rev1 X\r\nS0001 OK in\r\n"];
    let (outcome, _) = talk(&claim(Mechanism::Plain, "pw"), "", "", &answers);
    assert!(outcome.unwrap().unwrap().has("X"));
}

#[test]
fn a_server_that_asks_although_it_has_the_message_gets_it_once_more_and_never_again() {
    let plain = claim(Mechanism::Plain, "pw");
    let (outcome, heard) = talk(&plain, "SASL-IR", "", &["+ \r\n", "S0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(heard[1], format!("{}\r\n", STANDARD.encode("\0ann\0pw")));
    for offered in ["", "SASL-IR"] {
        let (outcome, heard) = talk(&plain, offered, "", &["+ \r\n", "+ \r\n", "+ \r\n"]);
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
        assert_eq!(heard.len(), 2);
    }
}

#[test]
fn whoever_accepts_before_all_was_said_has_checked_nothing() {
    let ok = ["S0001 OK welcome\r\n"];
    let plain = claim(Mechanism::Plain, "pw");
    let token = claim(Mechanism::XOAuth2, TOKEN);
    let login = claim(Mechanism::Login, "p\u{e4}ss");
    for (claim, offered) in [(&plain, ""), (&token, ""), (&login, "")] {
        let (outcome, _) = talk(claim, offered, "", &ok);
        assert!(matches!(outcome, Err(Error::Insecure(_))), "{outcome:?}");
    }
    for (claim, offered) in [
        (&plain, "SASL-IR"),
        (&token, "SASL-IR"),
        (&login, "LITERAL+"),
        (&login, "LITERAL-"),
    ] {
        talk(claim, offered, "", &ok).0.unwrap();
    }
}

#[test]
fn login_sends_what_cannot_be_quoted_as_a_literal() {
    let login = Claim {
        user: "\u{fc}nn",
        ..claim(Mechanism::Login, "p\u{e4} \"ss")
    };
    let (outcome, heard) = talk(&login, "LITERAL+", "", &["S0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(
        heard,
        ["S0001 LOGIN {4+}\r\n\u{fc}nn {7+}\r\np\u{e4} \"ss\r\n"]
    );
    let go_on = "* OK [ALERT] first this\r\n+ go on\r\n";
    let (outcome, heard) = talk(&login, "", "", &[go_on, go_on, "S0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(
        heard,
        [
            "S0001 LOGIN {4}\r\n",
            "\u{fc}nn {7}\r\n",
            "p\u{e4} \"ss\r\n"
        ]
    );
    // A name that can be quoted is, and only what is short is sent without being asked for.
    let long = "\u{e4}".repeat(2049);
    let login = claim(Mechanism::Login, &long);
    let (outcome, heard) = talk(&login, "LITERAL+", "", &["+ \r\n", "S0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(heard[0], "S0001 LOGIN \"ann\" {4098}\r\n");
    let (outcome, heard) = talk(&login, "", "", &["S0001 NO [LIMIT] too long\r\n"]);
    assert!(
        matches!(outcome, Err(Error::LoginRefused(_))),
        "{outcome:?}"
    );
    assert_eq!(heard.len(), 1, "the password is kept");
}

#[test]
fn login_that_can_be_quoted_is_left_to_the_imap_crate() {
    let login = claim(Mechanism::Login, "p \"w\\");
    let (outcome, heard) = talk(&login, "LITERAL+ SASL-IR", "", &["A0001 OK in\r\n"]);
    outcome.unwrap();
    assert_eq!(heard, ["A0001 LOGIN \"ann\" \"p \\\"w\\\\\"\r\n"]);
}

#[test]
fn the_error_of_a_token_is_answered_and_kept() {
    let no = "S0001 NO [AUTHENTICATIONFAILED] no\r\n";
    for (mechanism, dummy) in [
        (Mechanism::XOAuth2, "\r\n"),
        (Mechanism::OAuthBearer, "AQ==\r\n"),
    ] {
        let token = claim(mechanism, TOKEN);
        for (offered, answers) in [
            ("SASL-IR", &[ERROR, no][..]),
            ("", &["+ \r\n", ERROR, no]),
            ("SASL-IR", &["+ \r\n", ERROR, no]),
            // Not in any form that could be read.
            ("", &["+ \r\n", "+ \r\n", no]),
        ] {
            let (outcome, heard) = talk(&token, offered, "", answers);
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::TokenRefused { .. }), "{error:?}");
            assert_eq!(error.nature(), Nature::Credentials);
            assert_eq!(heard.last().unwrap(), dummy);
            assert_eq!(heard.len(), answers.len());
            if answers.contains(&ERROR) {
                assert!(
                    error.to_string().contains("status 401, scope mail"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn nobody_gets_in_behind_an_error_and_no_error_is_answered_twice() {
    let token = claim(Mechanism::XOAuth2, TOKEN);
    for last in ["S0001 OK never mind\r\n", ERROR, "+ \r\n"] {
        let (outcome, heard) = talk(&token, "SASL-IR", "", &[ERROR, last, "S0001 OK in\r\n"]);
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
        assert_eq!(heard.len(), 2);
    }
}

#[test]
fn a_token_that_is_said_back_is_not_shown() {
    let said = STANDARD.encode(format!(r#"{{"status":"bad token {TOKEN}","scope":"x"}}"#));
    let message = claim(Mechanism::XOAuth2, TOKEN).message();
    let echo = format!("S0001 NO [LIMIT] what is {}?\r\n", message.as_str());
    let challenge = format!("+ {said}\r\n");
    for answers in [
        &[&challenge[..], "S0001 NO no\r\n"][..],
        &[&echo],
        &["* BYE ya29.a0AfH6SMBx\r\n"],
    ] {
        let (outcome, _) = talk(&claim(Mechanism::XOAuth2, TOKEN), "SASL-IR", "", answers);
        let error = outcome.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("ya29") && !shown.contains("eWEyOS"),
            "{shown}"
        );
        assert!(shown.contains("withheld"), "{shown}");
    }
}

#[test]
fn a_long_token_goes_where_lines_may_be_long() {
    for (length, trips) in [(5800, 1), (6000, 2), (9000, 2)] {
        let secret = "x".repeat(length);
        let token = claim(Mechanism::OAuthBearer, &secret);
        let answers = ["+ \r\n", "S0001 OK in\r\n"];
        let (outcome, heard) = talk(&token, "SASL-IR", "", &answers[2 - trips..]);
        outcome.unwrap();
        assert_eq!(heard.len(), trips, "{length}");
        assert!(heard[0].len() <= 8000);
    }
}

#[test]
fn an_answer_that_came_before_the_question_ends_the_connection() {
    let plain = claim(Mechanism::Plain, "pw");
    for early in [
        "* OK hello\r\nS0001 OK welcome\r\n",
        "* OK hello\r\nA0001 OK welcome\r\n",
    ] {
        let (outcome, heard) = talk(&plain, "SASL-IR", early, &["S0001 OK in\r\n"]);
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
        assert_eq!(heard.len(), 0, "no password left");
    }
    let early = "* OK hello\r\n* OK [ALERT] be quick\r\n";
    talk(&plain, "SASL-IR", early, &["S0001 OK in\r\n"])
        .0
        .unwrap();
}

#[test]
fn what_has_no_place_in_a_log_in_ends_it() {
    let endless = "* OK still here\r\n".repeat(1000);
    for answer in [
        "* BYE\r\n",
        "Z1 OK in\r\n",
        "* X {5}\r\nabcde\r\nS0001 OK in\r\n",
        "S0001 WELCOME\r\n",
        &endless,
        "",
    ] {
        for offered in ["SASL-IR", ""] {
            let (outcome, heard) = talk(&claim(Mechanism::Plain, "pw"), offered, "", &[answer]);
            let error = outcome.unwrap_err();
            assert_eq!(error.nature(), Nature::Temporary, "{answer}: {error}");
            assert_eq!(heard.len(), 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_words_make_it_panic_wait_or_let_somebody_in_unchecked(
        answers in prop::collection::vec(
            prop_oneof![
                Just("+ \r\n".to_owned()),
                Just(ERROR.to_owned()),
                Just("S0001 NO no\r\n".to_owned()),
                Just("S0001 OK in\r\n".to_owned()),
                "[+*SA] ?[ -~]{0,20}\r\n",
            ],
            0..6,
        ),
        mechanism in prop::sample::select(vec![
            Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer,
        ]),
        offered in prop::sample::select(vec!["", "SASL-IR", "LITERAL-"]),
    ) {
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let (outcome, heard) = talk(&claim(mechanism, "p\u{e4}sswort"), offered, "", &answers);
        let all = heard.concat();
        let message = claim(mechanism, "p\u{e4}sswort").message();
        let was_shown = all.contains("p\u{e4}sswort") || all.contains(message.as_str());
        prop_assert!(outcome.is_err() || was_shown);
    }
}
