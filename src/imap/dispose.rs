//! What is done to messages upstream, and only to the intended ones: `UID EXPUNGE` (RFC 4315), `UID MOVE` (RFC 6851), flags.
//!
//! Never a bare EXPUNGE or CLOSE, which would take what others marked `\Deleted` as well, unless the configuration accepts that risk.
//! What cannot be done safely is found out before anything is touched, and a UID is believed only where the message that has it now
//! is the one that was meant.
//! Must not know: why something is done, POP3, or clients.

use std::fmt;

use super::connection::{Connection, Selected, quoted};
use super::error::Error;
use super::flags::is_keyword;
use super::identity::Identity;
use super::reply::{Condition, Reply};
use super::set::uid_sets;
use crate::maildrop::{Uid, UidValidity};
use crate::policy::{Action, Archive, DisposeRule, Trash};

/// Messages that are asked for and changed together: their UIDs fit into one line however they are scattered.
const BATCH: usize = 600;

/// Where messages go, and what is risked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// The trash folder.
    pub trash: Trash,
    /// The archive folder.
    pub archive: Archive,
    /// Accepts that, on an upstream without UIDPLUS, EXPUNGE also removes what others marked `\Deleted`.
    pub expunge_without_uidplus: bool,
}

impl From<&DisposeRule> for Destinations {
    fn from(rule: &DisposeRule) -> Self {
        Self {
            trash: rule.trash.clone(),
            archive: rule.archive.clone(),
            expunge_without_uidplus: rule.expunge_without_uidplus,
        }
    }
}

/// In which way an action is going to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// `\Deleted` and UID EXPUNGE.
    UidExpunge,
    /// UID MOVE to this folder.
    Move(String),
    /// UID COPY to this folder, then `\Deleted` and UID EXPUNGE (RFC 6851, 3.3).
    CopyExpunge(String),
    /// `\Deleted` and EXPUNGE: also takes what others marked. Only where the configuration says so.
    BareExpunge,
    /// The message stays and gets this flag or keyword.
    Store(String),
}

impl Removal {
    /// Whether all of it may be done a second time after a connection was lost in the middle: what is gone already is named in vain,
    /// but a copy would be made twice.
    pub fn may_be_repeated(&self) -> bool {
        !matches!(self, Self::CopyExpunge(_))
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UidExpunge => f.write_str("UID STORE \\Deleted, then UID EXPUNGE"),
            Self::Move(folder) => write!(f, "UID MOVE to {folder}"),
            Self::CopyExpunge(folder) => write!(f, "UID COPY to {folder}, then UID EXPUNGE"),
            Self::BareExpunge => f.write_str(
                "UID STORE \\Deleted, then EXPUNGE, which also removes what others marked",
            ),
            Self::Store(flag) => write!(f, "UID STORE {flag}"),
        }
    }
}

/// A message as it was when it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its UID then.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// X-GM-MSGID, where it is known.
    pub gm_msgid: Option<u64>,
}

impl Target {
    /// Whether a message that has the UID now is this one. Sizes count only where there is nothing better: some are estimates.
    pub fn is(&self, now: &Identity) -> bool {
        let same = match (self.gm_msgid, now.gm_msgid) {
            (Some(then), Some(now)) => then == now,
            _ => self.size == now.size,
        };
        same && self.internal_date == now.internal_date
    }
}

/// What has become of messages, command by command: true also where a later one failed. Ascending UIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// The upstream has confirmed every step.
    pub done: Vec<Uid>,
    /// There was no such message any more.
    pub absent: Vec<Uid>,
    /// Another message has the UID: it was not touched.
    pub mismatched: Vec<Uid>,
}

impl Connection {
    /// Does to messages of a folder (its name as on the wire) what was planned. `Ok` means that every target is in `acted`, which is
    /// added to as the upstream confirms, so that it tells what was done also after an error or when this future is dropped.
    ///
    /// `uid_validity` is the one the UIDs were listed under: under another one they name other messages and nothing is touched. Of
    /// the rest only those are touched that are, by date and X-GM-MSGID or size at this moment, the messages that were listed.
    ///
    /// # Errors
    /// Before anything is touched: [`Error::Inconsistent`] where the folder is another one by now, [`Error::Refused`] with NOPERM where
    /// it can only be read, [`Error::FlagNotKept`], [`Error::SameFolder`]. What any command can give, also behind others that were done.
    pub async fn act(
        &mut self,
        folder: &str,
        uid_validity: UidValidity,
        messages: &[Target],
        plan: &Removal,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        check_target(folder, plan)?;
        let selected = self.select(folder).await?;
        check_folder(&selected, uid_validity, plan)?;
        let mut messages = messages.to_vec();
        messages.sort_unstable_by_key(|target| target.uid);
        messages.dedup_by_key(|target| target.uid);
        for batch in messages.chunks(BATCH) {
            let uids: Vec<Uid> = batch.iter().map(|target| target.uid).collect();
            let now = self.identities(&uids).await?;
            let mut meant = Vec::new();
            for target in batch {
                match now.get(&target.uid) {
                    Some(identity) if target.is(identity) => meant.push(target.uid),
                    Some(_) => acted.mismatched.push(target.uid),
                    None => acted.absent.push(target.uid),
                }
            }
            let most = match plan {
                Removal::CopyExpunge(_) => self.most_to_copy(),
                _ => self.most_at_once(),
            };
            for part in meant.chunks(most) {
                for set in uid_sets(part) {
                    self.act_on(&set, plan).await?;
                }
                acted.done.extend_from_slice(part);
            }
        }
        Ok(())
    }

