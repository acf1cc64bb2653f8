//! Opening, keeping others off, going on after trouble, and backups.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::on_both_engines;
use super::support::postgres::Postgres;
use super::support::{NOW, Place, Scene, first_listing, new_client, set};
use crate::store::migrate::KNOWN;
use crate::store::sql::execute;
use crate::store::{Purpose, Quit, Store, StoreError};

on_both_engines!(
    the_secret_key_is_made_once,
    a_newer_schema_is_refused_and_not_touched,
    an_older_schema_is_brought_up_to_date_with_what_is_in_it,
    who_only_looks_makes_nothing_and_brings_nothing_up_to_date,
    a_command_works_beside_the_bridge,
    many_that_open_a_new_store_at_once_make_it_once,
    a_closed_store_says_so,
);

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn file(place: &Place) -> std::path::PathBuf {
    place.folder.as_ref().unwrap().path().join("new/state.db")
}

async fn the_secret_key_is_made_once(place: Place) {
    let store = place.open().await;
    let key = store.secret_key().await.unwrap();
    assert_ne!(key, [0; 32]);
    let store = place.reopen(store).await;
    assert_eq!(store.secret_key().await.unwrap(), key);
}

async fn a_newer_schema_is_refused_and_not_touched(place: Place) {
    place.open().await.close().await;
    place
        .sql("UPDATE schema_version SET version = 1000; DROP TABLE trouble")
        .await;
    let refused = Store::open(&place.url, Purpose::Command).await.unwrap_err();
    assert_eq!(
        refused,
        StoreError::Newer {
            found: 1000,
            known: KNOWN
        }
    );
    let known = format!("UPDATE schema_version SET version = {KNOWN}");
    place.sql(&known).await;
    let store = place.open().await;
    let mailbox = store.mailbox("up", "me", NOW).await.unwrap();
    assert!(
        store.troubles(mailbox.id).await.is_err(),
        "nothing was made anew"
    );
}

async fn an_older_schema_is_brought_up_to_date_with_what_is_in_it(place: Place) {
    let Scene {
        store,
        mailbox,
        client: mut before,
        ..
    } = Scene::new(&place).await;
    assert_eq!(before.found_below, None);
    store.close().await;
    drop(store);
    place.sql(
        "ALTER TABLE client DROP COLUMN found_below; ALTER TABLE message DROP COLUMN email_id; DROP TABLE token; DROP TABLE traffic; \
         DROP TABLE instance; DROP TABLE connection; DROP TABLE wanted; DROP TABLE login_pace; DROP TABLE lasting; \
         DROP TABLE measured; DROP TABLE quota; UPDATE schema_version SET version = 1",
    )
    .await;
    let store = place.open().await;
    let client = store.client_by_login(&before.login).await.unwrap();
    before.found_below = crate::maildrop::Seq::new(1);
    assert_eq!(client, Some(before), "it is shown what it was shown");
    let new = new_client(&mailbox, "info/new");
    let new = store.add_client(&new, NOW).await.unwrap();
    assert_eq!(new.found_below, None);
}

async fn who_only_looks_makes_nothing_and_brings_nothing_up_to_date(place: Place) {
    let look = || Store::open(&place.url, Purpose::Look);
    for _ in 0..2 {
        let none = look().await.unwrap_err();
        assert!(matches!(none, StoreError::NoSuch(_)), "{none:?}");
    }
    if place.folder.is_some() {
        assert!(!file(&place).parent().unwrap().exists());
    }
    let Scene { store, mailbox, .. } = Scene::new(&place).await;
    store.close().await;
    let older = format!("UPDATE schema_version SET version = {}", KNOWN - 1);
    place.sql(&older).await;
    for _ in 0..2 {
        let older = look().await.unwrap_err();
        let words = format!("version {}, this program knows {KNOWN}", KNOWN - 1);
        assert!(matches!(older, StoreError::Refused(_)), "{older:?}");
        assert!(older.to_string().contains(&words), "{older}");
    }
    let known = format!("UPDATE schema_version SET version = {KNOWN}");
    place.sql(&known).await;
    let store = look().await.unwrap();
    let found = store.find_mailbox(&mailbox.upstream, &mailbox.login).await;
    assert_eq!(found.unwrap().map(|found| found.id), Some(mailbox.id));
    // What has to be kept can be.
    store.mailbox("up", "me", NOW).await.unwrap();
    store.close().await;
}

