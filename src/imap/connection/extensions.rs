//! Extensions that change how an upstream speaks: which are used where they are offered, and what it takes at a time.
//!
//! Must not know: folders, messages.

use super::super::error::Error;
use super::super::reply::{Capabilities, Reply};
use super::super::set;
use super::{Connection, Pending, Untagged};
use crate::maildrop::Uid;

/// What is used where an upstream offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// UIDONLY (RFC 9586): messages have no numbers any more, and the upstream shows all of them.
    pub uidonly: bool,
    /// ID (RFC 2971): after the log-in the upstream is told which program and which version this is, and nothing else. Sent whether
    /// or not it is offered: who wants it does not always say so.
    pub id: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            uidonly: true,
            id: false,
        }
    }
}

impl Connection {
    /// Uses these from now on.
    pub(in super::super) fn set_extensions(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// From the first folder on, headers may come in UTF-8 (`utf8`) where the upstream can send them so (RFC 6855). For a new connection.
    pub fn speak(&mut self, utf8: bool) {
        self.wants_utf8 = utf8;
    }

    /// Whether the connection is one for this form of messages. Where the upstream has one form only, each is.
    pub fn suits(&self, utf8: bool) -> bool {
        self.wants_utf8 == utf8 || !self.offers_utf8()
    }

    /// Whether headers may come in UTF-8. Sizes may then be others than those that are listed elsewhere.
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Whether the upstream can send headers in UTF-8.
    pub fn offers_utf8(&self) -> bool {
        // UTF8=ONLY implies the other (RFC 6855, 6).
        self.capabilities.has("UTF8=ACCEPT") || self.capabilities.has("UTF8=ONLY")
    }

    /// Says who is there, where that is wanted. An upstream that does not want to know is gone on with.
    pub(in super::super) async fn identify(&mut self) -> Result<(), Error> {
        if self.extensions.id {
            let version = env!("CARGO_PKG_VERSION");
            let command = format!("ID (\"name\" \"popbridge\" \"version\" \"{version}\")");
            let identifying = self.begin("ID", &command).await?;
            self.finish_any(&identifying, |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Whether messages have UIDs only on this connection: no command may name a number, and no answer tells one.
    pub fn is_uidonly(&self) -> bool {
        self.uidonly
    }

    /// Whether the folders on this connection may be shown in part: UIDONLY, which was to be used for seeing all of them, is offered and
    /// was refused.
    pub fn lacks_uidonly(&self) -> bool {
        self.extensions.uidonly && self.capabilities.has("UIDONLY") && !self.uidonly
    }

    /// How the highest UID is written in a set. In UIDONLY `*` may be taken for a message number, so that the highest there can be is named.
    pub(in super::super) fn last(&self) -> &'static str {
        if self.uidonly { "4294967295" } else { "*" }
    }

    /// What ENABLE is to name before the first folder is opened; none where there is nothing.
    pub(super) fn to_enable(&self, resync: bool) -> Option<String> {
        // RFC 5161, 3.1: not while a folder is open.
        if self.folder.is_some() {
            return None;
        }
        let uidonly = self.extensions.uidonly && !self.uidonly;
        let utf8 = self.wants_utf8 && !self.utf8 && self.offers_utf8();
        let has = |word| self.capabilities.has(word);
        let wanted = [
            (resync && !self.qresync && has("QRESYNC"), "QRESYNC"),
            (uidonly && has("UIDONLY"), "UIDONLY"),
            (utf8, "UTF8=ACCEPT"),
        ];
        let words = wanted.into_iter().filter(|(wanted, _)| *wanted);
        let words: Vec<&str> = words.map(|(_, word)| word).collect();
        (!words.is_empty()).then(|| format!("ENABLE {}", words.join(" ")))
    }

    /// Reads the answer to ENABLE. One that refuses is no error: it is gone on without.
    pub(super) async fn finish_enabling(&mut self, enabling: &Pending) -> Result<(), Error> {
        let mut enabled = Capabilities::default();
        self.finish_any(enabling, |untagged| {
            if let Untagged::Data(data) = untagged
                && set::is(data, b"ENABLED")
            {
                enabled = Capabilities::parse(data.trim_ascii_end());
            }
            Ok(())
        })
        .await?;
        self.qresync |= enabled.has("QRESYNC");
        self.uidonly |= enabled.has("UIDONLY");
        self.utf8 |= enabled.has("UTF8=ACCEPT");
        Ok(())
    }

    /// Sets of these UIDs, which ascend: each fits into one command, and none names more messages than the upstream takes at a time.
    pub(in super::super) fn sets(&self, uids: &[Uid]) -> Vec<String> {
        in_sets(uids, self.most_at_once())
    }

    /// The same for COPY, which may have a limit of its own.
    pub(in super::super) fn sets_to_copy(&self, uids: &[Uid]) -> Vec<String> {
        in_sets(uids, self.most_to_copy())
    }

    /// So many messages a command may name: never 0.
    pub(in super::super) fn most_at_once(&self) -> usize {
        limit(&self.capabilities, "MESSAGELIMIT=")
    }

    /// The same for COPY.
    pub(in super::super) fn most_to_copy(&self) -> usize {
        let most = limit(&self.capabilities, "SAVELIMIT=");
        most.min(self.most_at_once())
    }
}

fn in_sets(uids: &[Uid], most: usize) -> Vec<String> {
    uids.chunks(most).flat_map(set::uid_sets).collect()
}

/// How many messages a command may name (RFC 9738, 3): never 0.
fn limit(capabilities: &Capabilities, name: &str) -> usize {
    let told = capabilities.iter().find_map(|one| one.strip_prefix(name));
    let told = told.and_then(|number| number.parse().ok());
    told.map_or(usize::MAX, |most: usize| most.max(1))
}

/// Where an upstream has stopped a command because of its limit (RFC 9738, 3.1): everything from this UID on was done, nothing below it.
/// The inner `None`: it does not say where.
pub(in super::super) fn cut_at(reply: &Reply) -> Option<Option<u32>> {
    let words = reply.code_args("MESSAGELIMIT")?;
    let lowest = words.split_ascii_whitespace().nth(1);
    Some(lowest.and_then(|uid| uid.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::script_tests::{uids, upstream};

    const OPENED: &str = "* 4 EXISTS\n* OK [UIDVALIDITY 7] x\n{tag} OK done\n";
    const BOTH: &str = "IMAP4rev1 ENABLE QRESYNC UIDONLY";

    #[tokio::test]
    async fn uidonly_is_enabled_with_qresync_before_the_first_folder() {
        let enabled = "* ENABLED UIDONLY QRESYNC\n{tag} OK done\n";
        let (mut connection, heard) = upstream(BOTH, &[enabled, OPENED, OPENED]).await;
        connection.examine("INBOX", true).await.unwrap();
        connection.select("INBOX").await.unwrap();
        let expected = [
            "ENABLE QRESYNC UIDONLY",
            "EXAMINE \"INBOX\"",
            "SELECT \"INBOX\"",
        ];
        assert_eq!(heard.all(), expected);
        assert!(connection.is_uidonly() && connection.has_qresync());
        assert!(!connection.lacks_uidonly());
    }

    #[tokio::test]
    async fn uidonly_is_enabled_as_well_where_the_first_folder_is_opened_for_changing_it() {
        let enabled = "* ENABLED UIDONLY\n{tag} OK done\n";
        let (mut connection, heard) = upstream(BOTH, &[enabled, OPENED]).await;
        connection.select("INBOX").await.unwrap();
        assert_eq!(heard.all(), ["ENABLE UIDONLY", "SELECT \"INBOX\""]);
        assert!(connection.is_uidonly() && !connection.has_qresync());
    }

    #[tokio::test]
    async fn an_upstream_that_does_not_enable_uidonly_is_gone_on_with() {
        for answer in [
            "{tag} BAD what\n",
            "{tag} NO not you\n",
            "* ENABLED\n{tag} OK\n",
        ] {
            let (mut connection, _) = upstream(BOTH, &[answer, OPENED]).await;
            connection.examine("INBOX", true).await.unwrap();
            assert!(!connection.is_uidonly() && connection.lacks_uidonly());
            assert_eq!(connection.last(), "*");
        }
    }

    #[tokio::test]
    async fn what_is_switched_off_or_not_offered_is_not_enabled() {
        for (capabilities, uidonly) in [("IMAP4rev1 UIDONLY", false), ("IMAP4rev1", true)] {
            let (mut connection, heard) = upstream(capabilities, &[OPENED]).await;
            connection.set_extensions(Extensions { uidonly, id: false });
            connection.examine("INBOX", true).await.unwrap();
            assert_eq!(heard.all(), ["EXAMINE \"INBOX\""]);
            assert!(!connection.lacks_uidonly());
        }
    }

    #[tokio::test]
    async fn who_is_there_is_said_where_that_is_wanted_and_whatever_is_answered() {
        for answer in ["* ID NIL\n{tag} OK hello\n", "{tag} BAD what\n"] {
            let (mut connection, heard) = upstream("IMAP4rev1", &[answer, OPENED]).await;
            connection.identify().await.unwrap();
            assert_eq!(heard.all(), [""; 0], "not unless it is wanted");
            connection.set_extensions(Extensions {
                uidonly: true,
                id: true,
            });
            connection.identify().await.unwrap();
            connection.examine("INBOX", true).await.unwrap();
            let said = heard.all();
            assert!(
                said[0].starts_with("ID (\"name\" \"popbridge\" \"version\" \""),
                "{said:?}"
            );
        }
    }

    #[tokio::test]
    async fn with_utf8_folders_are_named_in_utf_8_once_it_is_enabled() {
        let capabilities = "IMAP4rev1 ENABLE QRESYNC UTF8=ACCEPT";
        let enabled = "* ENABLED QRESYNC UTF8=ACCEPT\n{tag} OK done\n";
        let refused = "{tag} NO not now\n";
        let [ours, theirs] = ["EXAMINE \"Gel&APY-scht\"", "EXAMINE \"Gel\u{f6}scht\""];
        for (answer, named) in [(enabled, theirs), (refused, ours)] {
            let (mut connection, heard) = upstream(capabilities, &[answer, OPENED]).await;
            connection.speak(true);
            connection.examine("Gel&APY-scht", true).await.unwrap();
            assert_eq!(heard.all(), ["ENABLE QRESYNC UTF8=ACCEPT", named]);
            assert_eq!(connection.is_utf8(), answer == enabled);
            assert_eq!(connection.selected().unwrap().0, "Gel&APY-scht");
            assert!(connection.suits(true) && !connection.suits(false));
        }
    }

    #[tokio::test]
    async fn utf8_is_enabled_where_it_is_wanted_and_offered() {
        let (mut connection, heard) = upstream("IMAP4rev1 UTF8=ACCEPT", &[OPENED]).await;
        connection.examine("INBOX", true).await.unwrap();
        assert_eq!(heard.all(), ["EXAMINE \"INBOX\""]);
        assert!(connection.suits(false) && !connection.suits(true));
        let (mut connection, heard) = upstream("IMAP4rev1", &[OPENED]).await;
        connection.speak(true);
        connection.examine("INBOX", true).await.unwrap();
        assert_eq!(heard.all(), ["EXAMINE \"INBOX\""]);
        // It has one form of messages only.
        assert!(connection.suits(false) && connection.suits(true));
    }

    #[tokio::test]
    async fn no_set_names_more_messages_than_the_upstream_takes() {
        let all = uids(&[1, 2, 3, 4, 6, 7]);
        for (capabilities, sets, copies) in [
            ("X", &["1:4,6:7"][..], &["1:4,6:7"][..]),
            ("MESSAGELIMIT=4", &["1:4", "6:7"], &["1:4", "6:7"]),
            ("SAVELIMIT=5", &["1:4,6:7"], &["1:4,6", "7"]),
            (
                "MESSAGELIMIT=3 SAVELIMIT=2",
                &["1:3", "4,6:7"],
                &["1:2", "3:4", "6:7"],
            ),
            (
                "MESSAGELIMIT=0 SAVELIMIT=x",
                &["1", "2", "3", "4", "6", "7"],
                &["1", "2", "3", "4", "6", "7"],
            ),
        ] {
            let (connection, _) = upstream(capabilities, &[]).await;
            assert_eq!(connection.sets(&all), sets, "{capabilities}");
            assert_eq!(connection.sets_to_copy(&all), copies, "{capabilities}");
        }
    }

    #[test]
    fn where_a_command_was_cut_is_read_from_its_answer() {
        let told = |text: &str| cut_at(&Reply::parse(text.as_bytes()).unwrap());
        assert_eq!(
            told("OK [MESSAGELIMIT 1000 23221] partial"),
            Some(Some(23221))
        );
        assert_eq!(told("NO [messagelimit 1000] too many"), Some(None));
        assert_eq!(told("OK [MESSAGELIMIT 1000 x] partial"), Some(None));
        assert_eq!(told("OK done [MESSAGELIMIT 1 2]"), None);
    }
}
