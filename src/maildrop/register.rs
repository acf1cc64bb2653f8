//! The register of a folder: which number and which unique-id each of its messages has, for ever.
//!
//! The index says what is in the folder, by UIDs that a server may throw away; the register says which message that is. It is what the
//! store keeps, and comparing it with a new index is the only way in which it changes.
//! Must not know: how it is kept, IMAP, clients.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::seq::Seq;
use super::{Format, Index, Message, Uid, UidValidity, Uidl};

/// What is kept of a message beside what the index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// When the bridge first saw it, in seconds since 1970.
    pub first_seen: u32,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What is in the folder.
    pub index: Arc<Index>,
    /// Of each message in the index, in its order.
    pub entries: Vec<Entry>,
    /// The unique-ids that are not what [`format`](Self::format) and [`suffix`](Self::suffix) give for the message as it is now.
    pub uidls: HashMap<Seq, Box<str>>,
    /// Digests of the headers of messages whose INTERNALDATE and size another one has, too.
    pub header_hashes: HashMap<Seq, i64>,
    /// What was in the folder within the last 90 days, by ascending number.
    pub gone: Vec<Gone>,
    /// For each UIDVALIDITY that there ever was: one more than the highest UID seen under it.
    pub floors: Vec<(UidValidity, u32)>,
    /// What unique-ids of new messages are made of.
    pub format: Format,
    /// When the folder was listed for the first time, in seconds since 1970. What was there then may be much older.
    pub first_listed: u32,
    /// Appended to each of them: empty for the mailbox's first folder, whose ids are plain.
    pub suffix: Box<str>,
}

/// A message that is not in the folder any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its number.
    pub seq: Seq,
    /// The UIDVALIDITY of its last UID.
    pub uid_validity: UidValidity,
    /// Its last UID.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// When the bridge first saw it, in seconds since 1970.
    pub first_seen: u32,
    /// X-GM-MSGID where the upstream has it.
    pub gm_msgid: Option<u64>,
    /// A digest of its EMAILID where the upstream has it.
    pub email_id: Option<u64>,
    /// The digest of its header, if it was ever needed.
    pub header_hash: Option<i64>,
    /// Its whole unique-id.
    pub uidl: Box<str>,
    /// When it was missed, in seconds since 1970.
    pub gone_at: i64,
    /// Whether the bridge itself has disposed of it: then nobody has lost it.
    pub disposed: bool,
}

impl Register {
    /// The X-GM-MSGID of the message at this position of the index.
    pub fn gm_msgid(&self, position: usize) -> Option<u64> {
        self.index.gm_msgids.as_ref()?.get(position).copied()
    }

    /// The digest of the EMAILID of the message at this position of the index.
    pub fn email_id(&self, position: usize) -> Option<u64> {
        let id = self.index.email_ids.as_ref()?.get(position).copied();
        id.filter(|id| *id != 0)
    }

    /// The unique-id of the message at this position of the index; `None` beyond the end.
    pub fn uidl(&self, position: usize) -> Option<Uidl> {
        let message = self.index.messages.get(position)?;
        let entry = self.entries.get(position)?;
        if let Some(uidl) = self.uidls.get(&entry.seq).and_then(|text| Uidl::new(text)) {
            return Some(uidl);
        }
        let gm_msgid = self.gm_msgid(position).unwrap_or_default();
        let rendered = self
            .format
            .render(self.index.uid_validity, message.uid, gm_msgid);
        Some(rendered.with_suffix(&self.suffix))
    }

    /// About how much memory it takes, in bytes.
    pub fn heap_bytes(&self) -> usize {
        // A hash table's slots are a quarter to a half empty, and each text is an allocation of its own.
        const SLOT: usize = 48;
        let lists = [&self.index.gm_msgids, &self.index.email_ids];
        let ids: usize = lists.into_iter().flatten().map(Vec::capacity).sum();
        let texts = self.uidls.values().map(|text| text.len()).sum::<usize>();
        let gone = self.gone.iter().map(|gone| gone.uidl.len());
        self.index.messages.capacity() * size_of::<Message>()
            + ids * size_of::<u64>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.uidls.len() * SLOT
            + texts
            + self.header_hashes.len() * SLOT
            + self.gone.capacity() * size_of::<Gone>()
            + gone.sum::<usize>()
            + size_of::<Self>()
    }

    /// Where a message stands in the index.
    pub fn position_of_uid(&self, uid: Uid) -> Option<usize> {
        self.index
            .messages
            .binary_search_by_key(&uid, |message| message.uid)
            .ok()
    }

    /// The register after the bridge itself has taken these messages out of the folder, at this time in seconds since 1970.
    #[must_use]
    pub fn without(&self, taken: &HashSet<Seq>, now: i64) -> Self {
        let mut left = self.clone();
        let index = Arc::make_mut(&mut left.index);
        index.messages.clear();
        let mut ids = index.gm_msgids.as_mut();
        if let Some(ids) = &mut ids {
            ids.clear();
        }
        let mut email_ids = index.email_ids.as_mut();
        if let Some(ids) = &mut email_ids {
            ids.clear();
        }
        left.entries.clear();
        let messages = self.index.messages.iter().zip(&self.entries);
        for (position, (message, entry)) in messages.enumerate() {
            let gm_msgid = self.gm_msgid(position);
            if !taken.contains(&entry.seq) {
                index.messages.push(*message);
                left.entries.push(*entry);
                if let (Some(ids), Some(id)) = (&mut ids, gm_msgid) {
                    ids.push(id);
                }
                if let Some(ids) = &mut email_ids {
                    ids.push(self.email_id(position).unwrap_or_default());
                }
                continue;
            }
            let uidl = self.uidl(position);
            left.uidls.remove(&entry.seq);
            left.gone.push(Gone {
                seq: entry.seq,
                uid_validity: self.index.uid_validity,
                uid: message.uid,
                size: message.size,
                internal_date: message.internal_date,
                first_seen: entry.first_seen,
                gm_msgid,
                email_id: self.email_id(position),
                header_hash: left.header_hashes.remove(&entry.seq),
                uidl: uidl.as_ref().map_or("", |uidl| uidl.as_str()).into(),
                gone_at: now,
                disposed: true,
            });
        }
        left.gone.sort_by_key(|gone| gone.seq);
        left
    }
}

#[cfg(test)]
mod tests;
