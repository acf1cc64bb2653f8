//! How long messages are that the upstream lists with another size.
//!
//! Written behind everybody's back, and no change of a register: the mailbox's version stays what it is. Another instance that shares the
//! store reads it when it reads the register.

use super::error::Failure;
use super::sql::{CHUNK, Columns, Conn, Values};
use super::{MailboxId, Store, StoreError};
use crate::maildrop::{Measured, Sizes};

/// Rows read at a time: what is read twice in memory stays small.
const PAGE: i64 = 1000;

impl Store {
    /// Notes how long messages are, instead of what was noted of them before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_sizes(&self, sizes: &[(MailboxId, Measured)]) -> Result<(), StoreError> {
        let mut sizes = sizes.to_vec();
        // In one order everywhere, so that two bridges do not wait for each other. A statement must not name a row twice.
        sizes.sort_by_key(|(mailbox, one)| (*mailbox, one.seq));
        sizes.dedup_by_key(|(mailbox, one)| (*mailbox, one.seq));
        self.write_to(Vec::new(), sizes, |sizes, conn| Box::pin(note(sizes, conn)))
            .await
    }

    /// What is noted of a mailbox's messages.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sizes(&self, mailbox: MailboxId) -> Result<Sizes, StoreError> {
        self.snapshot(mailbox, |mailbox, conn| Box::pin(sizes(*mailbox, conn)))
            .await
    }
}

async fn note(sizes: &[(MailboxId, Measured)], conn: &mut Conn) -> Result<(), Failure> {
    for chunk in sizes.chunks(CHUNK) {
        let mut values = Values::default();
        for (mailbox, one) in chunk {
            let row = values.row().number(mailbox.0).number(one.seq.get());
            row.number(one.listed).number(one.octets);
        }
        let before = "INSERT INTO measured (mailbox_id, seq, listed, octets) VALUES ";
        let after = " ON CONFLICT (mailbox_id, seq) DO UPDATE SET listed = excluded.listed, octets = excluded.octets";
        values.run(conn, before, after).await?;
    }
    Ok(())
}

async fn sizes(mailbox: MailboxId, conn: &mut Conn) -> Result<Sizes, Failure> {
    let mut sizes = Sizes::default();
    let mut after = 0;
    loop {
        let page = sqlx::query(
            "SELECT seq, listed, octets FROM measured WHERE mailbox_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(mailbox.0)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await?;
        for row in &page {
            sizes.insert(Measured {
                seq: row.seq(0)?,
                listed: row.u32(1)?,
                octets: row.u32(2)?,
            });
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) else {
            return Ok(sizes);
        };
        after = last.int(0)?;
    }
}
