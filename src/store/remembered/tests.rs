//! What is forgotten when, without a database.

use std::sync::Arc;

use super::*;
use crate::store::engine;
use crate::store::tests::support::NOW;
use crate::store::watched::Watched;
use crate::store::writer::Writer;

fn client(number: i64) -> Client {
    Client {
        id: ClientId(number),
        mailbox: MailboxId(number % 2),
        login: format!("client{number}"),
        name: "desk".to_owned(),
        named: true,
        account: None,
        password: None,
        settings: "{}".to_owned(),
        enrolled_at: NOW,
        found_below: None,
        reset_at: None,
        removed_at: None,
        last_seen: None,
        version: 0,
        losses_before: 0,
    }
}

fn remembers(remembered: &Remembered, number: i64) -> bool {
    let login = format!("client{number}");
    remembered.find(|memory| memory.client(&login)).is_ok()
}

/// Reads a client from a database in which `meanwhile` happens before the answer is here.
fn reads_client(remembered: &Remembered, number: i64, meanwhile: impl FnOnce()) {
    let login = format!("client{number}");
    let found = remembered.find(|memory| memory.client(&login));
    let before = found.expect_err("it is not remembered");
    meanwhile();
    remembered.keep(&before, |memory: &mut Memory| {
        memory.keep_client(&client(number));
    });
}

#[tokio::test]
async fn what_was_read_while_it_changed_is_not_remembered() {
    let remembered = Remembered::default();
    remembered.looked(Instant::now(), Some(1));
    for touched in [
        Touched::All,
        Touched::Client(ClientId(1)),
        Touched::Seen(ClientId(1), NOW),
        Touched::ClientsOf(MailboxId(1)),
    ] {
        reads_client(&remembered, 1, || remembered.forget([touched].iter()));
        assert!(!remembers(&remembered, 1), "{touched:?}");
    }
    // Somebody else's commit, and a connection that is lost.
    for data_version in [Some(2), None] {
        reads_client(&remembered, 1, || {
            remembered.looked(Instant::now(), data_version);
            remembered.looked(Instant::now(), Some(2));
        });
        assert!(!remembers(&remembered, 1), "{data_version:?}");
    }
    reads_client(&remembered, 1, || {
        remembered.looked(Instant::now(), Some(2))
    });
    assert!(remembers(&remembered, 1));
}

#[tokio::test]
async fn a_change_is_forgotten_with_what_it_touches() {
    let remembered = Remembered::default();
    remembered.looked(Instant::now(), Some(1));
    let fill = || (1..=4).for_each(|n| reads_client(&remembered, n, || ()));
    let left = || -> Vec<i64> { (1..=4).filter(|n| remembers(&remembered, *n)).collect() };
    fill();
    remembered.forget([Touched::Client(ClientId(2))].iter());
    assert_eq!(left(), [1, 3, 4]);
    remembered.forget([Touched::ClientsOf(MailboxId(1))].iter());
    assert_eq!(left(), [4]);
    remembered.forget([Touched::Mailbox(MailboxId(0))].iter());
    assert_eq!(left(), [4]);
    remembered.forget([Touched::All].iter());
    assert!(left().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_for_longer_than_half_a_second_after_a_look() {
    let remembered = Remembered::default();
    // Before the first look nothing is.
    reads_client(&remembered, 1, || ());
    assert!(!remembers(&remembered, 1));
    let at = Instant::now();
    remembered.looked(at, Some(1));
    reads_client(&remembered, 1, || ());
    tokio::time::advance(Duration::from_millis(499)).await;
    assert!(remembers(&remembered, 1));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!remembers(&remembered, 1));
    // Nothing was committed meanwhile: it is true again.
    remembered.looked(Instant::now(), Some(1));
    assert!(remembers(&remembered, 1));
    // A look that failed.
    remembered.looked(Instant::now(), None);
    assert!(!remembers(&remembered, 1));
    remembered.looked(Instant::now(), Some(1));
    assert!(
        !remembers(&remembered, 1),
        "another connection, other figures"
    );
}

#[tokio::test]
async fn however_many_clients_come_only_so_many_are_remembered() {
    let remembered = Remembered::default();
    for n in 0..50_000 {
        remembered.looked(Instant::now(), Some(1));
        reads_client(&remembered, n, || ());
    }
    let (clients, logins) = remembered.sizes();
    assert!((1..=20_000).contains(&clients), "{clients}");
    assert!((1..=20_000).contains(&logins), "{logins}");
    assert!(remembers(&remembered, 49_999));
}

#[tokio::test]
async fn a_writer_that_cannot_ask_leaves_nothing_to_be_believed() {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.db");
    std::fs::write(&file, [7; 8192]).unwrap();
    let options = engine::sqlite_options(&file).unwrap();
    let remembered = Arc::<Remembered>::default();
    remembered.looked(Instant::now(), Some(1));
    reads_client(&remembered, 1, || ());
    let mut looks = remembered.looks();
    let writer = Writer::start(
        None,
        options,
        Some(Arc::clone(&remembered)),
        Watched::default(),
    );
    looks.changed().await.unwrap();
    assert!(!remembers(&remembered, 1));
    writer.finish().await;
}
