//! How long messages are that the upstream lists with another size: counted while they are read, shown from the next list on, and written
//! to the store by the beat.
//!
//! Must not know: sessions, SQL.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::warn;

use super::accounts::Accounts;
use crate::maildrop::{Contents, Measured, Seq, Sizes};
use crate::store::MailboxId;

/// So many wait to be written at most, for all mailboxes: some 2 MB. What is beyond is counted again when the message is read again.
const MOST: usize = 20_000;

/// What is not in the store yet: RETR writes nothing itself.
#[derive(Default)]
pub(super) struct Unwritten(Mutex<BTreeMap<(MailboxId, Seq), Measured>>);

impl Unwritten {
    /// Notes how long a message is.
    pub(super) fn note(&self, mailbox: MailboxId, measured: Measured) {
        let mut all = self.all();
        let key = (mailbox, measured.seq);
        if all.len() < MOST || all.contains_key(&key) {
            all.insert(key, measured);
        }
    }

    /// Those of a mailbox.
    fn of(&self, mailbox: MailboxId) -> Vec<Measured> {
        let all = self.all();
        let from = Seq::new(1).map(|first| all.range((mailbox, first)..));
        let here = from.into_iter().flatten();
        here.take_while(|((of, _), _)| *of == mailbox)
            .map(|(_, one)| *one)
            .collect()
    }

    fn copy(&self) -> Vec<(MailboxId, Measured)> {
        let all = self.all();
        all.iter()
            .map(|((mailbox, _), one)| (*mailbox, *one))
            .collect()
    }

    /// These are in the store; what was noted since is kept.
    fn written(&self, these: &[(MailboxId, Measured)]) {
        let mut all = self.all();
        for (mailbox, one) in these {
            let key = (*mailbox, one.seq);
            if all.get(&key) == Some(one) {
                all.remove(&key);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(MailboxId, Seq), Measured>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a mailbox's messages. All that is made of one reading of the store shares it, so that nothing is lost when one list
/// takes the place of another.
#[derive(Default)]
pub(super) struct Measures(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    sizes: Sizes,
    /// How often something was added.
    changes: u64,
}

impl Measures {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self(Mutex::new(Counted { sizes, changes: 0 }))
    }

    fn add(&self, measured: &[Measured]) {
        let mut counted = self.counted();
        for one in measured {
            counted.changes += u64::from(counted.sizes.insert(*one));
        }
    }

    /// All that is known now, and after how many changes that is.
    pub(super) fn now(&self) -> (Sizes, u64) {
        let counted = self.counted();
        (counted.sizes.clone(), counted.changes)
    }

    /// How often something was added.
    pub(super) fn changes(&self) -> u64 {
        self.counted().changes
    }

    /// Of messages that are gone nothing is kept once it is known of more than there are.
    pub(super) fn bound(&self, contents: &Contents) {
        let mut counted = self.counted();
        if counted.sizes.len() > contents.items.len() {
            counted
                .sizes
                .retain(|seq| contents.position_of(seq).is_some());
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.counted().sizes.heap_bytes()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was not in the store when a mailbox was about to be read from it.
pub(super) struct NotRead(Vec<Measured>);

impl NotRead {
    pub(super) fn add_to(&self, measures: &Measures) {
        measures.add(&self.0);
    }
}

impl Accounts {
    /// To be taken before the store is asked: what is written meanwhile is here, and what was written before is there.
    pub(super) fn not_read(&self, mailbox: MailboxId) -> NotRead {
        NotRead(self.unwritten.of(mailbox))
    }

    /// Writes what was counted to the store; what cannot be written is kept.
    pub(super) async fn write_sizes(&self) {
        let all = self.unwritten.copy();
        if all.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_sizes(&all).await {
            warn!(%error, "the true sizes of messages are not written; it will be tried again");
            return;
        }
        // Before it is forgotten: what is in memory may have been read from the store before.
        for of_one in all.chunk_by(|(a, _), (b, _)| a == b) {
            if let Some((mailbox, _)) = of_one.first()
                && let Some(known) = self.known.get(mailbox).await
            {
                let sizes: Vec<Measured> = of_one.iter().map(|(_, one)| *one).collect();
                known.measures.add(&sizes);
            }
        }
        self.unwritten.written(&all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(number: u32, octets: u32) -> Measured {
        Measured {
            seq: Seq::new(number).unwrap(),
            listed: 1000,
            octets,
        }
    }

    #[test]
    fn what_is_noted_while_it_is_written_is_written_next_time() {
        let (unwritten, mailbox) = (Unwritten::default(), MailboxId::made_up(1));
        unwritten.note(mailbox, measured(1, 1234));
        unwritten.note(mailbox, measured(2, 1234));
        let on_its_way = unwritten.copy();
        unwritten.note(mailbox, measured(2, 999));
        unwritten.written(&on_its_way);
        assert_eq!(unwritten.copy(), [(mailbox, measured(2, 999))]);
    }

    #[test]
    fn each_mailbox_has_its_own() {
        let unwritten = Unwritten::default();
        let mailboxes = [1, 2, 3].map(MailboxId::made_up);
        for (mailbox, octets) in mailboxes.into_iter().zip(10..) {
            unwritten.note(mailbox, measured(5, octets));
            unwritten.note(mailbox, measured(4, octets));
        }
        assert_eq!(
            unwritten.of(mailboxes[1]),
            [measured(4, 11), measured(5, 11)]
        );
        assert_eq!(unwritten.of(MailboxId::made_up(4)), []);
    }

    #[test]
    fn a_store_that_takes_nothing_does_not_fill_the_memory() {
        let (unwritten, mailbox) = (Unwritten::default(), MailboxId::made_up(1));
        for number in 1..=30_000 {
            unwritten.note(mailbox, measured(number, 1));
        }
        unwritten.note(mailbox, measured(7, 2));
        let kept = unwritten.of(mailbox);
        assert_eq!((kept.len(), kept[6].octets), (MOST, 2));
    }

    #[test]
    fn of_messages_that_are_gone_not_more_is_kept_than_there_are() {
        let contents = crate::maildrop::tests::contents(&[1000, 1000]);
        let measures = Measures::default();
        measures.add(&[measured(1, 1), measured(9, 1)]);
        measures.bound(&contents);
        assert_eq!(measures.now().0.len(), 2, "it may come back");
        measures.add(&[measured(2, 1)]);
        measures.bound(&contents);
        let (sizes, changes) = measures.now();
        let left: Vec<u32> = sizes.iter().map(|one| one.seq.get()).collect();
        assert_eq!((left, changes), (vec![1, 2], 3));
    }
}
