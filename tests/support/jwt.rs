//! Tokens that a Dovecot believes without asking anybody: signed texts (RFC 7519) under a key that it knows.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::tree::{Account, Tree};

const KEY: [u8; 32] = *b"a key that is known to everybody";

/// Whoever gives out tokens.
pub struct Issuer {
    tree: Tree,
}

impl Issuer {
    pub fn new() -> Self {
        let account = Account::for_servers();
        let tree = Tree::new("issuer", &account);
        // Where Dovecot looks for the key of a token that names neither its client nor its key.
        account.folder(&tree.join("keys/default/HS256"));
        tree.write("keys/default/HS256/default", &STANDARD.encode(KEY));
        Self { tree }
    }

    /// The folder for [`super::dovecot::Options::tokens`].
    pub fn keys(&self) -> PathBuf {
        self.tree.join("keys")
    }

    /// A token of this user's that ends in so many seconds, or has ended.
    pub fn token(&self, user: &str, seconds: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or(Duration::ZERO).as_secs()).expect("a date");
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let head = part(json!({"alg": "HS256", "typ": "JWT"}));
        let body = part(json!({"sub": user, "iat": now - 60, "exp": now + seconds}));
        let signed = format!("{head}.{body}");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
