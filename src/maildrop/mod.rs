//! The maildrop: what one client sees in one POP3 session, a list that is
//! frozen when it is first asked for and numbered from 1 (RFC 1939).
//!
//! Pure: no I/O, no clock. It must not know POP3's wording nor IMAP's. The list
//! itself is shared between sessions; a session's own part is one bit a message,
//! and that only once something is marked deleted.

mod delta;
pub mod index;
mod register;
mod seq;
pub mod uidl;

pub use delta::{Delta, Moved, NewMessage};
pub use index::{Index, Message, Uid, UidValidity};
pub use register::{Entry, Gone, Register};
pub use seq::{Seq, SeqSet};
pub use uidl::{Format, Uidl};

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

/// A message's number in one maildrop, from 1. Says nothing about whether there
/// is such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgNo(NonZeroU32);

impl MsgNo {
    /// `None` for 0: there is no message 0, and it is not message 1.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number as POP3 writes it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Where the message stands in the index, from 0.
    const fn position(self) -> usize {
        // u32 to usize: the bridge runs on 32 bits and more.
        (self.0.get() - 1) as usize
    }

    fn at(position: usize) -> Option<Self> {
        u32::try_from(position + 1).ok().and_then(Self::new)
    }
}

impl fmt::Display for MsgNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a message number leads to no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The number is beyond the end of the list.
    NoSuchMessage,
    /// The message has been marked deleted in this session.
    Deleted,
}

/// The UIDL format wants X-GM-MSGID, and the index has none or too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GmMsgidsMissing;

/// The frozen list with this session's deletion marks.
#[derive(Clone, Debug)]
pub struct Maildrop {
    index: Arc<Index>,
    format: Format,
    /// One bit a message by position; empty until the first deletion.
    deleted: Vec<u64>,
    count: u32,
    octets: u64,
}

impl Maildrop {
    /// A maildrop of all messages of the index, none of them deleted.
    ///
    /// # Errors
    /// [`GmMsgidsMissing`] where the format cannot be rendered from this index.
    pub fn new(index: Arc<Index>, format: Format) -> Result<Self, GmMsgidsMissing> {
        let msgids = index.gm_msgids.as_ref().map_or(0, Vec::len);
        if format.needs_gm_msgid() && msgids < index.messages.len() {
            return Err(GmMsgidsMissing);
        }
        let mut maildrop = Self {
            index,
            format,
            deleted: Vec::new(),
            count: 0,
            octets: 0,
        };
        maildrop.undelete_all();
        Ok(maildrop)
    }

    /// How many messages there are, deleted ones left out.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The octets of all messages together, deleted ones left out.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The one way to a message: it hides deleted ones from every command.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn lookup(&self, number: MsgNo) -> Result<&Message, LookupError> {
        let position = number.position();
        let message = self.index.messages.get(position);
        let message = message.ok_or(LookupError::NoSuchMessage)?;
        if self.is_deleted(position) {
            return Err(LookupError::Deleted);
        }
        Ok(message)
    }

    /// A message's unique-id.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn uidl(&self, number: MsgNo) -> Result<Uidl, LookupError> {
        let message = self.lookup(number)?;
        let gm_msgid = self.index.gm_msgids.as_ref();
        let gm_msgid = gm_msgid.and_then(|ids| ids.get(number.position()));
        // `new` has made sure that it is there where the format shows it.
        let gm_msgid = gm_msgid.copied().unwrap_or_default();
        Ok(self
            .format
            .render(self.index.uid_validity, message.uid, gm_msgid))
    }

    /// The first message from this number on that is not deleted.
    pub fn next_from(&self, number: MsgNo) -> Option<(MsgNo, &Message)> {
        (number.position()..self.index.messages.len())
            .filter_map(MsgNo::at)
            .find_map(|number| Some((number, self.lookup(number).ok()?)))
    }

    /// Marks a message deleted. Nothing happens upstream.
    ///
    /// # Errors
    /// See [`LookupError`]; a message cannot be deleted twice.
    pub fn delete(&mut self, number: MsgNo) -> Result<(), LookupError> {
        let size = self.lookup(number)?.size;
        if self.deleted.is_empty() {
            self.deleted = vec![0; self.index.messages.len().div_ceil(64)];
        }
        let position = number.position();
        if let Some(word) = self.deleted.get_mut(position / 64) {
            *word |= 1 << (position % 64);
            self.count -= 1;
            self.octets -= u64::from(size);
        }
        Ok(())
    }

    /// Takes all deletion marks away.
    pub fn undelete_all(&mut self) {
        self.deleted = Vec::new();
        self.count = u32::try_from(self.index.messages.len()).unwrap_or(u32::MAX);
        self.octets = self.index.messages.iter().map(|m| u64::from(m.size)).sum();
    }

    /// The messages marked deleted, by ascending number.
    pub fn deleted(&self) -> impl Iterator<Item = &Message> {
        let messages = self.index.messages.iter().enumerate();
        messages
            .filter(|(position, _)| self.is_deleted(*position))
            .map(|(_, message)| message)
    }

    /// Whether any message is marked deleted.
    pub fn has_deletions(&self) -> bool {
        !self.deleted.is_empty()
    }

    fn is_deleted(&self, position: usize) -> bool {
        let word = self.deleted.get(position / 64);
        word.is_some_and(|word| word >> (position % 64) & 1 == 1)
    }
}

#[cfg(test)]
pub(crate) mod tests;
