//! What is remembered is what the database holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::on_both_engines;
use super::support::{NOW, Place, Scene, first_listing, new_client, seq, set};
use crate::maildrop::Measured;
use crate::policy::Action;
use crate::store::file::is_served;
use crate::store::{Client, Purpose, Quit, Store};

on_both_engines!(
    what_was_written_is_read_at_once_however_often_it_was_read_before,
    what_was_written_is_read_at_once_while_others_read_the_same,
);

/// What a poll asks for.
async fn poll(store: &Store) -> Client {
    let found = store.client_by_login("info/desk").await.unwrap();
    let client = found.expect("a client");
    let mailbox = store.mailbox_id("imap.example:993", "info", NOW).await;
    assert_eq!(mailbox.unwrap(), client.mailbox);
    store.version(client.mailbox).await.unwrap();
    store.troubles_to_show(client.mailbox).await.unwrap();
    store.has_intents(client.mailbox).await.unwrap();
    store.has_several_clients(client.mailbox).await.unwrap();
    client
}

fn reads(store: &Store) -> usize {
    store.0.reads.load(Ordering::Relaxed)
}

/// How often it reads for a poll that was just made.
async fn reads_of_a_poll(store: &Store) -> usize {
    let before = reads(store);
    poll(store).await;
    reads(store) - before
}

/// Until it was asked anew whether others have committed something.
async fn look(store: &Store) {
    let mut looks = store.0.remembered.looks();
    for _ in 0..2 {
        // The first one may have begun before.
        looks.changed().await.unwrap();
    }
}

/// A store that remembers if it is one that does.
async fn begun(place: &Place) -> Scene {
    let scene = Scene::new(place).await;
    if !scene.store.is_shared() {
        scene.store.0.remembered.believe_longer();
        look(&scene.store).await;
    }
    scene
}

/// The same, which remembers everything that a poll asks for.
async fn warm(place: &Place) -> Scene {
    let scene = begun(place).await;
    poll(&scene.store).await;
    scene
}

#[tokio::test]
async fn a_poll_of_a_client_that_polled_before_reads_nothing() {
    let place = Place::sqlite();
    let scene = warm(&place).await;
    assert_eq!(reads_of_a_poll(&scene.store).await, 0);
    // Nor do its log-ins, written in batches, make it be read again.
    let seen = [(scene.client.id, NOW + 5)];
    scene.store.seen(&seen).await.unwrap();
    assert_eq!(reads_of_a_poll(&scene.store).await, 0);
    // Nor do true sizes.
    let measured = Measured {
        seq: seq(1),
        listed: 1000,
        octets: 1234,
    };
    let sizes = [(scene.mailbox.id, measured)];
    scene.store.note_sizes(&sizes).await.unwrap();
    assert_eq!(reads_of_a_poll(&scene.store).await, 0);
    assert_eq!(poll(&scene.store).await.last_seen, Some(NOW + 5));
    scene
        .store
        .seen(&[(scene.client.id, NOW + 3)])
        .await
        .unwrap();
    assert_eq!(poll(&scene.store).await.last_seen, Some(NOW + 5));
}

#[tokio::test]
async fn what_the_bridge_writes_about_one_client_lets_the_others_be_remembered() {
    let place = Place::sqlite();
    let scene = warm(&place).await;
    let store = &scene.store;
    let mailbox = store.mailbox("imap.example:993", "shop", NOW).await;
    let new = new_client(&mailbox.unwrap(), "shop/desk");
    let other = store.add_client(&new, NOW).await.unwrap();
    let lease = store.acquire(other.id, "one", 600).await.unwrap();
    let quit = Quit {
        client: other.id,
        delivered: set(&[(1, 1)]),
        ..scene.quit(&lease.unwrap())
    };
    store.quit(&quit).await.unwrap();
    // What is committed on this connection does not look like somebody else's.
    look(store).await;
    assert_eq!(reads_of_a_poll(store).await, 0);
}

#[tokio::test]
async fn what_a_command_writes_beside_the_bridge_is_seen_by_the_next_look() {
    let place = Place::sqlite();
    let scene = warm(&place).await;
    let command = Store::open(&place.url, Purpose::Command).await.unwrap();
    let id = scene.client.id;
    command.set_client(id, r#"{"last":1}"#).await.unwrap();
    look(&scene.store).await;
    assert_eq!(poll(&scene.store).await.settings, r#"{"last":1}"#);

    command
        .trouble(scene.mailbox.id, seq(3), "no", NOW)
        .await
        .unwrap();
    look(&scene.store).await;
    let troubles = scene.store.troubles_to_show(scene.mailbox.id).await;
    assert_eq!(troubles.unwrap().len(), 1);

    command.remove_client(id, NOW).await.unwrap();
    look(&scene.store).await;
    let found = scene.store.client_by_login("info/desk").await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn when_a_command_that_changed_a_client_has_ended_the_bridge_goes_by_that() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    look(&scene.store).await;
    for settings in [r#"{"last":1}"#, r#"{"last":2}"#, r#"{"last":3}"#] {
        let command = Store::open(&place.url, Purpose::Command).await.unwrap();
        poll(&scene.store).await;
        let id = scene.client.id;
        command.set_client(id, settings).await.unwrap();
        command.close().await;
        assert_eq!(poll(&scene.store).await.settings, settings);
    }
}

#[tokio::test]
async fn only_a_bridge_is_waited_for_and_no_other_command() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    scene.store.close().await;
    drop(scene);
    let file = place.folder.as_ref().unwrap().path().join("new/state.db");
    // A process that another test starts at this moment has the file for as long as it takes to become another program.
    while is_served(&file) {
        tokio::task::yield_now().await;
    }
    let command = Store::open(&place.url, Purpose::Command).await.unwrap();
    assert!(!is_served(&file));
    command.close().await;
    let bridge = place.open().await;
    assert!(is_served(&file));
    bridge.close().await;
}

#[tokio::test]
async fn a_command_reads_everything_itself() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    let command = Store::open(&place.url, Purpose::Command).await.unwrap();
    poll(&command).await;
    scene
        .store
        .set_client(scene.client.id, "{ }")
        .await
        .unwrap();
    assert_eq!(poll(&command).await.settings, "{ }");
    assert_eq!(reads_of_a_poll(&command).await, 6);
}

