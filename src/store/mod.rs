//! What the bridge must not forget: mailboxes and their registers, clients and their marks, disposals that are due.
//!
//! **The one place that names sqlx.** One schema and nearly one text of SQL for two engines: an SQLite file for one bridge, PostgreSQL for
//! several that share their mailboxes. Every operation is one transaction: it is done whole or not at all, and what it has answered
//! survives a power cut. Every operation ends in time, with an error if it must, and works again as soon as the database does.
//! Must not know: POP3, IMAP's commands, what settings and rules mean, the clock (times come in; only leases and turns, which several
//! bridges compare, go by the database's own).

mod apply;
mod budgets;
mod clients;
mod disposals;
mod engine;
mod error;
mod file;
mod gone;
mod lasting;
mod leases;
mod mailboxes;
mod marks;
mod measured;
mod migrate;
mod prune;
mod quotas;
mod registers;
mod remembered;
mod secret_key;
mod sql;
mod tokens;
mod traffic;
mod troubles;
mod types;
mod wanted;
mod watched;
mod writer;

pub use budgets::{Caps, Claimed, Connecting};
pub use error::StoreError;
pub use prune::KEPT_FOR;
pub use tokens::{NewToken, StoredToken, TokenFailure, TokenId, TokenState};
pub use traffic::Hour;
pub use types::{
    Client, ClientId, FolderId, FolderRow, Intent, IntentState, Lease, Mailbox, MailboxId,
    NewClient, NewIntent, Quit, Quota, Role, SweepStop, Trouble,
};
pub use wanted::Waits;
pub use watched::{Observer, Operation};

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyPool, Connection};
use tokio::time::Instant;

use engine::{Engine, Place};
use error::too_late;
use remembered::{BELIEVED, Remembered, Touched};
use sql::Conn;
use watched::Watched;
use writer::{Change, Writer};

/// How long an ordinary operation may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long one may take that reads or writes a whole register.
const LARGE: Duration = Duration::from_secs(60);

/// How often, and with which pause between, the lock on a SQLite file is tried: half a second in all.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// What the store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve clients: on SQLite only one bridge at a time.
    Serve,
    /// For a command that runs beside the bridge.
    Command,
    /// To look: nothing is made, and an older schema, which an older bridge may be serving from, stays as it is. What is there may be
    /// changed.
    Look,
}

/// The store. Cloning shares.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    /// On SQLite its connections only read.
    pool: AnyPool,
    /// On SQLite, until it is closed.
    writer: Mutex<Option<Writer>>,
    /// Empty unless it serves, from SQLite.
    remembered: Arc<Remembered>,
    watched: Watched,
    /// Of the SQLite file, for a connection outside of the pool.
    file: Option<AnyConnectOptions>,
    /// Kept as long as the store is open.
    _lock: Option<File>,
    /// The SQLite file that a bridge may be serving from beside this command.
    beside: Option<PathBuf>,
    /// Whether something was changed that such a bridge remembers.
    is_news: AtomicBool,
    /// How often something was read.
    #[cfg(test)]
    reads: std::sync::atomic::AtomicUsize,
}

/// Says nothing of the URL, which may hold a password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("engine", &self.0.engine)
            .finish_non_exhaustive()
    }
}

