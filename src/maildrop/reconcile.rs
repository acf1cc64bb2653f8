//! What a new index means for a folder's register: which message is which, what is new, what is gone.
//!
//! While UIDVALIDITY, UIDNEXT and dates agree with what is known, a UID is the message that it was. Where they do not, UIDs say nothing,
//! and a message is taken for a known one only by evidence that fits this pair alone: X-GM-MSGID, or INTERNALDATE with EMAILID or size,
//! or with size and a digest of the header. EMAILID speaks against a pair only where one that is known is still found: a
//! server that takes over mail gives new ones. Order is no evidence. What is ambiguous is new: a client gets it twice rather than never.
//!
//! A unique-id names one message for ever. It is rendered from UIDVALIDITY and UID only where the folder cannot have given out that text
//! before; otherwise it ends in the message's number. It stays the message's own whatever happens to UIDs and formats. (Not seen: a text
//! that another format made for a message that is gone for more than 90 days.)
//!
//! Must not know: how headers are fetched, how registers are kept, the clock.

mod build;
mod matching;
mod names;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::seq::Seq;
use super::{Delta, Format, Gone, Index, Register, Uid};

/// So long is remembered what was in the folder, in seconds: 90 days.
pub const KEPT: i64 = 90 * 24 * 60 * 60;

/// If the headers of more messages are wanted, none is asked for: such messages stay ambiguous.
const MOST_HEADERS: usize = 2000;

/// What became of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// There is nothing to write. UIDNEXT and HIGHESTMODSEQ may be others nevertheless.
    Unchanged,
    /// The digests of these messages' headers are wanted first, ascending. Ask again with what could be had.
    NeedHeaders(Vec<Uid>),
    /// The folder's register now, and what is to be written.
    Changed {
        /// The register.
        register: Box<Register>,
        /// What leads from the known register to it.
        delta: Box<Delta>,
    },
}

/// What [`reconcile`] depends on beside the two lists.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Seconds since 1970.
    pub now: i64,
    /// The number that the mailbox gives next.
    pub next_seq: Seq,
    /// What unique-ids of new messages are made of. The index [suits](Index::suits) it; should it not, they are made in another way.
    pub format: &'a Format,
    /// What the folder's unique-ids end in; counts for a first list only, because it never changes.
    pub suffix: &'a str,
    /// Digests of headers. `None`: they may be asked for. Otherwise it is decided with these, whatever is missing.
    pub headers: Option<&'a HashMap<Uid, i64>>,
    /// UIDs that are new here but known to be a message that the mailbox has a number and a unique-id for.
    pub linked: &'a HashMap<Uid, (Seq, Box<str>)>,
}

/// What a message of the new index was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// At this position of the known index.
    Present(usize),
    /// At this position of those that are gone.
    Gone(usize),
    /// In another folder, with this number.
    Linked(Seq),
    /// Nothing that is known.
    New,
}

/// Compares what is in the folder now with what is known of it; `None` where this is its first list.
pub fn reconcile(known: Option<&Register>, fresh: &Index, at: &Circumstances<'_>) -> Reconciled {
    if known.is_some_and(|known| is_as_known(known, fresh, at)) {
        return Reconciled::Unchanged;
    }
    let blank = blank(fresh, at);
    let folder = Folder {
        known: known.unwrap_or(&blank),
        first: known.is_none(),
        fresh,
        at,
    };
    let by_uid = folder.by_uid();
    let regenerated = by_uid.is_none();
    let mut origins = by_uid.unwrap_or_else(|| vec![Origin::New; fresh.messages.len()]);
    folder.match_msgids(&mut origins, regenerated);
    folder.follow_links(&mut origins);
    folder.match_email_ids(&mut origins, regenerated);
    if regenerated {
        folder.match_traits(&mut origins, |_, _| true);
    } else if folder.has_old_uids(&origins) || folder.has_other_lives(&origins) {
        folder.match_traits(&mut origins, |position, origin| {
            folder.has_old_uid(position, origin)
                || folder.is_of_another_life(origin) && !folder.was_put_back(position, origin)
        });
    }
    if at.headers.is_none() {
        let wanted = folder.wanted_headers(&origins, regenerated);
        if !wanted.is_empty() && wanted.len() <= MOST_HEADERS {
            return Reconciled::NeedHeaders(wanted);
        }
    }
    folder.build(&origins, regenerated)
}

/// Whether there is nothing to be found out, as at most polls.
fn is_as_known(known: &Register, fresh: &Index, at: &Circumstances<'_>) -> bool {
    let before = &known.index;
    before.uid_validity == fresh.uid_validity
        && before.uid_next <= fresh.uid_next
        && known.format == *at.format
        && before.messages == fresh.messages
        && before.gm_msgids == fresh.gm_msgids
        && before.email_ids == fresh.email_ids
}

