//! Those who ask the same at the same time share one answer: sessions of one mailbox that want its list.
//!
//! Whoever comes before a round has begun takes part in it; whoever comes later waits for the next one, so that nobody is given an answer
//! that is older than the question. However many ask at once, they make two rounds at most: the one that is under way when they come, and
//! the next. Must not know: what is asked, and of whom.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// See the module: rounds about a `K`, with a `T` as their outcome.
pub(super) struct Rounds<K, T>(Arc<Mutex<Open<K, T>>>);

/// Those that have not begun.
type Open<K, T> = HashMap<K, watch::Receiver<Option<T>>>;

/// What somebody who asks has to do.
pub(super) enum Part<K: Eq + Hash, T> {
    /// To find the answer, for all who come before it is begun.
    Leads(Lead<K, T>),
    /// To wait.
    Follows(Follow<T>),
}

/// Should it be dropped without an outcome, those who wait are told that there is none.
pub(super) struct Lead<K: Eq + Hash, T> {
    rounds: Rounds<K, T>,
    /// None once the round has begun.
    key: Option<K>,
    outcome: watch::Sender<Option<T>>,
}

pub(super) struct Follow<T> {
    outcome: watch::Receiver<Option<T>>,
}

impl<K, T> Default for Rounds<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone, T> Rounds<K, T> {
    /// Takes part in the round that has not begun yet, or makes one.
    pub(super) fn join(&self, key: K) -> Part<K, T> {
        let mut open = self.open();
        if let Some(outcome) = open.get(&key) {
            let outcome = outcome.clone();
            return Part::Follows(Follow { outcome });
        }
        let (outcome, waiting) = watch::channel(None);
        open.insert(key.clone(), waiting);
        Part::Leads(Lead {
            rounds: Self(Arc::clone(&self.0)),
            key: Some(key),
            outcome,
        })
    }
}

impl<K, T> Rounds<K, T> {
    fn open(&self) -> MutexGuard<'_, Open<K, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, T> Lead<K, T> {
    /// The question is asked now: nobody takes part any more who has not come yet.
    pub(super) fn begin(&mut self) {
        if let Some(key) = self.key.take() {
            self.rounds.open().remove(&key);
        }
    }

    /// Tells all who wait.
    pub(super) fn end(mut self, outcome: T) {
        self.begin();
        self.outcome.send_replace(Some(outcome));
    }
}

impl<K: Eq + Hash, T> Drop for Lead<K, T> {
    fn drop(&mut self) {
        self.begin();
    }
}

impl<T: Clone> Follow<T> {
    /// What came of it; none where its leader broke off.
    pub(super) async fn outcome(mut self) -> Option<T> {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Rounds<&'static str, u32>;

    fn lead(part: Part<&'static str, u32>) -> Lead<&'static str, u32> {
        match part {
            Part::Leads(lead) => lead,
            Part::Follows(_) => panic!("somebody leads already"),
        }
    }

    fn follow(part: Part<&'static str, u32>) -> Follow<u32> {
        match part {
            Part::Follows(follow) => follow,
            Part::Leads(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn those_who_come_before_a_round_begins_share_its_outcome() {
        let rounds = Numbers::default();
        let mut leader = lead(rounds.join("info"));
        let two = follow(rounds.join("info"));
        let three = follow(rounds.join("info"));
        leader.begin();
        leader.end(7);
        assert_eq!(
            (two.outcome().await, three.outcome().await),
            (Some(7), Some(7))
        );
    }

    #[tokio::test]
    async fn who_comes_after_a_round_has_begun_is_not_given_its_outcome() {
        let rounds = Numbers::default();
        let mut first = lead(rounds.join("info"));
        first.begin();
        let second = lead(rounds.join("info"));
        let with_second = follow(rounds.join("info"));
        first.end(7);
        // Its end does not end the one that was made meanwhile.
        let too = follow(rounds.join("info"));
        second.end(8);
        assert_eq!(with_second.outcome().await, Some(8));
        assert_eq!(too.outcome().await, Some(8));
        lead(rounds.join("info"));
    }

    #[tokio::test]
    async fn rounds_about_different_things_have_nothing_to_do_with_each_other() {
        let rounds = Numbers::default();
        let one = lead(rounds.join("info"));
        let other = lead(rounds.join("shop"));
        let follows = follow(rounds.join("shop"));
        one.end(7);
        other.end(8);
        assert_eq!(follows.outcome().await, Some(8));
    }

    #[tokio::test]
    async fn where_the_leader_breaks_off_nobody_waits_for_ever() {
        let rounds = Numbers::default();
        for begins in [false, true] {
            let mut leader = lead(rounds.join("info"));
            let follows = follow(rounds.join("info"));
            if begins {
                leader.begin();
            }
            drop(leader);
            assert_eq!(follows.outcome().await, None);
        }
        lead(rounds.join("info"));
    }
}
