//! The register as it is now, and what leads there, once it is known which message is which.
//!
//! Must not know: how that was found out.

use std::sync::Arc;

use super::names::Names;
use super::{Folder, Origin, Reconciled};
use crate::maildrop::delta::{Moved, NewMessage};
use crate::maildrop::register::{Entry, Gone};
use crate::maildrop::seq::Seq;
use crate::maildrop::{Delta, Message, Register, UidValidity};

impl Folder<'_> {
    /// See the module. `origins` is parallel to the new index.
    pub(super) fn build(&self, origins: &[Origin], regenerated: bool) -> Reconciled {
        let mut build = Build {
            folder: self,
            register: self.empty_register(),
            delta: self.empty_delta(regenerated),
            as_before: self.renders_as_before(),
        };
        let mut names = Names::new(self, origins);
        for (position, (message, origin)) in self.fresh.messages.iter().zip(origins).enumerate() {
            match origin {
                Origin::Present(at) => build.stays(position, message, *at),
                Origin::Gone(at) => build.comes_back(position, message, *at),
                Origin::Linked(seq) => {
                    let uidl = names.linked(position, message, *seq);
                    build.is_new(position, message, *seq, uidl);
                }
                Origin::New => {
                    let seq = build.next_seq();
                    let uidl = names.name(position, message, seq);
                    build.is_new(position, message, seq, uidl);
                }
            }
        }
        build.leave(origins);
        build.raise_floor();
        build.finish()
    }

    fn empty_register(&self) -> Register {
        Register {
            index: Arc::new(self.fresh.clone()),
            entries: Vec::with_capacity(self.fresh.messages.len()),
            uidls: self.known.uidls.clone(),
            header_hashes: self.known.header_hashes.clone(),
            gone: Vec::new(),
            floors: self.known.floors.clone(),
            format: self.at.format.clone(),
            first_listed: self.known.first_listed,
            suffix: self.known.suffix.clone(),
        }
    }

    fn empty_delta(&self, regenerated: bool) -> Delta {
        let new_format = self.first || self.known.format != *self.at.format;
        Delta {
            uid_validity: self.fresh.uid_validity,
            uid_next: self.fresh.uid_next,
            highest_modseq: self.fresh.highest_modseq,
            next_seq: self.at.next_seq,
            floors: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
            back: Vec::new(),
            moved: Vec::new(),
            sized: Vec::new(),
            pinned: Vec::new(),
            hashes: Vec::new(),
            msgids: Vec::new(),
            email_ids: Vec::new(),
            regenerated,
            format: new_format.then(|| self.at.format.clone()),
        }
    }
}

struct Build<'a> {
    folder: &'a Folder<'a>,
    register: Register,
    delta: Delta,
    /// Whether what has no text of its own is rendered as before.
    as_before: bool,
}

