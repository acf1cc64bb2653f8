//! What the bridge knows of an IMAP folder without reading any message.
//!
//! Plain data: it is built by the IMAP side and kept in the folder's
//! [`Register`](super::Register). It must not know how the data was fetched or
//! whether it is still true.

use std::fmt;
use std::num::NonZeroU32;

use super::Format;

/// A message's unique identifier within one folder and one UIDVALIDITY
/// (RFC 3501 section 2.3.1.1). Never 0; the full 32 bits are in use at some
/// providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// `None` for 0, which is no UID.
    pub const fn new(uid: u32) -> Option<Self> {
        match NonZeroU32::new(uid) {
            Some(uid) => Some(Self(uid)),
            None => None,
        }
    }

    /// The number as IMAP writes it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of a folder's UIDs (RFC 3501 section 2.3.1.1). Another value
/// means that every UID known so far says nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// `None` for 0, which RFC 3501 does not allow.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number as IMAP writes it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message of a folder. 16 bytes, because there may be 100,000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UID in this folder.
    pub uid: Uid,
    /// RFC822.SIZE in octets. What the server claims: some give the stored size
    /// and not that of the text they send, so nothing may be cut or refused by it.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970-01-01T00:00:00Z.
    pub internal_date: i64,
}

/// A folder at one moment. Shared by all sessions that saw it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The generation that all UIDs below belong to.
    pub uid_validity: UidValidity,
    /// UIDNEXT where the server gave it. Not a [`Uid`]: no message has it yet.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ where the server has CONDSTORE (RFC 7162).
    pub highest_modseq: Option<u64>,
    /// All messages, by ascending UID without repetition.
    pub messages: Vec<Message>,
    /// X-GM-MSGID of each message, in the order of `messages`; `None` where it
    /// was not asked for or the server is not Gmail.
    pub gm_msgids: Option<Vec<u64>>,
    /// A digest of each message's EMAILID (RFC 8474), in the order of `messages`; 0 where none was told. `None` where it was not asked for.
    pub email_ids: Option<Vec<u64>>,
}

impl Index {
    /// Whether this UID is a message of this INTERNALDATE and, where both sides have one, X-GM-MSGID, else of this size.
    pub fn has(&self, uid: Uid, size: u32, internal_date: i64, gm_msgid: Option<u64>) -> bool {
        let Ok(at) = self
            .messages
            .binary_search_by_key(&uid, |message| message.uid)
        else {
            return false;
        };
        let here = self.gm_msgids.as_ref().and_then(|ids| ids.get(at)).copied();
        self.messages.get(at).is_some_and(|message| {
            let same = match here.zip(gm_msgid) {
                Some((here, known)) => here == known,
                None => message.size == size,
            };
            same && message.internal_date == internal_date
        })
    }

    /// Whether unique-ids of this format can be made: a format that shows X-GM-MSGID needs one for each message.
    pub fn suits(&self, format: &Format) -> bool {
        let ids = self.gm_msgids.as_ref().map_or(0, Vec::len);
        !format.needs_gm_msgid() || ids >= self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_sixteen_bytes() {
        assert_eq!(size_of::<Message>(), 16);
    }

    #[test]
    fn zero_is_neither_a_uid_nor_a_uidvalidity() {
        assert_eq!(Uid::new(0), None);
        assert_eq!(UidValidity::new(0), None);
        assert_eq!(Uid::new(u32::MAX).unwrap().to_string(), "4294967295");
        assert_eq!(UidValidity::new(7).unwrap().get(), 7);
    }

    #[test]
    fn a_format_with_gmail_numbers_wants_one_for_each_message() {
        let message = Message {
            uid: Uid::new(1).unwrap(),
            size: 1,
            internal_date: 0,
        };
        let mut index = Index {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next: None,
            highest_modseq: None,
            messages: vec![message; 2],
            gm_msgids: None,
            email_ids: None,
        };
        let gmail = Format::parse("gmail").unwrap();
        assert!(index.suits(&Format::default()) && !index.suits(&gmail));
        index.gm_msgids = Some(vec![1]);
        assert!(!index.suits(&gmail));
        index.gm_msgids = Some(vec![1, 2]);
        assert!(index.suits(&gmail));
    }
}
