//! What one client is shown of its mailbox.
//!
//! Must not know: how the list is made, POP3.

use super::Marks;
use crate::maildrop::{Contents, Item, Seq, SeqSet, Shown};

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
    /// With what arrives after the client was made known; see [`Item::came`].
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
    /// Only those of at most so many octets.
    pub max_size: Option<u32>,
}

/// One client at its mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// What it wants to see.
    pub view: &'a View,
    /// What it has done.
    pub marks: &'a Marks,
    /// When it was made known, in seconds since 1970.
    pub enrolled_at: i64,
}

impl View {
    /// Whether the client's mailbox begins before this message, however old it has become since.
    pub(super) fn begins_before(&self, item: &Item, enrolled_at: i64) -> bool {
        match self.since {
            Since::Beginning => true,
            Since::Enrolment => item.came() >= enrolled_at,
            Since::Date(date) => item.internal_date >= date,
        }
    }

    pub(super) fn has_room_for(&self, item: &Item) -> bool {
        self.max_size.is_none_or(|most| item.size <= most)
    }

    /// Whether a message is shown for what it is, whatever was done with it.
    fn takes(&self, item: &Item, enrolled_at: i64, oldest: Option<i64>) -> bool {
        self.begins_before(item, enrolled_at)
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
        enrolled_at,
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
    // Items and ranges both ascend: one pass.
    let mut hidden: Vec<_> = hidden.iter().map(|set| set.ranges().peekable()).collect();
    let mut is_hidden = |seq: Seq| {
        hidden.iter_mut().any(|ranges| {
            while ranges.next_if(|(_, last)| *last < seq).is_some() {}
            ranges.peek().is_some_and(|(first, _)| *first <= seq)
        })
    };
    let items = (0_u32..).zip(&contents.items);
    let positions: Box<[u32]> = items
        .filter(|(_, item)| !is_hidden(item.seq) && view.takes(item, *enrolled_at, oldest))
        .map(|(position, _)| position)
        .take(most)
        .collect();
    if positions.len() == contents.items.len() {
        return Shown::All;
    }
    Shown::Positions(positions)
}

#[cfg(test)]
mod tests;
