use proptest::prelude::*;

use super::*;
use crate::imap::digest::Digest;

fn claim(mechanism: Mechanism, user: &'static str, secret: &'static str) -> Claim<'static> {
    Claim {
        mechanism,
        user,
        secret,
        host: "imap.example.com",
        port: 993,
    }
}

fn decoded(claim: &Claim<'_>) -> String {
    String::from_utf8(STANDARD.decode(claim.message().as_bytes()).unwrap()).unwrap()
}

#[test]
fn messages_are_as_their_documents_have_them() {
    let plain = claim(Mechanism::Plain, "ann", "pw");
    assert_eq!(decoded(&plain), "\0ann\0pw");
    // The examples of Google's documentation and of RFC 7628, 4.1.
    let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
    let xoauth2 = claim(Mechanism::XOAuth2, "someuser@example.com", token);
    assert_eq!(
        xoauth2.message().as_str(),
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    );
    let bearer = Claim {
        host: "server.example.com",
        port: 143,
        ..claim(
            Mechanism::OAuthBearer,
            "user@example.com",
            "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
        )
    };
    assert_eq!(
        bearer.message().as_str(),
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    );
}

#[test]
fn a_comma_and_an_equals_sign_do_not_end_the_name_of_oauthbearer() {
    let odd = claim(Mechanism::OAuthBearer, "a=b,c=2C", "t");
    assert!(
        decoded(&odd).starts_with("n,a=a=3Db=2Cc=3D2C,\u{1}host="),
        "{:?}",
        decoded(&odd)
    );
}

proptest! {
    #[test]
    fn a_secret_is_found_in_the_base64_of_whatever_it_is_in(
        before in prop::collection::vec(any::<u8>(), 0..9),
        after in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let secret = b"correct horse 7";
        let repeated = STANDARD.encode([&before[..], secret, &after].concat());
        for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer] {
            let mut digest = Digest::default();
            digest.keep_secret(claim(mechanism, "ann", "correct horse 7").secrets());
            prop_assert!(digest.has_secret(repeated.as_bytes()));
            prop_assert!(digest.has_secret(repeated.to_ascii_uppercase().as_bytes()));
        }
    }
}

#[test]
fn a_text_that_shares_a_few_letters_with_a_token_is_shown() {
    let token: &'static str = STANDARD.encode([0x5a; 3000]).leak();
    let mut digest = Digest::default();
    digest.keep_secret(claim(Mechanism::XOAuth2, "ann", token).secrets());
    assert!(!digest.has_secret(b"[UNAVAILABLE] wlpaw, come back later"));
    assert!(digest.has_secret(b"[UNAVAILABLE] wlpaWlpaWlpa, come back later"));
}
