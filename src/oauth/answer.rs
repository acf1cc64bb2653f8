//! What the token endpoint answered (RFC 6749, 5): tokens, or why there are none.
//!
//! Must not know: how it was asked.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::http::Answer;
use super::shown::Shown;
use super::{Granted, OAuthError};
use crate::secret::Secret;

/// Where the server does not say how long a token is good (RFC 6749, 5.1, leaves that to other ways).
const USUAL_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// A token that is said to be good for longer is renewed all the same.
const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longer than any access token; it has to go through IMAP as one word.
const MAX_TOKEN: usize = 16 * 1024;
/// Of what a server says in words.
const MAX_WORDS: usize = 200;
/// Longer words are tokens rather than language.
const MAX_WORD: usize = 48;

/// An answer of the token endpoint.
#[derive(Debug)]
pub(super) enum Outcome {
    Granted(Granted),
    Refused(Refused),
}

/// An error as the server named it.
#[derive(Debug)]
pub(super) struct Refused {
    /// Such as `invalid_grant`.
    pub(super) code: String,
    /// Cleaned, for the operator.
    description: String,
    /// Microsoft says that the trouble is its own.
    passing: bool,
    /// ... or that a rule of the organization stands in the way.
    policy: bool,
    /// The times in an assertion were what was wrong.
    about_time: bool,
    /// When the server wants to be asked again.
    retry_after: Option<Duration>,
    /// The server's clock, in seconds since 1970.
    pub(super) date: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    access_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Value,
    refresh_token: Option<Secret>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Reads an answer. `shown` is what was sent and must not be repeated.
///
/// # Errors
/// It is no answer of a token endpoint, or not a token that can be used.
pub(super) fn read(answer: &Answer, shown: &Shown) -> Result<Outcome, OAuthError> {
    let status = answer.status;
    let no_answer = |what: &str| OAuthError::Temporary {
        why: format!("the authorization server's answer (status {status}) {what}"),
        retry_after: answer.retry_after,
    };
    // The words of serde_json may repeat what is in it.
    let body: Body =
        serde_json::from_slice(&answer.body).map_err(|_| no_answer("is not one in JSON"))?;
    if let Some(code) = body.error {
        let words = Zeroizing::new(body.error_description.unwrap_or_default());
        // What it means counts, also where nobody is told the words.
        return Ok(Outcome::Refused(Refused {
            passing: is_passing(&words),
            policy: is_policy(&words),
            about_time: is_about_time(&code, &words),
            code: cleaned_code(&code, shown),
            description: cleaned(&words, shown),
            retry_after: answer.retry_after,
            date: answer.date,
        }));
    }
    if status != 200 {
        return Err(no_answer("names no error"));
    }
    let access = body
        .access_token
        .filter(is_token)
        .ok_or_else(|| no_answer("has no access token that can be used"))?;
    if let Some(kind) = body.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(OAuthError::Misconfigured(format!(
            "its tokens are of the type \"{}\", and IMAP knows bearer tokens only",
            cleaned(&kind, shown)
        )));
    }
    // Some write none in this way.
    let refresh = body.refresh_token.filter(|it| !it.expose().is_empty());
    // Not the older one, in silence: the server may take that no more.
    if refresh.as_ref().is_some_and(|it| !is_refresh_token(it)) {
        return Err(no_answer("has a refresh token that cannot be used"));
    }
    Ok(Outcome::Granted(Granted {
        access,
        lifetime: lifetime(&body.expires_in),
        refresh,
    }))
}

