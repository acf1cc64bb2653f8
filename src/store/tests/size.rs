//! What a large mailbox costs. Run by hand: `cargo test --lib store::tests::size -- --ignored --nocapture`

use std::time::Instant;

use super::on_both_engines;
use super::support::postgres::Postgres;
use super::support::{NOW, Place, Scene, first_listing, new_client, set};
use crate::store::Quit;

/// Messages in the mailbox.
const MANY: u32 = 100_000;

macro_rules! by_hand {
    ($($test:ident $place:ident),*) => {$(
        #[tokio::test]
        #[ignore = "prints figures and checks little"]
        async fn $test() {
            figures(Place::$place()).await;
        }
    )*};
}
by_hand!(a_large_mailbox_on_sqlite sqlite, a_large_mailbox_on_postgresql postgres);

on_both_engines!(a_mailbox_of_many_messages_is_no_burden);

/// The same with fewer messages: large enough for several statements and pages.
async fn a_mailbox_of_many_messages_is_no_burden(place: Place) {
    let scene = fill(&place, 5_000).await;
    let (register, ..) = scene.store.register(scene.inbox.id).await.unwrap().unwrap();
    assert_eq!(register.index.messages.len(), 5_000);
    if let Some(folder) = &place.folder {
        scene.store.close().await;
        let size = folder.path().join("new/state.db").metadata().unwrap().len();
        // Each table and each index has a page of its own, whatever is in it.
        assert!(size < 55 * 5_000 + 24 * 4096, "{size} octets");
    }
}

async fn fill(place: &Place, count: u32) -> Scene {
    let scene = Scene::new(place).await;
    let listing = first_listing(count);
    let start = Instant::now();
    scene.apply(&listing).await;
    println!("apply of {count} new messages: {:?}", start.elapsed());
    for n in 0..10 {
        let new = new_client(&scene.mailbox, &format!("info/{n}"));
        let client = scene.store.add_client(&new, NOW).await.unwrap();
        let lease = scene
            .store
            .acquire(client.id, "one", 600)
            .await
            .unwrap()
            .unwrap();
        let quit = Quit {
            client: client.id,
            delivered: set(&[(1, count)]),
            ..scene.quit(&lease)
        };
        scene.store.quit(&quit).await.unwrap();
    }
    scene
}

async fn figures(place: Place) {
    let scene = fill(&place, MANY).await;
    for _ in 0..2 {
        let start = Instant::now();
        let (register, ..) = scene.store.register(scene.inbox.id).await.unwrap().unwrap();
        println!(
            "register of {} messages: {:?}",
            register.entries.len(),
            start.elapsed()
        );
    }
    let gone = crate::maildrop::Delta {
        gone: first_listing(MANY)
            .new
            .iter()
            .map(|message| message.seq)
            .collect(),
        ..super::support::delta(MANY + 1)
    };
    scene.store.close().await;
    match &place.folder {
        Some(folder) => {
            let size = folder.path().join("new/state.db").metadata().unwrap().len();
            println!("the file: {size} octets");
        }
        None => {
            let size =
                Postgres::shared().sql(&place.url, "SELECT pg_database_size(current_database())");
            println!("the database: {size} octets");
        }
    }
    let scene = Scene {
        store: place.reopen(scene.store).await,
        ..scene
    };
    let start = Instant::now();
    scene.apply(&gone).await;
    println!("apply of {MANY} gone: {:?}", start.elapsed());
}
