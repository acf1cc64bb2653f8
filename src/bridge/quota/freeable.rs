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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::office::stored;
    use crate::bridge::tend::withheld;
    use crate::policy::{Dispose, DisposeRule, Retention, Rules, When};
    use crate::store::Quit;
    use crate::store::tests::support::{NOW, Place, Scene, first_listing, new_client, seq, set};

    const DAY: i64 = 24 * 60 * 60;

    /// What everybody has had goes in this way, when it is three days old.
    fn terms(dispose: Dispose) -> Terms {
        Terms {
            rules: Rules {
                retention: Retention {
                    when: When::AllClientsDelivered,
                    min_age: 3 * DAY,
                    ..Retention::default()
                },
                ..Rules::default()
            },
            dispose: DisposeRule {
                dispose,
                ..DisposeRule::default()
            },
            ..Terms::default()
        }
    }

    /// Three messages, of 1001, 1002 and 1003 octets, of which the client has had the first two.
    async fn scene(place: &Place) -> Scene {
        let scene = Scene::new(place).await;
        scene.apply(&first_listing(3)).await;
        let quit = Quit {
            delivered: set(&[(1, 2)]),
            ..scene.quit(&scene.lease().await)
        };
        scene.store.quit(&quit).await.unwrap();
        scene
    }

    async fn told(scene: &Scene, terms: &Terms, now: i64) -> (u64, u64) {
        let (store, mailbox) = (&scene.store, scene.mailbox.id);
        let (known, readers) = stored(store, mailbox, terms).await.unwrap();
        let intents = store.intents(mailbox).await.unwrap();
        let never = withheld(&store.troubles(mailbox).await.unwrap(), None);
        let freeable = freeable(&known, &readers, terms, &intents, &never, now);
        (freeable.now, freeable.within_a_week)
    }

    #[tokio::test]
    async fn what_is_due_now_and_what_will_be_within_a_week_is_counted() {
        let place = Place::sqlite();
        let scene = scene(&place).await;
        for (dispose, octets) in [
            (Dispose::Expunge, 2003),
            (Dispose::Trash, 2003),
            (Dispose::Archive, 0),
            (Dispose::Flag, 0),
            (Dispose::Nothing, 0),
        ] {
            let terms = terms(dispose);
            assert_eq!(told(&scene, &terms, NOW - 5 * DAY).await, (0, 0));
            assert_eq!(told(&scene, &terms, NOW).await, (0, octets), "{dispose:?}");
            let later = told(&scene, &terms, NOW + 3 * DAY).await;
            assert_eq!(later, (octets, octets), "{dispose:?}");
        }
    }

    #[tokio::test]
    async fn what_nobody_can_read_and_what_somebody_lacks_is_not_counted() {
        let place = Place::sqlite();
        let scene = scene(&place).await;
        let (store, mailbox) = (&scene.store, scene.mailbox.id);
        for _ in 0..3 {
            store.trouble(mailbox, seq(1), "cut", NOW).await.unwrap();
        }
        let terms = terms(Dispose::Expunge);
        let later = NOW + 3 * DAY;
        assert_eq!(told(&scene, &terms, later).await, (1002, 1002));
        let other = new_client(&scene.mailbox, "info/other");
        store.add_client(&other, NOW).await.unwrap();
        assert_eq!(told(&scene, &terms, later).await, (0, 0));
    }

    #[tokio::test]
    async fn what_goes_because_somebody_has_had_it_is_counted_once_nobody_lacks_it() {
        let place = Place::sqlite();
        let scene = scene(&place).await;
        let store = &scene.store;
        let nothing = terms(Dispose::Nothing);
        let retrieved = |n, action| NewIntent {
            cause: "retrieved by info/desk".to_owned(),
            ..scene.intent(n, action)
        };
        let intents = [
            retrieved(1, Action::Trash),
            retrieved(2, Action::Seen),
            retrieved(3, Action::Trash),
        ];
        store.add_intents(&intents, NOW).await.unwrap();
        assert_eq!(told(&scene, &nothing, NOW).await, (1001, 1001));
        let other = new_client(&scene.mailbox, "info/other");
        store.add_client(&other, NOW).await.unwrap();
        assert_eq!(told(&scene, &nothing, NOW).await, (0, 0));
    }
}