/// The register of a folder that was never listed.
fn blank(fresh: &Index, at: &Circumstances<'_>) -> Register {
    Register {
        index: Arc::new(Index {
            uid_validity: fresh.uid_validity,
            uid_next: None,
            highest_modseq: None,
            messages: Vec::new(),
            gm_msgids: None,
            email_ids: None,
        }),
        entries: Vec::new(),
        uidls: HashMap::new(),
        header_hashes: HashMap::new(),
        gone: Vec::new(),
        floors: Vec::new(),
        format: at.format.clone(),
        first_listed: u32::try_from(at.now).unwrap_or(0),
        suffix: at.suffix.into(),
    }
}

/// The two lists.
struct Folder<'a> {
    known: &'a Register,
    first: bool,
    fresh: &'a Index,
    at: &'a Circumstances<'a>,
}

/// Which known messages were found again.
struct Claimed {
    present: Vec<bool>,
    gone: Vec<bool>,
}

impl Folder<'_> {
    /// By UIDs, as long as nothing contradicts that they mean what they meant; `None` where something does.
    fn by_uid(&self) -> Option<Vec<Origin>> {
        let (known, fresh) = (&self.known.index, self.fresh);
        let went_back = known
            .uid_next
            .zip(fresh.uid_next)
            .is_some_and(|(before, now)| now < before);
        if known.uid_validity != fresh.uid_validity || went_back {
            return None;
        }
        let mut gone = None;
        let mut origins = Vec::with_capacity(fresh.messages.len());
        let mut before = known.messages.iter().enumerate().peekable();
        for (position, message) in fresh.messages.iter().enumerate() {
            while before.next_if(|(_, old)| old.uid < message.uid).is_some() {}
            let origin = match before.next_if(|(_, old)| old.uid == message.uid) {
                Some((at, old)) => {
                    let ids = (self.known.gm_msgid(at), self.msgid(position));
                    if old.internal_date != message.internal_date || differ(ids.0, ids.1) {
                        return None;
                    }
                    Origin::Present(at)
                }
                // What had such a UID had it before UIDNEXT went back: it proves little, see `has_old_uid`.
                None if known.uid_next.is_some_and(|next| message.uid.get() >= next) => Origin::New,
                None => {
                    let gone = gone.get_or_insert_with(|| self.gone_by_uid());
                    self.back(position, gone.get(&message.uid).map_or(&[], Vec::as_slice))?
                }
            };
            origins.push(origin);
        }
        Some(origins)
    }

    fn gone_by_uid(&self) -> HashMap<Uid, Vec<usize>> {
        let mut by_uid: HashMap<Uid, Vec<usize>> = HashMap::new();
        for (at, gone) in self.kept() {
            if gone.uid_validity == self.fresh.uid_validity {
                by_uid.entry(gone.uid).or_default().push(at);
            }
        }
        by_uid
    }

    /// Which of those that had the UID is there again (a folder that blinked); `None` where the UID has been given a second time.
    fn back(&self, position: usize, candidates: &[usize]) -> Option<Origin> {
        let fresh = self.traits(position);
        let mut same_date = candidates.is_empty();
        for at in candidates.iter().rev() {
            let Some(gone) = self.known.gone.get(*at) else {
                continue;
            };
            let gone = Traits::of_gone(gone);
            if gone.date == fresh.date && !differ(gone.gm_msgid, fresh.gm_msgid) {
                same_date = true;
                if gone.size == fresh.size && !gone.contradict(&fresh) {
                    return Some(Origin::Gone(*at));
                }
            }
        }
        same_date.then_some(Origin::New)
    }

    /// Whether a new message has the UID that one had which is gone: upstreams that ask one copy of themselves and then another let
    /// UIDNEXT go back and forth. The UID alone may have been given twice; with what fits this pair alone it counts.
    fn has_old_uid(&self, position: usize, origin: Origin) -> bool {
        let Origin::Gone(at) = origin else {
            return false;
        };
        let gone = self.known.gone.get(at);
        gone.zip(self.fresh.messages.get(position))
            .is_some_and(|(gone, fresh)| {
                gone.uid == fresh.uid && gone.uid_validity == self.fresh.uid_validity
            })
    }

    fn has_old_uids(&self, origins: &[Origin]) -> bool {
        let fresh = origins.iter().zip(&self.fresh.messages);
        let new: HashSet<Uid> = fresh
            .filter(|(origin, _)| **origin == Origin::New)
            .map(|(_, message)| message.uid)
            .collect();
        let is_old =
            |gone: &Gone| gone.uid_validity == self.fresh.uid_validity && new.contains(&gone.uid);
        !new.is_empty() && self.kept().any(|(_, gone)| is_old(gone))
    }

    /// Whether a message that the bridge itself has disposed of is there again by somebody's doing, as long as UIDs mean what they meant: it
    /// has another UID. Whoever takes it out of the trash wants it to be read again, so that it is a new message. With its old number it
    /// would be hidden, and go to the trash each time.
    fn was_put_back(&self, position: usize, origin: Origin) -> bool {
        let Origin::Gone(at) = origin else {
            return false;
        };
        let disposed = self.known.gone.get(at).is_some_and(|gone| gone.disposed);
        disposed && !self.has_old_uid(position, origin)
    }

    /// Whether a known message went when UIDVALIDITY changed: a folder that is rebuilt may be empty at first and fill again, piece by piece.
    fn is_of_another_life(&self, origin: Origin) -> bool {
        let Origin::Gone(at) = origin else {
            return false;
        };
        let gone = self.known.gone.get(at);
        gone.is_some_and(|gone| gone.uid_validity != self.fresh.uid_validity)
    }

    fn has_other_lives(&self, origins: &[Origin]) -> bool {
        origins.contains(&Origin::New)
            && self
                .kept()
                .any(|(at, _)| self.is_of_another_life(Origin::Gone(at)))
    }

    /// New UIDs of messages that the mailbox has a number for. A number is in a folder once: a second copy is a message of its own.
    fn follow_links(&self, origins: &mut [Origin]) {
        if self.at.linked.is_empty() {
            return;
        }
        let mut places = HashMap::new();
        for (at, gone) in self.kept() {
            places.insert(gone.seq, Origin::Gone(at));
        }
        for (at, entry) in self.known.entries.iter().enumerate() {
            places.insert(entry.seq, Origin::Present(at));
        }
        let claimed = self.claimed(origins);
        let mut used: Vec<Seq> = Vec::new();
        for (origin, message) in origins.iter_mut().zip(&self.fresh.messages) {
            let Some((seq, _)) = self.at.linked.get(&message.uid) else {
                continue;
            };
            let place = places.get(seq).copied().unwrap_or(Origin::Linked(*seq));
            if *origin == Origin::New && !claimed.has(place) && !used.contains(seq) {
                *origin = place;
                used.push(*seq);
            }
        }
    }

    /// Those that are gone and still remembered.
    fn kept(&self) -> impl Iterator<Item = (usize, &Gone)> {
        let since = self.at.now.saturating_sub(KEPT);
        let gone = self.known.gone.iter().enumerate();
        gone.filter(move |(_, gone)| gone.gone_at > since)
    }

    fn claimed(&self, origins: &[Origin]) -> Claimed {
        let mut claimed = Claimed {
            present: vec![false; self.known.entries.len()],
            gone: vec![false; self.known.gone.len()],
        };
        for origin in origins {
            claimed.add(*origin);
        }
        claimed
    }

    fn msgid(&self, position: usize) -> Option<u64> {
        self.fresh.gm_msgids.as_ref()?.get(position).copied()
    }

    fn email_id(&self, position: usize) -> Option<u64> {
        let id = self.fresh.email_ids.as_ref()?.get(position).copied();
        id.filter(|id| *id != 0)
    }
}

