//! Connections that last for as long as a client likes: how many of them a mailbox has is told while somebody waits for one that ends by
//! itself.
//!
//! Must not know: how much is allowed, what a connection lasts for.

use super::budgets::{ALIVE, lazily, timed};
use super::error::Failure;
use super::sql::{Columns, Conn};
use super::wanted::WAITS_FOR;
use super::{Store, StoreError};

impl Store {
    /// The instance has so many connections to each of these mailboxes that last. It counts for a few seconds.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lasting(
        &self,
        holder: &str,
        lasting: &[(String, usize)],
    ) -> Result<(), StoreError> {
        if !self.is_shared() || lasting.is_empty() {
            return Ok(());
        }
        // In one order everywhere, so that two do not wait for each other.
        let mut lasting = lasting.to_vec();
        lasting.sort();
        let work = (holder.to_owned(), lasting);
        self.write_to(Vec::new(), work, |(holder, lasting), conn| {
            Box::pin(async move {
                lazily(conn).await?;
                for (mailbox, connections) in lasting {
                    note(holder, mailbox, *connections, conn).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// The instance has so many connections to the mailbox that last.
pub(super) async fn note(
    holder: &str,
    mailbox: &str,
    connections: usize,
    conn: &mut Conn,
) -> Result<(), Failure> {
    sqlx::query(timed(
        "INSERT INTO lasting (mailbox, holder, connections, expires_at) VALUES ($1, $2, $3, {now} + $4) \
         ON CONFLICT (mailbox, holder) DO UPDATE SET connections = excluded.connections, expires_at = excluded.expires_at",
    ))
    .bind(mailbox.to_owned())
    .bind(holder.to_owned())
    .bind(i64::try_from(connections).unwrap_or(i64::MAX))
    .bind(WAITS_FOR)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// How many connections to the mailbox there are that end by themselves, for all that is known.
pub(super) async fn passing(mailbox: &str, holder: &str, conn: &mut Conn) -> Result<i64, Failure> {
    // Of an instance that has more of them than it has connections some are just about to be counted, or not counted any more.
    let row = sqlx::query(timed(&format!(
        "SELECT CAST(COALESCE(SUM(GREATEST(o.open - COALESCE(l.connections, 0), 0)), 0) AS BIGINT) FROM \
         (SELECT c.holder, COUNT(*) AS open FROM connection c WHERE c.mailbox = $1 AND {ALIVE} GROUP BY c.holder) o \
         LEFT JOIN lasting l ON l.mailbox = $1 AND l.holder = o.holder AND l.expires_at > {{now}}"
    )))
    .bind(mailbox.to_owned())
    .bind(holder.to_owned())
    .fetch_one(&mut *conn)
    .await?;
    row.int(0)
}
