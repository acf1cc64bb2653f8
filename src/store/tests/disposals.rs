//! What is to be done upstream.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, delta, first_listing, moved, seq};
use crate::maildrop::{Delta, UidValidity};
use crate::policy::Action;
use crate::store::{IntentState, KEPT_FOR, NewIntent, StoreError};

on_both_engines!(
    an_intent_waits_until_it_is_done,
    an_intent_is_written_down_once,
    what_was_done_is_due_again_only_where_the_message_is_there_again,
    a_failed_intent_waits_with_its_reason,
    a_cancelled_intent_can_be_made_anew,
    a_new_uidvalidity_cancels_what_waits,
    what_the_bridge_took_away_is_no_loss,
    intents_of_forgotten_messages_are_forgotten,
    one_at_a_time_acts_on_a_mailbox,
    a_stopped_sweep_waits_for_the_operators_word,
    a_large_sweep_is_written_down,
);

async fn an_intent_waits_until_it_is_done(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let keyword = Action::Flag("$It's".to_owned());
    let intents = [scene.intent(1, Action::Expunge), scene.intent(2, keyword)];
    scene.store.add_intents(&intents, NOW).await.unwrap();
    let store = place.reopen(scene.store).await;
    let open = store.intents(scene.mailbox.id).await.unwrap();
    assert_eq!(
        open.iter().map(|i| i.new.clone()).collect::<Vec<_>>(),
        intents
    );
    assert_eq!(open[0].state, IntentState::Pending);
    assert_eq!((open[0].attempts, open[0].created_at), (0, NOW));
    let version = store.version(scene.mailbox.id).await.unwrap();
    let done = store
        .intents_done(scene.mailbox.id, &[open[0].id], &[], NOW)
        .await;
    assert_eq!(done, Ok(None));
    assert_eq!(store.version(scene.mailbox.id).await.unwrap(), version);
    let left = store.intents(scene.mailbox.id).await.unwrap();
    assert_eq!(left, open[1..]);
}

async fn an_intent_is_written_down_once(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let intent = scene.intent(1, Action::Trash);
    let store = &scene.store;
    store
        .add_intents(std::slice::from_ref(&intent), NOW)
        .await
        .unwrap();
    let other_cause = NewIntent {
        cause: "another".to_owned(),
        ..intent.clone()
    };
    store
        .add_intents(std::slice::from_ref(&other_cause), NOW + 1)
        .await
        .unwrap();
    let open = store.intents(scene.mailbox.id).await.unwrap();
    assert_eq!((open.len(), &open[0].new), (1, &intent));
    // Nor again once it is done.
    let gone = [(scene.inbox.id, intent.seq)];
    store
        .intents_done(scene.mailbox.id, &[open[0].id], &gone, NOW)
        .await
        .unwrap();
    store.add_intents(&[other_cause], NOW + 2).await.unwrap();
    assert_eq!(store.intents(scene.mailbox.id).await.unwrap(), []);
}

async fn what_was_done_is_due_again_only_where_the_message_is_there_again(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    for (action, again) in [(Action::Trash, 1), (Action::Seen, 0)] {
        let intent = [scene.intent(1, action)];
        store.add_intents(&intent, NOW).await.unwrap();
        let id = store.intents(mailbox).await.unwrap()[0].id;
        // Done, and the message is in the folder: it was put back, or the action left it there.
        store.intents_done(mailbox, &[id], &[], NOW).await.unwrap();
        store.add_intents(&intent, NOW + 1).await.unwrap();
        let open = store.intents(mailbox).await.unwrap();
        assert_eq!(open.len(), again);
        let ids: Vec<i64> = open.iter().map(|intent| intent.id).collect();
        store.intents_done(mailbox, &ids, &[], NOW).await.unwrap();
    }
}

async fn a_failed_intent_waits_with_its_reason(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let store = &scene.store;
    store
        .add_intents(&[scene.intent(1, Action::Seen)], NOW)
        .await
        .unwrap();
    let id = store.intents(scene.mailbox.id).await.unwrap()[0].id;
    for at in [NOW + 1, NOW + 2] {
        store.intents_failed(&[id], "it's full", at).await.unwrap();
    }
    let failed = &store.intents(scene.mailbox.id).await.unwrap()[0];
    assert_eq!(failed.state, IntentState::Failed);
    assert_eq!(failed.attempts, 2);
    assert_eq!(failed.last_error.as_deref(), Some("it's full"));
    assert_eq!(failed.tried_at, Some(NOW + 2));
}

async fn a_cancelled_intent_can_be_made_anew(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let store = &scene.store;
    let old = scene.intent(1, Action::Expunge);
    store
        .add_intents(std::slice::from_ref(&old), NOW)
        .await
        .unwrap();
    let id = store.intents(scene.mailbox.id).await.unwrap()[0].id;
    store
        .intents_cancelled(&[id], "not the same message", NOW)
        .await
        .unwrap();
    assert_eq!(store.intents(scene.mailbox.id).await.unwrap(), []);
    let new = NewIntent {
        uid: super::support::uid(50),
        uid_validity: UidValidity::new(8).unwrap(),
        ..old
    };
    store
        .add_intents(std::slice::from_ref(&new), NOW + 1)
        .await
        .unwrap();
    let open = store.intents(scene.mailbox.id).await.unwrap();
    assert_eq!(open[0].new, new);
    assert_eq!((open[0].attempts, open[0].last_error.as_deref()), (0, None));
}