async fn a_command_works_beside_the_bridge(place: Place) {
    let scene = Scene::new(&place).await;
    let command = Store::open(&place.url, Purpose::Command).await.unwrap();
    command
        .add_client(&new_client(&scene.mailbox, "info/lap"), NOW)
        .await
        .unwrap();
    let seen = scene.store.client_by_login("info/lap").await.unwrap();
    assert!(seen.is_some());
    command.close().await;
}

async fn many_that_open_a_new_store_at_once_make_it_once(place: Place) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let url = place.url.clone();
            tokio::spawn(async move { Store::open(&url, Purpose::Command).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

async fn a_closed_store_says_so(place: Place) {
    let store = place.open().await;
    store.close().await;
    assert!(matches!(
        store.mailboxes().await,
        Err(StoreError::Unavailable(_))
    ));
    let write = store.mailbox("up", "me", NOW).await;
    assert!(
        matches!(write, Err(StoreError::Unavailable(_))),
        "{write:?}"
    );
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1)).await;
    let file = file(&place);
    for end in ["", "-wal", "-shm", ".lock"] {
        let beside = crate::store::file::beside(&file, end);
        assert_eq!(mode(&beside), 0o600, "{}", beside.display());
    }
    assert_eq!(mode(file.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_file_that_root_makes_belongs_to_whom_its_folder_belongs_to() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give a file away.
        return;
    }
    // The folder's owner, that of a file that is there, and the file's owner afterwards.
    let cases = [
        (4711, None, 4711),
        (4711, Some(0), 0),
        (0, Some(4711), 4711),
        (0, None, 0),
    ];
    for (of_folder, there, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(of_folder), Some(of_folder)).unwrap();
        let file = folder.path().join("state.db");
        if let Some(owner) = there {
            std::fs::write(&file, "").unwrap();
            chown(&file, Some(owner), Some(owner)).unwrap();
        }
        let url = format!("sqlite:{}", file.display());
        let store = Store::open(&url, Purpose::Command).await.unwrap();
        // A reader, too, so that all files are there.
        store.mailboxes().await.unwrap();
        for end in ["", "-wal", "-shm"] {
            let beside = crate::store::file::beside(&file, end);
            let made = beside.metadata().unwrap();
            let owners = (made.uid(), made.gid());
            assert_eq!(owners, (expected, expected), "{}", beside.display());
            assert_eq!(mode(&beside), 0o600);
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_second_bridge_on_one_file_is_refused_with_the_way_out() {
    let place = Place::sqlite();
    let store = place.open().await;
    let refused = Store::open(&place.url, Purpose::Serve).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains("PostgreSQL"), "{refused}");
    store.close().await;
    drop(store);
    place.open().await;
}

#[tokio::test]
async fn urls_and_files_of_another_kind_are_refused() {
    for url in [
        "mysql://host/db",
        "sqlite:",
        "sqlite::memory:",
        "/var/lib/popbridge",
    ] {
        let refused = Store::open(url, Purpose::Serve).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd ?#%41ä.db");
    std::fs::write(&file, "something else, and longer than the header of a database file is, which has 100 octets or more.....").unwrap();
    let url = format!("sqlite:{}", file.display());
    let refused = Store::open(&url, Purpose::Serve).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    std::fs::write(&file, "").unwrap();
    Store::open(&url, Purpose::Serve).await.unwrap();
    assert!(
        file.metadata().unwrap().len() > 0 || file.with_file_name("odd ?#%41ä.db-wal").exists()
    );
}

#[tokio::test]
async fn a_password_in_the_url_is_in_no_error() {
    // Nobody listens on port 1.
    let url = "postgres://me:s3cret@127.0.0.1:1/db";
    let refused = Store::open(url, Purpose::Serve).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(
        !format!("{refused} {refused:?}").contains("s3cret"),
        "{refused}"
    );
    let odd = Store::open("postgres://me:s3cret@[/db", Purpose::Serve)
        .await
        .unwrap_err();
    assert!(!format!("{odd} {odd:?}").contains("s3cret"), "{odd}");
}

#[tokio::test]
async fn a_backup_is_a_whole_store_that_only_its_owner_may_read() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(10)).await;
    let to = place.folder.as_ref().unwrap().path().join("it's a copy.db");
    scene.store.backup(&to).await.unwrap();
    assert_eq!(mode(&to), 0o600);
    let again = scene.store.backup(&to).await;
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    let copy = Store::open(&format!("sqlite:{}", to.display()), Purpose::Serve)
        .await
        .unwrap();
    assert_eq!(
        copy.register(scene.inbox.id).await.unwrap(),
        scene.store.register(scene.inbox.id).await.unwrap()
    );
    let shared = Place::postgres().open().await;
    let refused = shared.backup(&to.with_extension("pg")).await.unwrap_err();
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_what_was_written_before_is_kept() {
    let place = Place::sqlite();
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(10)).await;
    // As good as a full disk to SQLite: the file may not grow. The limit is the connection's, so it is given to the writer.
    limit_pages(&scene.store, "PRAGMA max_page_count = 1").await;
    let mut large = first_listing(5000);
    large.new.drain(..10);
    let (mailbox, inbox) = (scene.mailbox.id, scene.inbox.id);
    let full = scene.store.apply(mailbox, inbox, 2, &large, NOW).await;
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    let (register, version, _) = scene.store.register(inbox).await.unwrap().unwrap();
    assert_eq!((register.index.messages.len(), version), (10, 2));
    limit_pages(&scene.store, "PRAGMA max_page_count = 1000000").await;
    let applied = scene.store.apply(mailbox, inbox, 2, &large, NOW).await;
    assert_eq!(applied, Ok(3));
}

async fn limit_pages(store: &Store, pragma: &'static str) {
    let set = store.write(pragma, |pragma, conn| Box::pin(execute(conn, pragma)));
    set.await.unwrap();
}

#[tokio::test]
async fn what_fails_does_not_take_its_group_along() {
    let scene = Scene::new(&Place::sqlite()).await;
    let lease = scene.lease().await;
    let tasks: Vec<_> = (0..60)
        .map(|n: u32| {
            let store = scene.store.clone();
            let mut quit = Quit {
                delivered: set(&[(2 * n + 1, 2 * n + 1)]),
                ..scene.quit(&lease)
            };
            if n.is_multiple_of(3) {
                quit.client = crate::store::types::ClientId(1000);
            }
            tokio::spawn(async move { store.quit(&quit).await })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += u32::from(task.await.unwrap().is_err());
    }
    assert_eq!(failed, 20);
    let (_, marks) = scene.store.marks(scene.client.id).await.unwrap();
    assert_eq!(marks.delivered.len(), 40);
}

#[tokio::test]
async fn postgresql_may_go_and_come_back() {
    let mut server = Postgres::start();
    let place = Place {
        url: server.database(),
        folder: None,
    };
    let scene = Scene::new(&place).await;
    server.kill9();
    let gone = scene.store.mailbox("up", "me", NOW).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    server.restart();
    scene.store.mailbox("up", "me", NOW).await.unwrap();
    assert_eq!(scene.store.mailboxes().await.unwrap().len(), 2);
    scene.lease().await;
}

#[tokio::test]
async fn a_database_that_hangs_keeps_nobody_waiting() {
    let server = Postgres::start();
    let place = Place {
        url: server.database(),
        folder: None,
    };
    let scene = Scene::new(&place).await;
    server.freeze(true);
    // From here time passes as soon as everybody waits for it.
    tokio::time::pause();
    for _ in 0..15 {
        let read = scene.store.mailboxes().await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let written = scene.store.set_client(scene.client.id, "{}").await;
        assert!(
            matches!(written, Err(StoreError::Unavailable(_))),
            "{written:?}"
        );
    }
    tokio::time::resume();
    server.freeze(false);
    scene.store.set_client(scene.client.id, "[]").await.unwrap();
    let client = scene.store.client_by_login("info/desk").await.unwrap();
    assert_eq!(client.unwrap().settings, "[]");
}
