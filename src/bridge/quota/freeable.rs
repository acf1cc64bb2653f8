//! What the rules would free in a mailbox: the octets of messages that are due, or are about to be.
//!
//! Must not know: how much room there is.

use std::collections::HashMap;

use super::super::account::Terms;
use super::super::due::still_holds;
use super::super::known::Known;
use super::super::readers::Readers;
use crate::maildrop::{Item, Seq, SeqSet};
use crate::policy::{Action, Verdict, verdict};
use crate::store::{Intent, NewIntent};

/// In seconds.
const WEEK: i64 = 7 * 24 * 60 * 60;

/// What the rules would free, in octets as messages are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freeable {
    /// Of messages that are due now.
    pub now: u64,
    /// Of these and of those that will be due within 7 days, if clients stand then as they stand now.
    pub within_a_week: u64,
}

/// Whether a message that this was done to takes no room in the end. What is in the trash does until that is emptied.
pub(in super::super) fn frees(action: &Action) -> bool {
    match action {
        Action::Expunge | Action::Trash => true,
        Action::Archive | Action::Flag(_) | Action::Seen => false,
    }
}

/// See the module. `intents` are those of the mailbox that wait.
pub(in super::super) fn freeable(
    known: &Known,
    readers: &Readers,
    terms: &Terms,
    intents: &[Intent],
    unreadable: &SeqSet,
    now: i64,
) -> Freeable {
    let rule_frees = terms.dispose.action().as_ref().is_some_and(frees);
    let waiting = intents.iter().map(|intent| &intent.new);
    let waiting = waiting.filter(|intent| frees(&intent.action));
    let waiting: HashMap<Seq, &NewIntent> = waiting.map(|intent| (intent.seq, intent)).collect();
    let mut freeable = Freeable::default();
    if !readers.any_live || (!rule_frees && waiting.is_empty()) {
        return freeable;
    }
    let policy = readers.as_policy();
    let retention = &terms.rules.retention;
    let goes = |item: &Item, at: i64| {
        let kept = unreadable.contains(item.seq);
        let by_rule = || matches!(verdict(item, &policy, retention, kept, at), Verdict::Due(_));
        let written = waiting.get(&item.seq);
        (rule_frees && by_rule())
            || written
                .is_some_and(|intent| still_holds(intent, item, readers, terms, unreadable, at))
    };
    for item in &known.contents.items {
        let octets = u64::from(item.size);
        if goes(item, now) {
            freeable.now += octets;
            freeable.within_a_week += octets;
        } else if goes(item, now + WEEK) {
            freeable.within_a_week += octets;
        }
    }
    freeable
}
