//! What no client should send.

use proptest::prelude::*;

use super::*;
use crate::pop3::MAX_LINE;

#[test]
fn commands_of_another_state_are_refused() {
    let mut talk = Talk::new(profile());
    for line in [
        "STAT", "LIST", "UIDL 1", "RETR 1", "TOP 1 1", "DELE 1", "NOOP", "RSET",
    ] {
        talk.check(line, &["-ERR Log in first."]);
    }
    let mut talk = Talk::with_messages(&[100]);
    for line in ["USER joe", "PASS secret", "AUTH PLAIN", "AUTH", "STLS"] {
        talk.check(line, &["-ERR You are logged in already."]);
    }
    talk.check_refused("APOP joe c4c9334bac560ecc979e58001b3e22fb");
}

#[test]
fn twenty_bad_lines_in_a_row_close_the_connection() {
    for mut talk in [Talk::new(profile()), Talk::with_messages(&[100])] {
        for _ in 0..19 {
            talk.check("XYZZY", &["-ERR Unknown command."]);
        }
        talk.say("CAPA");
        talk.seen.clear();
        for _ in 0..19 {
            talk.check("RETR 0", &["-ERR There is no such message."]);
        }
        talk.check("XYZZY", &["-ERR Too many bad commands.", "close"]);
    }
}

#[test]
fn an_over_long_line_is_refused_in_any_state() {
    for mut talk in [Talk::new(profile()), Talk::with_messages(&[])] {
        talk.report(|session, out| session.line(Line::TooLong, out));
        talk.expect(&["-ERR The line is too long."]);
        assert_eq!(talk.session.command(), "unknown");
    }
}

#[test]
fn a_line_that_comes_too_early_closes_the_session() {
    let mut talk = Talk::new(profile());
    talk.say("AUTH PLAIN AGpvZQBzZWNyZXQ=");
    talk.seen.clear();
    talk.check("CAPA", &["close"]);
    let mut talk = Talk::logged_in(profile());
    talk.check("STAT", &["list"]);
    talk.check("NOOP", &["close"]);
}

#[test]
fn each_line_has_a_label_that_the_client_cannot_choose() {
    let mut talk = Talk::new(profile());
    for (line, label) in [
        ("capa", "CAPA"),
        ("x\u{1b}[2J", "unknown"),
        ("AUTH LOGIN", "AUTH"),
        ("am9l", "AUTH"),
        ("c2VjcmV0", "AUTH"),
    ] {
        talk.say(line);
        assert_eq!(talk.session.command(), label);
    }
}

#[test]
fn debug_output_shows_no_secret_and_no_name() {
    let mut talk = Talk::new(profile());
    talk.say("USER joe");
    let mut out = Vec::new();
    let action = talk.session.line(Line::Complete(b"PASS geheim"), &mut out);
    let shown = format!("{:?} {action:?}", talk.session);
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(!format!("{:?}", talk.session).contains("joe"));
}

/// A line that a client might send: mostly commands, some with sense.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(crate::pop3::COMMAND_NAMES.to_vec());
    let argument = prop_oneof![
        Just(String::new()),
        (0_u32..8).prop_map(|number| format!(" {number}")),
        (0_u32..8, 0_u32..3).prop_map(|(number, lines)| format!(" {number} {lines}")),
        proptest::sample::select(vec![
            " -1",
            " 99999999999999999999",
            " PLAIN",
            " LOGIN",
            " PLAIN AGpvZQBzZWNyZXQ=",
            " PLAIN =",
            " XOAUTH2",
            " XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIgdAEB",
            " OAUTHBEARER bixhPWpvZSwBYXV0aD1CZWFyZXIgdAEB",
            " joe",
            " ",
            " \0",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        8 => (word, argument).prop_map(|(word, argument)| format!("{word}{argument}").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(b"*".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is said, each line gets exactly one answer, at once or through the
    /// driver, and every answer is whole lines.
    #[test]
    fn every_line_is_answered_once(
        lines in proptest::collection::vec(line(), 1..80),
        failures in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let patient = Profile { max_bad_commands: 1000, max_login_attempts: 1000, ..profile() };
        let mut session = Session::new(patient);
        for (line, fails) in lines.iter().zip(failures) {
            prop_assert!(line.len() <= MAX_LINE);
            let mut out = Vec::new();
            let auth = || Refusal::new(Code::Auth, "No.");
            let refusal = || if line.len() % 2 == 0 { auth() } else { temporary() };
            let result = || if fails { Err(refusal()) } else { Ok(()) };
            let mut action = session.line(Line::Complete(line), &mut out);
            loop {
                action = match action {
                    Action::LogIn(_) => session.logged_in(result(), &mut out),
                    Action::List => {
                        let result = result().map(|()| maildrop(&[10, 20, 30, 40, 50]));
                        session.listed(result, &mut out)
                    }
                    Action::Update(items) => {
                        prop_assert!(items.is_sorted_by(|one, next| one.seq < next.seq));
                        session.updated(result(), &mut out)
                    }
                    Action::Retrieve(body) => {
                        session.body_starts(&body, &mut out);
                        out.extend(b".\r\n");
                        break;
                    }
                    Action::More => {
                        while session.more(&mut out) {}
                        break;
                    }
                    Action::None => break,
                    Action::StartTls => panic!("TLS is active"),
                    Action::Close => {
                        prop_assert_eq!(session.state(), StateName::Closed);
                        break;
                    }
                };
            }
            let answer = String::from_utf8(out).unwrap();
            let mut answered = answer.split_inclusive('\n');
            let first = answered.next().unwrap();
            prop_assert!(first.starts_with('+') || first.starts_with("-ERR "), "{answer}");
            prop_assert!(answer.ends_with("\r\n"));
            let multi_line = answered.next().is_some();
            prop_assert_eq!(multi_line, answer.ends_with("\r\n.\r\n"), "{}", answer);
            prop_assert!(!answer[3..].contains("+OK") && !answer[3..].contains("-ERR"));
            if session.state() == StateName::Closed {
                break;
            }
        }
    }
}
