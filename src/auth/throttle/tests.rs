//! By paused time: a wait is over at once and is as long as it says.

use super::*;

const FIRST: Duration = Duration::from_secs(2);

fn from(text: &str) -> Origin {
    Origin::of(text.parse().unwrap())
}

/// What is shown the `n`th time.
fn shown(n: usize) -> Sealed {
    let mut sealed = [0; 32];
    sealed[..8].copy_from_slice(&n.to_be_bytes());
    sealed
}

/// How long a try has waited, if it was looked at.
async fn wait(
    throttle: &Throttle,
    origin: &str,
    mailbox: &str,
) -> (Duration, Result<Turn, Denied>) {
    let began = Instant::now();
    let turn = throttle.turn(from(origin), mailbox, &new(), FIRST).await;
    (began.elapsed(), turn)
}

/// What nobody has shown yet.
fn new() -> Sealed {
    static SHOWN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1 << 32);
    shown(SHOWN.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
}

async fn is_let_in(throttle: &Throttle, origin: &str, mailbox: &str) -> Duration {
    let (waited, turn) = wait(throttle, origin, mailbox).await;
    throttle.succeeded(turn.unwrap_or_else(|denied| panic!("{denied:?}")));
    waited
}

/// Guesses as fast as it is let, by `many` connections, for so long; gives how many passwords were looked at.
async fn guesses(
    throttle: &Arc<Throttle>,
    many: usize,
    time: Duration,
    origin: fn(usize) -> String,
    mailbox: fn(usize) -> String,
) -> usize {
    let looked_at = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let end = Instant::now() + time;
    let mut guessers = tokio::task::JoinSet::new();
    for n in 0..many {
        let (throttle, looked_at) = (Arc::clone(throttle), Arc::clone(&looked_at));
        guessers.spawn(async move {
            while Instant::now() < end {
                let turn = throttle
                    .turn(from(&origin(n)), &mailbox(n), &new(), FIRST)
                    .await;
                let Ok(turn) = turn else {
                    tokio::time::sleep(FIRST).await;
                    continue;
                };
                // The upstream needs a moment, too.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let guess = looked_at.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                throttle.failed(turn, shown(guess));
            }
        });
    }
    while guessers.join_next().await.is_some() {}
    looked_at.load(std::sync::atomic::Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn many_connections_of_one_source_guess_less_than_once_a_second() {
    let minutes = Duration::from_secs(5 * 60);
    let one_mailbox = |_: usize| "info".to_owned();
    let one_source = |_: usize| "192.0.2.1".to_owned();
    let network = |n: usize| format!("2001:db8:0:1::{n:x}");
    let all_mailboxes = |n: usize| format!("info{n}");
    for (origin, mailbox) in [
        (
            one_source as fn(usize) -> String,
            one_mailbox as fn(usize) -> String,
        ),
        (one_source, all_mailboxes),
        (network, all_mailboxes),
    ] {
        let throttle = Arc::new(Throttle::default());
        let looked_at = guesses(&throttle, 64, minutes, origin, mailbox).await;
        assert!((10..40).contains(&looked_at), "{looked_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_sources_guess_at_one_mailbox_about_every_four_seconds() {
    let throttle = Arc::new(Throttle::default());
    let sources = |n: usize| format!("192.0.2.{n}");
    let looked_at = guesses(
        &throttle,
        100,
        Duration::from_secs(400),
        sources,
        |_: usize| "info".to_owned(),
    );
    let looked_at = looked_at.await;
    // Those of the first moment, and 400 / 4.
    assert!((150..=210).contains(&looked_at), "{looked_at}");
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_password_costs_nothing_but_its_own_pause() {
    let throttle = Throttle::default();
    for typos in 1..=2 {
        let (waited, turn) = wait(&throttle, "192.0.2.1", "ann").await;
        assert!(waited <= FIRST, "{typos}");
        throttle.failed(turn.ok().unwrap(), shown(typos));
        // The answer is held back for so long.
        tokio::time::sleep(FIRST).await;
    }
    assert!(is_let_in(&throttle, "192.0.2.1", "ann").await <= FIRST);
    assert_eq!(
        is_let_in(&throttle, "192.0.2.1", "ann").await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn who_was_let_in_from_a_source_waits_for_nobody_who_guesses_there_or_elsewhere() {
    let throttle = Arc::new(Throttle::default());
    is_let_in(&throttle, "192.0.2.1", "info").await;
    let (here, elsewhere) = (
        |_: usize| "192.0.2.1".to_owned(),
        |n: usize| format!("192.0.2.{}", n + 2),
    );
    let (others, at_info) = (|n: usize| format!("other{n}"), |_: usize| "info".to_owned());
    for (origin, mailbox) in [
        (here as fn(usize) -> String, others as fn(usize) -> String),
        (elsewhere, at_info),
    ] {
        let minute = Duration::from_secs(60);
        let guessing = guesses(&throttle, 16, minute, origin, mailbox);
        let polling = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                assert_eq!(
                    is_let_in(&throttle, "192.0.2.1", "info").await,
                    Duration::ZERO
                );
            }
        };
        tokio::join!(guessing, polling);
    }
    // Somebody at a third place has nothing to do with any of it.
    assert_eq!(
        is_let_in(&throttle, "198.51.100.1", "ann").await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_knows_a_mailbox_may_not_guess_at_it_even_while_somebody_there_is_let_in() {
    let throttle = Arc::new(Throttle::default());
    is_let_in(&throttle, "192.0.2.1", "info").await;
    let one = |_: usize| "192.0.2.1".to_owned();
    let guessing = guesses(&throttle, 64, Duration::from_secs(300), one, |_: usize| {
        "info".to_owned()
    });
    let polling = async {
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let (_, Ok(turn)) = wait(&throttle, "192.0.2.1", "info").await {
                throttle.succeeded(turn);
            }
        }
    };
    let (looked_at, ()) = tokio::join!(guessing, polling);
    assert!((5..60).contains(&looked_at), "{looked_at}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_shows_an_old_password_slows_nobody_down() {
    let throttle = Throttle::default();
    for _ in 0..100 {
        let (_, turn) = wait(&throttle, "192.0.2.1", "desk1").await;
        throttle.failed(turn.ok().unwrap(), shown(1));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(
        is_let_in(&throttle, "192.0.2.1", "desk2").await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn an_office_that_comes_back_after_a_restart_gets_in() {
    let throttle = Arc::new(Throttle::default());
    let mut office = tokio::task::JoinSet::new();
    for n in 0..50 {
        let throttle = Arc::clone(&throttle);
        office.spawn(async move {
            let (_, turn) = wait(&throttle, "192.0.2.1", &format!("desk{n}")).await;
            // A slow upstream.
            tokio::time::sleep(Duration::from_secs(1)).await;
            throttle.succeeded(turn.unwrap_or_else(|denied| panic!("{denied:?}")));
        });
    }
    let began = Instant::now();
    while let Some(client) = office.join_next().await {
        client.unwrap();
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_try_whose_turn_is_far_away_is_refused_and_takes_no_turn() {
    let throttle = Throttle::default();
    for n in 0..10 {
        if let (_, Ok(turn)) = wait(&throttle, "192.0.2.1", &format!("a{n}")).await {
            throttle.failed(turn, shown(n));
        }
    }
    for _ in 0..100 {
        let (waited, turn) = wait(&throttle, "192.0.2.1", "b").await;
        assert!(matches!(turn, Err(Denied::TooSoon(left)) if left > PATIENCE && left <= 8 * FIRST));
        assert_eq!(waited, Duration::ZERO);
    }
    tokio::time::sleep(8 * FIRST).await;
    assert_eq!(is_let_in(&throttle, "192.0.2.1", "b").await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_try_of_which_nothing_is_known_is_no_wrong_one() {
    let throttle = Throttle::default();
    for _ in 0..100 {
        // The upstream was down.
        let (waited, turn) = wait(&throttle, "192.0.2.1", "info").await;
        assert_eq!(waited, Duration::ZERO);
        drop(turn.ok().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_pause_nobody_waits() {
    let throttle = Throttle::default();
    for n in 0..100 {
        let turn = throttle
            .turn(from("192.0.2.1"), "info", &new(), Duration::ZERO)
            .await;
        throttle.failed(turn.ok().unwrap(), shown(n));
    }
    assert_eq!(
        is_let_in(&throttle, "192.0.2.1", "info").await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn one_wrong_password_shown_by_many_connections_keeps_nobody_else_out() {
    let throttle = Arc::new(Throttle::default());
    let mut stubborn = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let throttle = Arc::clone(&throttle);
        stubborn.spawn(async move {
            loop {
                let shown = shown(1);
                let turn = throttle.turn(from("192.0.2.1"), "info", &shown, FIRST);
                match turn.await {
                    Ok(turn) => throttle.failed(turn, shown),
                    Err(_) => tokio::time::sleep(FIRST / 4).await,
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for n in 0..20 {
        tokio::time::sleep(FIRST).await;
        let waited = is_let_in(&throttle, &format!("198.51.100.{n}"), "info").await;
        assert_eq!(waited, Duration::ZERO, "{n}");
    }
    // Another device at the same address.
    assert_eq!(
        is_let_in(&throttle, "192.0.2.1", "desk2").await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_guess_do_not_fill_the_row_at_a_mailbox() {
    let throttle = Arc::new(Throttle::default());
    let mut guessers = tokio::task::JoinSet::new();
    for n in 0..40_usize {
        let throttle = Arc::clone(&throttle);
        guessers.spawn(async move {
            loop {
                let origin = from(&format!("192.0.2.{}", n % 4));
                match throttle.turn(origin, "info", &new(), FIRST).await {
                    Ok(turn) => throttle.failed(turn, new()),
                    Err(_) => tokio::time::sleep(FIRST / 4).await,
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for n in 0..20 {
        tokio::time::sleep(FIRST).await;
        is_let_in(&throttle, &format!("198.51.100.{n}"), "info").await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_clients_of_one_mailbox_come_back_at_once_from_one_address() {
    let throttle = Arc::new(Throttle::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let throttle = Arc::clone(&throttle);
        clients.spawn(async move {
            let (_, turn) = wait(&throttle, "192.0.2.1", "info").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            throttle.succeeded(turn.unwrap_or_else(|denied| panic!("{denied:?}")));
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}
