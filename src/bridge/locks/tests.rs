use super::*;
use crate::store::NewClient;
use crate::store::tests::support::Place;

/// A store with one client, and the locks of a bridge on it.
async fn scene() -> (Place, Arc<Locks>, ClientId) {
    scene_on(Place::sqlite()).await
}

async fn scene_on(place: Place) -> (Place, Arc<Locks>, ClientId) {
    let store = place.open().await;
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
    let locks = Arc::new(Locks::new(store, "here".to_owned()));
    (place, locks, client)
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
    let (_place, locks, client) = scene().await;
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
    let (_place, locks, client) = scene().await;
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
    let (_place, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap().unwrap();
    let listing = session(lock, &first);
    Pulse::hung_up(&first);
    assert!(locks.acquire(client, &second).await.unwrap().is_some());
    listing.await.unwrap();
}

#[tokio::test]
async fn a_log_in_that_is_given_up_while_it_waits_leaves_no_lock_behind() {
    let (_place, locks, client) = scene().await;
    let (first, second) = (Arc::default(), Arc::default());
    let lock = locks.acquire(client, &first).await.unwrap();
    let waiting = locks.acquire(client, &second);
    let given_up = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    assert!(given_up.is_err());
    drop(lock);
    assert!(locks.acquire(client, &second).await.unwrap().is_some());
}

async fn is_ended(pulse: &Pulse) -> bool {
    let ended = tokio::time::timeout(Duration::ZERO, pulse.ended());
    ended.await.is_ok()
}

#[tokio::test]
async fn a_lease_that_is_lost_ends_the_session_that_had_it_and_not_the_next_one_of_its_client() {
    let (_place, locks, client) = scene().await;
    let pulse = Arc::default();
    let lock = locks.acquire(client, &pulse).await.unwrap().unwrap();
    let mut earlier = lock.lease().clone();
    earlier.epoch -= 1;
    locks.end_session_of(&earlier);
    assert!(!is_ended(&pulse).await);
    locks.end_session_of(lock.lease());
    assert!(is_ended(&pulse).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_ended_because_leases_are_renewed_while_some_are_given_back() {
    let (_place, locks, client) = scene_on(Place::postgres()).await;
    let renewing = Arc::clone(&locks);
    let renewing = tokio::spawn(async move {
        loop {
            renewing.renew().await;
            tokio::task::yield_now().await;
        }
    });
    for round in 0..300 {
        let pulse = Arc::default();
        let lock = locks.acquire(client, &pulse).await.unwrap().unwrap();
        lock.release().await;
        assert!(!is_ended(&pulse).await, "round {round}");
    }
    renewing.abort();
}
