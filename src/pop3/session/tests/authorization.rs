//! Log-in, STLS and CAPA.

use super::*;

#[test]
fn the_greeting_has_no_timestamp_because_there_is_no_apop() {
    let mut out = Vec::new();
    Session::new(profile()).greet(&mut out);
    assert!(out.starts_with(b"+OK ") && out.ends_with(b"\r\n") && !out.contains(&b'<'));
}

#[test]
fn user_and_pass_log_in() {
    let mut talk = Talk::new(profile());
    talk.check("user joe@example.com", &["+OK Now the password."]);
    talk.check(
        "PASS  pass wörd ",
        &["log in joe@example.com with  pass wörd  by PASS"],
    );
    assert_eq!(talk.session.state(), StateName::Authorization);
    talk.report(|session, out| session.logged_in(Ok(()), out));
    talk.expect(&["+OK Logged in."]);
    assert_eq!(talk.session.state(), StateName::Transaction);
}

#[test]
fn pass_needs_a_user_each_time() {
    let mut talk = Talk::new(profile());
    talk.check("PASS secret", &["-ERR The user name comes first: USER."]);
    talk.say("USER joe");
    talk.say("PASS wrong");
    talk.report(|session, out| {
        session.logged_in(Err(Refusal::new(Code::Auth, "Log-in refused.")), out)
    });
    talk.seen.clear();
    talk.check("PASS secret", &["-ERR The user name comes first: USER."]);
    talk.check("USER", &["-ERR The user name is missing."]);
}

#[test]
fn the_third_refused_login_closes_the_connection() {
    let mut talk = Talk::new(profile());
    for attempt in 1..=3 {
        talk.say("USER joe");
        talk.say("PASS wrong");
        talk.seen.clear();
        talk.report(|session, out| session.logged_in(Err(temporary()), out));
        let expected = ["-ERR [SYS/TEMP] Later.", "close"];
        talk.expect(if attempt < 3 {
            &expected[..1]
        } else {
            &expected
        });
    }
    assert_eq!(talk.session.state(), StateName::Closed);
    talk.check("USER joe", &["close"]);
}

#[test]
fn auth_plain_logs_in_with_and_without_an_initial_response() {
    let logged_in = "log in joe with secret by PLAIN";
    Talk::new(profile()).check("AUTH PLAIN AGpvZQBzZWNyZXQ=", &[logged_in]);
    let mut talk = Talk::new(profile());
    talk.check("auth plain", &["+ "]);
    talk.check("AGpvZQBzZWNyZXQ=", &[logged_in]);
}

#[test]
fn auth_login_logs_in_with_and_without_an_initial_response() {
    let logged_in = "log in joe with secret by LOGIN";
    let mut talk = Talk::new(profile());
    talk.check("AUTH LOGIN", &["+ VXNlcm5hbWU6"]);
    talk.check("am9l", &["+ UGFzc3dvcmQ6"]);
    talk.check("c2VjcmV0", &[logged_in]);
    let mut talk = Talk::new(profile());
    talk.check("AUTH LOGIN am9l", &["+ UGFzc3dvcmQ6"]);
    talk.check("c2VjcmV0", &[logged_in]);
}

#[test]
fn an_auth_that_fails_is_over_and_the_next_line_is_a_command() {
    for response in ["*", "???", "", "AGpvZQ=="] {
        let mut talk = Talk::new(profile());
        talk.check("AUTH PLAIN", &["+ "]);
        talk.check_refused(response);
        talk.check("QUIT", &["+OK Bye.", "close"]);
    }
    let mut talk = Talk::new(profile());
    talk.check("AUTH PLAIN", &["+ "]);
    talk.report(|session, out| session.line(Line::TooLong, out));
    talk.expect(&["-ERR The line is too long."]);
    talk.check("QUIT", &["+OK Bye.", "close"]);
    Talk::new(profile()).check_refused("AUTH CRAM-MD5");
}

#[test]
fn auth_alone_lists_the_mechanisms() {
    let mut talk = Talk::new(profile());
    let mechanisms = ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"];
    let expected = [&["+OK Mechanisms follow."][..], &mechanisms, &["."]].concat();
    talk.check("AUTH", &expected);
    let mut talk = Talk::new(unencrypted(TlsState::Offered));
    talk.check("AUTH", &["+OK Mechanisms follow.", "."]);
}

