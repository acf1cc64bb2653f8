//! When a message may be disposed of, and why.
//!
//! What a client has not had is never due, whatever its age, unless the rules say `undelivered = "dispose"`; and with no live client
//! nothing ever is. A client is owed what its window shows it, or showed it at any time since it was made known.
//! Must not know: how messages are disposed of, where state is kept.

use std::fmt;

use super::{Enrolment, Marks, Retention, View, When};
use crate::maildrop::Item;

/// A client whose doing counts. One that was removed, or has expired, is still a live one for 7 days; after that a removed one is none.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Its number in the store.
    pub client: i64,
    /// Its name, for people.
    pub name: &'a str,
    /// What it has done.
    pub marks: &'a Marks,
    /// What it is shown.
    pub view: &'a View,
    /// When it was made known.
    pub enrolment: Enrolment,
    /// Whether it is waited for.
    pub state: ReaderState,
}

/// Whether a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderState {
    /// It is.
    Live,
    /// It was not seen for `client_expires`, and 7 days more have passed: waited for, unless `undelivered = "dispose"`.
    Expired,
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It stays where it is.
    Keep(Reason<'a>),
    /// It is to be disposed of now.
    Due(Cause<'a>),
}

/// Why a message stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// There is nobody to whom it could have been given.
    NoLiveClient,
    /// It could not be read and is withheld from clients.
    Withheld,
    /// This client has not had it.
    Lacks(&'a str),
    /// No client has had it.
    NobodyHasHadIt,
    /// This rule waits for clients.
    NotYet(When),
    /// The rule is met, but for the message's age.
    TooYoung {
        /// When it is old enough, in seconds since 1970.
        until: i64,
    },
    /// No rule would ever make it due.
    Never,
}

/// Why a message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// This client deleted it, and its deletions are everybody's (`on_delete = "dispose"`).
    DeletedBy(&'a str),
    /// One client deleted it: this one.
    AnyClientDeleted(&'a str),
    /// All clients have had it.
    AllClientsDelivered,
    /// All clients have deleted it.
    AllClientsDeleted,
    /// It has reached the highest age.
    MaxAge,
}

impl When {
    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnyClientDeleted => "any-client-deleted",
            Self::AllClientsDelivered => "all-clients-delivered",
            Self::AllClientsDeleted => "all-clients-deleted",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Reason<'_> {
    /// Without the time of [`TooYoung`](Self::TooYoung), which others can write better.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLiveClient => f.write_str("there is no live client"),
            Self::Withheld => f.write_str("it could not be read and is withheld"),
            Self::Lacks(name) => write!(f, "{name} has not had it"),
            Self::NobodyHasHadIt => f.write_str("no client has had it"),
            Self::NotYet(when) => write!(f, "{} is not met", when.as_str()),
            Self::TooYoung { .. } => f.write_str("it is not old enough"),
            Self::Never => f.write_str("nothing is disposed of"),
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeletedBy(name) => write!(f, "{name} deleted it for everybody"),
            Self::AnyClientDeleted(name) => write!(f, "{name} deleted it"),
            Self::AllClientsDelivered => f.write_str("all clients have had it"),
            Self::AllClientsDeleted => f.write_str("all clients have deleted it"),
            Self::MaxAge => f.write_str("it has reached max_age"),
        }
    }
}

impl Reader<'_> {
    /// Whether it has had the message, or does not want it. Without QUIT nothing was had.
    fn had(&self, item: &Item) -> bool {
        self.marks.delivered.contains(item.seq) || self.deleted(item)
    }

    fn deleted(&self, item: &Item) -> bool {
        self.marks.deleted.contains(item.seq) || self.marks.disposing.contains(item.seq)
    }

    /// Whether its view shows the message, or did so at any time since it was made known.
    fn is_owed(&self, item: &Item) -> bool {
        let was_recent = self
            .view
            .last
            .is_none_or(|last| item.came().saturating_add(last) > self.enrolment.at);
        was_recent && self.view.begins_before(item, self.enrolment) && self.view.has_room_for(item)
    }
}

/// Whether a client is owed a message and has not had it.
pub fn lacks(item: &Item, reader: &Reader<'_>) -> bool {
    !reader.had(item) && reader.is_owed(item)
}