    async fn act_on(&mut self, set: &str, plan: &Removal) -> Result<(), Error> {
        match plan {
            Removal::Move(target) => {
                let command = format!("UID MOVE {set} {}", quoted(target));
                self.done("UID MOVE", &command).await
            }
            Removal::CopyExpunge(target) => {
                let command = format!("UID COPY {set} {}", quoted(target));
                self.done("UID COPY", &command).await?;
                self.store(set, "\\Deleted").await?;
                self.done("UID EXPUNGE", &format!("UID EXPUNGE {set}"))
                    .await
            }
            Removal::UidExpunge => {
                self.store(set, "\\Deleted").await?;
                self.done("UID EXPUNGE", &format!("UID EXPUNGE {set}"))
                    .await
            }
            Removal::BareExpunge => {
                self.store(set, "\\Deleted").await?;
                self.done("EXPUNGE", "EXPUNGE").await
            }
            Removal::Store(flag) => self.store(set, flag).await,
        }
    }

    /// Decides in which way to carry an action out, touching nothing.
    ///
    /// # Errors
    /// [`Error::NoSafeRemoval`], [`Error::NoSuchFolder`]; [`Error::FlagNotKept`] for what is no keyword (whether the folder keeps one is
    /// known only when it is opened for writing); what any command can give.
    pub async fn plan(&mut self, action: &Action, to: &Destinations) -> Result<Removal, Error> {
        let uidplus = self.capabilities().has("UIDPLUS");
        let can_move = self.capabilities().has("MOVE");
        match action {
            Action::Expunge if uidplus => Ok(Removal::UidExpunge),
            Action::Expunge if to.expunge_without_uidplus => Ok(Removal::BareExpunge),
            // The trash is the safe way that is left.
            Action::Expunge if can_move => match self.find_trash(&to.trash).await {
                Err(Error::NoSuchFolder(_)) => Err(Error::NoSafeRemoval),
                found => found.map(Removal::Move),
            },
            Action::Trash if can_move || uidplus => {
                let folder = self.find_trash(&to.trash).await?;
                Ok(away(folder, can_move))
            }
            Action::Archive if can_move || uidplus => {
                let folder = self.find_archive(&to.archive).await?;
                Ok(away(folder, can_move))
            }
            Action::Expunge | Action::Trash | Action::Archive => Err(Error::NoSafeRemoval),
            Action::Flag(keyword) if is_keyword(keyword) => Ok(Removal::Store(keyword.clone())),
            Action::Flag(text) => Err(Error::FlagNotKept(text.escape_debug().to_string())),
            Action::Seen => Ok(Removal::Store("\\Seen".to_owned())),
        }
    }

    async fn store(&mut self, set: &str, flag: &str) -> Result<(), Error> {
        let command = format!("UID STORE {set} +FLAGS.SILENT ({flag})");
        self.done("UID STORE", &command).await
    }

    async fn done(&mut self, name: &'static str, command: &str) -> Result<(), Error> {
        self.command(name, command, |_| Ok(())).await.map(|_| ())
    }
}

fn away(folder: String, can_move: bool) -> Removal {
    if can_move {
        Removal::Move(folder)
    } else {
        Removal::CopyExpunge(folder)
    }
}

/// A message that is moved to where it is becomes a new one each time.
fn check_target(folder: &str, plan: &Removal) -> Result<(), Error> {
    match plan {
        Removal::Move(target) | Removal::CopyExpunge(target) if is_same(folder, target) => {
            Err(Error::SameFolder(target.clone()))
        }
        _ => Ok(()),
    }
}

/// INBOX has its name in any case (RFC 3501, 5.1).
pub(super) fn is_same(folder: &str, other: &str) -> bool {
    folder == other || (folder.eq_ignore_ascii_case("INBOX") && other.eq_ignore_ascii_case("INBOX"))
}

/// What must be true of a folder that was opened for writing before a message in it is touched.
fn check_folder(
    selected: &Selected,
    uid_validity: UidValidity,
    plan: &Removal,
) -> Result<(), Error> {
    if selected.uid_validity != uid_validity {
        return Err(Error::Inconsistent(
            "UIDVALIDITY changed since the messages were listed; nothing was removed",
        ));
    }
    if selected.read_only {
        return Err(Error::Refused {
            command: "SELECT",
            reply: Reply::ours(
                Condition::No,
                "NOPERM",
                "the folder can only be read; nothing was removed",
            ),
        });
    }
    if let (Removal::Store(flag), Some(kept)) = (plan, &selected.permanent_flags)
        && !kept.keeps(flag)
    {
        return Err(Error::FlagNotKept(flag.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