#[test]
fn without_encryption_no_password_is_taken() {
    for (tls, hint) in [
        (TlsState::Offered, "STLS"),
        (TlsState::Absent, "a port with TLS"),
    ] {
        for line in [
            "USER joe",
            "PASS secret",
            "AUTH PLAIN",
            "AUTH LOGIN am9l",
            "AUTH XOAUTH2",
            "AUTH OAUTHBEARER",
        ] {
            let mut talk = Talk::new(unencrypted(tls));
            talk.say(line);
            assert!(talk.seen[0].starts_with("-ERR [SYS/PERM] ") && talk.seen[0].contains(hint));
        }
    }
    let mut talk = Talk::new(Profile {
        plaintext_login: true,
        ..unencrypted(TlsState::Absent)
    });
    talk.check("USER joe", &["+OK Now the password."]);
}

#[test]
fn by_auth_passwords_and_tokens_are_taken_in_clear_where_that_is_allowed_and_never_advertised() {
    for (line, log_in) in [
        (
            "AUTH PLAIN AGpvZQBzZWNyZXQ=".to_owned(),
            "log in joe with secret by PLAIN",
        ),
        (
            format!("AUTH XOAUTH2 {XOAUTH2}"),
            "log in joe with the token t by XOAUTH2",
        ),
    ] {
        let mut talk = Talk::new(Profile {
            plaintext_login: true,
            ..unencrypted(TlsState::Offered)
        });
        talk.check("AUTH", &["+OK Mechanisms follow.", "."]);
        talk.check(&line, &[log_in]);
    }
}

#[test]
fn stls_forgets_what_was_said_in_clear() {
    let mut talk = Talk::new(Profile {
        plaintext_login: true,
        ..unencrypted(TlsState::Offered)
    });
    talk.say("USER mallory");
    talk.seen.clear();
    talk.check("STLS", &["+OK Begin TLS negotiation.", "start TLS"]);
    talk.session.tls_started();
    talk.check("PASS secret", &["-ERR The user name comes first: USER."]);
    talk.check("STLS", &["-ERR TLS is active already."]);
    Talk::new(unencrypted(TlsState::Absent)).check_refused("STLS");
    Talk::logged_in(profile()).check_refused("STLS");
}

#[test]
fn capa_says_exactly_what_works_now() {
    let always = [
        "TOP",
        "UIDL",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "PIPELINING",
        "UTF8",
        "EXPIRE NEVER",
    ];
    let login = ["USER", "SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER"];
    let plaintext = |tls| Profile {
        plaintext_login: true,
        ..unencrypted(tls)
    };
    let in_clear = ["USER"];
    let table: [(Profile, &[&str], &[&str]); 5] = [
        (profile(), &login, &[]),
        (unencrypted(TlsState::Offered), &[], &["STLS"]),
        (unencrypted(TlsState::Absent), &[], &[]),
        (plaintext(TlsState::Offered), &in_clear, &["STLS"]),
        (plaintext(TlsState::Absent), &in_clear, &[]),
    ];
    for (profile, login, stls) in table {
        let expected = |stls| {
            let first = &["+OK Capability list follows."][..];
            let last = &["IMPLEMENTATION popbridge 0.1.0", "."][..];
            [first, &always, login, stls, last].concat()
        };
        Talk::new(profile.clone()).check("CAPA", &expected(stls));
        if !login.is_empty() {
            // After log-in STLS is not permitted, and so not listed.
            Talk::logged_in(profile).check("CAPA", &expected(&[]));
        }
    }
}

#[test]
fn a_result_that_nobody_asked_for_lets_nobody_in() {
    let mut talk = Talk::new(profile());
    talk.report(|session, out| session.logged_in(Ok(()), out));
    talk.expect(&["close"]);
}

/// `user=joe ^A auth=Bearer t ^A ^A`
const XOAUTH2: &str = "dXNlcj1qb2UBYXV0aD1CZWFyZXIgdAEB";
/// `n,a=joe, ^A auth=Bearer t ^A ^A`
const OAUTHBEARER: &str = "bixhPWpvZSwBYXV0aD1CZWFyZXIgdAEB";

fn refused() -> Refusal {
    Refusal::new(Code::Auth, "No.")
}

#[test]
fn a_token_logs_in_with_and_without_an_initial_response() {
    for (mechanism, message) in [("XOAUTH2", XOAUTH2), ("OAUTHBEARER", OAUTHBEARER)] {
        let logged_in = format!("log in joe with the token t by {mechanism}");
        Talk::new(profile()).check(&format!("AUTH {mechanism} {message}"), &[&logged_in]);
        let mut talk = Talk::new(profile());
        talk.check(&format!("AUTH {mechanism}"), &["+ "]);
        talk.check(message, &[&logged_in]);
        talk.report(|session, out| session.logged_in(Ok(()), out));
        talk.expect(&["+OK Logged in."]);
    }
}

