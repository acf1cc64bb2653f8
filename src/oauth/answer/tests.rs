use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        retry_after: Some(Duration::from_secs(7)),
        date: None,
        body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn granted(body: &str) -> Granted {
    match read(&answer(200, body), &Shown::default()).unwrap() {
        Outcome::Granted(granted) => granted,
        Outcome::Refused(refused) => panic!("{refused}"),
    }
}

fn refused(body: &str) -> Refused {
    match read(&answer(400, body), &Shown::of(&["s3cret"])).unwrap() {
        Outcome::Refused(refused) => refused,
        Outcome::Granted(granted) => panic!("{granted:?}"),
    }
}

fn with_lifetime(expires_in: &str) -> u64 {
    let body =
        format!("{{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":{expires_in}}}");
    granted(&body).lifetime.as_secs()
}

#[test]
fn a_grant_has_an_access_token_and_perhaps_a_refresh_token() {
    let both = granted("{\"access_token\":\"a.b\",\"refresh_token\":\"r/1\",\"expires_in\":10}");
    assert_eq!(both.access.expose(), "a.b");
    assert_eq!(both.refresh.unwrap().expose(), "r/1");
    let one = granted("{\"access_token\":\"a\",\"token_type\":\"bearer\",\"id_token\":\"x\"}");
    assert!(one.refresh.is_none());
}

#[test]
fn a_refresh_token_is_any_visible_text_and_one_that_is_not_is_an_error() {
    let with = |refresh: &str| format!("{{\"access_token\":\"a\",\"refresh_token\":{refresh}}}");
    let long = "x".repeat(20_000);
    for refresh in ["r", "a refresh token ~", " ", &long] {
        let granted = granted(&with(&format!("\"{refresh}\"")));
        assert_eq!(granted.refresh.unwrap().expose(), refresh);
    }
    assert!(granted(&with("null")).refresh.is_none());
    assert!(
        granted(&with("\"\"")).refresh.is_none(),
        "some say so that there is none"
    );
    for wrong in ["\"a\\r\\nb\"", "\"a\\u0000b\"", "\"secr\u{e4}t\""] {
        let error = read(&answer(200, &with(wrong)), &Shown::default()).unwrap_err();
        assert!(matches!(error, OAuthError::Temporary { .. }), "{error}");
        let words = error.to_string();
        assert!(
            words.contains("refresh token") && !words.contains("secr"),
            "{words}"
        );
    }
}

#[test]
fn a_lifetime_is_believed_within_reason() {
    let cases = [
        ("3599", 3599),
        ("\"600\"", 600),
        ("3599.9", 3599),
        ("null", 3600),
        ("-5", 3600),
        ("0", 3600),
        ("\"soon\"", 3600),
        ("[]", 3600),
        ("1e300", 604_800),
        ("99999999999999999999", 604_800),
    ];
    for (written, seconds) in cases {
        assert_eq!(with_lifetime(written), seconds, "{written}");
    }
}

