//! What is forgotten, so that the store does not grow for ever.

use super::error::Failure;
use super::mailboxes::{next, no_such_mailbox};
use super::remembered::Touched;
use super::sql::{Columns, Conn};
use super::{ClientId, MailboxId, Store, StoreError};

const DAY: i64 = 86_400;

/// For how many seconds a message that is gone is remembered: for so long it keeps its number and its unique-id, should it come back.
pub const KEPT_FOR: i64 = 90 * DAY;

/// For how many seconds a removed client's marks are kept.
const REMOVED_FOR: i64 = 7 * DAY;

struct Prune {
    mailbox: MailboxId,
    losses: Vec<(ClientId, i64)>,
    now: i64,
}

impl Store {
    /// Forgets messages that have been gone for [`KEPT_FOR`], removed clients after 7 days, and what only they needed. What clients have
    /// lost among those messages cannot be counted afterwards: `losses` is added to what they have lost before. The mailbox has a new
    /// version if messages were forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn prune(
        &self,
        mailbox: MailboxId,
        losses: &[(ClientId, i64)],
        now: i64,
    ) -> Result<(), StoreError> {
        let work = Prune {
            mailbox,
            losses: losses.to_vec(),
            now,
        };
        let touched = vec![Touched::All];
        self.write_within(super::LARGE, touched, work, |work, conn| {
            Box::pin(prune(work, conn))
        })
        .await
    }
}

impl Store {
    /// The mailboxes in which [`prune`](Self::prune) would find something.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn prunable(&self, now: i64) -> Result<Vec<MailboxId>, StoreError> {
        self.read(now, |now, conn| Box::pin(prunable(*now, conn)))
            .await
    }
}

async fn prunable(now: i64, conn: &mut Conn) -> Result<Vec<MailboxId>, Failure> {
    let rows = sqlx::query(
        "SELECT DISTINCT folder.mailbox_id FROM message JOIN folder ON folder.id = message.folder_id \
         WHERE message.gone_at < $1 UNION SELECT mailbox_id FROM client WHERE removed_at < $2",
    )
    .bind(now - KEPT_FOR)
    .bind(now - REMOVED_FOR)
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(|row| Ok(MailboxId(row.int(0)?))).collect()
}

async fn run(conn: &mut Conn, statement: &'static str, numbers: &[i64]) -> Result<u64, Failure> {
    let mut query = sqlx::query(statement);
    for number in numbers {
        query = query.bind(*number);
    }
    Ok(query.execute(&mut *conn).await?.rows_affected())
}

async fn prune(work: &Prune, conn: &mut Conn) -> Result<(), Failure> {
    let Prune { mailbox, now, .. } = work;
    let id = mailbox.0;
    // Locks the mailbox's row, changing nothing.
    if run(
        conn,
        "UPDATE mailbox SET version = version WHERE id = $1",
        &[id],
    )
    .await?
        == 0
    {
        return Err(no_such_mailbox(*mailbox));
    }
    for (client, lost) in &work.losses {
        let add = "UPDATE client SET losses_before = losses_before + $2 WHERE id = $1 AND mailbox_id = $3";
        run(conn, add, &[client.0, *lost, id]).await?;
    }
    // Only for messages that nothing is known of any more: as long as the row is there, it says that this was done already.
    run(
        conn,
        "DELETE FROM intent WHERE mailbox_id = $1 AND state IN ('done', 'cancelled') AND EXISTS (SELECT 1 FROM message \
         WHERE message.folder_id = intent.folder_id AND message.seq = intent.seq AND message.gone_at < $2)",
        &[id, now - KEPT_FOR],
    )
    .await?;
    let forgotten = run(
        conn,
        "DELETE FROM message WHERE folder_id IN (SELECT id FROM folder WHERE mailbox_id = $1) AND gone_at < $2",
        &[id, now - KEPT_FOR],
    )
    .await?;
    if forgotten > 0 {
        run(
            conn,
            "UPDATE mailbox SET version = version + 1 WHERE id = $1",
            &[id],
        )
        .await?;
    }
    forget_marks(*mailbox, conn).await?;
    run(
        conn,
        "DELETE FROM measured WHERE mailbox_id = $1 AND NOT EXISTS (SELECT 1 FROM message \
         JOIN folder ON folder.id = message.folder_id WHERE folder.mailbox_id = measured.mailbox_id \
         AND message.seq = measured.seq)",
        &[id],
    )
    .await?;
    // What could not be read and is there still has been given to nobody, however long ago it was tried.
    run(
        conn,
        "DELETE FROM trouble WHERE mailbox_id = $1 AND at < $2 AND NOT EXISTS (SELECT 1 FROM message \
         JOIN folder ON folder.id = message.folder_id WHERE folder.mailbox_id = trouble.mailbox_id \
         AND message.seq = trouble.seq AND message.gone_at IS NULL)",
        &[id, now - KEPT_FOR],
    )
    .await?;
    forget_clients(*mailbox, now - REMOVED_FOR, conn).await
}

/// Marks that are all below the lowest number left mean nothing any more.
async fn forget_marks(mailbox: MailboxId, conn: &mut Conn) -> Result<(), Failure> {
    let (_, mut lowest) = next(mailbox, conn).await?;
    let folders = sqlx::query("SELECT id FROM folder WHERE mailbox_id = $1")
        .bind(mailbox.0)
        .fetch_all(&mut *conn)
        .await?;
    for folder in &folders {
        // By the primary key, one row.
        let row = sqlx::query("SELECT seq FROM message WHERE folder_id = $1 ORDER BY seq LIMIT 1")
            .bind(folder.int(0)?)
            .fetch_optional(&mut *conn)
            .await?;
        if let Some(row) = row {
            lowest = lowest.min(row.seq(0)?);
        }
    }
    run(
        conn,
        "DELETE FROM mark WHERE client_id IN (SELECT id FROM client WHERE mailbox_id = $1) AND last_seq < $2",
        &[mailbox.0, i64::from(lowest.get())],
    )
    .await?;
    Ok(())
}

async fn forget_clients(mailbox: MailboxId, before: i64, conn: &mut Conn) -> Result<(), Failure> {
    for statement in [
        "DELETE FROM mark WHERE client_id IN (SELECT id FROM client WHERE mailbox_id = $1 AND removed_at < $2)",
        "DELETE FROM lease WHERE client_id IN (SELECT id FROM client WHERE mailbox_id = $1 AND removed_at < $2)",
        "DELETE FROM client WHERE mailbox_id = $1 AND removed_at < $2",
    ] {
        run(conn, statement, &[mailbox.0, before]).await?;
    }
    Ok(())
}
