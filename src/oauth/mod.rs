//! OAuth 2.0 (RFC 6749) as a client of it: how access tokens for an upstream are got from an authorization server.
//!
//! Must not know: IMAP, POP3, where tokens are kept, the wall clock (it is given one for assertions; lifetimes are given as they were told).

mod address;
mod answer;
mod client;
mod code;
mod device;
mod endpoints;
mod form;
mod http;
mod loopback;
mod service_account;
mod shown;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::secret::Secret;

pub use address::Address;
pub use client::{Client, Renewal};
pub use code::{CodeLogin, Returned};
pub use device::{DeviceError, DeviceLogin};
pub(crate) use form::field as form_field;
pub use loopback::{Loopback, Visit};

/// What an authorization server has granted.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Shown to the upstream.
    pub access: Secret,
    /// How long the access token is good, from now.
    pub lifetime: Duration,
    /// Shown to the authorization server the next time instead of the one that was used for this; none: that one stays good, or there is
    /// none.
    pub refresh: Option<Secret>,
}

/// Why there is no token. No text holds a token, a code or a secret.
#[derive(Clone, Debug)]
pub enum OAuthError {
    /// The grant is gone (RFC 6749, 5.2: `invalid_grant`): a person has to log in again.
    Revoked(String),
    /// The authorization server does not accept what is configured: the client's id or secret, a scope, a tenant.
    Misconfigured(String),
    /// It may work later.
    Temporary {
        /// What happened.
        why: String,
        /// When the authorization server wants to be asked again, if it said so (`Retry-After`).
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(why) => write!(f, "the authorization is gone: {why}"),
            Self::Misconfigured(why) => {
                write!(
                    f,
                    "the authorization server refuses what is configured: {why}"
                )
            }
            Self::Temporary { why, .. } => {
                write!(
                    f,
                    "no token from the authorization server at the moment: {why}"
                )
            }
        }
    }
}

impl std::error::Error for OAuthError {}

/// What a renewal comes to.
pub type Renewed<'a> = Pin<Box<dyn Future<Output = Result<Granted, OAuthError>> + Send + 'a>>;

/// A way to new tokens without a person.
pub trait Renew: Send + Sync + fmt::Debug {
    /// Whether it takes a refresh token, which a person's log-in gives. Otherwise the bridge has credentials of its own.
    fn needs_refresh_token(&self) -> bool;

    /// Asks the authorization server for a new access token.
    fn renew<'a>(&'a self, refresh: Option<&'a Secret>) -> Renewed<'a>;
}
