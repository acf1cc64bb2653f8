//! Clients and their marks.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, first_listing, new_client, seq, set};
use crate::policy::{Action, Marks};
use crate::secret::StoredPassword;
use crate::store::{NewClient, Quit, StoreError};

on_both_engines!(
    a_client_is_found_by_its_login_as_it_was_made,
    a_login_is_one_clients_until_it_is_removed,
    settings_password_and_last_seen_can_be_changed,
    what_a_quit_wrote_down_is_there_after_a_restart,
    a_quit_that_fails_leaves_nothing_behind,
    ranges_that_overlap_are_kept_together,
    a_reset_client_has_had_nothing,
    a_removed_clients_marks_stay_for_seven_days,
    marks_of_messages_that_are_forgotten_are_forgotten,
    many_quits_at_once_are_all_kept,
    a_quit_whose_caller_gave_up_is_whole,
);

async fn a_client_is_found_by_its_login_as_it_was_made(place: Place) {
    let scene = Scene::new(&place).await;
    let new = NewClient {
        mailbox: scene.mailbox.id,
        login: "O'Brien@example.com/ä".to_owned(),
        name: "ä".to_owned(),
        named: false,
        account: Some("shop".to_owned()),
        password: Some(StoredPassword::from_text("k1$abc".to_owned())),
        settings: r#"{"view":"all"}"#.to_owned(),
    };
    let made = scene.store.add_client(&new, NOW).await.unwrap();
    let found = scene
        .store
        .client_by_login(&new.login)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, made);
    assert_eq!(found.password.as_ref().unwrap().as_text(), "k1$abc");
    assert_eq!(
        (found.account.as_deref(), found.named),
        (Some("shop"), false)
    );
    assert_eq!((found.enrolled_at, found.last_seen), (NOW, None));
    assert_eq!(scene.store.client_by_login("o'brien").await.unwrap(), None);
    let all = scene.store.clients(Some(scene.mailbox.id)).await.unwrap();
    assert_eq!(all, [scene.client, made]);
    assert_eq!(scene.store.clients(None).await.unwrap(), all);
}

async fn a_login_is_one_clients_until_it_is_removed(place: Place) {
    let Scene {
        store,
        mailbox,
        client,
        ..
    } = Scene::new(&place).await;
    let new = new_client(&mailbox, "info/desk");
    let taken = store.add_client(&new, NOW).await;
    assert_eq!(taken, Err(StoreError::Taken("info/desk".to_owned())));
    store.remove_client(client.id, NOW).await.unwrap();
    assert_eq!(store.client_by_login("info/desk").await.unwrap(), None);
    assert!(matches!(
        store.remove_client(client.id, NOW).await,
        Err(StoreError::NoSuch(_))
    ));
    let again = store.add_client(&new, NOW).await.unwrap();
    assert_ne!(again.id, client.id);
    assert_eq!(store.clients(None).await.unwrap()[0].removed_at, Some(NOW));
}

