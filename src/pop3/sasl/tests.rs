//! Exchanges that end well and exchanges that do not.

use proptest::prelude::*;

use super::*;

fn base64(text: &str) -> Vec<u8> {
    STANDARD.encode(text).into_bytes()
}

fn done(step: Result<Step, Refusal>) -> (String, String, Mechanism) {
    match step {
        Ok(Step::Done(Login {
            user,
            presented,
            mechanism,
        })) => {
            let is_token = matches!(presented, Presented::Token(_));
            let of_tokens = [Mechanism::XOAuth2, Mechanism::OAuthBearer];
            assert_eq!(is_token, of_tokens.contains(&mechanism));
            (user, presented.secret().expose().to_owned(), mechanism)
        }
        Ok(Step::Continue(_)) => panic!("a challenge"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(step: Result<Step, Refusal>) -> Refusal {
    match step {
        Ok(_) => panic!("accepted"),
        Err(refusal) => refusal,
    }
}

fn plain(message: &str) -> Result<Step, Refusal> {
    Exchange::begin(b"plain").unwrap().respond(&base64(message))
}

#[test]
fn plain_takes_one_response() {
    let expected = ("joe".to_owned(), "pass wörd".to_owned(), Mechanism::Plain);
    assert_eq!(done(plain("\0joe\0pass wörd")), expected);
    assert_eq!(done(plain("joe\0joe\0pass wörd")), expected);
}

#[test]
fn login_asks_for_the_name_and_then_for_the_password() {
    let exchange = Exchange::begin(b"LOGIN").unwrap();
    assert_eq!(STANDARD.decode(exchange.challenge()).unwrap(), b"Username:");
    let Ok(Step::Continue(exchange)) = exchange.respond(&base64("joe")) else {
        panic!("no second challenge");
    };
    assert_eq!(STANDARD.decode(exchange.challenge()).unwrap(), b"Password:");
    let expected = ("joe".to_owned(), "secret".to_owned(), Mechanism::Login);
    assert_eq!(done(exchange.respond(&base64("secret"))), expected);
}

#[test]
fn acting_for_somebody_else_is_an_authentication_failure() {
    let refusal = refused(plain("boss\0joe\0secret"));
    assert_eq!(refusal.code, Some(Code::Auth));
}

#[test]
fn broken_responses_are_refused_without_a_code() {
    for message in [
        "",
        "joe",
        "\0joe",
        "\0joe\0",
        "\0\0secret",
        "\0joe\0secret\0",
        "\0joe\0a\r\nb",
        "\0j\ro\0a",
    ] {
        assert_eq!(refused(plain(message)).code, None, "{message:?}");
    }
    for response in [
        &b"*"[..],
        b"%%%",
        b"=",
        b"am9l=",
        b"am 9l",
        b"AGpvZQD/",
        b"\xff",
    ] {
        let exchange = Exchange::begin(b"PLAIN").unwrap();
        assert_eq!(refused(exchange.respond(response)).code, None);
    }
    for mechanism in [&b""[..], b"CRAM-MD5", b"PASS", b"XOAUTH", b"\xff"] {
        assert!(Exchange::begin(mechanism).is_err());
    }
}

#[test]
fn an_equals_sign_is_an_empty_initial_response() {
    let refusal = refused(Exchange::begin(b"PLAIN").unwrap().initial(b"="));
    assert_eq!(refusal.text, "The response is no PLAIN message.");
    let refusal = refused(Exchange::begin(b"LOGIN").unwrap().initial(b"="));
    assert_eq!(refusal.text, "The user name is empty or not valid UTF-8.");
}

fn respond(mechanism: &str, message: &str) -> Result<Step, Refusal> {
    let exchange = Exchange::begin(mechanism.as_bytes()).unwrap();
    exchange.respond(&base64(message))
}

#[test]
fn a_token_comes_with_the_name_whose_it_is() {
    let expected = ("joe@example.com".to_owned(), "ya29.x-_~+/==".to_owned());
    for (mechanism, name, message) in [
        (
            Mechanism::XOAuth2,
            "xoauth2",
            "user=joe@example.com\u{1}auth=Bearer ya29.x-_~+/==\u{1}\u{1}",
        ),
        (
            Mechanism::XOAuth2,
            "XOAUTH2",
            "auth=bearer  ya29.x-_~+/==\u{1}user=joe@example.com\u{1}\u{1}",
        ),
        (
            Mechanism::OAuthBearer,
            "OAuthBearer",
            "n,a=joe@example.com,\u{1}host=mail.example.com\u{1}port=110\u{1}auth=Bearer ya29.x-_~+/==\u{1}\u{1}",
        ),
        (
            Mechanism::OAuthBearer,
            "OAUTHBEARER",
            "y,a=joe@example.com,\u{1}auth=BEARER ya29.x-_~+/==\u{1}\u{1}",
        ),
    ] {
        let (user, token, used) = done(respond(name, message));
        assert_eq!(((user, token), used), (expected.clone(), mechanism));
    }
    let odd = "n,a=joe=2Cj=3D=3D2C,\u{1}auth=Bearer t\u{1}\u{1}";
    assert_eq!(done(respond("OAUTHBEARER", odd)).0, "joe,j==2C");
}

#[test]
fn a_token_without_a_name_or_in_another_form_is_refused_without_a_code() {
    for message in [
        "",
        "user=joe",
        "user=joe\u{1}auth=Bearer t\u{1}",
        "user=\u{1}auth=Bearer t\u{1}\u{1}",
        "user=joe\u{1}auth=Bearer \u{1}\u{1}",
        "user=joe\u{1}auth=Basic t\u{1}\u{1}",
        "user=joe\u{1}auth=Bearer a b\u{1}\u{1}",
        "user=joe\u{1}auth=Bearer a\nb\u{1}\u{1}",
        "user=joe\u{1}auth=Bearer t\u{e4}\u{1}\u{1}",
        "user=joe\nx\u{1}auth=Bearer t\u{1}\u{1}",
        "user=joe\u{1}user=ann\u{1}auth=Bearer t\u{1}\u{1}",
        "user=joe\u{1}auth=Bearer t\u{1}auth=Bearer u\u{1}\u{1}",
        "auth=Bearer t\u{1}\u{1}",
        "\0joe\0secret",
    ] {
        assert_eq!(
            refused(respond("XOAUTH2", message)).code,
            None,
            "{message:?}"
        );
    }
    for message in [
        "",
        "n,,\u{1}auth=Bearer t\u{1}\u{1}",
        "n,a=,\u{1}auth=Bearer t\u{1}\u{1}",
        "n,a=joe\u{1}auth=Bearer t\u{1}\u{1}",
        "n,joe,\u{1}auth=Bearer t\u{1}\u{1}",
        "n,a=joe,x\u{1}auth=Bearer t\u{1}\u{1}",
        "n,a=joe=,\u{1}auth=Bearer t\u{1}\u{1}",
        "p=tls-unique,a=joe,\u{1}auth=Bearer t\u{1}\u{1}",
        "n,a=joe,\u{1}host=x\u{1}\u{1}",
        "n,a=joe,\u{1}auth=Bearer t",
        "n,a=joe,\u{1}auth\u{1}\u{1}",
        "n,a=joe,\u{1}\u{1}",
    ] {
        let refusal = refused(respond("OAUTHBEARER", message));
        assert_eq!(refusal.code, None, "{message:?}");
    }
}

/// A part of a message, or something that is none.
fn part() -> impl Strategy<Value = String> {
    let known = vec![
        "\u{1}",
        "\u{1}\u{1}",
        "n,",
        "a=",
        ",",
        "user=",
        "auth=",
        "Bearer ",
        "joe",
        "=2C",
        "=",
        "\0",
        "host=x",
        "ya29.t",
    ];
    prop_oneof![
        8 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => ".{0,5}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_it_panic_and_nothing_odd_is_let_through(
        mechanism in proptest::sample::select(Mechanism::SASL.to_vec()),
        parts in proptest::collection::vec(part(), 0..14),
        octets in proptest::collection::vec(any::<u8>(), 0..60),
        is_text in any::<bool>(),
    ) {
        let message = if is_text { parts.concat().into_bytes() } else { octets.clone() };
        let exchange = || Exchange::begin(mechanism.as_str().as_bytes()).unwrap();
        let _ = exchange().initial(&octets);
        if let Ok(Step::Done(login)) = exchange().respond(STANDARD.encode(message).as_bytes()) {
            let token = login.presented.secret().expose();
            prop_assert!(!login.user.is_empty() && !token.is_empty());
            prop_assert!(!login.user.contains(['\0', '\r', '\n']));
            if let Presented::Token(_) = login.presented {
                let has_separator = login.user.contains('\u{1}');
                prop_assert!(!has_separator);
                prop_assert!(token.bytes().all(|octet| octet.is_ascii_graphic()));
            }
        }
    }
}
