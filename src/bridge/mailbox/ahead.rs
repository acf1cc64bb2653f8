//! Which messages are fetched before a client asks for them: those that follow in its maildrop, once it takes one after the other.
//!
//! The rule alone (`Run`) knows no I/O. Must not know: how messages are fetched and kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::super::bodies::{Claim, Errand, Key, Kind, LONGEST, Outcome, Unfilled, Wish};
use super::super::pool::Credential;
use super::super::reading;
use super::super::trouble::Trouble;
use super::Mailbox;
use crate::imap::Part;
use crate::maildrop::{Item, Seq};
use crate::metrics::BodyLookup;

/// So many are fetched at first when two in order were asked for; then twice as many each time.
const FIRST: usize = 4;
/// At most so many messages are fetched ahead at a time, and so many headers, which are short.
const MOST: usize = 64;
const MOST_HEADERS: usize = 128;
/// At most so many octets are.
const MOST_OCTETS: u64 = 1 << 20;
/// So many errands of a run may be on their way: one that comes and one that follows it at once.
const ERRANDS: usize = 2;
/// Whoever waits this long for a message that is fetched with others asks for it directly.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub(super) struct Ahead {
    run: Run,
    /// What is to be asked for next, in the maildrop's order.
    queue: VecDeque<Next>,
    /// Errands of a run go one after the other: a second one at the same time would open a connection of its own.
    turn: Arc<Mutex<()>>,
}

struct Next {
    seq: Seq,
    slot: Claim,
    /// Its share of what may be fetched ahead.
    _room: Option<OwnedSemaphorePermit>,
}

/// What came of looking for a message in memory.
pub(super) enum Found {
    Here(Bytes),
    /// To be asked for directly.
    Nowhere,
    /// The same, after it was waited for.
    Late,
}

/// How a client goes through its maildrop.
#[derive(Default)]
struct Run {
    kind: Option<Kind>,
    /// What comes next in the maildrop after what was asked for last.
    expected: Option<Seq>,
    /// How many are fetched at a time; one where nothing is fetched ahead.
    window: usize,
}

impl Run {
    /// A message is asked for, which `next` follows.
    fn asked(&mut self, kind: Kind, seq: Seq, next: Option<Seq>) {
        let in_order = self.kind == Some(kind) && self.expected == Some(seq);
        self.window = match in_order {
            true => self.window.max(FIRST),
            false => 1,
        };
        self.kind = Some(kind);
        self.expected = next;
    }

    /// So many more are to be fetched behind the one that is asked for, when so many are on their way.
    fn more(&self, queued: usize) -> usize {
        if self.window <= 1 || queued > self.window / 2 {
            0
        } else {
            self.window
        }
    }

    fn grow(&mut self) {
        let most = match self.kind {
            Some(Kind::Header) => MOST_HEADERS,
            _ => MOST,
        };
        self.window = (self.window * 2).min(most);
    }
}

impl Ahead {
    /// A message is asked for, which `next` follows. Gives its slot where it was sent for; what comes before it in the maildrop was passed
    /// over.
    fn asked(&mut self, kind: Kind, seq: Seq, next: Option<Seq>) -> Option<Claim> {
        if self.run.kind != Some(kind) {
            // Headers are not what who asks for messages wants.
            self.queue.clear();
        }
        self.run.asked(kind, seq, next);
        let at = self.queue.iter().position(|queued| queued.seq == seq);
        if at.is_none() {
            // Nor does it wait for what is still on its way for the old one.
            self.turn = Arc::default();
        }
        let passed = at.map_or(self.queue.len(), |at| at + 1);
        self.queue
            .drain(..passed)
            .next_back()
            .filter(|_| at.is_some())
            .map(|next| next.slot)
    }

    /// The octets of messages that were sent for and are not here.
    fn on_its_way(&self) -> u64 {
        let missing = self.queue.iter().filter(|next| !next.slot.is_filled());
        missing.map(|next| u64::from(next.slot.reckoned())).sum()
    }

    /// How many errands of this run are on their way, or wait for their turn.
    fn errands(&self) -> usize {
        // Each has it until it ends, and so has this.
        Arc::strong_count(&self.turn) - 1
    }
}

impl Mailbox {
    /// The client says nothing: what was fetched ahead is not kept for it.
    pub(in super::super) fn pause(&mut self) {
        self.ahead.queue = VecDeque::new();
    }

    /// Whether something was fetched ahead.
    pub(in super::super) fn is_ahead(&self) -> bool {
        !self.ahead.queue.is_empty()
    }

