//! Messages that could not be read: whether it is the message or the upstream.
//!
//! What the upstream says of the message itself counts at once. A refusal without a reason, or a connection that breaks, may mean either:
//! behind the session another message is read, and where that works it was the message. A message that is said to be unavailable for the
//! moment counts once an hour, and what is said of limits is never about a message.
//! Must not know: what clients are told.

use std::time::Duration;

use tracing::{info, warn};

use super::super::clock;
use super::super::tend::FAILURES;
use super::super::trouble::Trouble;
use super::Mailbox;
use crate::imap::{Error, Nature, Part};
use crate::maildrop::{Item, Seq, SeqSet};
use crate::store::{MailboxId, Store};

/// The longest that reading another message may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Other messages that are tried: some of them may be unreadable, too.
const TRIES: usize = 3;
/// A little of a message's text: its header alone may be in a cache of the upstream's.
const LITTLE: Part = Part::Range {
    offset: 0,
    length: 64,
};

/// How long a message that is only said to be unavailable for the moment is believed to be just that, in seconds.
const MOMENT: i64 = 60 * 60;

/// A message that could not be read.
#[derive(Debug)]
struct Suspect {
    item: Item,
    /// What went wrong first.
    words: String,
    /// The upstream says that it will pass (Yahoo: `NO [UNAVAILABLE]` to single messages, for good to some of them).
    for_the_moment: bool,
}

/// Messages that could not be read in this session.
#[derive(Debug, Default)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    fn add(&mut self, item: &Item, error: &Error) {
        if !self.0.iter().any(|known| known.item.seq == item.seq) {
            self.0.push(Suspect {
                item: *item,
                words: error.to_string(),
                for_the_moment: code_of(error) == Some("UNAVAILABLE"),
            });
        }
    }

    /// It could be read after all.
    pub(super) fn clear_of(&mut self, item: &Item) {
        self.0.retain(|suspect| suspect.item.seq != item.seq);
    }
}

/// The response code of a refusal.
fn code_of(error: &Error) -> Option<&str> {
    match error {
        Error::Refused { reply, .. } => reply.code_name(),
        _ => None,
    }
}

/// Whether something was held against this message less than [`MOMENT`] ago.
async fn was_counted_lately(store: &Store, mailbox: MailboxId, seq: Seq) -> bool {
    let troubles = store.troubles(mailbox).await;
    let Ok(troubles) = troubles.inspect_err(|error| warn!(%error, "troubles are not known")) else {
        // Better once too little than too often.
        return true;
    };
    let now = clock::now();
    troubles
        .iter()
        .any(|trouble| trouble.seq == seq && now < trouble.at + MOMENT)
}

/// What is said of the account or the upstream, and to whichever message is asked for just then.
const LIMITS: [&str; 4] = ["LIMIT", "THROTTLED", "OVERQUOTA", "INUSE"];

/// Whether an error while a message was read may have to do with the message.
fn may_be_the_messages(error: &Error) -> bool {
    if code_of(error).is_some_and(|code| LIMITS.contains(&code)) {
        return false;
    }
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
        } else if may_be_the_messages(error) && !error.is_about_rate() {
            self.suspects.add(item, error);
        }
    }

    /// Finds out whether the messages that could not be read are to blame.
    pub(super) async fn clear_up(&mut self) {
        let suspects = std::mem::take(&mut self.suspects.0);
        let blamed: SeqSet = suspects.iter().map(|suspect| suspect.item.seq).collect();
        for suspect in &suspects {
            let (item, error) = (&suspect.item, &suspect.words);
            let (store, mailbox) = (&self.accounts.store, self.account.mailbox);
            if suspect.for_the_moment && was_counted_lately(store, mailbox, item.seq).await {
                continue;
            }
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
