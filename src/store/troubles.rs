//! Messages that could not be read, so that one of them does not stop a client for ever.

use sqlx::any::AnyRow;

use super::error::Failure;
use super::remembered::Touched;
use super::sql::{Columns, Conn};
use super::{MailboxId, Store, StoreError, Trouble};
use crate::maildrop::Seq;

impl Store {
    /// Notes that a message could not be read; gives how often that has happened by now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn trouble(
        &self,
        mailbox: MailboxId,
        seq: Seq,
        error: &str,
        now: i64,
    ) -> Result<i64, StoreError> {
        let touched = vec![Touched::Mailbox(mailbox)];
        let input = (mailbox, seq, error.to_owned(), now);
        self.write_to(touched, input, |(mailbox, seq, error, now), conn| {
            Box::pin(add(*mailbox, *seq, error, *now, conn))
        })
        .await
    }

    /// Notes that a message can be read again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn no_trouble(&self, mailbox: MailboxId, seq: Seq) -> Result<(), StoreError> {
        let touched = vec![Touched::Mailbox(mailbox)];
        self.write_to(touched, (mailbox, seq), |(mailbox, seq), conn| {
            Box::pin(remove(*mailbox, *seq, conn))
        })
        .await
    }

    /// The messages of a mailbox that could not be read, by ascending number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn troubles(&self, mailbox: MailboxId) -> Result<Vec<Trouble>, StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(all(*mailbox, conn)))
            .await
    }

    /// The same for what is only shown: mostly there is none, and that is remembered.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn troubles_to_show(&self, mailbox: MailboxId) -> Result<Vec<Trouble>, StoreError> {
        let mut read = None;
        let reading = async {
            let troubles = read.insert(self.troubles(mailbox).await?);
            Ok(!troubles.is_empty())
        };
        let has_some = self.of_mailbox(mailbox, |of| &mut of.has_troubles, reading);
        let has_some = has_some.await?;
        match read {
            Some(troubles) => Ok(troubles),
            None if has_some => self.troubles(mailbox).await,
            None => Ok(Vec::new()),
        }
    }
}

async fn add(
    mailbox: MailboxId,
    seq: Seq,
    error: &str,
    now: i64,
    conn: &mut Conn,
) -> Result<i64, Failure> {
    let row = sqlx::query(
        "INSERT INTO trouble (mailbox_id, seq, failures, last_error, at) VALUES ($1, $2, 1, $3, $4) \
         ON CONFLICT (mailbox_id, seq) DO UPDATE SET failures = trouble.failures + 1, \
         last_error = excluded.last_error, at = excluded.at RETURNING failures",
    )
    .bind(mailbox.0)
    .bind(i64::from(seq.get()))
    .bind(error.to_owned())
    .bind(now)
    .fetch_one(&mut *conn)
    .await?;
    row.int(0)
}

async fn remove(mailbox: MailboxId, seq: Seq, conn: &mut Conn) -> Result<(), Failure> {
    sqlx::query("DELETE FROM trouble WHERE mailbox_id = $1 AND seq = $2")
        .bind(mailbox.0)
        .bind(i64::from(seq.get()))
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn all(mailbox: MailboxId, conn: &mut Conn) -> Result<Vec<Trouble>, Failure> {
    let rows = sqlx::query(
        "SELECT seq, failures, last_error, at FROM trouble WHERE mailbox_id = $1 ORDER BY seq",
    )
    .bind(mailbox.0)
    .fetch_all(&mut *conn)
    .await?;
    let trouble = |row: &AnyRow| {
        Ok(Trouble {
            seq: row.seq(0)?,
            failures: row.int(1)?,
            last_error: row.string(2)?,
            at: row.int(3)?,
        })
    };
    rows.iter().map(trouble).collect()
}
