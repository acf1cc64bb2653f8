use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::imap::error::Error;
use crate::imap::reply::Reply;

fn complaint(json: &str) -> Complaint {
    Complaint::parse(STANDARD.encode(json).as_bytes(), |_| false).unwrap()
}

/// What a refusal with this error and this tagged line is.
fn nature(json: &str, line: &str) -> Nature {
    let complaint = Box::new(complaint(json));
    let reply = Reply::parse(line.as_bytes()).unwrap();
    Error::TokenRefused { complaint, reply }.nature()
}

#[test]
fn the_operator_is_told_status_and_scope() {
    let google = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
    assert_eq!(
        complaint(google).to_string(),
        "status 400, scope https://mail.google.com/"
    );
    assert_eq!(complaint(r#"{"status":401}"#).to_string(), "status 401");
    assert_eq!(complaint("{}").to_string(), "status unknown");
    assert_eq!(
        complaint(r#"{"status":["x"]}"#).to_string(),
        "status unknown"
    );
    let unpadded = STANDARD_NO_PAD.encode(r#"{"status":"invalid_token"}"#);
    let unpadded = Complaint::parse(format!(" {unpadded} ").as_bytes(), |_| false);
    assert_eq!(unpadded.unwrap().to_string(), "status invalid_token");
}

#[test]
fn texts_are_cut_and_cleaned_and_withheld_with_a_secret_in_them() {
    let long = format!(r#"{{"status":"\u001b[2J{}"}}"#, "x".repeat(5000));
    let shown = complaint(&long).to_string();
    assert!(shown.len() < 300 && !shown.contains('\u{1b}'), "{shown}");
    // Written so that it is a secret only when it is read.
    let escaped = STANDARD.encode(r#"{"status":"t\u006fken","scope":"x"}"#);
    let has_token = |text: &[u8]| text.windows(5).any(|piece| piece == b"token");
    let withheld = Complaint::parse(escaped.as_bytes(), has_token).unwrap();
    assert_eq!(
        format!("{withheld} {withheld:?}"),
        "status (withheld) Complaint(status (withheld))"
    );
}

#[test]
fn what_is_no_json_object_in_base64_is_no_complaint() {
    for challenge in [
        "",
        "say the word",
        &STANDARD.encode("no"),
        &STANDARD.encode(r#"["401","x"]"#),
        &STANDARD.encode(r#"{"status":"401""#),
        &STANDARD.encode("{".repeat(10_000)),
    ] {
        let parsed = Complaint::parse(challenge.as_bytes(), |_| false);
        assert_eq!(parsed, None, "{challenge}");
    }
}

#[test]
fn a_token_that_is_no_more_is_about_credentials_and_one_for_something_else_is_permanent() {
    let no = "NO [AUTHENTICATIONFAILED] no";
    for status in ["400", "401", "invalid_token"] {
        let json = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!(nature(&json, no), Nature::Credentials, "{status}");
        assert_eq!(nature(&json, "BAD no"), Nature::Credentials, "{status}");
    }
    for status in ["403", "insufficient_scope", "what?"] {
        let json = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!(nature(&json, no), Nature::Permanent, "{status}");
    }
    for status in ["503", "temporarily_unavailable"] {
        let json = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!(nature(&json, no), Nature::Temporary, "{status}");
    }
    assert_eq!(nature("{}", no), Nature::Credentials);
    let unavailable = "NO [UNAVAILABLE] later";
    assert_eq!(
        nature(r#"{"status":"401"}"#, unavailable),
        Nature::Temporary
    );
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200), json in ".{0,80}") {
        let _ = Complaint::parse(&octets, |_| false);
        let _ = Complaint::parse(STANDARD.encode(&octets).as_bytes(), |_| false);
        let _ = Complaint::parse(STANDARD.encode(format!("{{{json}}}")).as_bytes(), |_| true);
    }
}