    /// The part of the message, or all of it, where it is in memory or on its way there: nothing is sent for.
    pub(super) async fn at_hand(&mut self, item: &Item, part: Part) -> Option<Bytes> {
        let queued = Kind::of(part).and_then(|kind| self.ahead.asked(kind, item.seq, None));
        if let Some(slot) = queued
            && let Ok(Outcome::Here(octets)) = timeout(PATIENCE, slot.take()).await
        {
            return Some(octets);
        }
        match self.ready(item) {
            Found::Here(octets) => Some(octets),
            Found::Nowhere | Found::Late => None,
        }
    }

    /// The part of the message, or all of it, where it is in memory or can be fetched into it. Messages that follow are sent for where the
    /// client is likely to ask for them: so many octets `ahead` at most.
    ///
    /// # Errors
    /// Where no connection can be opened.
    pub(super) async fn in_memory(
        &mut self,
        item: &Item,
        part: Part,
        following: impl Iterator<Item = Item>,
        ahead: u64,
    ) -> Result<Found, Trouble> {
        let (accounts, mailbox) = (Arc::clone(&self.accounts), self.account.mailbox);
        let lookup = |outcome| accounts.metrics.body_lookup(outcome);
        let Some(kind) = Kind::of(part) else {
            self.ahead = Ahead::default();
            return Ok(self.ready(item));
        };
        let mut following = following.peekable();
        let next = following.peek().map(|next| next.seq);
        let queued = self.ahead.asked(kind, item.seq, next);
        if kind.octets(item.size) > LONGEST {
            return Ok(self.ready(item));
        }
        let mut wishes = Vec::new();
        let slot = match queued {
            Some(slot) => slot,
            None => {
                if kind == Kind::Header
                    && let Some(whole) = accounts.bodies.ready(mailbox, item.seq)
                {
                    lookup(BodyLookup::Hit);
                    return Ok(Found::Here(whole));
                }
                let (slot, unfilled) = self.slot(item, kind);
                wishes.extend(unfilled.map(|unfilled| (*item, unfilled)));
                slot
            }
        };
        if self.ahead.errands() < ERRANDS {
            let most = ahead
                .saturating_sub(self.ahead.on_its_way())
                .min(MOST_OCTETS);
            self.send_ahead(item, kind, following, most, &mut wishes);
        }
        if wishes.len() == 1 && !accounts.bodies.keeps() && self.ahead.queue.is_empty() {
            // It would be alone, and for nobody else.
            lookup(BodyLookup::Streamed);
            return Ok(Found::Nowhere);
        }
        lookup(match (wishes.first(), slot.is_filled()) {
            (Some((first, _)), _) if first.seq == item.seq => BodyLookup::Fetched,
            (_, true) => BodyLookup::Hit,
            (_, false) => BodyLookup::Awaited,
        });
        self.fetch(kind, wishes);
        match timeout(PATIENCE, slot.take()).await {
            Ok(Outcome::Here(octets)) => Ok(Found::Here(octets)),
            Ok(Outcome::Nowhere) => Ok(Found::Nowhere),
            Ok(Outcome::Refused(by, trouble)) if by == self.credential() => Err(trouble),
            // Somebody else's password is none any more.
            Ok(Outcome::Refused(..)) => Ok(Found::Nowhere),
            Err(_) => Ok(Found::Late),
        }
    }

    /// The whole message, if it happens to be in memory.
    fn ready(&self, item: &Item) -> Found {
        let (bodies, metrics) = (&self.accounts.bodies, &self.accounts.metrics);
        let ready = bodies.ready(self.account.mailbox, item.seq);
        metrics.body_lookup(match ready {
            Some(_) => BodyLookup::Hit,
            None => BodyLookup::Streamed,
        });
        ready.map_or(Found::Nowhere, Found::Here)
    }

    /// Adds to the queue, and to what is to be fetched, messages that follow.
    fn send_ahead(
        &mut self,
        item: &Item,
        kind: Kind,
        following: impl Iterator<Item = Item>,
        most_octets: u64,
        wishes: &mut Vec<(Item, Unfilled)>,
    ) {
        let more = self.ahead.run.more(self.ahead.queue.len());
        if more == 0 {
            return;
        }
        let last = self.ahead.queue.back().map_or(item.seq, |next| next.seq);
        let mut octets = 0;
        let behind = following.skip_while(|next| next.seq <= last);
        for next in behind.take(more) {
            let reckoned = kind.octets(next.size);
            octets += u64::from(reckoned);
            if reckoned > LONGEST || next.place != item.place || octets > most_octets {
                break;
            }
            let Some(room) = self.accounts.bodies.room(kind.most(next.size)) else {
                break;
            };
            let (slot, unfilled) = self.slot(&next, kind);
            wishes.extend(unfilled.map(|unfilled| (next, unfilled)));
            self.ahead.queue.push_back(Next {
                seq: next.seq,
                slot,
                _room: Some(room),
            });
        }
        self.ahead.run.grow();
    }

