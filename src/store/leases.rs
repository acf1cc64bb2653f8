//! Who has a client's maildrop open (RFC 1939 allows one session at a time), where several bridges share the database.
//!
//! On SQLite there is one bridge, held to that by the lock on the file: its own memory knows who has what, and nothing is written here.
//! On PostgreSQL a row says it, by the database's clock. Who takes a maildrop over raises the epoch; the one that it was taken from finds
//! that out when it renews, and at the latest when its QUIT is refused.

use super::engine::Engine;
use super::error::Failure;
use super::sql::{Columns, Conn};
use super::{ClientId, Lease, Store, StoreError};

/// For how many seconds a lease is good without being renewed.
const GOOD_FOR: i64 = 60;

impl Store {
    /// Takes a client's maildrop. `None` if another has it who renewed it within a minute and whose session went on within `stale_after`
    /// seconds.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] if the client is not there any more, and others.
    pub async fn acquire(
        &self,
        client: ClientId,
        holder: &str,
        stale_after: i64,
    ) -> Result<Option<Lease>, StoreError> {
        let lease = |epoch| Lease {
            client,
            epoch,
            holder: holder.to_owned(),
        };
        if !self.is_shared() {
            return Ok(Some(lease(0)));
        }
        let input = (client, holder.to_owned(), stale_after);
        let epoch = self
            .write(input, |(client, holder, stale_after), conn| {
                Box::pin(acquire(*client, holder, *stale_after, conn))
            })
            .await?;
        Ok(epoch.map(lease))
    }

    /// Renews leases, each with the seconds since its session last went on, and gives back those that are lost.
    ///
    /// # Errors
    /// See [`StoreError`]; whether anything was renewed is unknown then.
    pub async fn renew(&self, leases: &[(Lease, i64)]) -> Result<Vec<Lease>, StoreError> {
        if !self.is_shared() || leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = leases.to_vec();
        // In one order everywhere, so that two bridges do not wait for each other.
        leases.sort_by_key(|(lease, _)| lease.client);
        self.write(leases, |leases, conn| Box::pin(renew(leases, conn)))
            .await
    }

    /// Gives a maildrop back. Nothing happens if it was lost before.
    ///
    /// # Errors
    /// See [`StoreError`]; the lease runs out by itself then.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        self.write(lease.clone(), |lease, conn| Box::pin(release(lease, conn)))
            .await
    }
}

/// `{now}` stands for the database's clock.
fn timed(statement: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(statement.replace("{now}", Engine::Postgres.clock()))
}

async fn acquire(
    client: ClientId,
    holder: &str,
    stale_after: i64,
    conn: &mut Conn,
) -> Result<Option<i64>, Failure> {
    let row = sqlx::query(timed(
        "INSERT INTO lease (client_id, holder, epoch, expires_at, progress_at) VALUES ($1, $2, 1, {now} + $3, {now}) \
         ON CONFLICT (client_id) DO UPDATE SET holder = excluded.holder, epoch = lease.epoch + 1, \
         expires_at = excluded.expires_at, progress_at = excluded.progress_at \
         WHERE lease.expires_at <= {now} OR lease.progress_at < {now} - $4 RETURNING epoch",
    ))
    .bind(client.0)
    .bind(holder.to_owned())
    .bind(GOOD_FOR)
    .bind(stale_after)
    .fetch_optional(&mut *conn)
    .await
    .map_err(Failure::from)
    .map_err(|failure| match failure.lacks_its_parent() {
        true => super::clients::no_such_client(client),
        false => failure,
    })?;
    row.map(|row| row.int(0)).transpose()
}

async fn renew(leases: &[(Lease, i64)], conn: &mut Conn) -> Result<Vec<Lease>, Failure> {
    let mut lost = Vec::new();
    for (lease, idle) in leases {
        let renewed = sqlx::query(timed(
            "UPDATE lease SET expires_at = {now} + $4, progress_at = {now} - $5 \
             WHERE client_id = $1 AND epoch = $2 AND holder = $3",
        ))
        .bind(lease.client.0)
        .bind(lease.epoch)
        .bind(lease.holder.clone())
        .bind(GOOD_FOR)
        .bind(*idle)
        .execute(&mut *conn)
        .await?;
        if renewed.rows_affected() == 0 {
            lost.push(lease.clone());
        }
    }
    Ok(lost)
}

async fn release(lease: &Lease, conn: &mut Conn) -> Result<(), Failure> {
    // The row stays, and with it the epoch: a session that was thought dead must not fit again.
    sqlx::query(
        "UPDATE lease SET holder = '', expires_at = 0 WHERE client_id = $1 AND epoch = $2 AND holder = $3",
    )
    .bind(lease.client.0)
    .bind(lease.epoch)
    .bind(lease.holder.clone())
    .execute(&mut *conn)
    .await?;
    Ok(())
}
