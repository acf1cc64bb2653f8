//! What is in a mailbox: its folders as one list, which sessions share.
//!
//! Built from the folders' registers when one of them has changed. A message that two folders have is one item.
//! Must not know: clients, IMAP, how registers are kept.

use std::ops::Range;
use std::sync::Arc;

use super::measured::Sizes;
use super::register::Register;
use super::seq::Seq;
use super::{Uid, UidValidity, Uidl};

/// One message. At most 32 bytes, because there may be 100,000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number in the mailbox's register.
    pub seq: Seq,
    /// Its UID in the folder where it is read.
    pub uid: Uid,
    /// RFC822.SIZE and the header line of its place, in octets.
    pub size: u32,
    /// What LIST says, in octets: what was counted when the message was read, and the header line of its place; [`size`](Self::size) where
    /// that is not known.
    pub octets: u32,
    /// When the bridge first saw it, in seconds since 1970.
    pub first_seen: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// The folder where it is read: a position in [`Contents::places`].
    pub place: u16,
    /// Whether it was there when the bridge first looked.
    pub was_there: bool,
}

impl Item {
    /// What a message's age counts from, in seconds since 1970: INTERNALDATE, or the day on which the bridge first saw it where
    /// that is later (mail that was moved here keeps its date).
    pub fn arrived(&self) -> i64 {
        self.internal_date.max(i64::from(self.first_seen))
    }

    /// When it came into the mailbox, as far as that can be known, in seconds since 1970: of what was there when the bridge first looked, its
    /// INTERNALDATE.
    pub fn came(&self) -> i64 {
        match self.was_there {
            true => self.internal_date,
            false => self.arrived(),
        }
    }
}

/// A folder of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name as IMAP spells it.
    pub folder: String,
    /// Its number in the store.
    pub folder_id: i64,
    /// The generation of its items' UIDs.
    pub uid_validity: UidValidity,
    /// A header line, without its line end, that each message begins with.
    pub header: Option<String>,
}

