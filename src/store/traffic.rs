//! What came from upstreams for mailboxes, by the hour, all instances together.
//!
//! Must not know: how much is allowed, the clock (hours come in).

use super::error::Failure;
use super::sql::{Columns, Conn, Values, list};
use super::{MailboxId, Store, StoreError};

/// What came for a mailbox in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970.
    pub hour: i64,
    /// Octets.
    pub bytes: u64,
}

impl Store {
    /// Adds octets that came for mailboxes in this hour (hours since 1970), and gives what came for each of them by all instances from the
    /// hour `since` on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spend(
        &self,
        added: &[(MailboxId, u64)],
        hour: i64,
        since: i64,
    ) -> Result<Vec<(MailboxId, Hour)>, StoreError> {
        // In one order everywhere, so that two bridges do not wait for each other.
        let mut added = added.to_vec();
        added.sort_unstable_by_key(|(mailbox, _)| *mailbox);
        let work = (added, hour, since);
        self.write_to(Vec::new(), work, |(added, hour, since), conn| {
            Box::pin(spend(added, *hour, *since, conn))
        })
        .await
    }

    /// What came for a mailbox, by all instances, from the hour `since` on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spent(&self, mailbox: MailboxId, since: i64) -> Result<Vec<Hour>, StoreError> {
        let rows = self
            .read(([mailbox], since), |(mailbox, since), conn| {
                Box::pin(spent(mailbox, *since, conn))
            })
            .await?;
        Ok(rows.into_iter().map(|(_, hour)| hour).collect())
    }

    /// Forgets what came before the hour `since`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_spent(&self, since: i64) -> Result<(), StoreError> {
        self.write_to(Vec::new(), since, |since, conn| {
            Box::pin(async move {
                sqlx::query("DELETE FROM traffic WHERE hour < $1")
                    .bind(*since)
                    .execute(&mut *conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

async fn spend(
    added: &[(MailboxId, u64)],
    hour: i64,
    since: i64,
    conn: &mut Conn,
) -> Result<Vec<(MailboxId, Hour)>, Failure> {
    let mut values = Values::default();
    for (mailbox, bytes) in added.iter().filter(|(_, bytes)| *bytes > 0) {
        values
            .row()
            .number(mailbox.0)
            .number(hour)
            .number(i64::try_from(*bytes).unwrap_or(i64::MAX));
    }
    values
        .run(
            conn,
            "INSERT INTO traffic (mailbox_id, hour, bytes) VALUES ",
            " ON CONFLICT (mailbox_id, hour) DO UPDATE SET bytes = traffic.bytes + excluded.bytes",
        )
        .await?;
    let mailboxes: Vec<MailboxId> = added.iter().map(|(mailbox, _)| *mailbox).collect();
    spent(&mailboxes, since, conn).await
}

async fn spent(
    mailboxes: &[MailboxId],
    since: i64,
    conn: &mut Conn,
) -> Result<Vec<(MailboxId, Hour)>, Failure> {
    if mailboxes.is_empty() {
        return Ok(Vec::new());
    }
    let mailboxes = list(mailboxes.iter().map(|mailbox| mailbox.0));
    // Safe: numbers and nothing else.
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT mailbox_id, hour, bytes FROM traffic WHERE mailbox_id IN ({mailboxes}) AND hour >= {since} ORDER BY mailbox_id, hour"
    )))
    .persistent(false)
    .fetch_all(&mut *conn)
    .await?;
    let row = |row: &sqlx::any::AnyRow| {
        let hour = Hour {
            hour: row.int(1)?,
            bytes: u64::try_from(row.int(2)?).unwrap_or(0),
        };
        Ok((MailboxId(row.int(0)?), hour))
    };
    rows.iter().map(row).collect()
}