impl Claimed {
    fn slot(&mut self, origin: Origin) -> Option<&mut bool> {
        match origin {
            Origin::Present(at) => self.present.get_mut(at),
            Origin::Gone(at) => self.gone.get_mut(at),
            Origin::Linked(_) | Origin::New => None,
        }
    }

    fn add(&mut self, origin: Origin) {
        if let Some(slot) = self.slot(origin) {
            *slot = true;
        }
    }

    fn has(&self, origin: Origin) -> bool {
        let slot = match origin {
            Origin::Present(at) => self.present.get(at),
            Origin::Gone(at) => self.gone.get(at),
            Origin::Linked(_) | Origin::New => None,
        };
        slot.is_some_and(|claimed| *claimed)
    }
}

/// What tells which message it is where its UID does not.
#[derive(Clone, Copy)]
struct Traits {
    date: i64,
    size: u32,
    gm_msgid: Option<u64>,
    email_id: Option<u64>,
    hash: Option<i64>,
}

impl Traits {
    fn of_gone(gone: &Gone) -> Self {
        Self {
            date: gone.internal_date,
            size: gone.size,
            gm_msgid: gone.gm_msgid,
            email_id: gone.email_id,
            hash: gone.header_hash,
        }
    }

    fn contradict(&self, other: &Self) -> bool {
        differ(self.gm_msgid, other.gm_msgid) || differ(self.hash, other.hash)
    }

    fn pair(&self) -> (i64, u32) {
        (self.date, self.size)
    }
}

/// Whether both are known and not the same.
fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

#[cfg(test)]
mod tests;