/// What is to become of a message at `now` (seconds since 1970). `withheld`: it failed upstream too often to be shown.
pub fn verdict<'a>(
    item: &Item,
    readers: &[Reader<'a>],
    retention: &Retention,
    withheld: bool,
    now: i64,
) -> Verdict<'a> {
    if readers
        .iter()
        .all(|reader| reader.state != ReaderState::Live)
    {
        return Verdict::Keep(Reason::NoLiveClient);
    }
    if withheld {
        return Verdict::Keep(Reason::Withheld);
    }
    let disposing = readers
        .iter()
        .find(|reader| reader.marks.disposing.contains(item.seq));
    let cause = match disposing {
        Some(reader) => Ok(Cause::DeletedBy(reader.name)),
        None => by_rule(item, readers, retention, now),
    };
    match cause {
        Ok(cause) if retention.dispose_undelivered => Verdict::Due(cause),
        Ok(cause) => unheard(item, readers).map_or(Verdict::Due(cause), Verdict::Keep),
        Err(reason) => Verdict::Keep(reason),
    }
}

/// Who would miss the message.
fn unheard<'a>(item: &Item, readers: &[Reader<'a>]) -> Option<Reason<'a>> {
    if let Some(reader) = readers.iter().find(|reader| lacks(item, reader)) {
        return Some(Reason::Lacks(reader.name));
    }
    let nobody = !readers.iter().any(|reader| reader.had(item));
    nobody.then_some(Reason::NobodyHasHadIt)
}

/// Whether the rule, or the highest age, makes the message due.
fn by_rule<'a>(
    item: &Item,
    readers: &[Reader<'a>],
    retention: &Retention,
    now: i64,
) -> Result<Cause<'a>, Reason<'a>> {
    let met = when(item, readers, retention);
    let ripe = item.arrived().saturating_add(retention.min_age);
    if let Ok(cause) = met
        && now >= ripe
    {
        return Ok(cause);
    }
    let last = retention
        .max_age
        .map(|age| item.arrived().saturating_add(age));
    match (met, last) {
        (_, Some(last)) if now >= last => Ok(Cause::MaxAge),
        (Ok(_), last) => Err(Reason::TooYoung {
            until: last.map_or(ripe, |last| last.min(ripe)),
        }),
        (Err(Reason::Never), Some(until)) => Err(Reason::TooYoung { until }),
        (Err(reason), _) => Err(reason),
    }
}

/// Whether the clients have done what the rule waits for.
fn when<'a>(
    item: &Item,
    readers: &[Reader<'a>],
    retention: &Retention,
) -> Result<Cause<'a>, Reason<'a>> {
    // Somebody who has expired is not waited for where that is written down.
    let released =
        |reader: &Reader<'_>| retention.dispose_undelivered && reader.state == ReaderState::Expired;
    let waits = |done: &dyn Fn(&Reader<'_>) -> bool| {
        let mut owed = readers
            .iter()
            .filter(|reader| reader.is_owed(item) && !released(reader));
        owed.find(|reader| !done(reader)).map(|reader| reader.name)
    };
    let cause = match retention.when {
        When::Never => return Err(Reason::Never),
        When::AnyClientDeleted => {
            let who = readers.iter().find(|reader| reader.deleted(item));
            who.map(|reader| Cause::AnyClientDeleted(reader.name))
        }
        When::AllClientsDelivered => {
            if let Some(name) = waits(&|reader| reader.had(item)) {
                return Err(Reason::Lacks(name));
            }
            let somebody = readers.iter().any(|reader| reader.had(item));
            somebody.then_some(Cause::AllClientsDelivered)
        }
        When::AllClientsDeleted => {
            let done = |reader: &Reader<'_>| match reader.state {
                ReaderState::Live => reader.deleted(item),
                ReaderState::Expired => reader.had(item),
            };
            let waits = waits(&done);
            let somebody = readers.iter().any(|reader| reader.deleted(item));
            (waits.is_none() && somebody).then_some(Cause::AllClientsDeleted)
        }
    };
    cause.ok_or(Reason::NotYet(retention.when))
}

#[cfg(test)]
mod tests;
