//! What the store has to write so that it holds what a register holds.
//!
//! Plain data. Must not know: SQL.

use super::seq::Seq;
use super::{Format, Uid, UidValidity};

/// See the module. Everything else stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The folder's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The folder's UIDNEXT.
    pub uid_next: Option<u32>,
    /// The folder's HIGHESTMODSEQ.
    pub highest_modseq: Option<u64>,
    /// The number that the mailbox gives next.
    pub next_seq: Seq,
    /// Floors that are new or higher than before.
    pub floors: Vec<(UidValidity, u32)>,
    /// Messages never seen before in this folder, by ascending number.
    pub new: Vec<NewMessage>,
    /// Messages that are not there any more. The UIDVALIDITY of their UIDs is the one that the folder had before.
    pub gone: Vec<Seq>,
    /// Messages that were gone and are there again.
    pub back: Vec<Moved>,
    /// Messages that have another UID.
    pub moved: Vec<Moved>,
    /// Messages of which the upstream gives another size now.
    pub sized: Vec<(Seq, u32)>,
    /// Whole unique-ids to be kept as text from now on, because nothing renders them any more: of messages that stay when the format
    /// changes, and of messages that are in [`gone`](Self::gone).
    pub pinned: Vec<(Seq, Box<str>)>,
    /// Digests of headers that were learnt.
    pub hashes: Vec<(Seq, i64)>,
    /// X-GM-MSGIDs that were learnt of known messages.
    pub msgids: Vec<(Seq, u64)>,
    /// Digests of EMAILIDs of known messages that were learnt, or are others now.
    pub email_ids: Vec<(Seq, u64)>,
    /// Whether all UIDs mean something else now: what was going to be disposed of must not be touched by its old UID.
    pub regenerated: bool,
    /// The format of unique-ids, where it is a new one.
    pub format: Option<Format>,
}

/// A message that the folder has not had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its number.
    pub seq: Seq,
    /// Its UID.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// When the bridge saw it, in seconds since 1970.
    pub first_seen: u32,
    /// X-GM-MSGID where the upstream has it.
    pub gm_msgid: Option<u64>,
    /// A digest of its EMAILID where the upstream has it.
    pub email_id: Option<u64>,
    /// The digest of its header, where it was needed.
    pub header_hash: Option<i64>,
    /// Its whole unique-id where the folder's format does not give it.
    pub uidl: Option<Box<str>>,
}

/// A known message at another place of its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its number.
    pub seq: Seq,
    /// Its UID now.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// Its whole unique-id where the folder's format does not give it.
    pub uidl: Option<Box<str>>,
    /// The digest of its header, if it is known.
    pub header_hash: Option<i64>,
}
