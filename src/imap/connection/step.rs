//! A connection that is in step: what its open folder holds was listed, and the upstream would have told of every change since.
//!
//! Then nothing but NOOP is needed to know that the list is still true (RFC 3501, 7: the upstream must tell at the next command what it
//! knows), and a UID of the list is still the message that was listed.
//! Must not know: how lists are made, where they are kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::dispose::Target;
use super::super::error::Error;
use super::Connection;
use crate::maildrop::{Index, UidValidity};

/// After so long a folder is opened anew all the same: an upstream that forgets to tell is found out.
const TRUSTED: Duration = Duration::from_secs(5 * 60);

/// See the module.
pub(super) struct InStep {
    index: Arc<Index>,
    since: Instant,
}

impl Connection {
    /// The open folder held what this list says at some moment since it was opened. What was told since then may be in it or not: then it is
    /// asked for again.
    pub(in super::super) fn put_in_step(&mut self, index: &Arc<Index>) {
        // Found true again, it is as old as the folder's opening.
        let since = self
            .in_step
            .as_ref()
            .map_or_else(Instant::now, |step| step.since);
        let index = Arc::clone(index);
        self.in_step = Some(InStep { index, since });
    }

    /// Whether this list of the folder is still true, where the upstream can be asked that without opening the folder again; else
    /// `None`, and nothing was asked.
    pub(in super::super) async fn still_holds(
        &mut self,
        folder: &str,
        index: &Arc<Index>,
    ) -> Result<Option<bool>, Error> {
        let is_open = self
            .selected()
            .is_some_and(|(name, selected)| name == folder && selected.read_only);
        let step = self.in_step.as_ref().filter(|step| {
            is_open && Arc::ptr_eq(&step.index, index) && step.since.elapsed() < TRUSTED
        });
        if step.is_none() || self.has_news {
            return Ok(None);
        }
        self.command("NOOP", "NOOP", |_| Ok(())).await?;
        Ok(Some(!self.has_news))
    }

    /// Whether the folder was opened after this moment: then everything is seen on this connection that was there at that moment. Of what
    /// comes later a server need not tell before it is asked.
    pub fn has_opened(
        &self,
        folder: &str,
        uid_validity: UidValidity,
        since: std::time::Instant,
    ) -> bool {
        let is_open = self.selected().is_some_and(|(name, selected)| {
            name == folder && selected.uid_validity == uid_validity
        });
        is_open && self.opened_at >= since
    }

    /// Whether the folder is open and this UID in it is known to be this message still: it was listed on this connection, and no other can
    /// have got its UID since.
    pub fn still_has(&self, folder: &str, uid_validity: UidValidity, target: &Target) -> bool {
        let is_open = self.selected().is_some_and(|(name, selected)| {
            name == folder && selected.uid_validity == uid_validity
        });
        let index = self.in_step.as_ref().map(|step| &step.index);
        is_open
            && index.is_some_and(|index| {
                index.has(
                    target.uid,
                    target.size,
                    target.internal_date,
                    target.gm_msgid,
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::script_tests::upstream;

    const OPENED: &str = "* 0 EXISTS\n* OK [UIDVALIDITY 7] x\n{tag} OK [READ-ONLY] done\n";
    const QUIET: &str = "{tag} OK nothing\n";

    fn empty() -> Arc<Index> {
        Arc::new(Index {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next: None,
            highest_modseq: None,
            messages: Vec::new(),
            gm_msgids: None,
            email_ids: None,
        })
    }

    /// A connection on which this list was found true.
    async fn in_step(index: &Arc<Index>, answers: &[&str]) -> Connection {
        let answers = [&[OPENED], answers].concat();
        let (mut connection, _) = upstream("IMAP4rev1", &answers).await;
        connection.examine("INBOX", true).await.unwrap();
        connection.put_in_step(index);
        connection
    }

    #[tokio::test]
    async fn a_list_holds_until_the_upstream_tells_of_news() {
        let index = empty();
        let answers = [QUIET, "* 1 EXISTS\n{tag} OK news\n"];
        let mut connection = in_step(&index, &answers).await;
        for holds in [Some(true), Some(false), None] {
            let told = connection.still_holds("INBOX", &index).await;
            assert_eq!(told.unwrap(), holds);
        }
    }

    #[tokio::test]
    async fn what_was_told_while_the_list_was_made_is_news() {
        let index = empty();
        let answers = [OPENED, "* 1 EXISTS\n{tag} OK news\n", OPENED, QUIET];
        let (mut connection, _) = upstream("IMAP4rev1", &answers).await;
        connection.examine("INBOX", true).await.unwrap();
        connection
            .command("NOOP", "NOOP", |_| Ok(()))
            .await
            .unwrap();
        connection.put_in_step(&index);
        let told = connection.still_holds("INBOX", &index).await;
        assert_eq!(told.unwrap(), None);
        connection.examine("INBOX", true).await.unwrap();
        connection.put_in_step(&index);
        let told = connection.still_holds("INBOX", &index).await;
        assert_eq!(told.unwrap(), Some(true));
    }

    #[tokio::test]
    async fn another_list_or_another_folder_is_not_asked_about() {
        let index = empty();
        let mut connection = in_step(&index, &[]).await;
        for (folder, index) in [("INBOX", &empty()), ("Trash", &index)] {
            let told = connection.still_holds(folder, index).await;
            assert_eq!(told.unwrap(), None);
        }
        assert!(connection.is_clean(), "nothing was asked");
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_minutes_the_folder_is_to_be_opened_anew() {
        let index = empty();
        let mut connection = in_step(&index, &[QUIET, QUIET]).await;
        tokio::time::advance(TRUSTED - Duration::from_secs(1)).await;
        let told = connection.still_holds("INBOX", &index).await;
        assert_eq!(told.unwrap(), Some(true));
        // Found true again, it is no younger.
        connection.put_in_step(&index);
        tokio::time::advance(Duration::from_secs(1)).await;
        let told = connection.still_holds("INBOX", &index).await;
        assert_eq!(told.unwrap(), None);
    }
}
