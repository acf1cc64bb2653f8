//! AUTH PLAIN, AUTH LOGIN, and AUTH XOAUTH2 and OAUTHBEARER for clients that have a
//! token (RFC 5034, RFC 4616, RFC 7628), the conversation only.
//!
//! It must not know who may log in. What is decoded here is wiped when it is
//! dropped.

mod bearer;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::response::{Code, Refusal};
use super::session::{Login, Presented};
use crate::secret::Secret;

/// How a client presented its password or token: for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// USER and PASS.
    Pass,
    /// AUTH PLAIN.
    Plain,
    /// AUTH LOGIN.
    Login,
    /// AUTH XOAUTH2.
    XOAuth2,
    /// AUTH OAUTHBEARER.
    OAuthBearer,
}

impl Mechanism {
    /// The SASL mechanisms, as CAPA lists them: those for passwords first, as some
    /// clients take the first that they know.
    pub(super) const SASL: [Mechanism; 4] = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::XOAuth2,
        Mechanism::OAuthBearer,
    ];

    /// `PASS`, `PLAIN`, `LOGIN`, `XOAUTH2` or `OAUTHBEARER`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mechanism::Pass => "PASS",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// The challenge, in base64, that tells a client that its token is not accepted
    /// (RFC 7628 section 3.2.2); it answers, and is refused then. A client that has
    /// heard this gets itself a new token, so that it is said of nothing else.
    pub(super) fn error(self) -> Option<String> {
        let json = match self {
            Mechanism::Pass | Mechanism::Plain | Mechanism::Login => return None,
            // Google's words, which clients of this one know.
            Mechanism::XOAuth2 => r#"{"status":"401","schemes":"bearer"}"#,
            Mechanism::OAuthBearer => r#"{"status":"invalid_token"}"#,
        };
        Some(STANDARD.encode(json))
    }
}

/// An AUTH that waits for the client's next response.
pub(super) enum Exchange {
    Plain,
    LoginUser,
    LoginPassword { user: String },
    XOAuth2,
    OAuthBearer,
}

/// What a response leads to.
pub(super) enum Step {
    /// A challenge is due.
    Continue(Exchange),
    /// The client has said all.
    Done(Login),
}

impl Exchange {
    /// # Errors
    /// For a mechanism that is not offered.
    pub(super) fn begin(mechanism: &[u8]) -> Result<Self, Refusal> {
        let named = |m: &Mechanism| m.as_str().as_bytes().eq_ignore_ascii_case(mechanism);
        match Mechanism::SASL.into_iter().find(named) {
            Some(Mechanism::Plain) => Ok(Exchange::Plain),
            Some(Mechanism::Login) => Ok(Exchange::LoginUser),
            Some(Mechanism::XOAuth2) => Ok(Exchange::XOAuth2),
            Some(Mechanism::OAuthBearer) => Ok(Exchange::OAuthBearer),
            Some(Mechanism::Pass) | None => Err(Refusal::plain("This mechanism is not offered.")),
        }
    }

    /// The challenge to send, in base64.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Exchange::Plain | Exchange::XOAuth2 | Exchange::OAuthBearer => "",
            // What clients of this mechanism look for: "Username:", "Password:".
            Exchange::LoginUser => "VXNlcm5hbWU6",
            Exchange::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Takes a response given with AUTH itself, where `=` stands for an empty one.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub(super) fn initial(self, response: &[u8]) -> Result<Step, Refusal> {
        match response {
            b"=" => self.respond(b""),
            response => self.respond(response),
        }
    }

    /// Takes a response. Any error ends the exchange.
    ///
    /// # Errors
    /// `*`, bad base64 and text that cannot be a name or password; `[AUTH]` for
    /// an attempt to act for somebody else.
    pub(super) fn respond(self, response: &[u8]) -> Result<Step, Refusal> {
        if response == b"*" {
            return Err(Refusal::plain("AUTH is cancelled."));
        }
        let decoded = STANDARD.decode(response).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| Refusal::plain("The response is not valid base64."))?;
        match self {
            Exchange::Plain => plain(&decoded),
            Exchange::LoginUser => Ok(Step::Continue(Exchange::LoginPassword {
                user: user_name(&decoded)?,
            })),
            Exchange::LoginPassword { user } => Ok(Step::Done(Login {
                user,
                presented: Presented::Password(password(&decoded)?),
                mechanism: Mechanism::Login,
            })),
            Exchange::XOAuth2 => match bearer::xoauth2(&decoded) {
                Some(found) => token(found, Mechanism::XOAuth2),
                None => Err(Refusal::plain("The response is no XOAUTH2 message.")),
            },
            Exchange::OAuthBearer => match bearer::oauthbearer(&decoded) {
                Some(found) => token(found, Mechanism::OAuthBearer),
                None => Err(Refusal::plain("The response is no OAUTHBEARER message.")),
            },
        }
    }
}

/// `[authzid] NUL authcid NUL password` (RFC 4616).
fn plain(message: &[u8]) -> Result<Step, Refusal> {
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(acts_for), Some(user), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::plain("The response is no PLAIN message."));
    };
    if !acts_for.is_empty() && acts_for != user {
        let text = "Logging in for somebody else is not possible.";
        return Err(Refusal::new(Code::Auth, text));
    }
    Ok(Step::Done(Login {
        user: user_name(user)?,
        presented: Presented::Password(password(secret)?),
        mechanism: Mechanism::Plain,
    }))
}

fn token((user, token): bearer::Found<'_>, mechanism: Mechanism) -> Result<Step, Refusal> {
    if token.is_empty() {
        return Err(Refusal::plain("The token is empty."));
    }
    Ok(Step::Done(Login {
        user: user_name(user.as_bytes())?,
        presented: Presented::Token(Secret::new(token.to_owned())),
        mechanism,
    }))
}

/// # Errors
/// As [`password`].
pub(super) fn user_name(octets: &[u8]) -> Result<String, Refusal> {
    match text(octets) {
        Some(user) => Ok(user.to_owned()),
        None => Err(Refusal::plain("The user name is empty or not valid UTF-8.")),
    }
}

/// # Errors
/// For what is empty or not UTF-8, and for NUL, CR and LF, which no IMAP server
/// can be told and which must not end up inside a command to one.
pub(super) fn password(octets: &[u8]) -> Result<Secret, Refusal> {
    match text(octets) {
        Some(password) => Ok(Secret::new(password.to_owned())),
        None => Err(Refusal::plain("The password is empty or not valid UTF-8.")),
    }
}

fn text(octets: &[u8]) -> Option<&str> {
    let text = str::from_utf8(octets).ok()?;
    (!text.is_empty() && !text.contains(['\0', '\r', '\n'])).then_some(text)
}

#[cfg(test)]
mod tests;
