//! What one client is shown of its mailbox.
//!
//! Must not know: how the list is made, POP3.

use std::iter;
use std::ops::Range;

use super::Marks;
use crate::maildrop::{Contents, Item, Runs, Seq, SeqSet, Shown};

/// Which messages are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// All that the client has not deleted.
    #[default]
    All,
    /// All that the client has neither had nor deleted: for devices that do not remember UIDLs.
    Undelivered,
}

/// Where a client's mailbox begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// With everything that is there.
    #[default]
    Beginning,
    /// With what arrives after the client was made known; see [`Enrolment`].
    Enrolment,
    /// With mail of this INTERNALDATE or later, in seconds since 1970.
    Date(i64),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Which messages.
    pub list: Listed,
    /// Only those of the last so many seconds; see [`Item::came`].
    pub last: Option<i64>,
    /// Where it begins.
    pub since: Since,
    /// Only so many, the oldest first.
    pub max_listed: Option<u32>,
    /// Only those of at most so many octets, as the upstream lists them: what somebody has found out by reading a message takes it from
    /// nobody's list.
    pub max_size: Option<u32>,
}

/// When a client was made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// In seconds since 1970.
    pub at: i64,
    /// What the bridge found when it looked at the mailbox for the first time after that has smaller numbers than this; `None` before
    /// that look.
    pub found_below: Option<Seq>,
}

/// So far the upstream's clock may be behind the bridge's, in seconds. What is not certain is shown.
const CLOCKS_APART: i64 = 5 * 60;

impl Enrolment {
    /// Whether a message came before the client was made known. What the bridge found at its first look after that may have come before it: its
    /// INTERNALDATE says so. What it finds later with an old INTERNALDATE was moved there since.
    fn is_after(self, item: &Item) -> bool {
        let found = self.found_below.is_none_or(|below| item.seq < below);
        item.came() < self.at || found && item.internal_date < self.at - CLOCKS_APART
    }
}

/// One client at its mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// What it wants to see.
    pub view: &'a View,
    /// What it has done.
    pub marks: &'a Marks,
    /// When it was made known.
    pub enrolment: Enrolment,
}

impl View {
    /// Whether the client's mailbox begins before this message, however old it has become since.
    pub(super) fn begins_before(&self, item: &Item, enrolment: Enrolment) -> bool {
        match self.since {
            Since::Beginning => true,
            Since::Enrolment => !enrolment.is_after(item),
            Since::Date(date) => item.internal_date >= date,
        }
    }

    pub(super) fn has_room_for(&self, item: &Item) -> bool {
        self.max_size.is_none_or(|most| item.size <= most)
    }

    /// Whether a message is shown for what it is, whatever was done with it.
    fn takes(&self, item: &Item, enrolment: Enrolment, oldest: Option<i64>) -> bool {
        self.begins_before(item, enrolment)
            && self.has_room_for(item)
            && oldest.is_none_or(|oldest| item.came() >= oldest)
    }

    /// Whether no message is left out for what it is.
    fn takes_all(&self) -> bool {
        self.since == Since::Beginning && self.last.is_none() && self.max_size.is_none()
    }
}

/// What Gmail's `recent:` shows, in seconds.
const RECENT: i64 = 30 * 24 * 60 * 60;

/// What a client sees of the contents at `now` (seconds since 1970). What is `withheld` could not be had from the upstream: a client
/// that is shown only what it has not had would stop at it for ever. With `recent` (a log-in as `recent:NAME`) it is all of the last
/// 30 days that the view takes, also what the client has had or deleted.
pub fn show(
    contents: &Contents,
    seat: &Seat<'_>,
    withheld: &SeqSet,
    recent: bool,
    now: i64,
) -> Shown {
    let Seat {
        view,
        marks,
        enrolment,
    } = seat;
    let mut hidden: Vec<&SeqSet> = Vec::new();
    if !recent {
        hidden.push(&marks.deleted);
        if view.list == Listed::Undelivered {
            hidden.extend([&marks.delivered, &marks.without_quit, withheld]);
        }
    }
    hidden.retain(|set| !set.is_empty());
    let most = view.max_listed.map_or(usize::MAX, |most| most as usize);
    if hidden.is_empty() && view.takes_all() && !recent && contents.items.len() <= most {
        return Shown::All;
    }
    let last = if recent { Some(RECENT) } else { view.last };
    let oldest = last.map(|last| now.saturating_sub(last));
    let looks = recent || !view.takes_all();
    let mut runs = Runs::default();
    for stretch in not_in(&hidden, contents) {
        let room = most - runs.len();
        if room == 0 {
            break;
        }
        if !looks {
            let end = stretch.end.min(stretch.start.saturating_add(room));
            runs.push(stretch.start..end);
            continue;
        }
        let items = contents.items.get(stretch.clone()).unwrap_or_default();
        let taken = stretch
            .zip(items)
            .filter(|(_, item)| view.takes(item, *enrolment, oldest));
        for (position, _) in taken.take(room) {
            runs.push(position..position + 1);
        }
    }
    if runs.len() == contents.items.len() {
        return Shown::All;
    }
    runs.shrink_to_fit();
    Shown::Part(runs)
}

/// The positions of what is in none of the sets, in ascending stretches. As quick as there are few ranges, however many messages there are.
fn not_in(sets: &[&SeqSet], contents: &Contents) -> impl Iterator<Item = Range<usize>> {
    let mut ranges = ascending(sets);
    let mut next = Some(0);
    iter::from_fn(move || {
        loop {
            let start = next?;
            let Some((first, last)) = ranges.next() else {
                next = None;
                return Some(start..contents.items.len());
            };
            let end = contents.seek(start, first);
            next = last.next().map(|after| contents.seek(end, after));
            if start < end {
                return Some(start..end);
            }
        }
    })
}

/// The ranges of all sets by where they begin; those of different sets may overlap.
fn ascending(sets: &[&SeqSet]) -> impl Iterator<Item = (Seq, Seq)> {
    let mut sets: Vec<_> = sets.iter().map(|set| set.ranges().peekable()).collect();
    iter::from_fn(move || {
        let heads = sets
            .iter_mut()
            .filter_map(|ranges| Some((*ranges.peek()?, ranges)));
        heads.min_by_key(|(range, _)| *range)?.1.next()
    })
}

#[cfg(test)]
mod tests;
