//! Tokens at rest: sealed with AES-256-GCM under a key that is not where they are.
//!
//! What is sealed says by which key that was done, so that another key is told from damage. It is bound to what it is for: the tokens of
//! one mailbox, put in another one's place, do not open.
//! Must not know: where sealed texts are kept, what is in them.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The first piece of what is sealed in this way.
const KIND: &str = "t1";

/// Octets of a nonce.
const NONCE: usize = 12;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// A key that seals. It lives as short as can be: whoever needs it reads it anew.
pub struct SealingKey {
    key: RandomizedNonceKey,
    id: String,
}

/// What something sealed is for: an upstream's key, the normalized log-in name there, the provider's name.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// `host:port`.
    pub upstream: &'a str,
    /// The log-in name there.
    pub login: &'a str,
    /// The table of the configuration that says where tokens come from.
    pub provider: &'a str,
}

/// Why a sealed text was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// It was sealed with another key.
    OtherKey {
        /// What that key is known by.
        sealed_by: String,
        /// What the key is known by that was tried.
        tried: String,
    },
    /// It is not what was sealed, or it was sealed for something else.
    Damaged,
    /// The system gives no random numbers.
    NoRandom,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKey { sealed_by, tried } => write!(
                f,
                "they were sealed with the key {sealed_by}, and the key that is there is {tried}"
            ),
            Self::Damaged => f.write_str("they are damaged, or were put there for something else"),
            Self::NoRandom => f.write_str("no random numbers"),
        }
    }
}

impl std::error::Error for SealError {}

impl SealingKey {
    /// A key of 32 octets, written in hexadecimal or base64.
    ///
    /// # Errors
    /// What is wrong with the text, without anything of it.
    pub fn parse(text: &Secret) -> Result<Self, &'static str> {
        let octets = octets(text.expose())
            .ok_or("is not a key: 32 octets, in hexadecimal or base64, as `openssl rand -hex 32` makes them")?;
        Self::new(&octets).ok_or("is not a key that AES-256 takes")
    }

    /// A key at random, as text.
    ///
    /// # Errors
    /// [`SealError::NoRandom`].
    pub fn generate() -> Result<Secret, SealError> {
        let mut octets = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut octets[..]).map_err(|_| SealError::NoRandom)?;
        Ok(Secret::new(BASE64.encode(&octets[..])))
    }

    fn new(octets: &[u8; 32]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, octets).ok()?;
        // Says nothing of the key, and is the same in every instance.
        let of = hmac::Key::new(hmac::HMAC_SHA256, octets);
        let tag = hmac::sign(&of, b"popbridge: what a key of tokens is known by");
        let id = tag.as_ref().iter().take(4);
        let id = id.map(|octet| format!("{octet:02x}")).collect();
        Some(Self { key, id })
    }

    /// What it is known by: eight digits that tell nothing of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a text: one line of ASCII comes back.
    ///
    /// # Errors
    /// [`SealError::NoRandom`].
    pub fn seal(&self, purpose: Purpose<'_>, text: &Secret) -> Result<String, SealError> {
        let mut sealed = text.expose().as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(purpose.bound()), &mut sealed)
            .map_err(|_| SealError::NoRandom)?;
        let whole = [nonce.as_ref().as_slice(), &sealed].concat();
        Ok(format!("{KIND}${}${}", self.id, BASE64.encode(whole)))
    }

    /// Opens what [`seal`](Self::seal) has made for the same purpose.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, purpose: Purpose<'_>, sealed: &str) -> Result<Secret, SealError> {
        let mut parts = sealed.split('$');
        let (Some(KIND), Some(id), Some(text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Damaged);
        };
        if id != self.id {
            let is_id = id.len() == self.id.len() && id.bytes().all(|b| b.is_ascii_hexdigit());
            return match is_id {
                true => Err(SealError::OtherKey {
                    sealed_by: id.to_owned(),
                    tried: self.id.clone(),
                }),
                false => Err(SealError::Damaged),
            };
        }
        let whole = BASE64.decode(text).map_err(|_| SealError::Damaged)?;
        let (nonce, sealed) = whole.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(purpose.bound()), &mut text)
            .map_err(|_| SealError::Damaged)?;
        let opened = std::str::from_utf8(opened).map_err(|_| SealError::Damaged)?;
        Ok(Secret::new(opened.to_owned()))
    }
}