#[tokio::test]
async fn a_shared_store_reads_everything_itself() {
    let place = Place::postgres();
    let scene = Scene::new(&place).await;
    poll(&scene.store).await;
    assert_eq!(reads_of_a_poll(&scene.store).await, 6);
    let other = place.open().await;
    other.set_client(scene.client.id, "{ }").await.unwrap();
    assert_eq!(poll(&scene.store).await.settings, "{ }");
}

async fn what_was_written_is_read_at_once_however_often_it_was_read_before(place: Place) {
    let scene = begun(&place).await;
    let (store, id, mailbox) = (&scene.store, scene.client.id, scene.mailbox.id);
    poll(store).await;

    let version = scene.apply(&first_listing(5)).await;
    poll(store).await;
    assert_eq!(store.version(mailbox).await.unwrap(), version);
    // One whose version is an old one writes nothing, and learns the new one.
    let stale = first_listing(5);
    let conflict = store.apply(mailbox, scene.inbox.id, version - 1, &stale, NOW);
    assert!(conflict.await.is_err());
    assert_eq!(store.version(mailbox).await.unwrap(), version);

    store.found(mailbox, seq(6)).await.unwrap();
    assert_eq!(poll(store).await.found_below, Some(seq(6)));

    let lease = scene.lease().await;
    let quit = Quit {
        deleted: set(&[(2, 2)]),
        disposing: set(&[(2, 2)]),
        intents: vec![scene.intent(2, Action::Expunge)],
        ..scene.quit(&lease)
    };
    store.quit(&quit).await.unwrap();
    assert_eq!(poll(store).await.version, scene.client.version + 1);
    assert!(store.has_intents(mailbox).await.unwrap());
    let intents = store.intents(mailbox).await.unwrap();
    store
        .intents_failed(&[intents[0].id], "no", NOW)
        .await
        .unwrap();
    assert!(store.has_intents(mailbox).await.unwrap());
    let gone = [(scene.inbox.id, seq(2))];
    let ids = [intents[0].id];
    let done = store.intents_done(mailbox, &ids, &gone, NOW);
    assert_eq!(done.await.unwrap(), Some(version + 1));
    assert!(!store.has_intents(mailbox).await.unwrap());
    assert_eq!(store.version(mailbox).await.unwrap(), version + 1);
    let again = [scene.intent(3, Action::Expunge)];
    store.add_intents(&again, NOW).await.unwrap();
    assert!(store.has_intents(mailbox).await.unwrap());
    let waiting = store.intents(mailbox).await.unwrap()[0].id;
    store
        .intents_cancelled(&[waiting], "no", NOW)
        .await
        .unwrap();
    assert!(!store.has_intents(mailbox).await.unwrap());

    store.trouble(mailbox, seq(3), "no", NOW).await.unwrap();
    assert_eq!(store.troubles_to_show(mailbox).await.unwrap().len(), 1);
    poll(store).await;
    store.trouble(mailbox, seq(3), "no", NOW).await.unwrap();
    assert_eq!(
        store.troubles_to_show(mailbox).await.unwrap(),
        store.troubles(mailbox).await.unwrap()
    );
    store.no_trouble(mailbox, seq(3)).await.unwrap();
    assert_eq!(store.troubles_to_show(mailbox).await.unwrap(), []);

    assert!(!store.has_several_clients(mailbox).await.unwrap());
    let other = new_client(&scene.mailbox, "info/phone");
    store.add_client(&other, NOW).await.unwrap();
    assert!(store.has_several_clients(mailbox).await.unwrap());
    poll(store).await;
    store.reset_client(id, NOW + 1).await.unwrap();
    assert_eq!(poll(store).await.reset_at, Some(NOW + 1));
    store.remove_client(id, NOW).await.unwrap();
    assert_eq!(store.client_by_login("info/desk").await.unwrap(), None);
    let again = new_client(&scene.mailbox, "info/desk");
    let again = store.add_client(&again, NOW).await.unwrap();
    assert_eq!(poll(store).await, again);
    let much_later = NOW + 100 * 86_400;
    store.prune(mailbox, &[], much_later).await.unwrap();
    assert_eq!(
        store.version(mailbox).await.unwrap(),
        version + 2,
        "the message that is gone was forgotten"
    );
}

async fn what_was_written_is_read_at_once_while_others_read_the_same(place: Place) {
    let scene = begun(&place).await;
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, over) = (scene.store.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    poll(&store).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let lease = scene.lease().await;
    for n in 1..=100 {
        let quit = Quit {
            delivered: set(&[(n, n)]),
            ..scene.quit(&lease)
        };
        scene.store.quit(&quit).await.unwrap();
        let version = poll(&scene.store).await.version;
        assert_eq!(version, scene.client.version + i64::from(n));
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
