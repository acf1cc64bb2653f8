//! Octets, connections and the pace of log-ins, of all instances together.

use std::time::Duration;

use super::on_both_engines;
use super::support::postgres::Postgres;
use super::support::{NOW, Place, Scene};
use crate::store::{Caps, Claimed, Connecting, Hour, MailboxId, Purpose, Store, Waits};

/// Nobody waits.
const NONE: Waits = Waits {
    mailbox: 0,
    host: 0,
    again: false,
};

on_both_engines!(
    octets_of_an_hour_are_added_up,
    what_was_spent_survives_a_restart,
    hours_that_are_long_past_are_forgotten,
);

const HOUR: i64 = 500_000;
const MAILBOX: &str = "imap.example:993/info";
const HOST: &str = "imap.example:993";

fn hours(hours: &[(i64, u64)]) -> Vec<Hour> {
    let hours = hours.iter();
    hours
        .map(|(hour, bytes)| Hour {
            hour: *hour,
            bytes: *bytes,
        })
        .collect()
}

async fn octets_of_an_hour_are_added_up(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, one) = (&scene.store, scene.mailbox.id);
    let two = store
        .mailbox("imap.example:993", "two", NOW)
        .await
        .unwrap()
        .id;
    store.spend(&[(one, 10)], HOUR - 30, 0).await.unwrap();
    store
        .spend(&[(two, 500), (one, 20)], HOUR, 0)
        .await
        .unwrap();
    let total = store.spend(&[(one, 7), (two, 0)], HOUR, HOUR - 24).await;
    let hour = |bytes| Hour { hour: HOUR, bytes };
    assert_eq!(total.unwrap(), [(one, hour(27)), (two, hour(500))]);
    let all = store.spent(one, 0).await.unwrap();
    assert_eq!(all, hours(&[(HOUR - 30, 10), (HOUR, 27)]));
    let other = store.spent(MailboxId::made_up(999), 0).await.unwrap();
    assert_eq!(other, []);
}

async fn what_was_spent_survives_a_restart(place: Place) {
    let scene = Scene::new(&place).await;
    let mailbox = scene.mailbox.id;
    scene.store.spend(&[(mailbox, 5)], HOUR, 0).await.unwrap();
    let store = place.reopen(scene.store).await;
    assert_eq!(store.spent(mailbox, 0).await.unwrap(), hours(&[(HOUR, 5)]));
}

async fn hours_that_are_long_past_are_forgotten(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    for hour in 0..30 {
        store.spend(&[(mailbox, 1)], HOUR + hour, 0).await.unwrap();
    }
    store.forget_spent(HOUR + 28).await.unwrap();
    let left = store.spent(mailbox, 0).await.unwrap();
    assert_eq!(left, hours(&[(HOUR + 28, 1), (HOUR + 29, 1)]));
}

#[tokio::test]
async fn on_sqlite_connections_and_log_ins_are_the_bridges_own_business() {
    let store = Place::sqlite().open().await;
    let none = Caps {
        mailbox: Some(0),
        host: Some(0),
        ..Caps::default()
    };
    let claimed = store
        .claim("one", &connecting(1), none, NONE)
        .await
        .unwrap();
    assert_eq!(claimed, Claimed::Yes);
    store.alive("one", &[], &[], 1).await.unwrap();
    assert_eq!(store.wanted("two").await.unwrap(), []);
    assert_eq!(turn(&store, 0).await, None);
    store.leave("one").await.unwrap();
}

fn connecting(number: i64) -> Connecting {
    Connecting {
        number,
        mailbox: MAILBOX.to_owned(),
        host: HOST.to_owned(),
    }
}

const TWO: Caps = Caps {
    mailbox: Some(2),
    host: None,
    lasting: None,
};

/// Two bridges, `one` and `two`, with stores of their own on one database.
struct Both {
    place: Place,
    one: Store,
    two: Store,
}

impl Both {
    async fn new() -> Self {
        let place = Place::postgres();
        let (one, two) = (place.open().await, place.open().await);
        Self { place, one, two }
    }

    async fn claim(&self, holder: &str, number: i64, caps: Caps) -> Claimed {
        let store = if holder == "one" {
            &self.one
        } else {
            &self.two
        };
        store
            .claim(holder, &connecting(number), caps, NONE)
            .await
            .unwrap()
    }

    fn sql(&self, statement: &str) -> String {
        Postgres::shared().sql(&self.place.url, statement)
    }

    /// The database's own clock goes on meanwhile.
    fn later(&self, seconds: i64) {
        self.sql(&format!(
            "UPDATE instance SET expires_at = expires_at - {seconds}"
        ));
        self.sql(&format!(
            "UPDATE wanted SET expires_at = expires_at - {seconds}"
        ));
    }
}

