//! The authorization servers of a configuration, and what is known of those that many use.
//!
//! It must not know how tokens are got, nor what they are for.

use std::path::PathBuf;
use std::time::Duration;

use super::{Access, Config, SecretSource};
use crate::auth::TokenKey;
use crate::oauth::Address;
use crate::secret::SecretFile;

/// How accounts get tokens from one authorization server, by `[oauth.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// Unique; letters as in [`Upstream::name`](super::Upstream::name).
    pub name: String,
    /// Whose server it is.
    pub preset: Preset,
    /// How the first token is got.
    pub grant: Grant,
    /// What this bridge is called there. Empty with [`Grant::ServiceAccount`].
    pub client_id: String,
    /// What proves that it is this bridge; public clients have none.
    pub client_secret: Option<SecretSource>,
    /// What is asked for, words separated by spaces. Empty: what the server gives by itself.
    pub scope: String,
    /// Where OpenID Connect's discovery finds the endpoints that are not written down below.
    pub issuer: Option<Address>,
    /// Where people are sent to.
    pub authorization_url: Option<Address>,
    /// Where tokens are.
    pub token_url: Option<Address>,
    /// Where device codes are.
    pub device_url: Option<Address>,
    /// PEM file of authorities that are trusted in addition to the system's.
    pub ca: Option<PathBuf>,
    /// For one question and its answer, the connection included.
    pub timeout: Duration,
}

/// Whose authorization server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Google's.
    Google,
    /// Microsoft's identity platform, version 2.
    Microsoft,
    /// Any other one.
    Oidc,
}

/// How the first token is got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A person's browser brings a code (RFC 6749, 4.1, with RFC 7636 and RFC 8252).
    Code,
    /// A person writes a code into a browser on any machine (RFC 8628).
    Device,
    /// The bridge itself is let in (RFC 6749, 4.4).
    ClientCredentials,
    /// The bridge itself is let in by a signature (RFC 7523); the file is the one that Google gives.
    ServiceAccount(SecretFile),
}

impl Grant {
    /// Whether a person has to log in once.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Code | Self::Device)
    }
}

impl OAuth {
    /// What is allowed and not wise, as sentences. Looks at files' permissions.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let secret = self.client_secret.as_ref().and_then(SecretSource::warning);
        let key = match &self.grant {
            Grant::ServiceAccount(file) => file.warning(),
            Grant::Code | Grant::Device | Grant::ClientCredentials => None,
        };
        secret.into_iter().chain(key).collect()
    }
}

impl Config {
    /// Whether an account is opened with tokens from there.
    #[must_use]
    pub fn needs(&self, oauth: &OAuth) -> bool {
        self.accounts.iter().any(|account| {
            matches!(&account.access, Access::OAuth { provider, .. } if *provider == oauth.name)
        })
    }

    /// What is allowed and not wise about [`Config::oauth`] and the key of the tokens, configured or the bridge's own, as sentences.
    #[must_use]
    pub fn oauth_warnings(&self) -> Vec<String> {
        let key = TokenKey::new(self.token_key.clone(), &self.state.folder).warning();
        let each = self.oauth.iter().flat_map(|oauth| {
            let name = &oauth.name;
            let named = |warning| format!("[oauth.{name}]: {warning}");
            oauth
                .warnings()
                .into_iter()
                .map(named)
                .collect::<Vec<String>>()
        });
        key.into_iter().chain(each).collect()
    }
}

/// Google's endpoints, as its OpenID configuration has them.
pub(super) const GOOGLE: [&str; 2] = [
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://oauth2.googleapis.com/token",
];
/// All of IMAP. `https://www.googleapis.com/auth/gmail.imap_admin` is for service accounts only: it shows all labels, also those that are
/// hidden from IMAP, and ignores the limit that a user has put on a folder's size.
pub(super) const GOOGLE_SCOPE: &str = "https://mail.google.com/";
/// Comes before the tenant.
pub(super) const MICROSOFT: &str = "https://login.microsoftonline.com/";
/// Comes behind the tenant.
pub(super) const MICROSOFT_ENDPOINTS: [&str; 3] = [
    "/oauth2/v2.0/authorize",
    "/oauth2/v2.0/token",
    "/oauth2/v2.0/devicecode",
];
/// Work, school and private accounts.
pub(super) const MICROSOFT_TENANT: &str = "common";
/// Not a tenant but all of a kind.
pub(super) const MICROSOFT_COMMON: [&str; 3] = ["common", "organizations", "consumers"];
/// A person's mailbox, and a refresh token.
pub(super) const MICROSOFT_SCOPE: &str =
    "https://outlook.office.com/IMAP.AccessAsUser.All offline_access";
/// What the application was given: IMAP.AccessAsApp.
pub(super) const MICROSOFT_APP_SCOPE: &str = "https://outlook.office365.com/.default";
/// A refresh token (OpenID Connect Core, 11).
pub(super) const OIDC_SCOPE: &str = "openid offline_access";
