//! A new store of either kind, and things to put in it.

#[allow(dead_code, reason = "a tool box, shared with the end-to-end tests")]
#[path = "../../../tests/support/postgres.rs"]
pub mod postgres;
#[allow(dead_code, reason = "a tool box, shared with the end-to-end tests")]
#[path = "../../../tests/support/process.rs"]
pub mod process;
#[allow(dead_code, reason = "a tool box, shared with the end-to-end tests")]
#[path = "../../../tests/support/tree.rs"]
pub mod tree;

use crate::maildrop::{Delta, Format, Moved, NewMessage, Seq, SeqSet, Uid, UidValidity};
use crate::policy::Action;
use crate::store::sql::Conn;
use crate::store::{
    Client, FolderRow, Lease, Mailbox, NewClient, NewIntent, Purpose, Quit, Role, Store,
};
use postgres::Postgres;
use sqlx::Connection;

/// Some day; tests count from here.
pub const NOW: i64 = 1_800_000_000;

pub struct Place {
    pub url: String,
    /// Vanishes with the test.
    pub folder: Option<tempfile::TempDir>,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite:{}", folder.path().join("new/state.db").display()),
            folder: Some(folder),
        }
    }

    pub fn postgres() -> Self {
        Self {
            url: Postgres::shared().database(),
            folder: None,
        }
    }

    /// Straight to the database, past the store.
    pub async fn sql(&self, statement: &str) {
        sqlx::any::install_default_drivers();
        let url = self.url.replace("sqlite:/", "sqlite:///");
        let mut conn = Conn::connect(&url).await.unwrap();
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    /// The database's clock goes on, as far as tokens go: everything there was so many seconds earlier.
    pub async fn tokens_later(&self, seconds: i64) {
        let columns = ["refreshed_at", "expires_at", "retry_at", "claimed_until"];
        let set = columns.map(|column| format!("{column} = {column} - {seconds}"));
        self.sql(&format!("UPDATE token SET {}", set.join(", ")))
            .await;
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url, Purpose::Serve).await.unwrap()
    }

    /// Beside whoever serves.
    pub async fn open_as_command(&self) -> Store {
        Store::open(&self.url, Purpose::Command).await.unwrap()
    }

    /// What a bridge has that was started anew.
    pub async fn reopen(&self, store: Store) -> Store {
        store.close().await;
        drop(store);
        self.open().await
    }
}

/// A mailbox with its INBOX and one client.
pub struct Scene {
    pub store: Store,
    pub mailbox: Mailbox,
    pub inbox: FolderRow,
    pub client: Client,
}

impl Scene {
    pub async fn new(place: &Place) -> Self {
        let store = place.open().await;
        let mailbox = store
            .mailbox("imap.example:993", "info", NOW)
            .await
            .unwrap();
        let inbox = store
            .folder(mailbox.id, "INBOX", Role::Served)
            .await
            .unwrap();
        let client = store
            .add_client(&new_client(&mailbox, "info/desk"), NOW)
            .await
            .unwrap();
        Self {
            store,
            mailbox,
            inbox,
            client,
        }
    }

    pub async fn apply(&self, delta: &Delta) -> i64 {
        let version = self.store.version(self.mailbox.id).await.unwrap();
        let applied = self
            .store
            .apply(self.mailbox.id, self.inbox.id, version, delta, NOW);
        applied.await.unwrap()
    }

    pub fn intent(&self, number: u32, action: Action) -> NewIntent {
        NewIntent {
            mailbox: self.mailbox.id,
            folder: self.inbox.id,
            seq: seq(number),
            uid_validity: UidValidity::new(7).unwrap(),
            uid: uid(number),
            size: 100,
            internal_date: NOW,
            gm_msgid: Some(u64::MAX),
            action,
            cause: "tests".to_owned(),
        }
    }

    pub fn quit(&self, lease: &Lease) -> Quit {
        Quit {
            client: self.client.id,
            lease: lease.clone(),
            delivered: SeqSet::new(),
            deleted: SeqSet::new(),
            disposing: SeqSet::new(),
            without_quit: SeqSet::new(),
            intents: Vec::new(),
            at: NOW,
        }
    }

    pub async fn lease(&self) -> Lease {
        let taken = self
            .store
            .acquire(self.client.id, "one", 600)
            .await
            .unwrap();
        taken.expect("nobody else has it")
    }
}

pub fn new_client(mailbox: &Mailbox, login: &str) -> NewClient {
    NewClient {
        mailbox: mailbox.id,
        login: login.to_owned(),
        name: "desk".to_owned(),
        named: true,
        account: None,
        password: None,
        settings: "{}".to_owned(),
    }
}

pub fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

pub fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

pub fn set(ranges: &[(u32, u32)]) -> SeqSet {
    let mut set = SeqSet::new();
    for (first, last) in ranges {
        set.insert_range(seq(*first), seq(*last));
    }
    set
}

/// Nothing new under UIDVALIDITY 7.
pub fn delta(next_seq: u32) -> Delta {
    Delta {
        uid_validity: UidValidity::new(7).unwrap(),
        uid_next: Some(next_seq),
        highest_modseq: Some(u64::MAX),
        next_seq: seq(next_seq),
        floors: Vec::new(),
        new: Vec::new(),
        gone: Vec::new(),
        back: Vec::new(),
        moved: Vec::new(),
        sized: Vec::new(),
        pinned: Vec::new(),
        hashes: Vec::new(),
        msgids: Vec::new(),
        email_ids: Vec::new(),
        regenerated: false,
        format: None,
    }
}

/// The first listing of a folder with messages 1 to `count`, whose UIDs are their numbers.
pub fn first_listing(count: u32) -> Delta {
    Delta {
        new: (1..=count).map(message).collect(),
        format: Some(Format::default()),
        floors: vec![(UidValidity::new(7).unwrap(), count + 1)],
        ..delta(count + 1)
    }
}

pub fn message(number: u32) -> NewMessage {
    NewMessage {
        seq: seq(number),
        uid: uid(number),
        size: 1000 + number,
        internal_date: NOW - i64::from(number),
        first_seen: 1_800_000_000,
        gm_msgid: None,
        email_id: None,
        header_hash: None,
        uidl: None,
    }
}

pub fn moved(number: u32, to: u32, uidl: Option<&str>) -> Moved {
    Moved {
        seq: seq(number),
        uid: uid(to),
        size: 5,
        uidl: uidl.map(Into::into),
        header_hash: None,
    }
}
