//! What the authorization server of the tests knows of keys: PKCE's challenge, service accounts and their assertions (RFC 7523).

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The e-mail address of the account.
pub const SERVICE_ACCOUNT: &str = "robot@project.iam.gserviceaccount.com";
/// How far an assertion's times may be off.
const TOLERANCE: i64 = 300;

/// The S256 challenge of a PKCE verifier (RFC 7636, 4.2).
pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// A time as HTTP writes it.
pub fn http_date(seconds: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &at.weekday().to_string()[..3],
        at.day(),
        &at.month().to_string()[..3],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

pub struct ServiceAccount {
    key: KeyPair,
    token_url: std::sync::OnceLock<String>,
}

impl ServiceAccount {
    pub fn new() -> Self {
        Self {
            key: KeyPair::generate(KeySize::Rsa2048).expect("a key"),
            token_url: std::sync::OnceLock::new(),
        }
    }

    /// Writes the JSON file that Google gives to whoever makes an account.
    pub fn write(&self, folder: &Path, token_url: &str) -> PathBuf {
        self.token_url.set(token_url.to_owned()).expect("once");
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&self.key).expect("DER");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|at| &text[at..text.len().min(at + 64)])
            .collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        let content = json!({
            "type": "service_account", "project_id": "project", "private_key_id": "key-1", "private_key": pem,
            "client_email": SERVICE_ACCOUNT, "client_id": "123", "token_uri": "https://oauth2.googleapis.com/token",
        });
        let file = folder.join("service-account.json");
        std::fs::write(&file, content.to_string()).expect("service-account.json");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, owner_only).expect("chmod");
        file
    }

    /// Whom the assertion is for.
    pub fn check(&self, assertion: &str, now: i64) -> Result<String, &'static str> {
        let (signed, signature) = assertion.rsplit_once('.').ok_or("not a JWT")?;
        let (head, claims) = signed.split_once('.').ok_or("not a JWT")?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url");
        let parse = |text: &str| -> Result<Value, &'static str> {
            serde_json::from_slice(&decode(text)?).map_err(|_| "not JSON")
        };
        let public = self.key.public_key().as_ref();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "Invalid JWT Signature.")?;
        let (head, claims) = (parse(head)?, parse(claims)?);
        if head["alg"] != "RS256" || head["kid"] != "key-1" {
            return Err("Invalid JWT header");
        }
        if claims["iss"] != SERVICE_ACCOUNT || claims["aud"] != json!(self.token_url.get()) {
            return Err("Invalid JWT: wrong iss or aud");
        }
        if claims["scope"].as_str().is_none_or(str::is_empty) {
            return Err("no scope");
        }
        let time = |name: &str| claims[name].as_i64().ok_or("Invalid JWT: no times");
        let (iat, exp) = (time("iat")?, time("exp")?);
        if iat > now + TOLERANCE || exp < now - TOLERANCE || exp - iat > 3600 {
            return Err(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values \
                 in the JWT claim.",
            );
        }
        Ok(claims["sub"].as_str().unwrap_or(SERVICE_ACCOUNT).to_owned())
    }
}
