//! The register of a folder: which number and which unique-id each of its messages has, for ever.
//!
//! The index says what is in the folder, by UIDs that a server may throw away; the register says which message that is. It is what the
//! store keeps, and comparing it with a new index is the only way in which it changes.
//! Must not know: how it is kept, IMAP, clients.

use std::collections::HashMap;

use super::seq::Seq;
use super::{Format, Index, Uid, UidValidity, Uidl};

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
    pub index: Index,
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

    /// Where a message stands in the index.
    pub fn position_of_uid(&self, uid: Uid) -> Option<usize> {
        self.index
            .messages
            .binary_search_by_key(&uid, |message| message.uid)
            .ok()
    }
}
