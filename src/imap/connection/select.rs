//! Opening folders: EXAMINE and SELECT, with ENABLE in the same flight before the first one, and what they tell.
//!
//! Must not know: what a folder's messages are.

use std::time::Instant;

use super::super::error::Error;
use super::super::flags::PermanentFlags;
use super::super::folders::from_wire;
use super::super::reply::Reply;
use super::super::set;
use super::{Connection, Pending, Untagged, quoted};
use crate::maildrop::UidValidity;

/// What SELECT or EXAMINE told (RFC 3501, 6.3.1; RFC 7162, 3.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Messages in the folder.
    pub exists: u32,
    /// UIDVALIDITY; without it UIDs mean nothing and the folder is refused.
    pub uid_validity: UidValidity,
    /// UIDNEXT, where the upstream tells it.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ, where the folder keeps one.
    pub highest_modseq: Option<u64>,
    /// Whether changes are refused.
    pub read_only: bool,
    /// PERMANENTFLAGS, where the upstream tells them.
    pub permanent_flags: Option<PermanentFlags>,
}

impl Connection {
    /// Opens a folder (its name as on the wire) read-only: nothing, not even `\Recent`, changes upstream (RFC 3501, 6.3.2).
    /// `resync` enables QRESYNC first, in the same flight, where it is offered.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Protocol`] where UIDVALIDITY or EXISTS is missing, and what any command can give.
    pub async fn examine(&mut self, folder: &str, resync: bool) -> Result<Selected, Error> {
        self.open("EXAMINE", folder, resync).await
    }

    /// Opens a folder for changing it.
    ///
    /// # Errors
    /// As [`Self::examine`].
    pub async fn select(&mut self, folder: &str) -> Result<Selected, Error> {
        self.open("SELECT", folder, false).await
    }

    async fn open(
        &mut self,
        command: &'static str,
        folder: &str,
        resync: bool,
    ) -> Result<Selected, Error> {
        let mut enable = self.to_enable(resync);
        // With UTF8=ACCEPT names are in UTF-8 (RFC 6855, 3), so that it has to be known first whether that is enabled.
        if self.wants_utf8
            && folder.contains('&')
            && let Some(enable) = enable.take()
        {
            let enabling = self.begin("ENABLE", &enable).await?;
            self.finish_enabling(&enabling).await?;
        }
        let text = match self.utf8 {
            true => format!("{command} {}", quoted(&from_wire(folder))),
            false => format!("{command} {}", quoted(folder)),
        };
        // Whatever the upstream says of it, what was opened by EXAMINE is only read.
        let only_reads = command == "EXAMINE";
        let Some(enable) = enable else {
            let selecting = self.begin(command, &text).await?;
            return self.finish_select(selecting, folder, only_reads).await;
        };
        self.transport().cork();
        let enabling = self.begin("ENABLE", &enable).await?;
        let selecting = self.send(command, &text).await?;
        self.transport().uncork().await?;
        self.finish_enabling(&enabling).await?;
        self.clean = false; // the folder is still being opened
        self.finish_select(selecting, folder, only_reads).await
    }

    /// Leaves a folder that was opened for changing it, without expunging anything (UNSELECT, RFC 3691).
    ///
    /// # Errors
    /// [`Error::Lacks`] where the upstream has no such command, and what any command can give.
    pub async fn leave_changed_folder(&mut self) -> Result<(), Error> {
        if self.folder.as_ref().is_none_or(|(_, open)| open.read_only) {
            return Ok(());
        }
        if !self.capabilities.has("UNSELECT") {
            return Err(Error::Lacks("UNSELECT"));
        }
        self.command("UNSELECT", "UNSELECT", |_| Ok(())).await?;
        self.folder = None;
        self.in_step = None;
        Ok(())
    }

    async fn finish_select(
        &mut self,
        pending: Pending,
        folder: &str,
        only_reads: bool,
    ) -> Result<Selected, Error> {
        self.folder = None;
        self.in_step = None;
        let (mut exists, mut uid_validity, mut uid_next, mut highest_modseq) =
            (None, None, None, None);
        let mut permanent_flags = None;
        let reply = self
            .finish(&pending, |untagged| {
                match untagged {
                    Untagged::Data(data) => exists = set::exists(data).or(exists),
                    Untagged::Status(reply) => {
                        uid_validity = number(reply, "UIDVALIDITY")
                            .and_then(UidValidity::new)
                            .or(uid_validity);
                        uid_next = number(reply, "UIDNEXT").or(uid_next);
                        highest_modseq = number(reply, "HIGHESTMODSEQ").or(highest_modseq);
                        if let Some(told) = reply.code_args("PERMANENTFLAGS") {
                            permanent_flags = Some(PermanentFlags::parse(told));
                        }
                    }
                }
                Ok(())
            })
            .await?;
        let selected = Selected {
            exists: exists.ok_or(Error::Protocol("a folder was opened without EXISTS"))?,
            uid_validity: uid_validity
                .ok_or(Error::Protocol("a folder was opened without UIDVALIDITY"))?,
            uid_next,
            highest_modseq,
            read_only: only_reads || reply.code_name() == Some("READ-ONLY"),
            permanent_flags,
        };
        self.folder = Some((folder.to_owned(), selected.clone()));
        self.opened_at = Instant::now();
        self.has_news = false;
        Ok(selected)
    }
}

/// A number in a response code: `[UIDNEXT 42]`.
fn number<T: std::str::FromStr>(reply: &Reply, code: &str) -> Option<T> {
    reply.code_args(code)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Error;
    use crate::imap::script_tests::upstream;

    const OPENED: &str = "* 4 EXISTS\n* OK [UIDVALIDITY 7] x\n{tag} OK done\n";

    #[tokio::test]
    async fn a_folder_that_is_examined_is_read_only_whether_or_not_the_upstream_says_so() {
        let (mut connection, _) = upstream("IMAP4rev1", &[OPENED, OPENED]).await;
        assert!(connection.examine("INBOX", true).await.unwrap().read_only);
        assert!(!connection.select("INBOX").await.unwrap().read_only);
    }

    #[tokio::test]
    async fn a_folder_that_was_opened_for_changing_it_is_left_and_one_that_was_not_stays_open() {
        let answers = [OPENED, OPENED, "{tag} OK left\n"];
        let (mut connection, heard) = upstream("IMAP4rev1 UNSELECT", &answers).await;
        connection.examine("INBOX", true).await.unwrap();
        connection.leave_changed_folder().await.unwrap();
        assert!(connection.selected().is_some());
        connection.select("INBOX").await.unwrap();
        connection.leave_changed_folder().await.unwrap();
        assert!(connection.selected().is_none() && connection.is_clean());
        assert_eq!(heard.all().last().map(String::as_str), Some("UNSELECT"));
    }

    #[tokio::test]
    async fn without_unselect_a_changed_folder_cannot_be_left() {
        let (mut connection, _) = upstream("IMAP4rev1", &[OPENED]).await;
        connection.select("INBOX").await.unwrap();
        let left = connection.leave_changed_folder().await;
        assert!(matches!(left, Err(Error::Lacks("UNSELECT"))));
    }
}
