//! Passwords of clients that have one of their own: made, hashed, checked.
//!
//! A password that the bridge makes has 130 bits, and no list of likely ones helps against its hash: a keyed hash is enough, and is as
//! quick as a poll should be. One that a person chooses is hashed with argon2id, which takes time and memory on purpose; that is why
//! [`Verifier`](super::Verifier) is what log-ins ask. Must not know: who the client is, where hashes are stored.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::secret::{Secret, StoredPassword};

/// Digits and small letters without `i`, `l`, `o` and `u`: none is taken for another, and no words come about.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Of 5 bits each.
const GENERATED_LENGTH: usize = 26;
/// The longest password that can be chosen, in bytes.
pub const MAX_CHOSEN: usize = 256;
/// Chosen ones that are shorter are warned about.
const SHORT: usize = 8;
/// What a keyed hash begins with.
const KEYED: &str = "k1$";
/// Of argon2, in KiB and passes: what OWASP's password storage cheat sheet asks for at least.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// As the PHC string format recommends.
const SALT_LENGTH: usize = 16;

/// Why a password cannot be made or taken. Says nothing of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_CHOSEN`] bytes.
    TooLong,
    /// There is a NUL or a line end in it, which cannot be sent by POP3.
    Character,
    /// The system has no random numbers.
    Random,
    /// argon2 failed, for want of memory perhaps.
    Hash,
}

/// Makes a password: what its client gets and nobody can be shown again, and what is stored. `key` is the store's secret key.
///
/// # Errors
/// [`PasswordError::Random`].
pub fn generate(key: &[u8; 32]) -> Result<(Secret, StoredPassword), PasswordError> {
    let mut bytes = Zeroizing::new([0u8; GENERATED_LENGTH]);
    rand::fill(&mut bytes[..]).map_err(|_| PasswordError::Random)?;
    // 256 is a multiple of 32, so that every letter is as likely as every other.
    let letters = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    let mut text = String::with_capacity(GENERATED_LENGTH);
    text.extend(letters);
    let password = Secret::new(text);
    let hash = STANDARD_NO_PAD.encode(keyed_hash(key, &password).as_ref());
    let stored = StoredPassword::from_text(format!("{KEYED}{hash}"));
    Ok((password, stored))
}

/// Hashes a password that somebody chose. Takes some 20 ms and 19 MiB; async code runs it in `spawn_blocking`.
///
/// # Errors
/// Any [`PasswordError`].
pub fn choose(password: &Secret) -> Result<StoredPassword, PasswordError> {
    let bytes = password.expose().as_bytes();
    if bytes.is_empty() {
        return Err(PasswordError::Empty);
    }
    if bytes.len() > MAX_CHOSEN {
        return Err(PasswordError::TooLong);
    }
    if bytes.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(PasswordError::Character);
    }
    let mut salt = [0u8; SALT_LENGTH];
    rand::fill(&mut salt).map_err(|_| PasswordError::Random)?;
    let hash: PasswordHash = argon2()?
        .hash_password_with_salt(bytes, &salt)
        .map_err(|_| PasswordError::Hash)?;
    Ok(StoredPassword::from_text(hash.to_string()))
}

/// What a person should hear about a password that was chosen.
#[must_use]
pub fn warning(password: &Secret) -> Option<&'static str> {
    (password.expose().chars().count() < SHORT).then_some(
        "the password has fewer than 8 characters; --generate makes one that nobody can guess",
    )
}

/// How a stored password is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At once.
    Keyed,
    /// With much time and memory.
    Slow,
}

pub(super) fn kind(stored: &StoredPassword) -> Kind {
    match stored.as_text().starts_with(KEYED) {
        true => Kind::Keyed,
        false => Kind::Slow,
    }
}

/// Whether `presented` is the password that the bridge made. The time that it takes says nothing about how much of it is right.
pub(super) fn fits_keyed(key: &[u8; 32], stored: &StoredPassword, presented: &Secret) -> bool {
    let hash = stored
        .as_text()
        .strip_prefix(KEYED)
        .and_then(|text| STANDARD_NO_PAD.decode(text).ok());
    hash.is_some_and(|hash| {
        constant_time::verify_slices_are_equal(&hash, keyed_hash(key, presented).as_ref()).is_ok()
    })
}

