//! Reading the register of a folder.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::any::AnyRow;

use super::error::{Failure, damaged};
use super::gone::Known;
use super::mailboxes::next;
use super::sql::{Columns, Conn};
use super::{FolderId, Store, StoreError};
use crate::maildrop::{Entry, Gone, Index, Message, Register, Seq, Uid, UidValidity};

/// Rows read at a time: what is read twice in memory stays small.
const PAGE: i64 = 1000;

impl Store {
    /// The register of a folder with its mailbox's version and the number that the mailbox gives next, all as they were at one moment.
    /// `None` if the folder was never listed.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn register(
        &self,
        folder: FolderId,
    ) -> Result<Option<(Register, i64, Seq)>, StoreError> {
        self.snapshot(folder, |folder, conn| Box::pin(register(*folder, conn)))
            .await
    }
}

async fn register(
    folder: FolderId,
    conn: &mut Conn,
) -> Result<Option<(Register, i64, Seq)>, Failure> {
    let known = Known::read(folder, conn).await?;
    let Some(listed) = known.listed else {
        return Ok(None);
    };
    let (version, next_seq) = next(known.mailbox, conn).await?;
    let mut rows = Rows::default();
    let mut after = 0;
    loop {
        let page = sqlx::query(
            "SELECT seq, uid, size, internal_date, first_seen, gm_msgid, header_hash, uidl, gone_at, uid_validity, disposed, email_id \
             FROM message WHERE folder_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(folder.0)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = page.last() else { break };
        after = last.int(0)?;
        for row in &page {
            rows.take(row)?;
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    // Mostly in order already: numbers are given by ascending UID.
    rows.present.sort_by_key(|present| present.message.uid);
    let present = rows.present;
    if present
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.message.uid == b.message.uid))
    {
        return Err(damaged("two messages of a folder have one UID"));
    }
    let all_have_it = !present.is_empty() && present.iter().all(|p| p.gm_msgid.is_some());
    let gm_msgids = all_have_it.then(|| present.iter().filter_map(|p| p.gm_msgid).collect());
    let asked_for = !present.is_empty() && present.iter().any(|p| p.email_id.is_some());
    let email_ids = asked_for.then(|| {
        let ids = present.iter().map(|p| p.email_id);
        ids.map(Option::unwrap_or_default).collect()
    });
    let register = Register {
        index: Arc::new(Index {
            uid_validity: listed.uid_validity,
            uid_next: listed.uid_next,
            highest_modseq: listed.highest_modseq,
            messages: present.iter().map(|p| p.message).collect(),
            gm_msgids,
            email_ids,
        }),
        entries: present.iter().map(|p| p.entry).collect(),
        uidls: rows.uidls,
        header_hashes: rows.header_hashes,
        gone: rows.gone,
        floors: floors(folder, conn).await?,
        format: listed.format,
        first_listed: listed.first_listed,
        suffix: known.suffix,
    };
    Ok(Some((register, version, next_seq)))
}

async fn floors(folder: FolderId, conn: &mut Conn) -> Result<Vec<(UidValidity, u32)>, Failure> {
    let rows = sqlx::query(
        "SELECT uid_validity, below FROM floor WHERE folder_id = $1 ORDER BY uid_validity",
    )
    .bind(folder.0)
    .fetch_all(&mut *conn)
    .await?;
    let floor = |row: &AnyRow| Ok((row.uid_validity(0)?, row.u32(1)?));
    rows.iter().map(floor).collect()
}

struct Present {
    message: Message,
    entry: Entry,
    gm_msgid: Option<u64>,
    email_id: Option<u64>,
}

#[derive(Default)]
struct Rows {
    present: Vec<Present>,
    uidls: HashMap<Seq, Box<str>>,
    header_hashes: HashMap<Seq, i64>,
    gone: Vec<Gone>,
}

impl Rows {
    fn take(&mut self, row: &AnyRow) -> Result<(), Failure> {
        let seq = row.seq(0)?;
        let uid: Uid = row.uid(1)?;
        let size = row.u32(2)?;
        let internal_date = row.int(3)?;
        let first_seen = row.u32(4)?;
        let gm_msgid = row.maybe_int(5)?.map(i64::cast_unsigned);
        let email_id = row.maybe_int(11)?.map(i64::cast_unsigned);
        let header_hash = row.maybe_int(6)?;
        let uidl = row.maybe_string(7)?.map(String::into_boxed_str);
        if let Some(gone_at) = row.maybe_int(8)? {
            self.gone.push(Gone {
                seq,
                uid_validity: row.uid_validity(9)?,
                uid,
                size,
                internal_date,
                first_seen,
                gm_msgid,
                email_id,
                header_hash,
                uidl: uidl.ok_or_else(|| damaged("a message that is gone has no unique-id"))?,
                gone_at,
                disposed: row.int(10)? != 0,
            });
            return Ok(());
        }
        if let Some(uidl) = uidl {
            self.uidls.insert(seq, uidl);
        }
        if let Some(hash) = header_hash {
            self.header_hashes.insert(seq, hash);
        }
        self.present.push(Present {
            message: Message {
                uid,
                size,
                internal_date,
            },
            entry: Entry { seq, first_seen },
            gm_msgid,
            email_id,
        });
        Ok(())
    }
}