impl Build<'_> {
    /// After four billion numbers the last one is given again, and sessions see one of the messages that have it.
    fn next_seq(&mut self) -> Seq {
        let seq = self.delta.next_seq;
        self.delta.next_seq = seq.next().unwrap_or(seq);
        seq
    }

    fn stays(&mut self, position: usize, message: &Message, at: usize) {
        let known = self.folder.known;
        let old = known.index.messages.get(at).zip(known.entries.get(at));
        let Some((old, entry)) = old else { return };
        let seq = entry.seq;
        self.register.entries.push(*entry);
        let known_hash = known.header_hashes.get(&seq).copied();
        let ids = (known.gm_msgid(at), known.email_id(at));
        let learnt = self.learn(position, seq, known_hash, ids);
        if old.uid == message.uid && known.index.uid_validity == self.folder.fresh.uid_validity {
            if let Some(hash) = learnt {
                self.delta.hashes.push((seq, hash));
            }
            if old.size != message.size {
                self.delta.sized.push((seq, message.size));
            }
            if !self.as_before && !known.uidls.contains_key(&seq) {
                let text = self.text_of(at);
                if self.differs(position, &text) {
                    self.register.uidls.insert(seq, text.clone());
                    self.delta.pinned.push((seq, text));
                }
            }
            return;
        }
        let uidl = self.keep_text(position, seq, self.text_of(at));
        self.delta.moved.push(Moved {
            seq,
            uid: message.uid,
            size: message.size,
            uidl,
            header_hash: known_hash.or(learnt),
        });
    }

    fn comes_back(&mut self, position: usize, message: &Message, at: usize) {
        let Some(gone) = self.folder.known.gone.get(at) else {
            return;
        };
        let seq = gone.seq;
        self.register.entries.push(Entry {
            seq,
            first_seen: gone.first_seen,
        });
        let ids = (gone.gm_msgid, gone.email_id);
        let learnt = self.learn(position, seq, gone.header_hash, ids);
        let header_hash = gone.header_hash.or(learnt);
        if let Some(hash) = header_hash {
            self.register.header_hashes.insert(seq, hash);
        }
        let uidl = self.keep_text(position, seq, gone.uidl.clone());
        self.delta.back.push(Moved {
            seq,
            uid: message.uid,
            size: message.size,
            uidl,
            header_hash,
        });
    }

    fn is_new(&mut self, position: usize, message: &Message, seq: Seq, uidl: Option<Box<str>>) {
        let traits = self.folder.traits(position);
        let (gm_msgid, hash) = (traits.gm_msgid, traits.hash);
        let first_seen = u32::try_from(self.folder.at.now.max(0)).unwrap_or(u32::MAX);
        self.register.entries.push(Entry { seq, first_seen });
        if let Some(hash) = hash {
            self.register.header_hashes.insert(seq, hash);
        }
        if let Some(text) = &uidl {
            self.register.uidls.insert(seq, text.clone());
        }
        self.delta.new.push(NewMessage {
            seq,
            uid: message.uid,
            size: message.size,
            internal_date: message.internal_date,
            first_seen,
            gm_msgid,
            email_id: traits.email_id,
            header_hash: hash,
            uidl,
        });
    }

    /// Those that were there and are not found again.
    fn leave(&mut self, origins: &[Origin]) {
        let folder = self.folder;
        let claimed = folder.claimed(origins);
        let still_gone = folder.kept();
        let mut gone: Vec<Gone> = still_gone
            .filter(|(at, _)| !claimed.has(Origin::Gone(*at)))
            .map(|(_, gone)| gone.clone())
            .collect();
        let known = folder
            .known
            .index
            .messages
            .iter()
            .zip(&folder.known.entries);
        for (at, (message, entry)) in known.enumerate() {
            if claimed.has(Origin::Present(at)) {
                continue;
            }
            let seq = entry.seq;
            let uidl = self.text_of(at);
            if self.register.uidls.remove(&seq).is_none() {
                self.delta.pinned.push((seq, uidl.clone()));
            }
            self.delta.gone.push(seq);
            gone.push(Gone {
                seq,
                uid_validity: folder.known.index.uid_validity,
                uid: message.uid,
                size: message.size,
                internal_date: message.internal_date,
                first_seen: entry.first_seen,
                gm_msgid: folder.known.gm_msgid(at),
                email_id: folder.known.email_id(at),
                header_hash: self.register.header_hashes.remove(&seq),
                uidl,
                gone_at: folder.at.now,
                disposed: false,
            });
        }
        gone.sort_by_key(|gone| gone.seq);
        self.register.gone = gone;
    }

    fn raise_floor(&mut self) {
        let fresh = self.folder.fresh;
        let Some(last) = fresh.messages.last() else {
            return;
        };
        let floor = last.uid.get().saturating_add(1);
        let mut floors = self.register.floors.iter_mut();
        let is_this = |(validity, _): &&mut (UidValidity, u32)| *validity == fresh.uid_validity;
        match floors.find(is_this) {
            Some((_, known)) if *known >= floor => return,
            Some((_, known)) => *known = floor,
            None => self.register.floors.push((fresh.uid_validity, floor)),
        }
        self.delta.floors.push((fresh.uid_validity, floor));
    }

    fn finish(mut self) -> Reconciled {
        let delta = &mut self.delta;
        delta.new.sort_by_key(|new| new.seq);
        delta.gone.sort_unstable();
        let nothing = delta.new.is_empty()
            && delta.gone.is_empty()
            && delta.back.is_empty()
            && delta.moved.is_empty()
            && delta.sized.is_empty()
            && delta.pinned.is_empty()
            && delta.hashes.is_empty()
            && delta.msgids.is_empty()
            && delta.email_ids.is_empty()
            && delta.floors.is_empty()
            && delta.format.is_none()
            && !delta.regenerated;
        if nothing {
            return Reconciled::Unchanged;
        }
        Reconciled::Changed {
            register: Box::new(self.register),
            delta: Box::new(self.delta),
        }
    }

    /// Notes what was learnt of a known message; gives the digest if it is news.
    fn learn(
        &mut self,
        position: usize,
        seq: Seq,
        hash: Option<i64>,
        (gm_msgid, email_id): (Option<u64>, Option<u64>),
    ) -> Option<i64> {
        let fresh = self.folder.traits(position);
        if let Some(id) = fresh.email_id.filter(|id| Some(*id) != email_id) {
            self.delta.email_ids.push((seq, id));
        }
        if let Some(id) = fresh.gm_msgid.filter(|_| gm_msgid.is_none()) {
            self.delta.msgids.push((seq, id));
        }
        let learnt = fresh.hash.filter(|_| hash.is_none());
        if let Some(hash) = learnt {
            self.register.header_hashes.insert(seq, hash);
        }
        learnt
    }

    /// Makes sure that the message's unique-id stays this; gives what the store must keep as text.
    fn keep_text(&mut self, position: usize, seq: Seq, text: Box<str>) -> Option<Box<str>> {
        if self.differs(position, &text) {
            self.register.uidls.insert(seq, text.clone());
            return Some(text);
        }
        self.register.uidls.remove(&seq);
        None
    }

    /// Whether this is not what the format gives for the message now.
    fn differs(&self, position: usize, text: &str) -> bool {
        !self.folder.fresh.suits(self.folder.at.format)
            || self.folder.rendered(position).as_str() != text
    }

    /// The unique-id that a known message had.
    fn text_of(&self, at: usize) -> Box<str> {
        let uidl = self.folder.known.uidl(at);
        uidl.as_ref().map_or("", |uidl| uidl.as_str()).into()
    }
}
