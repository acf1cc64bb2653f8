//! Writing what has changed in a register.

use super::error::Failure;
use super::gone::Known;
use super::mailboxes::{next, no_such_mailbox};
use super::remembered::Touched;
use super::sql::{CHUNK, Conn, Values, execute_with};
use super::{FolderId, LARGE, MailboxId, Store, StoreError};
use crate::maildrop::{Delta, Format, Moved, NewMessage, Seq};

struct Change {
    mailbox: MailboxId,
    folder: FolderId,
    expected: i64,
    delta: Delta,
    now: i64,
}

impl Store {
    /// Writes a change of a folder's register and gives the mailbox's new version. Where all UIDs mean something else now, what was going
    /// to be done to the folder's messages is cancelled: it was written down under the old ones.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] unless the mailbox's version is still `expected`; then nothing was written, and the register has to be
    /// read and compared anew.
    pub async fn apply(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        expected: i64,
        delta: &Delta,
        now: i64,
    ) -> Result<i64, StoreError> {
        let change = Change {
            mailbox,
            folder,
            expected,
            delta: delta.clone(),
            now,
        };
        // A conflict, too, says that the version is another one.
        let touched = vec![Touched::Mailbox(mailbox)];
        self.write_within(LARGE, touched, change, |change, conn| {
            Box::pin(apply(change, conn))
        })
        .await
    }
}

async fn apply(change: &Change, conn: &mut Conn) -> Result<i64, Failure> {
    let Change { folder, delta, .. } = change;
    // Locks the mailbox's row: all that follows is seen by others at once or not at all.
    let version = bump(change, conn).await?;
    let known = Known::read(*folder, conn).await?;
    if known.mailbox != change.mailbox {
        return Err(StoreError::NoSuch(format!("folder {} of this mailbox", folder.0)).into());
    }
    // First, because the unique-ids of what is gone are what the folder gave until now.
    known.lose(&delta.gone, change.now, false, conn).await?;
    moved(*folder, &delta.moved, conn).await?;
    moved(*folder, &delta.back, conn).await?;
    new(*folder, &delta.new, conn).await?;
    let pinned = delta.pinned.iter().map(|(seq, text)| (seq, Some(&**text)));
    set(*folder, "uidl", pinned, conn).await?;
    set_numbers(*folder, "header_hash", &delta.hashes, conn).await?;
    let msgids: Vec<_> = delta
        .msgids
        .iter()
        .map(|(seq, id)| (*seq, id.cast_signed()))
        .collect();
    set_numbers(*folder, "gm_msgid", &msgids, conn).await?;
    let email_ids = delta.email_ids.iter();
    let email_ids: Vec<_> = email_ids
        .map(|(seq, id)| (*seq, id.cast_signed()))
        .collect();
    set_numbers(*folder, "email_id", &email_ids, conn).await?;
    let sizes: Vec<_> = delta
        .sized
        .iter()
        .map(|(s, n)| (*s, i64::from(*n)))
        .collect();
    set_numbers(*folder, "size", &sizes, conn).await?;
    floors(*folder, delta, conn).await?;
    if delta.regenerated {
        cancel_all(change, conn).await?;
    }
    let never_listed = known.listed.is_none();
    describe(change, never_listed, conn).await?;
    Ok(version)
}

async fn bump(change: &Change, conn: &mut Conn) -> Result<i64, Failure> {
    let next_seq = i64::from(change.delta.next_seq.get());
    let bumped = sqlx::query(
        "UPDATE mailbox SET version = version + 1, next_seq = CASE WHEN next_seq < $3 THEN $3 ELSE next_seq END \
         WHERE id = $1 AND version = $2",
    )
    .bind(change.mailbox.0)
    .bind(change.expected)
    .bind(next_seq)
    .execute(&mut *conn)
    .await?;
    if bumped.rows_affected() == 0 {
        next(change.mailbox, conn)
            .await
            .map_err(|_| no_such_mailbox(change.mailbox))?;
        return Err(StoreError::Conflict.into());
    }
    Ok(change.expected + 1)
}

/// Messages under another UID, or there again: present from now on.
async fn moved(folder: FolderId, moved: &[Moved], conn: &mut Conn) -> Result<(), Failure> {
    for chunk in moved.chunks(CHUNK) {
        let mut values = Values::default();
        for message in chunk {
            values
                .of(message.seq)
                .number(message.uid.get())
                .number(message.size)
                .optional(message.header_hash)
                .text(message.uidl.as_deref());
        }
        // The casts are for PostgreSQL, to which a column of nothing but NULL is text. A hash that is not told stays.
        let after = format!(
            ") UPDATE message SET uid = v.uid, size = v.size, header_hash = COALESCE(CAST(v.hash AS BIGINT), message.header_hash), \
             uidl = CAST(v.uidl AS TEXT), uid_validity = NULL, gone_at = NULL, disposed = 0 {}",
            values.joined(folder.0)
        );
        let before = "WITH v (seq, uid, size, hash, uidl) AS (VALUES ";
        values.run(conn, before, &after).await?;
    }
    Ok(())
}