#[tokio::test]
async fn two_bridges_share_the_number_of_connections_to_a_mailbox() {
    let both = Both::new().await;
    assert_eq!(both.claim("one", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::FullMailbox);
    assert_eq!(both.claim("two", 2, TWO).await, Claimed::FullMailbox);
    both.two.disconnected("two", &[1, 2]).await.unwrap();
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::Yes);
    // Beyond the number, for who may.
    assert_eq!(both.claim("one", 3, Caps::default()).await, Claimed::Yes);
    assert_eq!(both.claim("two", 2, TWO).await, Claimed::FullMailbox);
    both.one.leave("one").await.unwrap();
    assert_eq!(both.claim("two", 2, TWO).await, Claimed::Yes);
}

#[tokio::test]
async fn connections_that_last_as_long_as_clients_like_are_in_nobodys_way_who_says_so() {
    let both = Both::new().await;
    let own = |lasting| Caps {
        lasting: Some(lasting),
        ..TWO
    };
    assert_eq!(both.claim("one", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::Yes);
    // Nobody has said that they are such.
    assert_eq!(both.claim("two", 1, own(0)).await, Claimed::FullMailbox);
    assert_eq!(both.claim("one", 3, own(0)).await, Claimed::FullMailbox);
    let read = (MAILBOX.to_owned(), 1);
    both.one.lasting("one", &[read]).await.unwrap();
    // Another message has no more right than before.
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::FullMailbox);
    assert_eq!(both.claim("two", 1, own(0)).await, Claimed::Beyond);
    // Two that end by themselves are there now; one more that does not is in nobody's way.
    assert_eq!(both.claim("two", 2, own(0)).await, Claimed::FullMailbox);
    assert_eq!(both.claim("one", 3, own(2)).await, Claimed::Beyond);
    // It counts for as long as it is said.
    both.sql("UPDATE lasting SET expires_at = expires_at - 5");
    assert_eq!(both.claim("two", 2, own(0)).await, Claimed::FullMailbox);
    both.two.disconnected("two", &[1]).await.unwrap();
    assert_eq!(both.claim("two", 2, own(0)).await, Claimed::FullMailbox);
}

#[tokio::test]
async fn two_bridges_share_the_number_of_connections_to_a_host() {
    let both = Both::new().await;
    let caps = Caps {
        mailbox: Some(9),
        host: Some(1),
        ..Caps::default()
    };
    let other = Connecting {
        mailbox: "imap.example:993/other".to_owned(),
        ..connecting(1)
    };
    assert_eq!(
        both.one.claim("one", &other, caps, NONE).await.unwrap(),
        Claimed::Yes
    );
    assert_eq!(both.claim("two", 1, caps).await, Claimed::FullHost);
    let elsewhere = Connecting {
        host: "other:993".to_owned(),
        ..connecting(2)
    };
    let claimed = both.two.claim("two", &elsewhere, caps, NONE).await.unwrap();
    assert_eq!(claimed, Claimed::Yes);
}

#[tokio::test]
async fn of_many_who_ask_at_once_no_more_get_a_connection_than_there_may_be() {
    let both = Both::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (store, holder) = match number % 2 {
            0 => (both.one.clone(), "one"),
            _ => (both.two.clone(), "two"),
        };
        let caps = Caps {
            mailbox: Some(5),
            host: Some(7),
            ..Caps::default()
        };
        tasks.spawn(async move {
            store
                .claim(holder, &connecting(number), caps, NONE)
                .await
                .unwrap()
        });
    }
    let claimed = tasks.join_all().await;
    let got = claimed.iter().filter(|claimed| **claimed == Claimed::Yes);
    assert_eq!(got.count(), 5);
}

#[tokio::test]
async fn a_bridge_that_was_killed_gives_its_connections_back() {
    let both = Both::new().await;
    assert_eq!(both.claim("one", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::Yes);
    both.later(50);
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::FullMailbox);
    both.later(11);
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::Yes);
    both.two
        .alive("two", &[connecting(1)], &[], 1)
        .await
        .unwrap();
    assert_eq!(both.sql("SELECT holder, number FROM connection"), "two|1");
    // It was not dead after all, only slow: what it has counts again, beyond the number.
    let its = [connecting(1), connecting(2)];
    both.one.alive("one", &its, &[], 2).await.unwrap();
    assert_eq!(both.sql("SELECT COUNT(*) FROM connection"), "3");
}

#[tokio::test]
async fn a_bridge_that_says_that_it_is_alive_keeps_its_connections() {
    let both = Both::new().await;
    assert_eq!(both.claim("one", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::Yes);
    for _ in 0..5 {
        both.later(50);
        both.one
            .alive("one", &[connecting(1), connecting(2)], &[], 2)
            .await
            .unwrap();
        both.two.alive("two", &[], &[], 0).await.unwrap();
    }
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::FullMailbox);
    // One of them has ended, and that was not written; another is about to be counted.
    assert_eq!(both.claim("one", 4, Caps::default()).await, Claimed::Yes);
    both.one
        .alive("one", &[connecting(2)], &[], 3)
        .await
        .unwrap();
    assert_eq!(
        both.sql("SELECT number FROM connection ORDER BY number"),
        "2\n4"
    );
}

