//! The two engines: which one a URL means, and how connections to it are made.
//!
//! Must not know: tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions, Connection};

use super::StoreError;
use super::error::too_late;
use super::sql::Conn;

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Connections to PostgreSQL, at most.
const SHARED_CONNECTIONS: u32 = 10;

/// Connections that read from an SQLite file, at most. Writing has one of its own.
const READERS: u32 = 4;

/// What may stand behind the `?` of a URL of PostgreSQL. sqlx logs other names with their values, which may be passwords, and goes on: a
/// misspelled `sslmode` would leave the server's certificate unchecked.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Begins a transaction that writes.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            // At once, because a transaction that first reads and then writes may find that another was quicker.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction that reads everything as it is at one moment.
    pub(super) const fn begin_reading(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// The database's clock, in seconds since 1970.
    pub(super) const fn clock(self) -> &'static str {
        match self {
            Self::Sqlite => "unixepoch()",
            Self::Postgres => "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp())) AS BIGINT)",
        }
    }
}

/// Where the data are.
pub(super) enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A URL, which may hold a password.
    Postgres(String),
}

impl Place {
    /// Understands `sqlite:FILE` (also `sqlite://FILE`) and `postgres://...`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() && path != ":memory:" {
                return Ok(Self::Sqlite(PathBuf::from(path)));
            }
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(sqlx::Error::Configuration("scheme".into()).into())
    }

    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }
}

/// For an SQLite file that is there already.
pub(super) fn sqlite_options(file: &Path) -> Result<AnyConnectOptions, StoreError> {
    let path = file.to_str().ok_or_else(|| {
        StoreError::Refused("the name of the store's file is not UTF-8".to_owned())
    })?;
    // As a part of a URL; sqlx undoes it.
    let mut url = String::from("sqlite://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    quiet_options(&url)
}

/// For PostgreSQL. What the URL does not say, the usual variables (PGHOST, PGPASSWORD...) and ~/.pgpass do.
pub(super) fn postgres_options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    if !names.all(|name| PARAMETERS.contains(&name)) {
        // It is not repeated: it may be a piece of a password.
        return Err(StoreError::Refused(format!(
            "the store's URL has a parameter that is none of {}",
            PARAMETERS.join(", ")
        )));
    }
    quiet_options(url)
}

fn quiet_options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    // Statements are nothing for the log.
    Ok(url
        .parse::<AnyConnectOptions>()?
        .disable_statement_logging())
}

/// What every connection is told first.
fn greeting(engine: Engine, writes: bool) -> &'static [&'static str] {
    match (engine, writes) {
        (Engine::Sqlite, true) => &[
            // Shorter than what a caller waits, so that it hears the true reason.
            "PRAGMA busy_timeout = 8000",
            "PRAGMA journal_mode = WAL",
            // What was committed survives a power cut.
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // After a large transaction the log shrinks again.
            "PRAGMA journal_size_limit = 16777216",
        ],
        (Engine::Sqlite, false) => &["PRAGMA busy_timeout = 8000", "PRAGMA query_only = ON"],
        (Engine::Postgres, _) => &[
            // A bridge that has given up must not leave work behind on the server.
            "SET statement_timeout = '15s'",
            "SET lock_timeout = '8s'",
            "SET idle_in_transaction_session_timeout = '60s'",
        ],
    }
}

async fn greet(conn: &mut Conn, engine: Engine, writes: bool) -> Result<(), sqlx::Error> {
    for line in greeting(engine, writes) {
        sqlx::raw_sql(*line).execute(&mut *conn).await?;
    }
    Ok(())
}

/// One connection outside of the pool, that may write.
pub(super) async fn connect(
    options: &AnyConnectOptions,
    engine: Engine,
) -> Result<Conn, StoreError> {
    connect_outside(options, engine, true).await
}

/// One connection outside of the pool, that only reads.
pub(super) async fn connect_to_read(
    options: &AnyConnectOptions,
    engine: Engine,
) -> Result<Conn, StoreError> {
    connect_outside(options, engine, false).await
}

async fn connect_outside(
    options: &AnyConnectOptions,
    engine: Engine,
    writes: bool,
) -> Result<Conn, StoreError> {
    let connecting = async {
        let mut conn = Conn::connect_with(options).await?;
        greet(&mut conn, engine, writes).await?;
        Ok(conn)
    };
    match tokio::time::timeout(2 * ACQUIRE, connecting).await {
        Ok(done) => done.map_err(|error: sqlx::Error| error.into()),
        Err(_) => Err(too_late(2 * ACQUIRE.as_secs())),
    }
}

/// Connections made when they are needed: on SQLite they only read.
pub(super) fn pool(options: AnyConnectOptions, engine: Engine) -> AnyPool {
    let most = match engine {
        Engine::Sqlite => READERS,
        Engine::Postgres => SHARED_CONNECTIONS,
    };
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE)
        .after_connect(move |conn, _| Box::pin(greet(conn, engine, engine == Engine::Postgres)))
        .connect_lazy_with(options)
}