async fn new(folder: FolderId, new: &[NewMessage], conn: &mut Conn) -> Result<(), Failure> {
    for chunk in new.chunks(CHUNK) {
        let mut values = Values::default();
        for message in chunk {
            values
                .row()
                .number(folder.0)
                .number(message.seq.get())
                .number(message.uid.get())
                .number(message.size)
                .number(message.internal_date)
                .number(message.first_seen)
                .optional(message.gm_msgid.map(u64::cast_signed))
                .optional(message.email_id.map(u64::cast_signed))
                .optional(message.header_hash)
                .text(message.uidl.as_deref());
        }
        let before = "INSERT INTO message \
                      (folder_id, seq, uid, size, internal_date, first_seen, gm_msgid, email_id, header_hash, uidl) VALUES ";
        // A number of another folder's message may have been in this one before (Gmail, copies): then it is there again.
        let after = " ON CONFLICT (folder_id, seq) DO UPDATE SET uid = excluded.uid, size = excluded.size, \
                     internal_date = excluded.internal_date, gm_msgid = excluded.gm_msgid, email_id = excluded.email_id, header_hash = excluded.header_hash, \
                     uidl = excluded.uidl, uid_validity = NULL, gone_at = NULL, disposed = 0";
        values.run(conn, before, after).await?;
    }
    Ok(())
}

/// Sets a column of messages to texts.
async fn set<'a>(
    folder: FolderId,
    column: &'static str,
    rows: impl Iterator<Item = (&'a Seq, Option<&'a str>)> + Send,
    conn: &mut Conn,
) -> Result<(), Failure> {
    let rows: Vec<_> = rows.collect();
    for chunk in rows.chunks(CHUNK) {
        let mut values = Values::default();
        for (seq, text) in chunk {
            values.of(**seq).text(*text);
        }
        update(folder, column, values, conn).await?;
    }
    Ok(())
}

/// Sets a column of messages to numbers.
async fn set_numbers(
    folder: FolderId,
    column: &'static str,
    rows: &[(Seq, i64)],
    conn: &mut Conn,
) -> Result<(), Failure> {
    for chunk in rows.chunks(CHUNK) {
        let mut values = Values::default();
        for (seq, number) in chunk {
            values.of(*seq).number(*number);
        }
        update(folder, column, values, conn).await?;
    }
    Ok(())
}

async fn update(
    folder: FolderId,
    column: &'static str,
    values: Values,
    conn: &mut Conn,
) -> Result<(), Failure> {
    let after = format!(
        ") UPDATE message SET {column} = v.value {}",
        values.joined(folder.0)
    );
    values
        .run(conn, "WITH v (seq, value) AS (VALUES ", &after)
        .await?;
    Ok(())
}

async fn floors(folder: FolderId, delta: &Delta, conn: &mut Conn) -> Result<(), Failure> {
    for chunk in delta.floors.chunks(CHUNK) {
        let mut values = Values::default();
        for (uid_validity, below) in chunk {
            let row = values.row().number(folder.0);
            row.number(uid_validity.get()).number(*below);
        }
        let before = "INSERT INTO floor (folder_id, uid_validity, below) VALUES ";
        let after = " ON CONFLICT (folder_id, uid_validity) DO UPDATE SET \
                     below = CASE WHEN excluded.below > floor.below THEN excluded.below ELSE floor.below END";
        values.run(conn, before, after).await?;
    }
    Ok(())
}

async fn cancel_all(change: &Change, conn: &mut Conn) -> Result<(), Failure> {
    let statement = format!(
        "UPDATE intent SET state = 'cancelled', last_error = $1, tried_at = {} \
         WHERE mailbox_id = {} AND folder_id = {} AND state IN ('pending', 'failed')",
        change.now, change.mailbox.0, change.folder.0
    );
    let why = "the folder's UIDs mean other messages now".to_owned();
    execute_with(conn, statement, vec![why]).await?;
    Ok(())
}

/// What the folder itself is known by.
async fn describe(change: &Change, never_listed: bool, conn: &mut Conn) -> Result<(), Failure> {
    let Change { folder, delta, .. } = change;
    let format = match &delta.format {
        Some(format) => Some(format.to_string()),
        None => never_listed.then(|| Format::default().to_string()),
    };
    sqlx::query(
        "UPDATE folder SET uid_validity = $2, uid_next = $3, highest_modseq = $4, format = COALESCE($5, format), \
         first_listed = COALESCE(first_listed, $6) WHERE id = $1",
    )
    .bind(folder.0)
    .bind(i64::from(delta.uid_validity.get()))
    .bind(delta.uid_next.map(i64::from))
    .bind(delta.highest_modseq.map(u64::cast_signed))
    .bind(format)
    .bind(change.now)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