#[test]
fn a_token_that_is_not_accepted_is_complained_of_before_it_is_refused() {
    // {"status":"401","schemes":"bearer"} and {"status":"invalid_token"}
    for (mechanism, message, error) in [
        (
            "XOAUTH2",
            XOAUTH2,
            "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=",
        ),
        (
            "OAUTHBEARER",
            OAUTHBEARER,
            "+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=",
        ),
    ] {
        // Whatever the client says to that.
        for response in ["AQ==", "", "*", "QUIT", "\u{7}"] {
            let mut talk = Talk::new(profile());
            talk.say(&format!("AUTH {mechanism} {message}"));
            talk.seen.clear();
            talk.report(|session, out| session.logged_in(Err(refused()), out));
            talk.expect(&[error]);
            assert_eq!(talk.session.state(), StateName::Authorization);
            talk.check(response, &["-ERR [AUTH] No."]);
            assert_eq!(talk.session.command(), "AUTH");
            talk.check("QUIT", &["+OK Bye.", "close"]);
        }
    }
}

#[test]
fn what_is_not_about_the_token_is_refused_at_once() {
    for refusal in [
        temporary(),
        Refusal::new(Code::SysPerm, "No."),
        Refusal::new(Code::InUse, "No."),
    ] {
        let mut talk = Talk::new(profile());
        talk.say(&format!("AUTH XOAUTH2 {XOAUTH2}"));
        talk.seen.clear();
        talk.report(|session, out| session.logged_in(Err(refusal.clone()), out));
        assert!(talk.seen[0].starts_with("-ERR ["), "{:?}", talk.seen);
        talk.seen.clear();
        talk.check("QUIT", &["+OK Bye.", "close"]);
    }
    // Nor is a password ever complained of so.
    let mut talk = Talk::new(profile());
    talk.say("AUTH PLAIN AGpvZQBzZWNyZXQ=");
    talk.seen.clear();
    talk.report(|session, out| session.logged_in(Err(refused()), out));
    talk.expect(&["-ERR [AUTH] No."]);
}

#[test]
fn the_third_refused_token_closes_the_connection() {
    let mut talk = Talk::new(profile());
    for attempt in 1..=3 {
        talk.say(&format!("AUTH OAUTHBEARER {OAUTHBEARER}"));
        talk.report(|session, out| session.logged_in(Err(refused()), out));
        talk.seen.clear();
        let expected = ["-ERR [AUTH] No.", "close"];
        talk.check("AQ==", &expected[..if attempt < 3 { 1 } else { 2 }]);
    }
}

#[test]
fn only_a_line_with_a_response_in_it_may_be_as_long_as_a_token() {
    let mut talk = Talk::new(profile());
    let longest = |talk: &Talk, start: &str| talk.session.longest_line(start.as_bytes());
    assert_eq!(longest(&talk, "auth XOAUTH2 dXNl"), MAX_SASL_LINE);
    for start in ["PASS AUTH ", "AUTHOR ", "dXNl", ""] {
        assert_eq!(longest(&talk, start), MAX_LINE, "{start}");
    }
    talk.say("AUTH XOAUTH2");
    assert_eq!(longest(&talk, "dXNl"), MAX_SASL_LINE);
    let talk = Talk::logged_in(profile());
    assert_eq!(longest(&talk, "AUTH XOAUTH2 dXNl"), MAX_LINE);
}

#[test]
fn utf8_is_said_before_the_log_in_and_forgotten_with_what_was_said_without_tls() {
    let unencrypted = Profile {
        plaintext_login: true,
        ..unencrypted(TlsState::Offered)
    };
    let mut talk = Talk::new(unencrypted);
    talk.check("UTF8", &["+OK Headers may be in UTF-8."]);
    talk.check("STLS", &["+OK Begin TLS negotiation.", "start TLS"]);
    talk.session.tls_started();
    let log_in = |talk: &mut Talk, result: Result<(), Refusal>| {
        talk.say("USER ann");
        talk.say("PASS secret");
        talk.report(|session, out| session.logged_in(result, out));
        talk.seen.clear();
        talk.session.is_utf8()
    };
    assert!(!log_in(&mut talk, Err(refused())));
    talk.check("UTF8", &["+OK Headers may be in UTF-8."]);
    // A refused log-in takes nothing back.
    assert!(log_in(&mut talk, Err(refused())) && log_in(&mut talk, Ok(())));
    talk.check_refused("UTF8");
}