async fn settings_password_and_last_seen_can_be_changed(place: Place) {
    let Scene { store, client, .. } = Scene::new(&place).await;
    let password = StoredPassword::from_text("k1$new".to_owned());
    store.set_client(client.id, r#"{"last":1}"#).await.unwrap();
    store.set_password(client.id, &password).await.unwrap();
    store.seen(&[(client.id, NOW + 5)]).await.unwrap();
    store.seen(&[(client.id, NOW + 3)]).await.unwrap();
    let now = store.client_by_login("info/desk").await.unwrap().unwrap();
    assert_eq!(now.settings, r#"{"last":1}"#);
    assert_eq!(now.password, Some(password));
    assert_eq!(now.last_seen, Some(NOW + 5));
    let nobody = crate::store::types::ClientId(77);
    assert!(matches!(
        store.set_client(nobody, "{}").await,
        Err(StoreError::NoSuch(_))
    ));
    assert!(matches!(
        store.marks(nobody).await,
        Err(StoreError::NoSuch(_))
    ));
}

async fn what_a_quit_wrote_down_is_there_after_a_restart(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(20)).await;
    let lease = scene.lease().await;
    let quit = Quit {
        delivered: set(&[(1, 10), (15, 15)]),
        deleted: set(&[(1, 3), (7, 9)]),
        disposing: set(&[(2, 2)]),
        without_quit: set(&[(16, 17)]),
        intents: vec![scene.intent(2, Action::Expunge)],
        ..scene.quit(&lease)
    };
    scene.store.quit(&quit).await.unwrap();
    let store = place.reopen(scene.store).await;
    let (version, marks) = store.marks(scene.client.id).await.unwrap();
    let expected = Marks {
        delivered: quit.delivered,
        deleted: quit.deleted,
        disposing: quit.disposing,
        without_quit: quit.without_quit,
    };
    assert_eq!(marks, expected);
    assert_eq!(version, scene.client.version + 1);
    let intents = store.intents(scene.mailbox.id).await.unwrap();
    assert_eq!(intents[0].new, quit.intents[0]);
}

async fn a_quit_that_fails_leaves_nothing_behind(place: Place) {
    let scene = Scene::new(&place).await;
    let lease = scene.lease().await;
    let mut intent = scene.intent(1, Action::Trash);
    intent.folder = crate::store::types::FolderId(99);
    let quit = Quit {
        delivered: set(&[(1, 1)]),
        intents: vec![intent],
        ..scene.quit(&lease)
    };
    assert!(scene.store.quit(&quit).await.is_err());
    let (version, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!((version, marks), (scene.client.version, Marks::default()));
}

async fn ranges_that_overlap_are_kept_together(place: Place) {
    let scene = Scene::new(&place).await;
    let lease = scene.lease().await;
    for ranges in [[(1, 9)], [(1, 4)], [(3, 12)], [(20, 20)], [(20, 30)]] {
        let quit = Quit {
            delivered: set(&ranges),
            ..scene.quit(&lease)
        };
        scene.store.quit(&quit).await.unwrap();
    }
    let (_, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered, set(&[(1, 12), (20, 30)]));
}

async fn a_reset_client_has_had_nothing(place: Place) {
    let scene = Scene::new(&place).await;
    let lease = scene.lease().await;
    let quit = Quit {
        deleted: set(&[(1, 1)]),
        ..scene.quit(&lease)
    };
    scene.store.quit(&quit).await.unwrap();
    scene
        .store
        .reset_client(scene.client.id, NOW + 9)
        .await
        .unwrap();
    let (version, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks, Marks::default());
    assert!(version > scene.client.version + 1);
    let client = scene
        .store
        .client_by_login("info/desk")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(client.reset_at, Some(NOW + 9));
}

async fn a_removed_clients_marks_stay_for_seven_days(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let lease = scene.lease().await;
    let quit = Quit {
        delivered: set(&[(3, 3)]),
        ..scene.quit(&lease)
    };
    scene.store.quit(&quit).await.unwrap();
    let (store, id) = (&scene.store, scene.client.id);
    store.remove_client(id, NOW).await.unwrap();
    store
        .prune(scene.mailbox.id, &[], NOW + 7 * 86_400)
        .await
        .unwrap();
    assert!(store.marks(id).await.unwrap().1.delivered.contains(seq(3)));
    store
        .prune(scene.mailbox.id, &[], NOW + 7 * 86_400 + 1)
        .await
        .unwrap();
    assert_eq!(store.clients(None).await.unwrap(), []);
}

async fn marks_of_messages_that_are_forgotten_are_forgotten(place: Place) {
    let scene = Scene::new(&place).await;
    let mut listing = first_listing(9);
    listing.new.retain(|message| message.seq.get() > 5);
    scene.apply(&listing).await;
    let lease = scene.lease().await;
    for ranges in [[(1, 4)], [(5, 6)]] {
        let quit = Quit {
            delivered: set(&ranges),
            ..scene.quit(&lease)
        };
        scene.store.quit(&quit).await.unwrap();
    }
    scene.store.prune(scene.mailbox.id, &[], NOW).await.unwrap();
    let (_, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered, set(&[(5, 6)]));
}

async fn many_quits_at_once_are_all_kept(place: Place) {
    let scene = Scene::new(&place).await;
    let lease = scene.lease().await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = scene.store.clone();
            let quit = Quit {
                delivered: set(&[(2 * n + 1, 2 * n + 1)]),
                ..scene.quit(&lease)
            };
            tokio::spawn(async move { store.quit(&quit).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = place.reopen(scene.store).await;
    let (_, marks) = store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered.len(), 200);
}

async fn a_quit_whose_caller_gave_up_is_whole(place: Place) {
    let scene = Scene::new(&place).await;
    let lease = scene.lease().await;
    for n in 0..50 {
        let quit = Quit {
            delivered: set(&[(2 * n + 1, 2 * n + 1)]),
            deleted: set(&[(2 * n + 1, 2 * n + 1)]),
            ..scene.quit(&lease)
        };
        let given_up = scene.store.quit(&quit);
        // Polled a few times, each time a little longer, then dropped.
        let mut given_up = Box::pin(given_up);
        for _ in 0..=n {
            if poll_once(given_up.as_mut()).await {
                break;
            }
        }
    }
    // Behind all of them in the queue, or after their transactions: the client's row is theirs until they end.
    scene.store.quit(&scene.quit(&lease)).await.unwrap();
    let store = place.reopen(scene.store).await;
    let (_, marks) = store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered, marks.deleted);
}

/// One poll; whether that was the last one.
async fn poll_once<F: Future + ?Sized>(mut future: std::pin::Pin<&mut F>) -> bool {
    let ready =
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready()))
            .await;
    tokio::task::yield_now().await;
    ready
}
