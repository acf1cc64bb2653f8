//! The maildrop: what one client sees in one POP3 session, a list that is
//! frozen when it is first asked for and numbered from 1 (RFC 1939).
//!
//! Pure: no I/O, no clock. It must not know POP3's wording nor IMAP's. The items
//! are shared between sessions; a session's own part is which of them it sees,
//! and one bit a message once something is marked deleted.
//!
//! Below it: the register, which knows every message of a folder for ever, and
//! the contents, which make one list of a mailbox's folders.

mod contents;
mod delta;
pub mod index;
mod measured;
mod reconcile;
mod register;
mod seq;
mod shown;
pub mod uidl;

pub use contents::{Contents, Item, Place};
pub use delta::{Delta, Moved, NewMessage};
pub use index::{Index, Message, Uid, UidValidity};
pub use measured::{Measured, Sizes};
pub use reconcile::{Circumstances, KEPT, Reconciled, reconcile};
pub use register::{Entry, Gone, Register};
pub use seq::{Seq, SeqSet};
pub use shown::{Runs, Shown};
pub use uidl::{Format, Uidl};

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
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

    /// The number behind it; `None` behind the last that there can be.
    pub fn next(self) -> Option<Self> {
        self.get().checked_add(1).and_then(Self::new)
    }

    /// Where the message stands in the list, from 0.
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

/// The frozen list with this session's deletion marks.
#[derive(Clone, Debug)]
pub struct Maildrop {
    contents: Arc<Contents>,
    shown: Shown,
    /// One bit a message by position in this list; empty until the first deletion.
    deleted: Vec<u64>,
    count: u32,
    octets: u64,
}

impl Maildrop {
    /// A maildrop of the items shown, none of them deleted.
    pub fn new(contents: Arc<Contents>, shown: Shown) -> Self {
        let mut maildrop = Self {
            contents,
            shown,
            deleted: Vec::new(),
            count: 0,
            octets: 0,
        };
        maildrop.undelete_all();
        maildrop
    }

    /// What is shown a part of.
    pub fn contents(&self) -> &Contents {
        &self.contents
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
    pub fn lookup(&self, number: MsgNo) -> Result<&Item, LookupError> {
        let position = number.position();
        let item = self.item(position).ok_or(LookupError::NoSuchMessage)?;
        if self.is_deleted(position) {
            return Err(LookupError::Deleted);
        }
        Ok(item)
    }

    /// A message's unique-id.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn uidl(&self, number: MsgNo) -> Result<Uidl, LookupError> {
        self.lookup(number)?;
        let place = self.place_in_contents(number.position());
        let uidl = place.and_then(|place| self.contents.uidl(place));
        uidl.ok_or(LookupError::NoSuchMessage)
    }

    /// The messages from this number on that are not deleted.
    pub fn messages_from(&self, number: MsgNo) -> impl Iterator<Item = (MsgNo, &Item)> {
        let places = self.places_from(number);
        places.filter_map(|(number, place)| Some((number, self.contents.items.get(place)?)))
    }

    /// The unique-ids of the messages from this number on that are not deleted.
    pub fn uidls_from(&self, number: MsgNo) -> impl Iterator<Item = (MsgNo, Uidl)> {
        let places = self.places_from(number);
        places.filter_map(|(number, place)| Some((number, self.contents.uidl(place)?)))
    }

    /// Marks a message deleted. Nothing happens upstream.
    ///
    /// # Errors
    /// See [`LookupError`]; a message cannot be deleted twice.
    pub fn delete(&mut self, number: MsgNo) -> Result<(), LookupError> {
        let octets = self.lookup(number)?.octets;
        if self.deleted.is_empty() {
            self.deleted = vec![0; self.length().div_ceil(64)];
        }
        let position = number.position();
        if let Some(word) = self.deleted.get_mut(position / 64) {
            *word |= 1 << (position % 64);
            self.count -= 1;
            self.octets -= u64::from(octets);
        }
        Ok(())
    }

    /// Takes all deletion marks away.
    pub fn undelete_all(&mut self) {
        self.deleted = Vec::new();
        self.count = u32::try_from(self.length()).unwrap_or(u32::MAX);
        self.octets = self
            .runs_from(0)
            .map(|places| self.contents.octets(places))
            .sum();
    }

    /// The messages marked deleted, by ascending number.
    pub fn deleted(&self) -> impl Iterator<Item = &Item> {
        let words = self.deleted.iter().enumerate();
        let marked = words.filter(|(_, word)| **word != 0);
        marked
            .flat_map(|(at, word)| {
                (0..64)
                    .filter(move |bit| word >> bit & 1 == 1)
                    .map(move |bit| 64 * at + bit)
            })
            .filter_map(|position| self.item(position))
    }

    /// Whether any message is marked deleted.
    pub fn has_deletions(&self) -> bool {
        !self.deleted.is_empty()
    }

    fn length(&self) -> usize {
        match &self.shown {
            Shown::All => self.contents.items.len(),
            Shown::Part(runs) => runs.len(),
        }
    }

    fn item(&self, position: usize) -> Option<&Item> {
        self.contents.items.get(self.place_in_contents(position)?)
    }

    fn place_in_contents(&self, position: usize) -> Option<usize> {
        match &self.shown {
            Shown::All => Some(position),
            Shown::Part(runs) => runs.get(position),
        }
    }

    /// Where the messages from this position of the list on stand in the contents.
    fn runs_from(&self, position: usize) -> impl Iterator<Item = Range<usize>> {
        let (all, runs) = match &self.shown {
            Shown::All => (Some(position..self.length()), None),
            Shown::Part(runs) => (None, Some(runs.from(position))),
        };
        all.into_iter().chain(runs.into_iter().flatten())
    }

    /// Of each message from this number on that is not deleted: its number, and where it stands in the contents. Walks along the runs,
    /// where looking for one message after the other would search them each time.
    fn places_from(&self, number: MsgNo) -> impl Iterator<Item = (MsgNo, usize)> {
        let start = self.not_deleted_from(number.position());
        let places = self.runs_from(start).flatten();
        (start..)
            .zip(places)
            .filter(|(position, _)| !self.is_deleted(*position))
            .filter_map(|(position, place)| Some((MsgNo::at(position)?, place)))
    }

    /// The first position from this one on that may not be deleted, by whole words: a client that deletes from the end on has ever more
    /// deleted ones behind it.
    fn not_deleted_from(&self, position: usize) -> usize {
        if !self.is_deleted(position) {
            return position;
        }
        let words = self.deleted.iter().skip(position / 64 + 1);
        let full = words.take_while(|word| **word == u64::MAX).count();
        match self.deleted.get(position / 64) {
            Some(word) if word >> (position % 64) == u64::MAX >> (position % 64) => {
                (position / 64 + 1 + full) * 64
            }
            _ => position,
        }
    }

    fn is_deleted(&self, position: usize) -> bool {
        let word = self.deleted.get(position / 64);
        word.is_some_and(|word| word >> (position % 64) & 1 == 1)
    }
}

#[cfg(test)]
pub(crate) mod tests;
