//! Exchanges that end well and exchanges that do not.

use super::*;

fn base64(text: &str) -> Vec<u8> {
    STANDARD.encode(text).into_bytes()
}

fn done(step: Result<Step, Refusal>) -> (String, String, Mechanism) {
    match step {
        Ok(Step::Done {
            user,
            password,
            mechanism,
        }) => (user, password.expose().to_owned(), mechanism),
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
    for mechanism in [&b""[..], b"CRAM-MD5", b"PASS", b"XOAUTH2", b"\xff"] {
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
