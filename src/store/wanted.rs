//! Who waits for a connection to an upstream, told to the instances that have some.
//!
//! Must not know: how many there may be.

use super::budgets::timed;
use super::error::Failure;
use super::sql::{Columns, Conn, execute_with};
use super::{Store, StoreError};

/// For how many seconds somebody waits, who says nothing more.
pub(super) const WAITS_FOR: i64 = 4;

/// Who waits for a connection, of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// So many others wait for one to the mailbox.
    pub mailbox: usize,
    /// To the host.
    pub host: usize,
    /// Whether whoever asks has asked before.
    pub again: bool,
}

impl Store {
    /// Mailboxes and hosts at which other instances wait for connections of this one to end, and for how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn wanted(&self, holder: &str) -> Result<Vec<(String, usize)>, StoreError> {
        if !self.is_shared() {
            return Ok(Vec::new());
        }
        self.read(holder.to_owned(), |holder, conn| {
            Box::pin(async move {
                let rows = sqlx::query(timed(
                    "SELECT place, CAST(SUM(waiting) AS BIGINT) FROM wanted WHERE expires_at > {now} AND holder <> $1 AND EXISTS \
                     (SELECT 1 FROM connection c WHERE c.holder = $1 AND (c.mailbox = place OR c.host = place)) GROUP BY place",
                ))
                .bind(holder.clone())
                .fetch_all(&mut *conn)
                .await?;
                let row = |row: &sqlx::any::AnyRow| {
                    Ok((row.string(0)?, usize::try_from(row.int(1)?).unwrap_or(0)))
                };
                rows.iter().map(row).collect()
            })
        })
        .await
    }
}

/// So many of the instance wait for a connection to the place.
pub(super) async fn wait(
    holder: &str,
    place: &str,
    waiting: usize,
    conn: &mut Conn,
) -> Result<(), Failure> {
    let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
    if waiting == 0 {
        let statement = "DELETE FROM wanted WHERE place = $1 AND holder = $2".to_owned();
        execute_with(conn, statement, vec![place.to_owned(), holder.to_owned()]).await?;
        return Ok(());
    }
    sqlx::query(timed(
        "INSERT INTO wanted (place, holder, expires_at, waiting) VALUES ($1, $2, {now} + $3, $4) \
         ON CONFLICT (place, holder) DO UPDATE SET expires_at = excluded.expires_at, waiting = excluded.waiting",
    ))
    .bind(place.to_owned())
    .bind(holder.to_owned())
    .bind(WAITS_FOR)
    .bind(waiting)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
