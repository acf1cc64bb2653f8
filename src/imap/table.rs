//! The list being built: messages in order of their UIDs, cheap to copy and to append to.
//!
//! Pure. Must not know: connections or where the rows come from.

use std::ops::RangeInclusive;

use super::row::{Asked, Ids};
use crate::maildrop::{Index, Message, Uid};

/// Messages by ascending UID, and the upstream's own ids of them where those are kept (0 else).
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    messages: Vec<Message>,
    ids: Vec<Ids>,
    /// EMAILIDs are kept whether or not they are asked for: what offers them may not always do so.
    has_email_ids: bool,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was not there.
    New,
    /// It was there, the same.
    Same,
    /// It was there with another date, size or id.
    Changed,
}

impl Table {
    /// What was known; its X-GM-MSGIDs only where rows will have them, too.
    pub(super) fn of(index: &Index, asked: Asked) -> Self {
        let gm_msgids = index.gm_msgids.as_ref().filter(|_| asked.gm_msgids);
        let email_ids = index.email_ids.as_ref();
        let id = |ids: Option<&Vec<u64>>, at| ids.and_then(|ids| ids.get(at).copied());
        let ids = |at| Ids {
            gm_msgid: id(gm_msgids, at).unwrap_or_default(),
            email_id: id(email_ids, at).unwrap_or_default(),
        };
        Self {
            messages: index.messages.clone(),
            ids: (0..index.messages.len()).map(ids).collect(),
            has_email_ids: email_ids.is_some(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn last_uid(&self) -> Option<Uid> {
        self.messages.last().map(|message| message.uid)
    }

    /// The position of a message, counted from 1.
    pub(super) fn position(&self, uid: Uid) -> Option<usize> {
        self.messages
            .binary_search_by_key(&uid, |known| known.uid)
            .ok()
            .map(|at| at + 1)
    }

    /// Notes a message; one that was there stays as it was, but for an EMAILID that was not known. Another one makes no other message of it.
    pub(super) fn put(&mut self, message: Message, ids: Ids) -> Put {
        // Rows come in order, so that this is the usual case.
        if self.last_uid().is_none_or(|last| last < message.uid) {
            self.messages.push(message);
            self.ids.push(ids);
            return Put::New;
        }
        match self
            .messages
            .binary_search_by_key(&message.uid, |known| known.uid)
        {
            Ok(at)
                if self.messages.get(at) == Some(&message)
                    && self.ids.get(at).map(|known| known.gm_msgid) == Some(ids.gm_msgid) =>
            {
                if let Some(known) = self.ids.get_mut(at).filter(|known| known.email_id == 0) {
                    known.email_id = ids.email_id;
                }
                Put::Same
            }
            Ok(_) => Put::Changed,
            Err(at) => {
                self.messages.insert(at, message);
                self.ids.insert(at, ids);
                Put::New
            }
        }
    }

    /// Keeps the messages whose UIDs are in `uids` (ascending); false where one of `uids` is not here.
    pub(super) fn keep(&mut self, uids: &[Uid]) -> bool {
        self.retain(|uid| uids.binary_search(&uid).is_ok());
        self.len() == uids.len()
    }

    /// Drops the messages in `ranges`, which may reach far beyond what is here.
    pub(super) fn drop_ranges(&mut self, ranges: &mut [RangeInclusive<u32>]) {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut ranges = ranges.iter().peekable();
        self.retain(|uid| {
            let uid = uid.get();
            while ranges.peek().is_some_and(|range| *range.end() < uid) {
                ranges.next();
            }
            !ranges.peek().is_some_and(|range| range.contains(&uid))
        });
    }

    /// The messages, their X-GM-MSGIDs and the digests of their EMAILIDs, the latter only where they are kept.
    pub(super) fn into_lists(
        self,
        asked: Asked,
    ) -> (Vec<Message>, Option<Vec<u64>>, Option<Vec<u64>>) {
        let list = |of: fn(&Ids) -> u64| self.ids.iter().map(of).collect();
        let gm_msgids = asked.gm_msgids.then(|| list(|ids| ids.gm_msgid));
        let has_email_ids = asked.email_ids || self.has_email_ids;
        let email_ids = has_email_ids.then(|| list(|ids| ids.email_id));
        (self.messages, gm_msgids, email_ids)
    }

    fn retain(&mut self, mut keep: impl FnMut(Uid) -> bool) {
        let kept: Vec<bool> = self
            .messages
            .iter()
            .map(|message| keep(message.uid))
            .collect();
        let mut flags = kept.iter();
        self.messages.retain(|_| flags.next() == Some(&true));
        let mut flags = kept.iter();
        self.ids.retain(|_| flags.next() == Some(&true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(uid: u32) -> Message {
        Message {
            uid: Uid::new(uid).unwrap(),
            size: uid * 2,
            internal_date: i64::from(uid),
        }
    }

    fn ids(gm_msgid: u64) -> Ids {
        Ids {
            gm_msgid,
            email_id: 0,
        }
    }

    fn of(uids: &[u32]) -> Vec<Uid> {
        uids.iter().map(|uid| Uid::new(*uid).unwrap()).collect()
    }

    fn table(uids: &[u32]) -> Table {
        let mut table = Table::default();
        for uid in uids {
            table.put(message(*uid), ids(u64::from(*uid)));
        }
        table
    }

    fn uids(table: &Table) -> Vec<u32> {
        table.messages.iter().map(|m| m.uid.get()).collect()
    }

    #[test]
    fn rows_out_of_order_are_put_in_order() {
        let mut table = table(&[5, 2, 9, 7]);
        assert_eq!(uids(&table), [2, 5, 7, 9]);
        assert_eq!(table.ids, [2, 5, 7, 9].map(ids));
        assert_eq!(table.put(message(7), ids(7)), Put::Same);
        let other_mail = Ids {
            email_id: 1,
            ..ids(7)
        };
        assert_eq!(table.put(message(7), other_mail), Put::Same);
        assert_eq!(
            table.put(
                Message {
                    size: 1,
                    ..message(7)
                },
                ids(7)
            ),
            Put::Changed
        );
        assert_eq!(table.put(message(7), ids(70)), Put::Changed);
        assert_eq!(table.put(message(8), ids(8)), Put::New);
    }

    #[test]
    fn keeping_tells_of_uids_that_were_not_known() {
        assert!(table(&[1, 2, 3]).keep(&of(&[1, 3])));
        assert!(!table(&[1, 2, 3]).keep(&of(&[1, 4])));
    }

    proptest! {
        #[test]
        fn ranges_are_dropped_as_a_naive_filter_would(
            known in prop::collection::btree_set(1u32..200, 0..80),
            ranges in prop::collection::vec((0u32..220, 0u32..30), 0..10),
        ) {
            let known: Vec<u32> = known.into_iter().collect();
            let mut ranges: Vec<_> = ranges.into_iter().map(|(start, length)| start..=start + length).collect();
            // Ranges of one response do not overlap; if they do, the longest reach still counts.
            ranges.sort_unstable_by_key(|range| *range.start());
            ranges.dedup_by(|next, before| next.start() <= before.end());
            let expected: Vec<u32> = known.iter().copied().filter(|uid| !ranges.iter().any(|r| r.contains(uid))).collect();
            let mut table = table(&known);
            table.drop_ranges(&mut ranges);
            prop_assert_eq!(uids(&table), expected);
        }
    }
}
