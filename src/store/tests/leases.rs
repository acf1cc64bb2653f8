//! The lock on a client's maildrop, which is in the database only where several bridges share it.

use super::support::postgres::Postgres;
use super::support::{NOW, Place, Scene, seq, set};
use crate::policy::{Action, Marks};
use crate::store::{Quit, StoreError};

#[tokio::test]
async fn on_sqlite_the_lock_is_the_bridges_own_business() {
    let scene = Scene::new(&Place::sqlite()).await;
    let lease = scene.lease().await;
    assert_eq!(lease.epoch, 0);
    assert_eq!(scene.lease().await, lease);
    let lost = scene.store.renew(&[(lease.clone(), 0)]).await.unwrap();
    assert_eq!(lost, []);
    scene.store.release(&lease).await.unwrap();
}

/// A scene, and a way to make the database's clock run: everything in it was so many seconds earlier.
struct Shared {
    place: Place,
    scene: Scene,
}

impl Shared {
    async fn new() -> Self {
        let place = Place::postgres();
        let scene = Scene::new(&place).await;
        Self { place, scene }
    }

    fn later(&self, seconds: i64) {
        let statement = format!(
            "UPDATE lease SET expires_at = expires_at - {seconds}, progress_at = progress_at - {seconds}"
        );
        Postgres::shared().sql(&self.place.url, &statement);
    }
}

#[tokio::test]
async fn a_maildrop_is_one_sessions_at_a_time() {
    let Shared { scene, .. } = Shared::new().await;
    let (store, client) = (&scene.store, scene.client.id);
    let lease = scene.lease().await;
    assert_eq!((lease.epoch, lease.holder.as_str()), (1, "one"));
    assert_eq!(store.acquire(client, "two", 600).await.unwrap(), None);
    assert_eq!(
        store.acquire(client, "one", 600).await.unwrap(),
        None,
        "not twice either"
    );
    store.release(&lease).await.unwrap();
    let next = store.acquire(client, "two", 600).await.unwrap().unwrap();
    assert_eq!(next.epoch, 2);
    store.release(&lease).await.unwrap();
    assert_eq!(
        store.acquire(client, "one", 600).await.unwrap(),
        None,
        "that was not its own any more"
    );
}

#[tokio::test]
async fn a_lease_that_nobody_renews_is_taken_over() {
    let shared = Shared::new().await;
    let (store, client) = (&shared.scene.store, shared.scene.client.id);
    let dead = shared.scene.lease().await;
    // The database's own clock goes on meanwhile.
    shared.later(40);
    assert_eq!(store.acquire(client, "two", 600).await.unwrap(), None);
    shared.later(21);
    let taken = store.acquire(client, "two", 600).await.unwrap().unwrap();
    assert_eq!(taken.epoch, 2);
    let lost = store.renew(&[(dead.clone(), 0), (taken, 0)]).await.unwrap();
    assert_eq!(lost, [dead]);
}

#[tokio::test]
async fn a_renewed_lease_is_kept_while_its_session_goes_on() {
    let shared = Shared::new().await;
    let (store, client) = (&shared.scene.store, shared.scene.client.id);
    let lease = shared.scene.lease().await;
    for _ in 0..20 {
        shared.later(50);
        assert_eq!(store.renew(&[(lease.clone(), 0)]).await.unwrap(), []);
    }
    assert_eq!(store.acquire(client, "two", 600).await.unwrap(), None);
    // Its bridge lives, but nothing has come from its client for so long.
    assert_eq!(store.renew(&[(lease.clone(), 601)]).await.unwrap(), []);
    assert_eq!(store.acquire(client, "two", 700).await.unwrap(), None);
    assert!(store.acquire(client, "two", 600).await.unwrap().is_some());
}

#[tokio::test]
async fn a_quit_of_one_who_has_lost_the_maildrop_writes_nothing() {
    let shared = Shared::new().await;
    let scene = &shared.scene;
    let lease = scene.lease().await;
    let quit = Quit {
        delivered: set(&[(1, 1)]),
        deleted: set(&[(1, 1)]),
        intents: vec![scene.intent(1, Action::Expunge)],
        ..scene.quit(&lease)
    };
    shared.later(61);
    let taken = scene
        .store
        .acquire(scene.client.id, "two", 600)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(scene.store.quit(&quit).await, Err(StoreError::LeaseLost));
    let (version, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!((version, marks), (scene.client.version, Marks::default()));
    assert_eq!(scene.store.intents(scene.mailbox.id).await.unwrap(), []);
    let quit = Quit {
        lease: taken,
        intents: Vec::new(),
        ..quit
    };
    scene.store.quit(&quit).await.unwrap();
    assert!(
        scene
            .store
            .marks(scene.client.id)
            .await
            .unwrap()
            .1
            .deleted
            .contains(seq(1))
    );
}

#[tokio::test]
async fn two_bridges_see_what_the_other_has_written() {
    let shared = Shared::new().await;
    let other = shared.place.open().await;
    let scene = &shared.scene;
    let lease = scene.lease().await;
    assert_eq!(
        other.acquire(scene.client.id, "two", 600).await.unwrap(),
        None
    );
    let quit = Quit {
        delivered: set(&[(1, 5)]),
        at: NOW,
        ..scene.quit(&lease)
    };
    scene.store.quit(&quit).await.unwrap();
    scene.store.release(&lease).await.unwrap();
    assert!(
        other
            .acquire(scene.client.id, "two", 600)
            .await
            .unwrap()
            .is_some()
    );
    let (_, marks) = other.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered, set(&[(1, 5)]));
    other.close().await;
}
