//! Google's service accounts: assertions that are signed here (RFC 7523, RFC 7515 with RS256) instead of a person's log-in.
//!
//! Must not know: the clock; who asks.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::pem::private_key_in;
use crate::secret::{Secret, SecretFile};

/// Several times as long as such a file is.
const MAX_FILE: usize = 32 * 1024;
/// The longest that Google allows, in seconds.
const LIFETIME: i64 = 60 * 60;

/// What is in the JSON file that Google gives. There is more in it that is not needed: addresses, for one, where a file could lead us.
#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key: Secret,
    #[serde(default)]
    private_key_id: Option<String>,
}

/// An account that can sign.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
}

/// What is claimed.
pub(super) struct Claims<'a> {
    /// The token endpoint.
    pub(super) audience: &'a str,
    /// Words separated by spaces.
    pub(super) scope: &'a str,
    /// For whom the account acts.
    pub(super) subject: &'a str,
    /// Now, in seconds since 1970.
    pub(super) issued_at: i64,
}

impl ServiceAccount {
    /// Reads the file as it is now.
    ///
    /// # Errors
    /// A sentence without anything of the key.
    pub(super) fn read(file: &SecretFile) -> Result<Self, String> {
        let content = file.content(MAX_FILE)?;
        let wrong = |what: &str| format!("the file \"{}\" {what}", file.path().display());
        // The words of serde_json may repeat what is in it.
        let content: Content = serde_json::from_slice(&content).map_err(|_| {
            wrong("is not the JSON file that Google gives with a service account's key")
        })?;
        if content.kind != "service_account" {
            return Err(wrong(
                "is of another type: the one of a service account is needed",
            ));
        }
        let key = private_key_in(content.private_key.expose().as_bytes());
        let key = match &key {
            Some(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            Some(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
            _ => None,
        };
        Ok(Self {
            key: key.ok_or_else(|| wrong("has no RSA key in it that can be used"))?,
            email: content.client_email,
            key_id: content.private_key_id,
        })
    }

    /// A signed assertion, good for an hour.
    pub(super) fn assertion(&self, claims: &Claims<'_>) -> Result<Secret, String> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email,
            "sub": claims.subject,
            "scope": claims.scope,
            "aud": claims.audience,
            "iat": claims.issued_at,
            "exp": claims.issued_at.saturating_add(LIFETIME),
        });
        let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the service account's key signs nothing".to_owned())?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(Secret::new(text))
    }
}
