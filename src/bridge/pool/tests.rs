//! Connections to an upstream that says that it is too much, with a clock that stands still while somebody waits.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::bridge::Terms;
use crate::bridge::backoff::Backoff;
use crate::config::Security;
use crate::imap::bench::Nobody;
use crate::imap::{Endpoint, Extensions};
use crate::maildrop::Format;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::store::tests::support::Place;

/// Lets everybody in, and does what it is asked; LIST is answered in these words.
async fn upstream(words: &'static str) -> Arc<Upstream> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream, words));
        }
    });
    let metrics = Metrics::new().upstream("mail");
    let minute = Duration::from_secs(60);
    Arc::new(Upstream {
        name: "mail".to_owned(),
        version: 0,
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
            security: Security::Off,
            tls: None,
            connect_timeout: minute,
            command_timeout: minute,
            extensions: Extensions::default(),
            observer: Arc::new(Nobody),
        },
        uidl: Format::default(),
        separator: None,
        connections: 2,
        bytes_per_day: None,
        host_connections: None,
        logins_per_second: None,
        session_life: None,
        placeholder_text: false,
        backoff: Backoff::new("mail", metrics),
        health: Arc::default(),
        forms: crate::bridge::upstream::Forms::default(),
        terms: Arc::new(Terms::default()),
    })
}

async fn speak(mut stream: TcpStream, words: &str) {
    let (read, mut write) = stream.split();
    let offered = "[CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN]";
    let greeting = format!("* OK {offered} ready\r\n");
    write.write_all(greeting.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = line.split_once(' ').unwrap();
        let answer = match command.split(' ').next() {
            Some("AUTHENTICATE") => format!("OK {offered} in"),
            Some("LIST") => words.to_owned(),
            _ => "OK done".to_owned(),
        };
        let answer = format!("{tag} {answer}\r\n");
        write.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// A pool on a store of its own, and Ann's mailbox at the upstream.
async fn scene(upstream: &Arc<Upstream>) -> (Place, Pool, Account, Arc<Metrics>) {
    let place = Place::sqlite();
    let store = place.open().await;
    let metrics = Arc::new(Metrics::new());
    let budgets = Budgets::new(store.clone(), "one".to_owned(), Arc::clone(&metrics));
    let minute = Duration::from_secs(60);
    let verifier = Verifier::new([7; 32]).unwrap();
    let mailbox = store.mailbox_id(&upstream.key(), "ann", 0).await.unwrap();
    let account = Account {
        upstream: Arc::clone(upstream),
        terms: Arc::new(Terms::default()),
        mailbox,
        login: "ann".to_owned(),
        password: Password::Presented(Proof::Password(Secret::new("pw".to_owned()))),
        utf8: false,
    };
    let pool = Pool::new(verifier, budgets, minute, minute);
    (place, pool, account, metrics)
}

/// How many seconds one waits for a connection that is kept, by a clock that goes on only while somebody waits.
async fn waits(pool: &Pool, account: &Account) -> (u64, Lease) {
    tokio::time::pause();
    let began = Instant::now();
    let lease = pool.take(account, Purpose::Care, None).await.unwrap();
    // The pause began by the real clock, and the paused one goes on by whole milliseconds.
    let waited = began.elapsed().as_secs_f64().round() as u64;
    tokio::time::resume();
    assert!(!lease.is_fresh, "it was kept");
    (waited, lease)
}

#[tokio::test]
async fn after_ok_throttled_the_next_use_of_a_connection_waits() {
    for (words, expected) in [
        ("OK done", [0, 0, 0]),
        ("OK [THROTTLED] done", [1, 2, 3]),
        ("OK Success [THROTTLED]", [1, 2, 3]),
    ] {
        let upstream = upstream(words).await;
        let (_place, pool, account, _) = scene(&upstream).await;
        let mut lease = pool.take(&account, Purpose::Care, None).await.unwrap();
        for seconds in expected {
            lease.folders().await.unwrap();
            pool.give_back(lease);
            let waited;
            (waited, lease) = waits(&pool, &account).await;
            assert_eq!(waited, seconds, "{words}");
        }
    }
}

#[tokio::test]
async fn a_wait_for_connections_that_are_all_in_use_is_counted_and_no_other() {
    let upstream = upstream("OK done").await;
    let (_place, pool, account, metrics) = scene(&upstream).await;
    let of_turns = || {
        let text = metrics.render();
        let mut lines = text.lines().map(str::to_owned);
        lines.find_map(|line| {
            let labels = "{outcome=\"had\",upstream=\"mail\",what=\"turn\"} ";
            let count = line.strip_prefix("popbridge_upstream_waits_total")?;
            count.strip_prefix(labels).map(str::to_owned)
        })
    };
    let first = pool.take(&account, Purpose::Care, None).await.unwrap();
    let second = pool.take(&account, Purpose::Care, None).await.unwrap();
    assert_eq!(of_turns(), None);
    assert!(pool.take_kept(&account, |_| true).is_none());
    let third = async { pool.take(&account, Purpose::Care, None).await.unwrap() };
    let free = async { pool.give_back(first) };
    let (third, ()) = tokio::join!(third, free);
    assert!(!third.is_fresh);
    assert_eq!(of_turns().as_deref(), Some("1"));
    // One that is kept is there for whoever waits for nothing.
    pool.give_back(second);
    assert!(pool.take_kept(&account, |_| false).is_none());
    assert!(pool.take_kept(&account, |_| true).is_some());
    assert!(pool.take_kept(&account, |_| true).is_none());
    assert_eq!(of_turns().as_deref(), Some("1"));
}