/// Locks the file. A bridge that is just ending, as at a restart, is waited for.
async fn lock(file: &Path) -> Result<File, StoreError> {
    let mut tries = 0;
    loop {
        match file::lock(file) {
            Err(StoreError::InUse { .. }) if tries < LOCK_TRIES => {
                tries += 1;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Outside of the pool first: a connection says why there is none, and the pool only that there is none. Gives it to the writer of an
/// SQLite file, with the schema up to date; who only looks may never write.
async fn first(
    options: &AnyConnectOptions,
    engine: Engine,
    purpose: Purpose,
) -> Result<Option<Conn>, StoreError> {
    let conn = match purpose {
        Purpose::Serve | Purpose::Command => {
            let mut conn = engine::connect(options, engine).await?;
            migrate::migrate(&mut conn, engine).await?;
            conn
        }
        Purpose::Look => {
            let mut conn = engine::connect_to_read(options, engine).await?;
            migrate::look(&mut conn, engine).await?;
            conn
        }
    };
    if engine == Engine::Sqlite && purpose != Purpose::Look {
        return Ok(Some(conn));
    }
    let _ = conn.close().await;
    Ok(None)
}

impl Store {
    /// Opens the store at `sqlite:FILE` or `postgres://user@host/database`. The file and its folder, and the tables, are made where they
    /// are not there; an older schema is brought up to date. To [`Look`](Purpose::Look) takes both as they have to be.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another bridge serves from the same file, [`StoreError::Newer`] if a newer popbridge made it,
    /// [`StoreError::Refused`] for a URL of another kind, and what else keeps it from being opened. For who looks,
    /// [`StoreError::NoSuch`] if there is none yet, and [`StoreError::Refused`] if its schema is older.
    pub async fn open(url: &str, purpose: Purpose) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let place = Place::parse(url)?;
        let engine = place.engine();
        let (options, lock, beside) = match place {
            Place::Sqlite(path) => {
                let file = match purpose {
                    Purpose::Serve | Purpose::Command => file::prepare(&path)?,
                    Purpose::Look => file::find(&path)?,
                };
                let serves = purpose == Purpose::Serve;
                let lock = match serves {
                    true => Some(lock(&file).await?),
                    false => None,
                };
                let options = engine::sqlite_options(&file)?;
                (options, lock, (!serves).then_some(file))
            }
            Place::Postgres(url) => (engine::postgres_options(&url)?, None, None),
        };
        let conn = first(&options, engine, purpose).await?;
        let remembered = Arc::<Remembered>::default();
        let watched = Watched::default();
        let writer = match engine {
            Engine::Sqlite => {
                // A command has ended before anything could be remembered.
                let looks = (purpose == Purpose::Serve).then(|| Arc::clone(&remembered));
                Some(Writer::start(conn, options.clone(), looks, watched.clone()))
            }
            Engine::Postgres => None,
        };
        Ok(Self(Arc::new(Inner {
            engine,
            pool: engine::pool(options.clone(), engine),
            writer: Mutex::new(writer),
            remembered,
            watched,
            file: (engine == Engine::Sqlite).then_some(options),
            _lock: lock,
            beside,
            is_news: AtomicBool::new(false),
            #[cfg(test)]
            reads: std::sync::atomic::AtomicUsize::new(0),
        })))
    }

    /// Whether several bridges may share it: PostgreSQL.
    pub fn is_shared(&self) -> bool {
        self.0.engine == Engine::Postgres
    }

    /// Does what is queued and closes all connections. Operations that begin later are [`StoreError::Unavailable`]. When a command has
    /// changed a client, a bridge that serves from the same file goes by that from then on.
    pub async fn close(&self) {
        let slot = &self.0.writer;
        let writer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.finish().await;
        }
        // The writer does not ask any more whether it is true.
        self.0.remembered.looked(Instant::now(), None);
        self.0.pool.close().await;
        if let Some(file) = &self.0.beside
            && self.0.is_news.load(Ordering::Relaxed)
            && file::is_served(file)
        {
            tokio::time::sleep(BELIEVED).await;
        }
    }

    /// Writes a copy of the SQLite store, as it is at one moment, to a new file that only its owner may read. The bridge may go on
    /// meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the file exists, and on PostgreSQL, which has a tool of its own for that.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let Some(options) = &self.0.file else {
            return Err(StoreError::Refused(
                "the store is in PostgreSQL: use pg_dump".to_owned(),
            ));
        };
        let name = to.to_str().ok_or_else(|| {
            StoreError::Refused("the name of the backup's file is not UTF-8".to_owned())
        })?;
        // VACUUM INTO would make it readable to everybody; it takes one that exists if it is empty.
        let made = file::create_new(to)?;
        let copied = copy_into(options, name).await;
        let synced = copied.and_then(|()| {
            made.sync_all()
                .map_err(|error| StoreError::Unavailable(format!("cannot write {name}: {error}")))
        });
        if synced.is_err() {
            // Half a backup is worse than none.
            let _ = std::fs::remove_file(to);
        }
        synced
    }

    /// Whether it works: whatever it is asked comes to an end, be it an error. What hangs is mended by a new process; a disk that is full or a
    /// PostgreSQL that cannot be reached is not, and is no reason to end this one.
    pub async fn is_alive(&self) -> bool {
        let nothing = self.write_to(Vec::new(), (), |(), _| Box::pin(async { Ok(()) }));
        let answered = nothing.await;
        self.is_shared() || answered != Err(too_late(LIMIT.as_secs()))
    }

    /// Makes a change that may touch anything, see [`writer`].
    async fn write<I, T>(&self, input: I, change: Change<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.write_within(LIMIT, vec![Touched::All], input, change)
            .await
    }

    /// Makes a change that touches only this of what may be remembered.
    async fn write_to<I, T>(
        &self,
        touched: Vec<Touched>,
        input: I,
        change: Change<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.write_within(LIMIT, touched, input, change).await
    }

    async fn write_within<I, T>(
        &self,
        limit: Duration,
        touched: Vec<Touched>,
        input: I,
        change: Change<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let began = Instant::now();
        let outcome = self.written(limit, touched, input, change).await;
        self.0.watched.done(Operation::Write, began, &outcome);
        outcome
    }

    async fn written<I, T>(
        &self,
        limit: Duration,
        touched: Vec<Touched>,
        input: I,
        change: Change<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        if self.is_shared() {
            let watched = self.0.watched.clone();
            return writer::run_shared(self.0.pool.clone(), input, change, limit, watched).await;
        }
        let queue = {
            let slot = &self.0.writer;
            let writer = slot.lock().unwrap_or_else(PoisonError::into_inner);
            writer.as_ref().map(Writer::queue)
        };
        let queue = queue.ok_or(StoreError::from(sqlx::Error::PoolClosed))?;
        if touched.iter().any(|touched| touched.is_of_clients()) {
            self.0.is_news.store(true, Ordering::Relaxed);
        }
        writer::submit(queue, input, change, touched, limit).await
    }

    /// Reads with one statement.
    async fn read<I: Sync, T>(&self, input: I, reading: Change<I, T>) -> Result<T, StoreError> {
        let began = Instant::now();
        let outcome = self.reading(false, LIMIT, input, reading).await;
        self.0.watched.done(Operation::Read, began, &outcome);
        outcome
    }

    /// Reads with several statements that must not see different states.
    async fn snapshot<I: Sync, T>(&self, input: I, reading: Change<I, T>) -> Result<T, StoreError> {
        let began = Instant::now();
        let outcome = self.reading(true, LARGE, input, reading).await;
        self.0.watched.done(Operation::Snapshot, began, &outcome);
        outcome
    }

    async fn reading<I: Sync, T>(
        &self,
        at_one_moment: bool,
        limit: Duration,
        input: I,
        reading: Change<I, T>,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        self.0
            .reads
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut conn = self.0.pool.acquire().await?;
        let work = async {
            if !at_one_moment {
                return reading(&input, &mut conn).await;
            }
            let mut transaction = conn.begin_with(self.0.engine.begin_reading()).await?;
            let value = reading(&input, &mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(StoreError::from),
            Err(_) => {
                // It may hang for as long as TCP does: the pool gets another one instead.
                drop(conn.detach());
                Err(too_late(limit.as_secs()))
            }
        }
    }
}

async fn copy_into(options: &AnyConnectOptions, name: &str) -> Result<(), StoreError> {
    let mut conn = engine::connect(options, Engine::Sqlite).await?;
    sqlx::query("VACUUM INTO $1")
        .bind(name)
        .execute(&mut conn)
        .await?;
    conn.close().await?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
