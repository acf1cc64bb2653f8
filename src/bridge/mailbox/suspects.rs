//! Messages that could not be read: whether it is the message or the upstream.
//!
//! What the upstream says of the message itself counts at once. A refusal without a reason, or a connection that breaks, may mean either:
//! behind the session another message is read, and where that works it was the message.
//! Must not know: what clients are told.

use std::time::Duration;

use tracing::{info, warn};

use super::super::clock;
use super::super::tend::FAILURES;
use super::super::trouble::Trouble;
use super::Mailbox;
use crate::imap::{Error, Nature, Part};
use crate::maildrop::{Item, SeqSet};

/// The longest that reading another message may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Other messages that are tried: some of them may be unreadable, too.
const TRIES: usize = 3;
/// A little of a message's text: its header alone may be in a cache of the upstream's.
const LITTLE: Part = Part::Range {
    offset: 0,
    length: 64,
};

/// Messages that could not be read in this session, each with what went wrong first.
#[derive(Debug, Default)]
pub(super) struct Suspects(Vec<(Item, String)>);

impl Suspects {
    fn add(&mut self, item: &Item, error: &Error) {
        if !self.0.iter().any(|(known, _)| known.seq == item.seq) {
            self.0.push((*item, error.to_string()));
        }
    }

    /// It could be read after all.
    pub(super) fn clear_of(&mut self, item: &Item) {
        self.0.retain(|(suspect, _)| suspect.seq != item.seq);
    }
}

/// Whether an error while a message was read may have to do with the message.
fn may_be_the_messages(error: &Error) -> bool {
    matches!(
        error,
        Error::Lost(_)
            | Error::Timeout(_)
            | Error::Bye(_)
            | Error::Refused { .. }
            | Error::Protocol(_)
            | Error::TooLong(_)
    )
}

impl Mailbox {
    /// This message could not be read. When that has happened often enough, and it was the message, clients that take one after the other
    /// are not stopped by it any more.
    pub(in super::super) async fn failed(&mut self, item: &Item, trouble: &Trouble) {
        let Trouble::Upstream(error) = trouble else {
            return;
        };
        if error.nature() == Nature::Message {
            self.count(item, &error.to_string()).await;
        } else if may_be_the_messages(error) {
            self.suspects.add(item, error);
        }
    }

    /// Finds out whether the messages that could not be read are to blame.
    pub(super) async fn clear_up(&mut self) {
        let suspects = std::mem::take(&mut self.suspects.0);
        let blamed: SeqSet = suspects.iter().map(|(item, _)| item.seq).collect();
        for (item, error) in &suspects {
            let reads = tokio::time::timeout(PATIENCE, self.can_read_beside(item, &blamed));
            match reads.await {
                Ok(true) => {
                    info!(
                        uid = item.uid.get(),
                        error, "other messages can be read: it is this one that cannot"
                    );
                    self.count(item, error).await;
                }
                // The same upstream would say the same of the others.
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Whether one of the messages that stand nearest to this one in its folder can be read.
    async fn can_read_beside(&mut self, item: &Item, blamed: &SeqSet) -> bool {
        for other in self.beside(item, blamed) {
            if self.can_read(&other).await {
                return true;
            }
        }
        false
    }

    async fn can_read(&mut self, item: &Item) -> bool {
        let Ok(mut body) = self.direct(item, LITTLE).await else {
            return false;
        };
        let mut octets = 0;
        loop {
            match body.chunk().await {
                Ok(Some(piece)) => octets += piece.len(),
                Ok(None) => return octets > 0,
                Err(_) => return false,
            }
            // The rest of what was not asked for is not waited for; the connection is not used again.
            if body.is_whole_instead() && body.is_named() {
                return true;
            }
        }
    }

    /// The nearest messages of the same folder, but for those that are in trouble themselves.
    fn beside(&self, item: &Item, blamed: &SeqSet) -> Vec<Item> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let items = &known.contents.items;
        let Some(at) = known.contents.position_of(item.seq) else {
            return Vec::new();
        };
        let (before, behind) = (items[..at].iter().rev(), items[at + 1..].iter());
        let suits = |other: &&Item| {
            other.place == item.place
                && !blamed.contains(other.seq)
                && !self.troubled.contains(other.seq)
        };
        let mut near: Vec<Item> = Vec::new();
        near.extend(before.filter(suits).take(TRIES));
        near.extend(behind.filter(suits).take(TRIES));
        near.sort_by_key(|other| other.seq.get().abs_diff(item.seq.get()));
        near.truncate(TRIES);
        near
    }

    async fn count(&mut self, item: &Item, words: &str) {
        self.troubled.insert(item.seq);
        let (mailbox, store) = (self.account.mailbox, &self.accounts.store);
        match store.trouble(mailbox, item.seq, words, clock::now()).await {
            Ok(failures) if failures >= FAILURES => {
                warn!(
                    uid = item.uid.get(),
                    failures,
                    error = words,
                    "a message cannot be read; it is withheld from clients that fetch only what is undelivered, and is not disposed of"
                );
                self.accounts.metrics.unreadable_message();
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "that a message cannot be read is not noted"),
        }
    }
}