/// Says what it is known by.
impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl Purpose<'_> {
    /// Each piece with its length before it, so that no two purposes look alike.
    fn bound(self) -> Vec<u8> {
        let mut bound = b"popbridge tokens 1".to_vec();
        for piece in [self.upstream, self.login, self.provider] {
            bound.extend((piece.len() as u64).to_be_bytes());
            bound.extend(piece.as_bytes());
        }
        bound
    }
}

fn octets(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim();
    let mut octets = Zeroizing::new([0; 32]);
    if text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        for (at, octet) in octets.iter_mut().enumerate() {
            *octet = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        return Some(octets);
    }
    let decoded = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text));
    let decoded = Zeroizing::new(decoded.ok()?);
    octets.copy_from_slice(<&[u8; 32]>::try_from(decoded.as_slice()).ok()?);
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: Purpose<'static> = Purpose {
        upstream: "imap.example.com:993",
        login: "info@example.com",
        provider: "google",
    };

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn key(digit: &str) -> SealingKey {
        SealingKey::parse(&secret(&digit.repeat(64))).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_for_the_same_purpose_only() {
        let sealed = key("a").seal(INFO, &secret("ya29.token")).unwrap();
        assert!(!sealed.contains("ya29"), "{sealed}");
        assert_eq!(key("a").open(INFO, &sealed).unwrap().expose(), "ya29.token");
        let others = [
            Purpose {
                login: "shop@example.com",
                ..INFO
            },
            Purpose {
                upstream: "imap.example.com:143",
                ..INFO
            },
            Purpose {
                provider: "googl",
                ..INFO
            },
            // The same letters, divided elsewhere.
            Purpose {
                login: "info@example.comg",
                provider: "oogle",
                ..INFO
            },
        ];
        for other in others {
            let opened = key("a").open(other, &sealed);
            assert_eq!(opened.unwrap_err(), SealError::Damaged, "{other:?}");
        }
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let sealed = key("a").seal(INFO, &secret("ya29.token")).unwrap();
        let error = key("b").open(INFO, &sealed).unwrap_err();
        let expected = SealError::OtherKey {
            sealed_by: key("a").id().to_owned(),
            tried: key("b").id().to_owned(),
        };
        assert_eq!(error, expected);
        assert_ne!(key("a").id(), key("b").id());
        // Each octet counts.
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(key("a").open(INFO, &damaged).is_err(), "{at}");
        }
        for damaged in ["", "t1", "t1$$", &sealed[..sealed.len() - 8], "t2$x$y"] {
            let opened = key("a").open(INFO, damaged);
            assert_eq!(opened.unwrap_err(), SealError::Damaged, "{damaged}");
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let seal = || key("a").seal(INFO, &secret("ya29.token")).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_may_be_written_in_hexadecimal_or_base64() {
        let octets: Vec<u8> = (200..232).collect();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let base64 = BASE64.encode(&octets);
        let written = [
            hex.to_uppercase(),
            base64.trim_end_matches('=').to_owned(),
            BASE64_URL.encode(&octets),
            base64,
        ];
        let expected = SealingKey::parse(&secret(&hex)).unwrap();
        for text in written {
            let key = SealingKey::parse(&secret(&text)).unwrap();
            assert_eq!(key.id(), expected.id(), "{text}");
        }
        let generated = SealingKey::generate().unwrap();
        assert!(SealingKey::parse(&generated).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for text in ["hunter2", &"a".repeat(62), &"a".repeat(66), &"g".repeat(64)] {
            let error = SealingKey::parse(&secret(text)).unwrap_err();
            assert!(error.contains("32 octets"), "{error}");
            assert!(!error.contains(text), "{error}");
        }
        assert!(!format!("{:?}", key("a")).contains("aaaa"));
    }
}