async fn a_new_uidvalidity_cancels_what_waits(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(2)).await;
    let store = &scene.store;
    let both = [
        scene.intent(1, Action::Expunge),
        scene.intent(2, Action::Expunge),
    ];
    store.add_intents(&both, NOW).await.unwrap();
    let id = store.intents(scene.mailbox.id).await.unwrap()[0].id;
    store.intents_failed(&[id], "no", NOW).await.unwrap();
    let anew = Delta {
        uid_validity: UidValidity::new(8).unwrap(),
        moved: vec![moved(1, 2, Some("7-1")), moved(2, 1, Some("7-2"))],
        regenerated: true,
        ..delta(3)
    };
    scene.apply(&anew).await;
    assert_eq!(store.intents(scene.mailbox.id).await.unwrap(), []);
}

async fn what_the_bridge_took_away_is_no_loss(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let store = &scene.store;
    // 2 was missed by a listing before the bridge noted that it was its own doing.
    let missed = Delta {
        gone: vec![seq(2)],
        ..delta(4)
    };
    let before = scene.apply(&missed).await;
    let (inbox, mailbox) = (scene.inbox.id, scene.mailbox.id);
    let gone = [(inbox, seq(2)), (inbox, seq(1))];
    let version = store
        .intents_done(mailbox, &[], &gone, NOW + 60)
        .await
        .unwrap();
    assert_eq!(version, Some(before + 1));
    let (register, ..) = store.register(inbox).await.unwrap().unwrap();
    let gone: Vec<_> = register
        .gone
        .iter()
        .map(|g| (g.seq.get(), g.disposed, g.gone_at, &*g.uidl))
        .collect();
    assert_eq!(gone, [(1, true, NOW + 60, "7-1"), (2, true, NOW, "7-2")]);
    assert_eq!(register.index.messages.len(), 1);
    // A listing that began before finds that the mailbox has changed.
    let late = store.apply(mailbox, inbox, before, &delta(4), NOW).await;
    assert_eq!(late, Err(StoreError::Conflict));
}

async fn intents_of_forgotten_messages_are_forgotten(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let store = &scene.store;
    let (inbox, mailbox) = (scene.inbox.id, scene.mailbox.id);
    store
        .add_intents(&[scene.intent(1, Action::Expunge)], NOW)
        .await
        .unwrap();
    let id = store.intents(mailbox).await.unwrap()[0].id;
    store
        .intents_done(mailbox, &[id], &[(inbox, seq(1))], NOW)
        .await
        .unwrap();
    store.prune(mailbox, &[], NOW + KEPT_FOR + 1).await.unwrap();
    // Only then can it be written down again.
    store
        .add_intents(&[scene.intent(1, Action::Expunge)], NOW)
        .await
        .unwrap();
    assert_eq!(store.intents(mailbox).await.unwrap().len(), 1);
}

async fn one_at_a_time_acts_on_a_mailbox(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    assert!(store.turn(mailbox, "one", 60).await.unwrap());
    assert!(store.turn(mailbox, "one", 60).await.unwrap());
    assert!(!store.turn(mailbox, "two", 60).await.unwrap());
    store.end_turn(mailbox, "two").await.unwrap();
    assert!(!store.turn(mailbox, "two", 60).await.unwrap());
    store.end_turn(mailbox, "one").await.unwrap();
    assert!(store.turn(mailbox, "two", -1).await.unwrap());
    assert!(
        store.turn(mailbox, "one", 60).await.unwrap(),
        "the other's has run out"
    );
}

async fn a_stopped_sweep_waits_for_the_operators_word(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    store.stop_sweep(mailbox, 900, 1000, NOW).await.unwrap();
    let stopped = store.mailboxes().await.unwrap().remove(0);
    let stop = stopped.stopped.unwrap();
    assert_eq!((stop.would_take, stop.of, stop.at), (900, 1000, NOW));
    assert!(!stopped.sweep_confirmed);
    store.confirm_sweep(mailbox).await.unwrap();
    let confirmed = store.mailboxes().await.unwrap().remove(0);
    assert_eq!((confirmed.stopped, confirmed.sweep_confirmed), (None, true));
    assert!(store.take_confirmation(mailbox).await.unwrap());
    assert!(!store.take_confirmation(mailbox).await.unwrap());
    // A word that was not needed is not kept for another time.
    store.confirm_sweep(mailbox).await.unwrap();
    store.clear_stop(mailbox).await.unwrap();
    assert!(!store.take_confirmation(mailbox).await.unwrap());
    assert!(!store.mailboxes().await.unwrap()[0].sweep_confirmed);
}

async fn a_large_sweep_is_written_down(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1500)).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    let intents: Vec<_> = (1..=1500)
        .map(|n| scene.intent(n, Action::Expunge))
        .collect();
    store.add_intents(&intents, NOW).await.unwrap();
    let ids: Vec<_> = store
        .intents(mailbox)
        .await
        .unwrap()
        .iter()
        .map(|i| i.id)
        .collect();
    assert_eq!(ids.len(), 1500);
    store.intents_failed(&ids, "no", NOW).await.unwrap();
    let gone: Vec<_> = (1..=1500).map(|n| (scene.inbox.id, seq(n))).collect();
    store.intents_done(mailbox, &ids, &gone, NOW).await.unwrap();
    assert_eq!(store.intents(mailbox).await.unwrap(), []);
    let (register, ..) = store.register(scene.inbox.id).await.unwrap().unwrap();
    assert!(register.gone.iter().all(|gone| gone.disposed));
    assert_eq!(register.gone.len(), 1500);
}
