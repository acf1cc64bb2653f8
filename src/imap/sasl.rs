//! What a log-in says (RFC 4616, RFC 7628, and XOAUTH2, which Google has described), and in which forms an upstream may repeat it.
//!
//! Must not know: when it is said, sockets.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::digest::Secrets;

/// Upstreams cut what they repeat, and a password may be short.
const PIECE_OF_PASSWORD: usize = 4;
/// A token has thousands of pieces: some of so few letters would be in any text.
const PIECE_OF_TOKEN: usize = 8;

/// How to log in (RFC 3501, 6.2.2 and 6.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616): takes any password, UTF-8 included.
    Plain,
    /// LOGIN, which is no SASL mechanism.
    Login,
    /// AUTHENTICATE XOAUTH2 (Google's and Microsoft's): a token.
    XOAuth2,
    /// AUTHENTICATE OAUTHBEARER (RFC 7628): a token.
    OAuthBearer,
}

/// Who wants in, where, and what shows that they may.
pub(super) struct Claim<'a> {
    pub(super) mechanism: Mechanism,
    /// No NUL, CR or LF; for a token no 0x01 either.
    pub(super) user: &'a str,
    /// The password or the token. Like the user.
    pub(super) secret: &'a str,
    /// Where the client thinks that the upstream is, which OAUTHBEARER tells.
    pub(super) host: &'a str,
    /// As the host.
    pub(super) port: u16,
}

impl Mechanism {
    /// The name that AUTHENTICATE has for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// What is due, in base64, where the upstream says why it does not take a token. None where it says no such thing.
    pub(super) fn dummy(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Login => None,
            Self::XOAuth2 => Some(""),
            // RFC 7628, 3.2.3: 0x01.
            Self::OAuthBearer => Some("AQ=="),
        }
    }

    fn is_for_tokens(self) -> bool {
        self.dummy().is_some()
    }
}

impl Claim<'_> {
    /// The message, in base64.
    pub(super) fn message(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.text().as_bytes()))
    }

    fn text(&self) -> Zeroizing<String> {
        let Self {
            user, secret, host, ..
        } = self;
        Zeroizing::new(match self.mechanism {
            Mechanism::Plain | Mechanism::Login => format!("\0{user}\0{secret}"),
            Mechanism::XOAuth2 => format!("user={user}\u{1}auth=Bearer {secret}\u{1}\u{1}"),
            Mechanism::OAuthBearer => {
                // RFC 5801, 4: what would end the name.
                let user = user.replace('=', "=3D").replace(',', "=2C");
                let port = self.port;
                format!(
                    "n,a={user},\u{1}host={host}\u{1}port={port}\u{1}auth=Bearer {secret}\u{1}\u{1}"
                )
            }
        })
    }

    /// The secret in every form in which an upstream may repeat it: as it is, as LOGIN quotes it, and in base64, alone and inside of
    /// whatever else.
    pub(super) fn secrets(&self) -> Secrets {
        let mut forms = vec![
            Zeroizing::new(self.secret.as_bytes().to_vec()),
            Zeroizing::new(quoted(self.secret).into_bytes()),
            Zeroizing::new(STANDARD_NO_PAD.encode(self.text().as_bytes()).into_bytes()),
        ];
        forms.extend((0..3).map(|shift| inside_base64(self.secret, shift)));
        let piece = match self.mechanism.is_for_tokens() {
            true => PIECE_OF_TOKEN,
            false => PIECE_OF_PASSWORD,
        };
        Secrets { forms, piece }
    }
}

/// What is between the quotes of a quoted string (RFC 3501, 9).
pub(super) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The text as it looks in the base64 of something longer, in which it begins `shift` octets behind a multiple of three: without what
/// depends on the octets before it.
fn inside_base64(text: &str, shift: usize) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(shift + text.len()));
    octets.resize(shift, 0);
    octets.extend_from_slice(text.as_bytes());
    let mut encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&octets[..]).into_bytes());
    let start = match shift {
        0 => 0,
        shift => (shift + 1).min(encoded.len()),
    };
    Zeroizing::new(encoded.split_off(start))
}

#[cfg(test)]
mod tests;
