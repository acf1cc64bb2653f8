//! What can go wrong with the store, in words for the operator.
//!
//! The one place where an error of sqlx becomes one of ours. No text here carries the database's URL, which may hold a password.

use std::fmt;
use std::io;
use std::path::PathBuf;

use sqlx::postgres::PgDatabaseError;

/// Why the store did not do what it was asked to. [`Display`](fmt::Display) is one sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It cannot be reached, is locked by another program or did not answer in time. Whether the change was made is unknown only where
    /// the connection broke while it was being committed.
    Unavailable(String),
    /// There is no room left.
    Full(String),
    /// What it gives cannot be true.
    Corrupt(String),
    /// It was made by a newer popbridge, and was not touched.
    Newer {
        /// The version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Another bridge works on this SQLite file.
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// The mailbox has changed since it was read; nothing was written.
    Conflict,
    /// Another session has taken the maildrop over; nothing was written.
    LeaseLost,
    /// There is a client with this log-in name already.
    Taken(String),
    /// There is no such thing; the text says which.
    NoSuch(String),
    /// This cannot be done; the text says why and what can.
    Refused(String),
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// Whether the store itself is in trouble, and not what was asked of it.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Full(_) | Self::Corrupt(_) => true,
            Self::Newer { .. }
            | Self::InUse { .. }
            | Self::Conflict
            | Self::LeaseLost
            | Self::Taken(_)
            | Self::NoSuch(_)
            | Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store is not available: {why}"),
            Self::Full(why) => write!(f, "the store has no room left: {why}"),
            Self::Corrupt(why) => write!(f, "the store is damaged: {why}"),
            Self::Newer { found, known } => write!(
                f,
                "the store was made by a newer popbridge (its schema is version {found}, this program knows {known}): \
                 use that one; nothing was changed"
            ),
            Self::InUse { file } => write!(
                f,
                "another `popbridge serve` runs on {}: end it first, or give this one a file of its own; several instances \
                 that share mailboxes need PostgreSQL",
                file.display()
            ),
            Self::Conflict => f.write_str("the mailbox has changed meanwhile"),
            Self::LeaseLost => f.write_str("another session has taken the maildrop over"),
            Self::Taken(login) => write!(f, "there is a client \"{login}\" already"),
            Self::NoSuch(what) => write!(f, "there is no {what}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// What a piece of work ends with while it still matters whether it may be tried again.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(sqlx::Error),
    Said(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => error.into(),
            Failure::Said(error) => error,
        }
    }
}

impl Failure {
    /// Whether PostgreSQL has undone the transaction because of others that ran at the same time (serialization failure, deadlock):
    /// then it may be tried again.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return false;
        };
        is_postgres(&**error) && matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether a row that must be the only one was there already.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether a row was to refer to one that is not there.
    pub(super) fn lacks_its_parent(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
    }
}

/// A value that nothing of ours has written.
pub(super) fn damaged(what: &str) -> Failure {
    Failure::Said(StoreError::Corrupt(what.to_owned()))
}

/// An answer that did not come.
pub(super) fn too_late(seconds: u64) -> StoreError {
    StoreError::Unavailable(format!("no answer within {seconds} seconds"))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) if is_postgres(&*error) => of_postgres(&*error),
            sqlx::Error::Database(error) => of_sqlite(&*error),
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable("no connection to the database within 5 seconds".to_owned())
            }
            sqlx::Error::PoolClosed => Self::Unavailable("it is being closed".to_owned()),
            sqlx::Error::Io(error) => Self::Unavailable(of_connection(&error)),
            sqlx::Error::Configuration(_) => Self::Refused(
                "the store's URL is none that can be used: sqlite:FILE or postgres://user@host/database"
                    .to_owned(),
            ),
            sqlx::Error::Tls(error) => Self::Unavailable(format!("TLS to the database: {error}")),
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::Corrupt(format!("column {index} holds something else than it should"))
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Why there is no connection, or no more.
fn of_connection(error: &io::Error) -> String {
    match error.kind() {
        // What rustls says: nothing else reads and finds what it cannot use.
        io::ErrorKind::InvalidData => format!(
            "TLS to the database: {error} (sslmode and sslrootcert in its URL say what is trusted)"
        ),
        io::ErrorKind::NotFound => {
            format!("a file that the database's URL names cannot be opened: {error}")
        }
        _ => format!("the connection to the database failed: {error}"),
    }
}

fn is_postgres(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.try_downcast_ref::<PgDatabaseError>().is_some()
}

/// By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn of_postgres(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let said = format!("PostgreSQL says: {}", error.message());
    match error.code().as_deref() {
        Some("53100") => StoreError::Full(said),
        Some("XX001" | "XX002") => StoreError::Corrupt(said),
        _ => StoreError::Unavailable(said),
    }
}

/// By the primary result code, the low 8 bits: https://www.sqlite.org/rescode.html
fn of_sqlite(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let said = format!("SQLite says: {}", error.message());
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    match code.unwrap_or_default() & 0xFF {
        5 | 6 => StoreError::Unavailable("another program keeps the file locked".to_owned()),
        8 => StoreError::Unavailable(format!("{said} (is the file writable for this user?)")),
        13 => StoreError::Full(said),
        11 | 26 => StoreError::Corrupt(format!("{said}; restore a backup")),
        _ => StoreError::Unavailable(said),
    }
}