/// RFC 6749, A.17. It goes back in a form only, and no longer than the answer that it came in.
fn is_refresh_token(token: &Secret) -> bool {
    let text = token.expose();
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// RFC 6750, 2.1, a little wider: nothing that could end a field of XOAUTH2 or a line.
fn is_token(token: &Secret) -> bool {
    let text = token.expose();
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Some servers write the number as a text. What is no time to come is as good as nothing.
fn lifetime(value: &Value) -> Duration {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds >= 1.0 => Duration::try_from_secs_f64(seconds.floor())
            .map_or(LONGEST_LIFETIME, |lifetime| lifetime.min(LONGEST_LIFETIME)),
        _ => USUAL_LIFETIME,
    }
}

impl Refused {
    /// What it means where a grant was shown that may have ended.
    pub(super) fn error(self) -> OAuthError {
        let why = self.to_string();
        match self.code.as_str() {
            _ if self.passing => OAuthError::Temporary {
                why,
                retry_after: self.retry_after,
            },
            _ if self.policy => OAuthError::Misconfigured(why),
            // The last three are Microsoft's and OpenID Connect's words for it.
            "invalid_grant" | "interaction_required" | "consent_required" | "login_required" => {
                OAuthError::Revoked(why)
            }
            "invalid_client"
            | "unauthorized_client"
            | "invalid_scope"
            | "unsupported_grant_type"
            | "unsupported_response_type"
            | "invalid_request"
            | "invalid_resource"
            | "invalid_target"
            | "access_denied"
            // Google's.
            | "deleted_client"
            | "disabled_client"
            | "org_internal"
            | "admin_policy_enforced" => OAuthError::Misconfigured(why),
            _ => OAuthError::Temporary {
                why,
                retry_after: self.retry_after,
            },
        }
    }

    /// What it means where no person has granted anything that could have ended.
    pub(super) fn error_without_a_person(self) -> OAuthError {
        match self.error() {
            OAuthError::Revoked(why) => OAuthError::Misconfigured(why),
            other => other,
        }
    }

    /// Whether the times in an assertion were what was wrong.
    pub(super) fn is_about_time(&self) -> bool {
        self.about_time
    }
}

/// Microsoft's codes for trouble of its own, which come with any error.
fn is_passing(description: &str) -> bool {
    /// A loop of requests; a budget; the directory.
    const PASSING: [&str; 3] = ["AADSTS50196", "AADSTS90024", "AADSTS90033"];
    microsofts_code(description).is_some_and(|code| PASSING.contains(&code))
}

/// Microsoft's codes for a rule of the organization that stands in the way here and now: of a place, a device, an application, or
/// how somebody has to log in. They come with words that mean a person elsewhere, but the grant is good again as soon as the rule
/// is changed.
fn is_policy(description: &str) -> bool {
    const POLICY: [&str; 18] = [
        // The device's system is not supported; a second factor, or the registration of one, is asked for, here perhaps with
        // another provider; the device has to prove itself, or is not in the state that is asked for.
        "AADSTS50005",
        "AADSTS50072",
        "AADSTS50074",
        "AADSTS50076",
        "AADSTS50079",
        "AADSTS50097",
        "AADSTS50131",
        "AADSTS50158",
        // The device is not managed or not in the domain, the application is not approved, access is blocked, the second factor
        // cannot be registered from here, the application is not protected.
        "AADSTS53000",
        "AADSTS53001",
        "AADSTS53002",
        "AADSTS53003",
        "AADSTS53004",
        "AADSTS53009",
        "AADSTS530003",
        "AADSTS530032",
        "AADSTS530035",
        "AADSTS530084",
    ];
    microsofts_code(description).is_some_and(|code| POLICY.contains(&code))
}

/// Such as `AADSTS50196`, which says more than the error beside it.
fn microsofts_code(description: &str) -> Option<&str> {
    let word = description.trim_start().split([':', ' ']).next();
    word.filter(|word| word.starts_with("AADSTS"))
}

fn is_about_time(code: &str, description: &str) -> bool {
    let mut words = description.split(|c: char| !c.is_ascii_alphanumeric());
    code == "invalid_grant" && words.any(|word| ["iat", "exp", "nbf"].contains(&word))
}

/// `invalid_grant (Token has been expired or revoked.)`
impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.code)?;
        if !self.description.is_empty() {
            write!(f, " ({})", self.description)?;
        }
        Ok(())
    }
}

/// The name of an error. Words of the standards may have a piece of a secret in them, as `client` in `invalid_client`.
fn cleaned_code(code: &str, shown: &Shown) -> String {
    let is_word = code
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match is_word && !shown.is_whole_in(code) {
        true => cleaned(code, &Shown::default()),
        false => cleaned(code, shown),
    }
}

/// A server's words for the operator: one short line without what was sent, what may be a token, and what commands a terminal.
pub(super) fn cleaned(text: &str, shown: &Shown) -> String {
    if shown.is_in(text) {
        return "withheld, as it repeats a secret".to_owned();
    }
    // What follows at Microsoft is for its support.
    let text = text.split("Trace ID:").next().unwrap_or_default();
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        let word = if word.chars().count() > MAX_WORD {
            "..."
        } else {
            word
        };
        if line.len() + word.len() + 1 > MAX_WORDS {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests;