#[test]
fn what_is_no_usable_token_is_not_used() {
    for body in [
        "",
        "{}",
        "[]",
        "<html>",
        "{\"access_token\":\"\"}",
        "{\"access_token\":\"a b\"}",
        "{\"access_token\":\"a\\u0001auth=x\"}",
        "{\"access_token\":\"a\\r\\nb\"}",
        "{\"access_token\":7}",
        "{\"access_token\":\"a\"",
    ] {
        let error = read(&answer(200, body), &Shown::default()).unwrap_err();
        let OAuthError::Temporary { why, retry_after } = error else {
            panic!("{body}: {error}");
        };
        assert!(!why.contains("html") && !why.contains("auth=x"), "{why}");
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
    let long = format!("{{\"access_token\":\"{}\"}}", "x".repeat(20_000));
    assert!(read(&answer(200, &long), &Shown::default()).is_err());
    let bound = "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}";
    let error = read(&answer(200, bound), &Shown::default()).unwrap_err();
    assert!(matches!(error, OAuthError::Misconfigured(_)), "{error}");
    assert!(read(&answer(403, "{\"access_token\":\"a\"}"), &Shown::default()).is_err());
}

#[test]
fn errors_say_who_has_to_do_something() {
    let kind = |code: &str| match refused(&format!("{{\"error\":\"{code}\"}}")).error() {
        OAuthError::Revoked(_) => "person",
        OAuthError::Misconfigured(_) => "operator",
        OAuthError::Temporary { .. } => "nobody",
    };
    for code in ["invalid_grant", "interaction_required", "consent_required"] {
        assert_eq!(kind(code), "person", "{code}");
    }
    for code in [
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "unsupported_grant_type",
        "invalid_request",
    ] {
        assert_eq!(kind(code), "operator", "{code}");
    }
    for code in ["temporarily_unavailable", "server_error", "rate_limit", ""] {
        assert_eq!(kind(code), "nobody", "{code}");
    }
    let alone = refused("{\"error\":\"invalid_grant\"}").error_without_a_person();
    assert!(matches!(alone, OAuthError::Misconfigured(_)), "{alone}");
}

#[test]
fn microsofts_own_trouble_ends_no_grant() {
    let loops = "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS50196: The server terminated an operation.\"}";
    assert!(matches!(
        refused(loops).error(),
        OAuthError::Temporary { .. }
    ));
    let gone = "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS700082: The refresh token has expired due to inactivity.\\r\\n\
                Trace ID: 21a7ca08\\r\\nCorrelation ID: 55137716\"}";
    let OAuthError::Revoked(why) = refused(gone).error() else {
        panic!("{gone}");
    };
    assert_eq!(
        why,
        "invalid_grant (AADSTS700082: The refresh token has expired due to inactivity.)"
    );
}

#[test]
fn a_rule_of_an_organization_at_microsoft_ends_no_grant() {
    let said = |error: &str, words: &str| {
        refused(&format!(
            "{{\"error\":\"{error}\",\"error_description\":\"{words}\"}}"
        ))
        .error()
    };
    let blocked =
        "AADSTS53003: Access has been blocked by Conditional Access policies.\\r\\nTrace ID: 1";
    for (error, words) in [
        ("invalid_grant", blocked),
        ("interaction_required", blocked),
        (
            "invalid_grant",
            "AADSTS53000: Device is not in required device state: compliant.",
        ),
        (
            "interaction_required",
            "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.",
        ),
        (
            "invalid_grant",
            "AADSTS530003: Your device is required to be managed.",
        ),
    ] {
        let kind = said(error, words);
        assert!(matches!(kind, OAuthError::Misconfigured(_)), "{kind}");
        let quoted = &words[.."AADSTS50076: D".len()];
        assert!(kind.to_string().contains(quoted), "{kind}");
    }
    // A password that was changed, a grant that was taken back, and codes that only begin alike.
    for code in ["AADSTS50173", "AADSTS65001", "AADSTS70008", "AADSTS5300399"] {
        let kind = said("invalid_grant", &format!("{code}: Gone."));
        assert!(matches!(kind, OAuthError::Revoked(_)), "{code}: {kind}");
    }
}

#[test]
fn a_servers_words_are_short_and_hold_no_secret() {
    let none = Shown::default();
    assert_eq!(cleaned("a\u{1b}[2J\r\nb\tc", &none), "a [2J b c");
    let shown = Shown::of(&["s3cret"]);
    assert!(cleaned("your s3cret is wrong", &shown).starts_with("withheld"));
    let token = "x".repeat(60);
    assert_eq!(
        cleaned(&format!("the token {token} ended"), &Shown::of(&[""])),
        "the token ... ended"
    );
    let long = cleaned(&"word ".repeat(100), &none);
    assert!(long.len() < 210 && long.ends_with(" ..."), "{long}");
}

#[test]
fn an_assertion_that_came_too_early_or_too_late_is_known() {
    let about = |code: &str, words: &str| {
        refused(&format!(
            "{{\"error\":\"{code}\",\"error_description\":\"{words}\"}}"
        ))
        .is_about_time()
    };
    let google = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp \
                  values in the JWT claim.";
    assert!(about("invalid_grant", google));
    assert!(!about("invalid_client", google));
    assert!(!about("invalid_grant", "Invalid JWT Signature."));
    assert!(!about("invalid_grant", "the grant has expired"));
}

#[test]
fn what_an_error_means_counts_also_where_its_words_are_withheld() {
    let loops = "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS50196: s3cret\"}";
    let refused_words = refused(loops);
    assert!(refused_words.to_string().contains("withheld"));
    let error = refused_words.error();
    assert!(matches!(error, OAuthError::Temporary { .. }), "{error}");
    // A secret in which there is a word of the standards.
    let shown = Shown::of(&["invalid_client_4711"]);
    let body = "{\"error\":\"invalid_client\",\"error_description\":\"not invalid_cli...\"}";
    let Ok(Outcome::Refused(refused)) = read(&answer(401, body), &shown) else {
        panic!("{body}");
    };
    assert_eq!(refused.code, "invalid_client");
    assert!(refused.description.starts_with("withheld"), "{refused}");
    let body = "{\"error\":\"invalid_client_4711\"}";
    let Ok(Outcome::Refused(refused)) = read(&answer(401, body), &shown) else {
        panic!("{body}");
    };
    assert!(refused.code.starts_with("withheld"), "{refused}");
}