/// Whether `presented` is the password that somebody chose. As slow as [`choose`].
pub(super) fn fits_slow(stored: &StoredPassword, presented: &Secret) -> bool {
    let bytes = presented.expose().as_bytes();
    if bytes.len() > MAX_CHOSEN {
        waste_time(presented);
        return false;
    }
    argon2().is_ok_and(|argon2| argon2.verify_password(bytes, stored.as_text()).is_ok())
}

/// Takes as long as [`fits_slow`].
pub(super) fn waste_time(presented: &Secret) {
    let bytes = presented.expose().as_bytes();
    let bytes = &bytes[..bytes.len().min(MAX_CHOSEN)];
    if let Ok(argon2) = argon2() {
        let hash: Result<PasswordHash, _> =
            argon2.hash_password_with_salt(bytes, &[0; SALT_LENGTH]);
        // An optimizer may leave out what nobody looks at.
        std::hint::black_box(hash.is_ok());
    }
}

fn keyed_hash(key: &[u8; 32], password: &Secret) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, password.expose().as_bytes())
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY, PASSES, 1, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the password is empty",
            Self::TooLong => "the password is longer than 256 bytes",
            Self::Character => {
                "the password has a NUL or a line end in it, which no program can send"
            }
            Self::Random => "the system has no random numbers",
            Self::Hash => "the password cannot be hashed; there may be too little memory",
        })
    }
}

impl std::error::Error for PasswordError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn generated_passwords_are_long_typeable_and_each_another() {
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let (password, stored) = generate(&KEY).unwrap();
            let text = password.expose();
            assert_eq!(text.len(), 26);
            assert!(text.bytes().all(|byte| ALPHABET.contains(&byte)), "{text}");
            assert!(!stored.as_text().contains(text));
            assert!(seen.insert(text.to_owned()));
        }
    }

    #[test]
    fn a_generated_password_fits_its_own_hash_under_its_own_key_only() {
        let (password, stored) = generate(&KEY).unwrap();
        assert_eq!(kind(&stored), Kind::Keyed);
        assert!(fits_keyed(&KEY, &stored, &password));
        assert!(!fits_keyed(&[8; 32], &stored, &password));
        let upper = secret(&password.expose().to_uppercase());
        for other in [&upper, &secret(""), &generate(&KEY).unwrap().0] {
            assert!(!fits_keyed(&KEY, &stored, other));
        }
        for broken in ["k1$", "k1$!", "k1$AAAA", ""] {
            let stored = StoredPassword::from_text(broken.to_owned());
            assert!(!fits_keyed(&KEY, &stored, &password), "{broken}");
        }
    }

    #[test]
    fn a_chosen_password_is_kept_as_argon2id_with_a_salt_of_its_own() {
        let password = secret("correct horse");
        let stored = choose(&password).unwrap();
        let text = stored.as_text();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        assert_eq!(kind(&stored), Kind::Slow);
        assert!(fits_slow(&stored, &password));
        assert!(!fits_slow(&stored, &secret("correct horsf")));
        assert!(!fits_slow(
            &StoredPassword::from_text("$argon2id$".to_owned()),
            &password
        ));
        assert_ne!(choose(&password).unwrap(), stored);
    }

    #[test]
    fn passwords_that_no_program_can_send_are_refused() {
        let refused = |text: &str| choose(&secret(text)).unwrap_err();
        assert_eq!(refused(""), PasswordError::Empty);
        assert_eq!(refused(&"x".repeat(MAX_CHOSEN + 1)), PasswordError::TooLong);
        for character in ["a\0", "a\r", "a\n"] {
            assert_eq!(refused(character), PasswordError::Character);
        }
        let longest = secret(&"x".repeat(MAX_CHOSEN));
        assert!(fits_slow(&choose(&longest).unwrap(), &longest));
    }

    #[test]
    fn short_passwords_are_warned_about() {
        assert!(warning(&secret("1234567")).is_some());
        assert!(warning(&secret("12345678")).is_none());
    }
}
