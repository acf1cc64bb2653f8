use super::*;
use crate::store::{NewClient, Purpose};

/// A store with one client, and the locks of a bridge on it.
async fn scene() -> (tempfile::TempDir, Arc<Locks>, ClientId) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("state.db").display());
    let store = Store::open(&url, Purpose::Serve).await.unwrap();
    let mailbox = store.mailbox("imap.example.com:993", "info", 0).await;
    let new = NewClient {
        mailbox: mailbox.unwrap().id,
        login: "desk1".to_owned(),
        name: "desk1".to_owned(),
        named: true,
        account: Some("info".to_owned()),
        password: None,
        settings: "{}".to_owned(),
    };
    let client = store.add_client(&new, 0).await.unwrap().id;
    (
        folder,
        Arc::new(Locks::new(store, "here".to_owned())),
        client,
    )
}

/// So much time goes by in which nothing happens. Otherwise the clock runs, because the store works on threads of its own.
async fn nothing_for(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// A session that has the maildrop until it is told to end.
fn session(lock: Lock, pulse: &Arc<Pulse>) -> tokio::task::JoinHandle<()> {
    let pulse = Arc::clone(pulse);
    tokio::spawn(async move {
        pulse.ended().await;
        drop(lock);
    })
}

#[tokio::test]
async fn a_session_without_progress_for_half_a_minute_gives_way_to_its_own_client() {
    let (_folder, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap().unwrap();
    let dead = session(lock, &first);
    nothing_for(29).await;
    assert!(locks.acquire(client, &second).await.unwrap().is_none());
    assert!(!dead.is_finished());
    nothing_for(1).await;
    let lock = locks.acquire(client, &second).await.unwrap();
    assert!(lock.is_some());
    dead.await.unwrap();
    // And the new one is nobody's to take.
    assert!(locks.acquire(client, &first).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_goes_on_gives_nothing_up_however_long_it_takes() {
    let (_folder, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap().unwrap();
    let slow = session(lock, &first);
    for _ in 0..5 {
        nothing_for(20).await;
        Pulse::beat(&first);
    }
    assert!(locks.acquire(client, &second).await.unwrap().is_none());
    assert!(!slow.is_finished());
    slow.abort();
}

#[tokio::test]
async fn a_session_whose_client_has_hung_up_gives_way_at_once() {
    let (_folder, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap().unwrap();
    let listing = session(lock, &first);
    Pulse::hung_up(&first);
    assert!(locks.acquire(client, &second).await.unwrap().is_some());
    listing.await.unwrap();
}

#[tokio::test]
async fn a_log_in_that_is_given_up_while_it_waits_leaves_no_lock_behind() {
    let (_folder, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap();
    let waiting = locks.acquire(client, &second);
    let given_up = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    assert!(given_up.is_err());
    drop(lock);
    assert!(locks.acquire(client, &second).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lease_that_was_given_back_while_the_store_was_asked_ends_neither_this_session_nor_the_next()
 {
    let (_folder, locks, client) = scene().await;
    let lease = |epoch| Lease {
        client,
        epoch,
        holder: "here".to_owned(),
    };
    let pulse = Arc::<Pulse>::default();
    let lock = locks.acquire(client, &pulse).await.unwrap().unwrap();
    let is_ended = || {
        let ended = pulse.ended();
        async { tokio::time::timeout(Duration::ZERO, ended).await.is_ok() }
    };
    let stands_on = |epoch| {
        if let Some(held) = locks.table().get_mut(&client) {
            held.lease = Some(lease(epoch));
        }
    };
    // The next session of the client stands on another lease than the one that was asked for.
    stands_on(8);
    locks.end_without(&[lease(7)]);
    assert!(!is_ended().await);
    // One that is saying good-bye needs none.
    lock.leave();
    locks.end_without(&[lease(8)]);
    assert!(!is_ended().await);
    // But one that has lost its own does end.
    stands_on(8);
    locks.end_without(&[lease(8)]);
    assert!(is_ended().await);
}
