//! Removing messages upstream, and only the intended ones: `UID EXPUNGE` (RFC 4315) or `UID MOVE` (RFC 6851).
//!
//! Never a bare EXPUNGE or CLOSE, which would take what others marked `\Deleted` as well, unless the configuration accepts that risk.
//! What cannot be done safely is found out before anything is touched.
//! Must not know: why messages are to go, POP3, or clients.

use std::fmt;

use super::connection::{Connection, quoted};
use super::error::Error;
use super::reply::{Condition, Reply};
use super::set::uid_sets;
use crate::maildrop::{Uid, UidValidity};
use crate::policy::{Dispose, DisposeRule};

/// How messages are going to be removed.
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
        }
    }
}

impl Connection {
    /// Removes messages of a folder in this way; `Ok` means that the upstream has confirmed every step.
    ///
    /// `uid_validity` is the one the UIDs were listed under: under another one they name other messages and nothing is touched.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] before anything is touched where the folder is another one by now; what any command can give.
    pub async fn remove(
        &mut self,
        folder: &str,
        uid_validity: UidValidity,
        uids: &[Uid],
        removal: &Removal,
    ) -> Result<(), Error> {
        let selected = self.select(folder).await?;
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
        let sets = uid_sets(uids);
        match removal {
            Removal::Move(target) => {
                for set in &sets {
                    self.done("UID MOVE", &format!("UID MOVE {set} {}", quoted(target)))
                        .await?;
                }
            }
            Removal::CopyExpunge(target) => {
                for set in &sets {
                    self.done("UID COPY", &format!("UID COPY {set} {}", quoted(target)))
                        .await?;
                    self.mark(set).await?;
                    self.done("UID EXPUNGE", &format!("UID EXPUNGE {set}"))
                        .await?;
                }
            }
            Removal::UidExpunge => {
                for set in &sets {
                    self.mark(set).await?;
                    self.done("UID EXPUNGE", &format!("UID EXPUNGE {set}"))
                        .await?;
                }
            }
            Removal::BareExpunge => {
                for set in &sets {
                    self.mark(set).await?;
                }
                self.done("EXPUNGE", "EXPUNGE").await?;
            }
        }
        Ok(())
    }

    /// Decides how to remove, touching nothing.
    ///
    /// # Errors
    /// [`Error::NoSafeRemoval`], [`Error::NoSuchFolder`].
    pub async fn plan_removal(&mut self, rule: &DisposeRule) -> Result<Removal, Error> {
        let (uidplus, can_move) = (
            self.capabilities().has("UIDPLUS"),
            self.capabilities().has("MOVE"),
        );
        match rule.dispose {
            Dispose::Expunge if uidplus => Ok(Removal::UidExpunge),
            Dispose::Expunge if rule.expunge_without_uidplus => Ok(Removal::BareExpunge),
            // The trash is the safe way that is left.
            Dispose::Expunge if can_move => match self.find_trash(&rule.trash).await {
                Err(Error::NoSuchFolder(_)) => Err(Error::NoSafeRemoval),
                found => found.map(Removal::Move),
            },
            Dispose::Trash if can_move => self.find_trash(&rule.trash).await.map(Removal::Move),
            Dispose::Trash if uidplus => {
                self.find_trash(&rule.trash).await.map(Removal::CopyExpunge)
            }
            _ => Err(Error::NoSafeRemoval),
        }
    }

    async fn mark(&mut self, set: &str) -> Result<(), Error> {
        self.done(
            "UID STORE",
            &format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"),
        )
        .await
    }

    async fn done(&mut self, name: &'static str, command: &str) -> Result<(), Error> {
        self.command(name, command, |_| Ok(())).await.map(|_| ())
    }
}
