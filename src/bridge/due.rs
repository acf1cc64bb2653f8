//! Which messages are to be disposed of, and what is written down of it before anything is done.
//!
//! Must not know: how it is done, sessions.

use std::collections::HashMap;

use super::account::{Account, Terms};
use super::known::Known;
use super::readers::Readers;
use crate::maildrop::{Item, Seq, SeqSet};
use crate::policy::{Action, AfterRetrieve, Cause, Verdict, lacks, verdict};
use crate::store::NewIntent;

/// A sweep that would take more messages than this, and more than [`BRAKE_SHARE`] of the mailbox, waits for a person.
const BRAKE_MESSAGES: usize = 100;
/// One part in so many of the mailbox.
const BRAKE_SHARE: usize = 5;

/// What is due.
pub(super) struct Due {
    /// To be written down and done.
    pub(super) intents: Vec<NewIntent>,
    /// How many messages only the retention rule wants to go, and no client's own DELE.
    pub(super) by_retention: usize,
    /// Whether a client's own DELE is among the causes.
    pub(super) asked: bool,
}

impl Due {
    /// Whether it is so much that a mistake is more likely than a wish. What clients have asked for with their own DELE is not counted.
    pub(super) fn needs_confirmation(&self, messages: usize) -> bool {
        self.by_retention > BRAKE_MESSAGES && self.by_retention * BRAKE_SHARE > messages
    }

    /// Leaves only what clients have asked for.
    pub(super) fn without_retention(&mut self) {
        self.intents
            .retain(|intent| intent.cause.starts_with(ASKED));
        self.by_retention = 0;
    }
}

/// How the causes of intents begin that a client's own DELE asked for.
const ASKED: &str = "deleted by ";

/// How the causes of intents begin that a retrieval asked for.
const RETRIEVED: &str = "retrieved by ";

/// What the rules say of each of these messages.
pub(super) fn verdicts<'a>(
    items: impl Iterator<Item = &'a Item>,
    readers: &'a Readers,
    terms: &'a Terms,
    withheld: &'a SeqSet,
    now: i64,
) -> Vec<(&'a Item, String, bool)> {
    let policy = readers.as_policy();
    items
        .map(|item| {
            let kept = withheld.contains(item.seq);
            match verdict(item, &policy, &terms.rules.retention, kept, now) {
                _ if !readers.any_live => (item, "there is no live client".to_owned(), false),
                Verdict::Keep(reason) => (item, reason.to_string(), false),
                Verdict::Due(cause) => (item, words(&cause), true),
            }
        })
        .collect()
}

/// What of these messages is due by the rules.
pub(super) fn due<'a>(
    items: impl Iterator<Item = &'a Item>,
    known: &Known,
    readers: &Readers,
    account: &Account,
    withheld: &SeqSet,
    now: i64,
) -> Due {
    let mut due = Due {
        intents: Vec::new(),
        by_retention: 0,
        asked: false,
    };
    let Some(action) = account.terms.dispose.action().filter(|_| readers.any_live) else {
        return due;
    };
    let policy = readers.as_policy();
    let places = Whereabouts::new(known, account);
    let retention = &account.terms.rules.retention;
    for item in items {
        let kept = withheld.contains(item.seq);
        if let Verdict::Due(cause) = verdict(item, &policy, retention, kept, now) {
            due.by_retention += usize::from(!matches!(cause, Cause::DeletedBy(_)));
            due.asked |= matches!(cause, Cause::DeletedBy(_));
            due.intents
                .extend(places.intents(item, &action, &words(&cause)));
        }
    }
    due
}

/// What is to be done with messages because this client has had them. Moving waits until nobody lacks them; that is looked at before
/// anything is done.
pub(super) fn after_retrieve<'a>(
    items: impl Iterator<Item = &'a Item>,
    rule: &AfterRetrieve,
    client: &str,
    known: &Known,
    account: &Account,
) -> Vec<NewIntent> {
    let action = match rule {
        AfterRetrieve::Nothing => return Vec::new(),
        AfterRetrieve::Seen => Action::Seen,
        AfterRetrieve::Flag(keyword) => Action::Flag(keyword.clone()),
        AfterRetrieve::Archive => Action::Archive,
        AfterRetrieve::Trash => Action::Trash,
    };
    let cause = format!("{RETRIEVED}{client}");
    let places = Whereabouts::new(known, account);
    items
        .flat_map(|item| places.intents(item, &action, &cause))
        .collect()
}

