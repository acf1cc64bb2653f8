//! How full mailboxes are, as their upstreams have said: for people and metrics, and nothing is decided by it.
//!
//! Must not know: how it is asked, what a mailbox's messages take.

use super::error::Failure;
use super::sql::{Columns, Conn};
use super::{MailboxId, Quota, Store, StoreError};

impl Store {
    /// How full a mailbox is; none where its upstream has not said.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn quota(&self, mailbox: MailboxId) -> Result<Option<Quota>, StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(read(*mailbox, conn)))
            .await
    }

    /// Notes how full a mailbox is; none: its upstream does not say.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_quota(
        &self,
        mailbox: MailboxId,
        quota: Option<Quota>,
    ) -> Result<(), StoreError> {
        self.write_to(Vec::new(), (mailbox, quota), |(mailbox, quota), conn| {
            Box::pin(note(*mailbox, *quota, conn))
        })
        .await
    }
}

async fn read(mailbox: MailboxId, conn: &mut Conn) -> Result<Option<Quota>, Failure> {
    let row = sqlx::query("SELECT used, most, at FROM quota WHERE mailbox_id = $1")
        .bind(mailbox.0)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Quota {
        used: u64::try_from(row.int(0)?).unwrap_or(0),
        limit: u64::try_from(row.int(1)?).unwrap_or(0),
        at: row.int(2)?,
    }))
}

async fn note(mailbox: MailboxId, quota: Option<Quota>, conn: &mut Conn) -> Result<(), Failure> {
    let Some(quota) = quota else {
        sqlx::query("DELETE FROM quota WHERE mailbox_id = $1")
            .bind(mailbox.0)
            .execute(&mut *conn)
            .await?;
        return Ok(());
    };
    let octets = |octets: u64| i64::try_from(octets).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO quota (mailbox_id, used, most, at) VALUES ($1, $2, $3, $4) ON CONFLICT (mailbox_id) DO UPDATE \
         SET used = excluded.used, most = excluded.most, at = excluded.at",
    )
    .bind(mailbox.0)
    .bind(octets(quota.used))
    .bind(octets(quota.limit))
    .bind(quota.at)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
