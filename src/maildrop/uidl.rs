//! The unique-id of a message (RFC 1939 section 7).
//!
//! Pure: it must not know where the numbers in it come from.

mod format;

pub use format::Format;

use std::fmt;

/// The longest unique-id that RFC 1939 allows, in octets.
pub const MAX_LENGTH: usize = 70;

/// A unique-id: 1 to 70 octets, each 0x21 to 0x7E. Kept in place, so that
/// listing 100,000 of them allocates nothing.
#[derive(Clone, Copy)]
pub struct Uidl {
    octets: [u8; MAX_LENGTH],
    length: usize,
}

impl Uidl {
    /// `None` unless the text is what RFC 1939 calls a unique-id.
    pub fn new(text: &str) -> Option<Self> {
        let valid = |octet: u8| (0x21..=0x7E).contains(&octet);
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(valid) {
            return None;
        }
        let mut uidl = Self::empty();
        uidl.append(text.as_bytes());
        Some(uidl)
    }

    /// The unique-id with this ASCII text behind it. What does not fit is left out; formats leave room.
    #[must_use]
    pub fn with_suffix(mut self, suffix: &str) -> Self {
        self.append(suffix.as_bytes());
        self
    }

    /// The unique-id as it stands in an answer to UIDL.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever appended, so the empty text is never returned.
        str::from_utf8(&self.octets[..self.length]).unwrap_or_default()
    }

    pub(super) const fn empty() -> Self {
        Self {
            octets: [0; MAX_LENGTH],
            length: 0,
        }
    }

    /// Appends ASCII text. What does not fit is left out; `Format::parse` has
    /// made sure that everything fits.
    fn append(&mut self, text: &[u8]) {
        let room = &mut self.octets[self.length..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text[..taken]);
        self.length += taken;
    }
}

impl AsRef<[u8]> for Uidl {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl fmt::Write for Uidl {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Uidl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uidl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uidl({self})")
    }
}

impl PartialEq for Uidl {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Uidl {}

#[cfg(test)]
mod tests;
