//! A text that must not be seen: a password or a token.
//!
//! It is wiped from memory when it is dropped, shows nothing of itself in `Debug`, and can be neither displayed nor
//! serialized, so that no log line, error or page can carry it by accident. It must not know what it is used for.

mod file;

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

pub use file::{SecretFile, one_line};

/// A secret text. [`Secret::expose`] is the only way to its content: search for that word to find every use.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text` without a copy. Other copies that the caller made before stay in memory.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Out of an answer or a file with secrets in it; never the other way.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Says neither the text nor its length.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A password as the store keeps it: a keyed hash or an argon2id string. Which one, and whether another password fits it, is known to
/// [`auth`](crate::auth) only.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword(String);

impl StoredPassword {
    /// A text that [`as_text`](Self::as_text) gave.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text to keep.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

/// Even a hash is nobody's business.
impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_shows_nothing_of_the_secret() {
        let secret = Secret::new("correct horse".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:#?}", Some(secret)), "Some(\n    Secret(..),\n)");
    }

    #[test]
    fn the_text_comes_out_as_it_went_in() {
        assert_eq!(Secret::from(" p ä ss ".to_owned()).expose(), " p ä ss ");
    }
}