impl Place {
    /// The octets that its header line puts before each message.
    pub fn extra_octets(&self) -> u32 {
        let octets = self.header.as_ref().map_or(0, |line| line.len() + 2);
        u32::try_from(octets).unwrap_or(u32::MAX)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Contents {
    /// The folders, in the order in which they were named.
    pub places: Vec<Place>,
    /// All messages by ascending number, each number once.
    pub items: Vec<Item>,
    /// Of each place: where unique-ids are read.
    registers: Vec<Arc<Register>>,
    /// The octets of all items before each 64th one.
    sums: Vec<u64>,
}

/// So many items have one sum: a poll shall not have to look at 100,000 of them, nor shall their sums take much memory.
const SUMMED: usize = 64;

impl Contents {
    /// The messages of these folders. One that is in several is read in the first of them. A mailbox has at most 65,536 folders;
    /// what is beyond is left out.
    pub fn new(folders: Vec<(Place, Arc<Register>)>) -> Self {
        Self::measured(folders, &Sizes::default())
    }

    /// The same, where some are known to be of other sizes than are listed.
    pub fn measured(folders: Vec<(Place, Arc<Register>)>, sizes: &Sizes) -> Self {
        let (places, registers): (Vec<Place>, Vec<_>) = folders.into_iter().unzip();
        let count = registers.iter().map(|register| register.entries.len());
        let mut items = Vec::with_capacity(count.sum());
        for (number, (place, register)) in (0_u16..=u16::MAX).zip(places.iter().zip(&registers)) {
            let extra = place.extra_octets();
            let messages = register.index.messages.iter().zip(&register.entries);
            items.extend(messages.map(|(message, entry)| Item {
                seq: entry.seq,
                uid: message.uid,
                size: message.size.saturating_add(extra),
                octets: message.size.saturating_add(extra),
                first_seen: entry.first_seen,
                internal_date: message.internal_date,
                place: number,
                was_there: entry.first_seen <= register.first_listed,
            }));
        }
        // Stable, so that the first folder's comes first; mostly sorted already.
        items.sort_by_key(|item: &Item| item.seq);
        items.dedup_by_key(|item| item.seq);
        items.shrink_to_fit();
        measure(&mut items, &places, sizes);
        let mut sum = 0;
        let sums = items.chunks(SUMMED).map(|chunk| {
            let before = sum;
            sum += octets(chunk);
            before
        });
        let sums = sums.collect();
        Self {
            places,
            items,
            registers,
            sums,
        }
    }

    /// The folder where an item of this list is read.
    pub fn place(&self, item: &Item) -> Option<&Place> {
        self.places.get(usize::from(item.place))
    }

    /// The unique-id of the item at this position; `None` beyond the end.
    pub fn uidl(&self, position: usize) -> Option<Uidl> {
        let item = self.items.get(position)?;
        let register = self.registers.get(usize::from(item.place))?;
        // Nearly always it stands where it stands in its folder: UIDL asks this of each message.
        let here = register.index.messages.get(position);
        let there = match here.is_some_and(|message| message.uid == item.uid) {
            true => position,
            false => register.position_of_uid(item.uid)?,
        };
        register.uidl(there)
    }

    /// The octets of the items at these positions together, as LIST counts them.
    pub fn octets(&self, positions: Range<usize>) -> u64 {
        let end = positions.end.min(self.items.len());
        let start = positions.start.min(end);
        // From one sum to the other, and what lies between them and the ends.
        let (first, last) = (start.div_ceil(SUMMED), end / SUMMED);
        let part = |from: usize, to: usize| octets(self.items.get(from..to).unwrap_or_default());
        match (self.sums.get(first), self.sums.get(last)) {
            (Some(before), Some(behind)) if first < last => {
                behind - before + part(start, first * SUMMED) + part(last * SUMMED, end)
            }
            _ => part(start, end),
        }
    }

    /// The first position from `start` on whose item's number is `seq` or larger; at most the number of items. What is near is found at once.
    pub fn seek(&self, start: usize, seq: Seq) -> usize {
        let rest = self.items.get(start..).unwrap_or_default();
        let before = |item: &Item| item.seq < seq;
        let mut step = 1;
        while rest.get(step - 1).is_some_and(before) {
            step *= 2;
        }
        // All before half of the last step are before it.
        let (from, to) = (step / 2, step.min(rest.len()));
        let near = rest.get(from..to).unwrap_or_default();
        start + from + near.partition_point(before)
    }

    /// Where the item with this number stands.
    pub fn position_of(&self, seq: Seq) -> Option<usize> {
        self.items.binary_search_by_key(&seq, |item| item.seq).ok()
    }

    /// About how much memory it takes, in bytes, with the registers, which others may share.
    pub fn heap_bytes(&self) -> usize {
        let names = |place: &Place| {
            place.folder.len() + place.header.as_ref().map_or(0, String::len) + size_of::<Place>()
        };
        self.items.capacity() * size_of::<Item>()
            + self.sums.capacity() * size_of::<u64>()
            + self.places.iter().map(names).sum::<usize>()
            + self.registers.iter().map(|r| r.heap_bytes()).sum::<usize>()
    }
}

/// Both are by ascending number.
fn measure(items: &mut [Item], places: &[Place], sizes: &Sizes) {
    let mut sizes = sizes.iter().peekable();
    if sizes.peek().is_none() {
        return;
    }
    for item in items {
        while sizes.next_if(|one| one.seq < item.seq).is_some() {}
        let Some(one) = sizes.next_if(|one| one.seq == item.seq) else {
            continue;
        };
        let place = places.get(usize::from(item.place));
        let extra = place.map_or(0, Place::extra_octets);
        if one.listed.saturating_add(extra) == item.size {
            item.octets = one.octets.saturating_add(extra);
        }
    }
}

fn octets(items: &[Item]) -> u64 {
    items.iter().map(|item| u64::from(item.octets)).sum()
}

#[cfg(test)]
mod tests;