    fn slot(&self, item: &Item, kind: Kind) -> (Claim, Option<Unfilled>) {
        let key = self.key(item, kind);
        self.accounts.bodies.slot(key, item.size)
    }

    fn credential(&self) -> Credential {
        self.accounts.pool.credential(self.account.entrance())
    }

    fn key(&self, item: &Item, kind: Kind) -> Key {
        Key {
            mailbox: self.account.mailbox,
            seq: item.seq,
            kind,
        }
    }

    /// Has these messages, which are all of one folder, fetched.
    fn fetch(&self, kind: Kind, wishes: Vec<(Item, Unfilled)>) {
        let Some(known) = self.known.as_deref() else {
            return;
        };
        let mut errand = None;
        for (item, slot) in wishes {
            let Some((place, target)) = reading::whereabouts(known, &item) else {
                continue;
            };
            let key = self.key(&item, kind);
            let errand = errand.get_or_insert_with(|| Errand {
                account: self.account.clone(),
                place: place.clone(),
                kind,
                turn: Arc::clone(&self.ahead.turn),
                listed_at: self.listed_at,
                wishes: HashMap::new(),
                given: Vec::new(),
            });
            errand.wishes.insert(target.uid, Wish { key, target, slot });
        }
        if let Some(errand) = errand {
            errand.go(Arc::clone(&self.accounts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bodies::Slot;
    use super::*;
    use crate::metrics::Metrics;

    fn seq(number: u32) -> Seq {
        Seq::new(number).unwrap()
    }

    /// Has messages on their way.
    fn queue(ahead: &mut Ahead, numbers: std::ops::RangeInclusive<u32>) {
        let metrics = Arc::new(Metrics::new());
        ahead.queue.extend(numbers.map(|number| Next {
            seq: seq(number),
            slot: Claim::new(Arc::new(Slot::new(1, Arc::clone(&metrics)))),
            _room: None,
        }));
        ahead.run.grow();
    }

    #[test]
    fn two_in_order_begin_a_run_that_doubles_up_to_its_most() {
        let mut ahead = Ahead::default();
        assert!(ahead.asked(Kind::Whole, seq(1), Some(seq(2))).is_none());
        assert_eq!(ahead.run.more(0), 0);
        let (mut windows, mut last) = (Vec::new(), 1);
        for number in 2..=300 {
            let queued = ahead.asked(Kind::Whole, seq(number), Some(seq(number + 1)));
            assert_eq!(queued.is_some(), number > 2, "{number}");
            let more = ahead.run.more(ahead.queue.len());
            if more > 0 {
                let first = last.max(number) + 1;
                last = first + more as u32 - 1;
                queue(&mut ahead, first..=last);
                windows.push(more);
            }
        }
        assert_eq!(windows[..7], [4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn another_order_or_another_kind_ends_it() {
        for (kind, number) in [(Kind::Whole, 9), (Kind::Whole, 3), (Kind::Header, 4)] {
            let mut ahead = Ahead::default();
            ahead.asked(Kind::Whole, seq(2), Some(seq(3)));
            ahead.asked(Kind::Whole, seq(3), Some(seq(4)));
            queue(&mut ahead, 4..=7);
            assert!(
                ahead
                    .asked(kind, seq(number), Some(seq(number + 1)))
                    .is_none()
            );
            assert_eq!((ahead.run.more(0), ahead.queue.len()), (0, 0));
        }
    }

    #[test]
    fn what_is_passed_over_is_not_waited_for() {
        let mut ahead = Ahead::default();
        ahead.asked(Kind::Whole, seq(1), Some(seq(2)));
        ahead.asked(Kind::Whole, seq(2), Some(seq(3)));
        queue(&mut ahead, 3..=6);
        assert!(ahead.asked(Kind::Whole, seq(5), Some(seq(6))).is_some());
        let left: Vec<Seq> = ahead.queue.iter().map(|next| next.seq).collect();
        assert_eq!(left, [seq(6)]);
    }
}