#[tokio::test]
async fn a_connection_that_is_asked_for_is_counted_by_who_asks_only() {
    let both = Both::new().await;
    // Whoever asks for 1 has not been heard yet; the answer to 2 is on its way.
    assert_eq!(both.claim("one", 2, TWO).await, Claimed::Yes);
    both.one.alive("one", &[], &[1, 2], 2).await.unwrap();
    assert_eq!(both.sql("SELECT number FROM connection"), "2");
    assert_eq!(both.claim("one", 1, TWO).await, Claimed::Yes);
    assert_eq!(both.claim("two", 1, TWO).await, Claimed::FullMailbox);
}

#[tokio::test]
async fn who_waits_for_a_connection_is_known_to_who_has_one() {
    let both = Both::new().await;
    let one = Caps {
        mailbox: Some(1),
        ..Caps::default()
    };
    assert_eq!(both.claim("one", 1, one).await, Claimed::Yes);
    assert_eq!(both.claim("two", 1, one).await, Claimed::FullMailbox);
    let wanted = |waiting| vec![(MAILBOX.to_owned(), waiting)];
    assert_eq!(both.one.wanted("one").await.unwrap(), wanted(1));
    assert_eq!(both.two.wanted("two").await.unwrap(), []);
    assert_eq!(both.two.wanted("three").await.unwrap(), []);
    // Two more wait there, and one elsewhere.
    let others = Waits { mailbox: 2, ..NONE };
    for holder in ["two", "three"] {
        let waits = if holder == "two" { others } else { NONE };
        let claimed = both.two.claim(holder, &connecting(1), one, waits).await;
        assert_eq!(claimed.unwrap(), Claimed::FullMailbox);
    }
    assert_eq!(both.one.wanted("one").await.unwrap(), wanted(4));
    // One of the three has got what it has waited for.
    both.one.disconnected("one", &[1]).await.unwrap();
    assert_eq!(both.claim("one", 2, Caps::default()).await, Claimed::Yes);
    let again = Waits {
        again: true,
        ..others
    };
    let claimed = both
        .two
        .claim("two", &connecting(1), Caps::default(), again)
        .await;
    assert_eq!(claimed.unwrap(), Claimed::Yes);
    assert_eq!(both.one.wanted("one").await.unwrap(), wanted(3));
    both.later(16);
    assert_eq!(both.one.wanted("one").await.unwrap(), []);
}

/// A place in the row of log-ins, five a second, in milliseconds.
async fn turn(store: &Store, patience: u64) -> Option<u64> {
    let interval = Duration::from_millis(200);
    let patience = Duration::from_millis(patience);
    let wait = store.log_in_turn(HOST, interval, patience).await.unwrap();
    wait.map(|wait| u64::try_from(wait.as_millis()).unwrap())
}

#[tokio::test]
async fn two_bridges_share_the_pace_of_log_ins() {
    let both = Both::new().await;
    assert_eq!(turn(&both.one, 0).await, Some(0));
    // Far enough ahead that the test's own pace does not matter.
    let far = "UPDATE login_pace SET next_at = next_at + 50000 RETURNING next_at";
    let mut next: i64 = both.sql(far).parse().unwrap();
    for store in [&both.two, &both.one, &both.two] {
        let wait = turn(store, 100_000).await.unwrap();
        assert!((20_000..=51_000).contains(&wait), "{wait}");
        next += 200;
        let now: i64 = both.sql("SELECT next_at FROM login_pace").parse().unwrap();
        assert_eq!(now, next);
    }
    // Who has not the patience takes no place.
    assert_eq!(turn(&both.one, 8000).await, None);
    assert_eq!(both.sql("SELECT next_at FROM login_pace"), next.to_string());
    // Time that has gone by is not saved up.
    both.sql("UPDATE login_pace SET next_at = 1000");
    assert_eq!(turn(&both.two, 0).await, Some(0));
    let now: i64 = both.sql("SELECT next_at FROM login_pace").parse().unwrap();
    assert!(now > next - 51_000, "{now}");
}

#[tokio::test]
async fn a_row_of_log_ins_by_a_clock_that_was_wrong_stops_nobody() {
    let both = Both::new().await;
    assert_eq!(turn(&both.one, 0).await, Some(0));
    let wrong = "UPDATE login_pace SET next_at = next_at + 3600000 RETURNING next_at";
    let wrong: i64 = both.sql(wrong).parse().unwrap();
    assert_eq!(turn(&both.two, 8000).await, Some(0));
    let next: i64 = both.sql("SELECT next_at FROM login_pace").parse().unwrap();
    assert!(next < wrong - 3_000_000, "{next}");
}

#[tokio::test]
async fn a_command_beside_the_bridge_counts_too() {
    let place = Place::postgres();
    let command = Store::open(&place.url, Purpose::Command).await.unwrap();
    let one = Caps {
        mailbox: Some(1),
        ..Caps::default()
    };
    let claimed = command
        .claim("command", &connecting(1), one, NONE)
        .await
        .unwrap();
    assert_eq!(claimed, Claimed::Yes);
    let bridge = place.open().await;
    let claimed = bridge
        .claim("bridge", &connecting(1), one, NONE)
        .await
        .unwrap();
    assert_eq!(claimed, Claimed::FullMailbox);
}
