//! What the store takes and gives: plain rows.
//!
//! Must not know: SQL, what settings and rules mean.

use crate::maildrop::{Seq, SeqSet, Uid, UidValidity};
use crate::policy::Action;
use crate::secret::StoredPassword;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) i64);

        impl $name {
            /// The number, the same for ever and never given to another.
            pub const fn get(self) -> i64 {
                self.0
            }
        }
    )*};
}

ids! {
    /// A mailbox: one log-in on one upstream.
    MailboxId,
    /// A client.
    ClientId,
    /// A folder of a mailbox.
    FolderId
}

#[cfg(test)]
impl MailboxId {
    /// One that no store knows.
    pub(crate) const fn made_up(number: i64) -> Self {
        Self(number)
    }
}

/// A mailbox, what state is keyed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its number.
    pub id: MailboxId,
    /// The upstream's host and port.
    pub upstream: String,
    /// The normalized log-in name there.
    pub login: String,
    /// Grows whenever one of its registers changes.
    pub version: i64,
    /// Set while disposals wait for the operator's word.
    pub stopped: Option<SweepStop>,
    /// The operator has said that the sweep may take what it was stopped at.
    pub sweep_confirmed: bool,
}

/// A sweep that was stopped because it would have taken too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepStop {
    /// How many messages it would have taken.
    pub would_take: i64,
    /// How many there were.
    pub of: i64,
    /// When it was stopped.
    pub at: i64,
}

/// How full a mailbox is, as its upstream has said (RFC 9208: the resource STORAGE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Octets that are used.
    pub used: u64,
    /// Octets that may be used, more than 0.
    pub limit: u64,
    /// When the upstream was asked, in seconds since 1970.
    pub at: i64,
}

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its messages are listed to clients.
    Served,
    /// The bridge's own folder, into which arrivals are copied.
    Hold,
}

impl Role {
    pub(super) const fn as_text(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Hold => "hold",
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        [Self::Served, Self::Hold]
            .into_iter()
            .find(|role| role.as_text() == text)
    }
}

/// A folder of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRow {
    /// Its number in the whole store.
    pub id: FolderId,
    /// Whose it is.
    pub mailbox: MailboxId,
    /// Its name in UTF-8.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// 1 for the mailbox's first folder, 2 for its second: never given again.
    pub number: i64,
}

impl FolderRow {
    /// What is appended to the folder's unique-ids, so that no two folders of a mailbox can give the same one: nothing for the first folder.
    pub fn suffix(&self) -> Box<str> {
        match self.number {
            1 => "".into(),
            number => format!("-f{number}").into(),
        }
    }
}

/// A client as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// What it reads.
    pub mailbox: MailboxId,
    /// The whole POP3 log-in name.
    pub login: String,
    /// What people call it.
    pub name: String,
    /// Made by an operator, with a name and mostly a password of its own; else it came with the mailbox's own log-in.
    pub named: bool,
    /// The configured account that it belongs to.
    pub account: Option<String>,
    /// Its own password.
    pub password: Option<StoredPassword>,
    /// JSON; what it means is not the store's business.
    pub settings: String,
    /// When it was made known.
    pub enrolled_at: i64,
    /// The mailbox's next number at the first look at it after that, if there was one.
    pub found_below: Option<Seq>,
    /// When its marks were last cleared.
    pub reset_at: Option<i64>,
    /// When it was removed; its rows stay for 7 days.
    pub removed_at: Option<i64>,
    /// When it last logged in.
    pub last_seen: Option<i64>,
    /// Grows whenever its marks, settings or password change.
    pub version: i64,
    /// How many messages it has lost that nothing is kept of any more.
    pub losses_before: i64,
}

/// A client to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// What it reads.
    pub mailbox: MailboxId,
    /// The whole POP3 log-in name.
    pub login: String,
    /// What people call it.
    pub name: String,
    /// See [`Client::named`].
    pub named: bool,
    /// See [`Client::account`].
    pub account: Option<String>,
    /// See [`Client::password`].
    pub password: Option<StoredPassword>,
    /// See [`Client::settings`].
    pub settings: String,
}

/// The right to use a client's maildrop, until another takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose maildrop.
    pub client: ClientId,
    /// How often it was taken; 0 on SQLite, where the bridge's own memory is enough.
    pub epoch: i64,
    /// Who has it.
    pub holder: String,
}

/// All that a session leaves behind when it ends well; kept whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quit {
    /// Whose session.
    pub client: ClientId,
    /// Its right to the maildrop.
    pub lease: Lease,
    /// What it has had.
    pub delivered: SeqSet,
    /// What it has deleted.
    pub deleted: SeqSet,
    /// Those of `deleted` whose deletion is everybody's.
    pub disposing: SeqSet,
    /// What it has had without saying QUIT.
    pub without_quit: SeqSet,
    /// What is to be done upstream because of it.
    pub intents: Vec<NewIntent>,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// Something to be done to a message upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntent {
    /// The message's mailbox.
    pub mailbox: MailboxId,
    /// Its folder.
    pub folder: FolderId,
    /// Its number.
    pub seq: Seq,
    /// The UIDVALIDITY of its UID.
    pub uid_validity: UidValidity,
    /// Its UID.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// X-GM-MSGID where the upstream has it.
    pub gm_msgid: Option<u64>,
    /// What is to be done.
    pub action: Action,
    /// Why, for people.
    pub cause: String,
}

/// How far an intent has come, as long as it is neither done nor cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Not tried yet.
    Pending,
    /// Tried without success.
    Failed,
}

/// An intent that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its number.
    pub id: i64,
    /// What and why.
    pub new: NewIntent,
    /// How far it has come.
    pub state: IntentState,
    /// How often it was tried.
    pub attempts: i64,
    /// What the last try ended with.
    pub last_error: Option<String>,
    /// When it was written down.
    pub created_at: i64,
    /// When it was last tried.
    pub tried_at: Option<i64>,
}

/// A message that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its number.
    pub seq: Seq,
    /// How often.
    pub failures: i64,
    /// What the last try ended with.
    pub last_error: String,
    /// When that was.
    pub at: i64,
}