/// Whether it was written down because a client has had the message.
pub(super) fn is_retrieved(intent: &NewIntent) -> bool {
    intent.cause.starts_with(RETRIEVED)
}

/// Whether what was written down of a message is still what the rules say: since then a client may have been added or reset, or may have
/// had the message and not deleted it.
pub(super) fn still_holds(
    intent: &NewIntent,
    item: &Item,
    readers: &Readers,
    terms: &Terms,
    withheld: &SeqSet,
    now: i64,
) -> bool {
    let (policy, retention) = (readers.as_policy(), &terms.rules.retention);
    let kept = withheld.contains(item.seq);
    let wanted = if is_retrieved(intent) {
        let lacked = policy.iter().any(|reader| lacks(item, reader));
        !kept && (retention.dispose_undelivered || !lacked)
    } else {
        matches!(
            verdict(item, &policy, retention, kept, now),
            Verdict::Due(_)
        )
    };
    readers.any_live && wanted
}

/// Where messages are, in all folders that have them.
struct Whereabouts<'a> {
    known: &'a Known,
    account: &'a Account,
    /// Of each folder, where a number stands; empty where there is only one folder.
    positions: Vec<HashMap<Seq, usize>>,
}

impl<'a> Whereabouts<'a> {
    fn new(known: &'a Known, account: &'a Account) -> Self {
        let mut positions = Vec::new();
        if known.folders.len() > 1 {
            positions.extend(known.folders.iter().map(|folder| {
                let entries = folder
                    .register
                    .iter()
                    .flat_map(|register| &register.entries);
                entries
                    .enumerate()
                    .map(|(at, entry)| (entry.seq, at))
                    .collect()
            }));
        }
        Self {
            known,
            account,
            positions,
        }
    }

    /// What is to be written down for one message: once for each folder that has it.
    fn intents(&self, item: &Item, action: &Action, cause: &str) -> Vec<NewIntent> {
        let folders = 0..self.known.folders.len();
        let places: Vec<(usize, usize)> = folders
            .filter_map(|at| Some((at, self.position(at, item)?)))
            .collect();
        let served = self.known.served();
        let is_served = places.iter().any(|(at, _)| served.contains(at));
        let each = places.into_iter().filter_map(|(at, position)| {
            let is_copy = is_served && !served.contains(&at);
            match action {
                // The message itself goes where the rule says, and one of it is enough there.
                action if is_copy && action.takes_away() => {
                    self.intent(at, position, Action::Expunge, cause)
                }
                _ if is_copy => None,
                action => self.intent(at, position, action.clone(), cause),
            }
        });
        each.collect()
    }

    fn position(&self, at: usize, item: &Item) -> Option<usize> {
        match self.positions.get(at) {
            Some(positions) => positions.get(&item.seq).copied(),
            None => {
                let register = self.known.folders.get(at)?.register.as_ref()?;
                register.position_of_uid(item.uid)
            }
        }
    }

    fn intent(&self, at: usize, position: usize, action: Action, cause: &str) -> Option<NewIntent> {
        let folder = self.known.folders.get(at)?;
        let register = folder.register.as_ref()?;
        let message = register.index.messages.get(position)?;
        Some(NewIntent {
            mailbox: self.account.mailbox,
            folder: folder.id,
            seq: register.entries.get(position)?.seq,
            uid_validity: register.index.uid_validity,
            uid: message.uid,
            size: message.size,
            internal_date: message.internal_date,
            gm_msgid: register.gm_msgid(position),
            action,
            cause: cause.to_owned(),
        })
    }
}

fn words(cause: &Cause<'_>) -> String {
    match cause {
        Cause::DeletedBy(client) => format!("{ASKED}{client}"),
        other => other.to_string(),
    }
}
