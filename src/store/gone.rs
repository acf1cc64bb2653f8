//! What a folder is read and written with, and how a message leaves it.

use super::error::{Failure, damaged};
use super::sql::{CHUNK, Columns, Conn, Values, execute_with, list, numbers};
use super::{FolderId, FolderRow, MailboxId, Role, StoreError};
use crate::maildrop::{Format, Seq, UidValidity};
use sqlx::AssertSqlSafe;

/// What the store knows of a folder beside its messages.
pub(super) struct Known {
    pub(super) id: FolderId,
    pub(super) mailbox: MailboxId,
    pub(super) suffix: Box<str>,
    /// `None` until it was listed.
    pub(super) listed: Option<Listed>,
}

/// What the last listing said.
pub(super) struct Listed {
    pub(super) uid_validity: UidValidity,
    pub(super) uid_next: Option<u32>,
    pub(super) highest_modseq: Option<u64>,
    pub(super) format: Format,
    pub(super) first_listed: u32,
}

impl Known {
    pub(super) async fn read(folder: FolderId, conn: &mut Conn) -> Result<Self, Failure> {
        let row = sqlx::query(
            "SELECT mailbox_id, number, uid_validity, uid_next, highest_modseq, format, first_listed FROM folder WHERE id = $1",
        )
        .bind(folder.0)
        .fetch_optional(&mut *conn)
        .await?;
        let row = row.ok_or_else(|| StoreError::NoSuch(format!("folder {}", folder.0)))?;
        let mailbox = MailboxId(row.int(0)?);
        let named = FolderRow {
            id: folder,
            mailbox,
            name: String::new(),
            role: Role::Served,
            number: row.int(1)?,
        };
        let listed = match row.maybe_int(2)? {
            None => None,
            Some(_) => Some(Listed {
                uid_validity: row.uid_validity(2)?,
                uid_next: row.maybe_int(3)?.map(|_| row.u32(3)).transpose()?,
                highest_modseq: row.maybe_int(4)?.map(i64::cast_unsigned),
                format: match row.maybe_string(5)? {
                    None => Format::default(),
                    Some(text) => Format::parse(&text)
                        .map_err(|_| damaged("a folder's unique-ids have no known format"))?,
                },
                first_listed: row.u32(6)?,
            }),
        };
        Ok(Self {
            id: folder,
            mailbox,
            suffix: named.suffix(),
            listed,
        })
    }

    /// Notes that these messages are not in the folder any more, with their unique-ids as text: what the format gives for them is
    /// known only now. Those that are gone already stay as they are, but for `disposed`.
    pub(super) async fn lose(
        &self,
        seqs: &[Seq],
        now: i64,
        disposed: bool,
        conn: &mut Conn,
    ) -> Result<(), Failure> {
        let Some(listed) = &self.listed else {
            return Ok(());
        };
        let folder = self.id.0;
        for seqs in seqs.chunks(CHUNK) {
            let chosen = list(numbers(seqs));
            let present = format!(
                "SELECT seq, uid, gm_msgid, uidl FROM message WHERE folder_id = {folder} AND gone_at IS NULL AND seq IN ({chosen})"
            );
            let rows = sqlx::query(AssertSqlSafe(present))
                .persistent(false)
                .fetch_all(&mut *conn)
                .await?;
            let mut values = Values::default();
            for row in &rows {
                let uidl = match row.maybe_string(3)? {
                    Some(text) => text,
                    None => {
                        let gm_msgid = row.maybe_int(2)?.map(i64::cast_unsigned);
                        let gm_msgid = gm_msgid.unwrap_or_default();
                        let rendered =
                            listed
                                .format
                                .render(listed.uid_validity, row.uid(1)?, gm_msgid);
                        rendered.with_suffix(&self.suffix).to_string()
                    }
                };
                values.of(row.seq(0)?).text(Some(&uidl));
            }
            let after = format!(
                ") UPDATE message SET gone_at = {now}, uid_validity = {}, uidl = v.uidl {}",
                listed.uid_validity,
                values.joined(folder)
            );
            values
                .run(conn, "WITH v (seq, uidl) AS (VALUES ", &after)
                .await?;
            if disposed {
                let disposed = format!(
                    "UPDATE message SET disposed = 1 WHERE folder_id = {folder} AND gone_at IS NOT NULL AND seq IN ({chosen})"
                );
                execute_with(conn, disposed, Vec::new()).await?;
            }
        }
        Ok(())
    }
}
