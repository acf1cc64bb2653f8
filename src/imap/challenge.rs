//! Why an upstream does not take a token: the JSON text in its last question of XOAUTH2 or OAUTHBEARER (RFC 7628, 3.2.2).
//!
//! Two words of it are kept, cut and cleaned like all texts of upstreams.
//! Must not know: sockets, what the token was.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::Nature;
use super::reply::clean;

/// Not every server pads.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an upstream says of a token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Complaint {
    status: Option<String>,
    scope: Option<String>,
    /// A piece of the token is in it, or may be: it is there for decisions and is never shown.
    withheld: bool,
}

#[derive(Deserialize)]
struct Json {
    status: Option<Value>,
    scope: Option<Value>,
}

impl Complaint {
    /// Reads what came behind `+`; none where that is no JSON object in base64. Where `has_secret` finds something in it, it is not
    /// shown.
    pub(super) fn parse(challenge: &[u8], has_secret: impl Fn(&[u8]) -> bool) -> Option<Self> {
        let text = Zeroizing::new(BASE64.decode(challenge.trim_ascii()).ok()?);
        // An array of two would do for serde.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let json: Json = serde_json::from_slice(&text).ok()?;
        let (status, scope) = (json.status.and_then(word), json.scope.and_then(word));
        // Both before and behind the escapes of JSON.
        let withheld = [Some(&text[..]), as_bytes(&status), as_bytes(&scope)]
            .into_iter()
            .flatten()
            .any(has_secret);
        Some(Self {
            status: status.map(|text| clean(text.as_bytes())),
            scope: scope.map(|text| clean(text.as_bytes())),
            withheld,
        })
    }

    /// What the status tells; nothing where there is none.
    pub(super) fn nature(&self) -> Option<Nature> {
        Some(match self.status.as_deref()? {
            // 400 is what Gmail says of a token that is no more.
            "400" | "401" | "invalid_token" => Nature::Credentials,
            "429" | "500" | "502" | "503" | "504" | "server_error" | "temporarily_unavailable" => {
                Nature::Temporary
            }
            // The token is good, and not for this: insufficient_scope, 403.
            _ => Nature::Permanent,
        })
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.withheld {
            return f.write_str("status (withheld)");
        }
        write!(f, "status {}", self.status.as_deref().unwrap_or("unknown"))?;
        match &self.scope {
            Some(scope) => write!(f, ", scope {scope}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Complaint({self})")
    }
}

fn as_bytes(text: &Option<String>) -> Option<&[u8]> {
    text.as_ref().map(String::as_bytes)
}

/// RFC 7628 has texts; numbers are seen, too.
fn word(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
