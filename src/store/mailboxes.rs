//! Mailboxes and their folders.

use sqlx::any::AnyRow;

use super::error::{Failure, damaged};
use super::sql::{Columns, Conn};
use super::{FolderRow, Mailbox, MailboxId, Role, Store, StoreError, SweepStop, types::FolderId};
use crate::maildrop::Seq;

const FIND: &str = "SELECT id, upstream, login, version, stopped_take, stopped_of, stopped_at, sweep_confirmed \
                    FROM mailbox WHERE upstream = $1 AND login = $2";

impl Store {
    /// The mailbox of this log-in on this upstream, if it is known.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn find_mailbox(
        &self,
        upstream: &str,
        login: &str,
    ) -> Result<Option<Mailbox>, StoreError> {
        self.read((upstream, login), |(upstream, login), conn| {
            Box::pin(find(upstream, login, conn))
        })
        .await
    }

    /// The same; made where it is not known. `now` in seconds since 1970.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mailbox(
        &self,
        upstream: &str,
        login: &str,
        now: i64,
    ) -> Result<Mailbox, StoreError> {
        if let Some(known) = self.find_mailbox(upstream, login).await? {
            return Ok(known);
        }
        let new = (upstream.to_owned(), login.to_owned(), now);
        self.write_to(Vec::new(), new, |(upstream, login, now), conn| {
            Box::pin(find_or_make(upstream, login, *now, conn))
        })
        .await
    }

    /// The number of the same, which never changes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mailbox_id(
        &self,
        upstream: &str,
        login: &str,
        now: i64,
    ) -> Result<MailboxId, StoreError> {
        let remembered = &self.0.remembered;
        let before = match remembered.find(|memory| memory.id(upstream, login)) {
            Ok(id) => return Ok(id),
            Err(before) => before,
        };
        let id = self.mailbox(upstream, login, now).await?.id;
        remembered.keep(&before, |memory| memory.keep_id(upstream, login, id));
        Ok(id)
    }

    /// All mailboxes, in the order in which they were made.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mailboxes(&self) -> Result<Vec<Mailbox>, StoreError> {
        self.read((), |(), conn| Box::pin(all(conn))).await
    }

    /// A mailbox's version now: whether a register that was read before is still what the store holds.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn version(&self, mailbox: MailboxId) -> Result<i64, StoreError> {
        let reading = async { Ok(self.next(mailbox).await?.0) };
        self.of_mailbox(mailbox, |of| &mut of.version, reading)
            .await
    }

    /// A mailbox's version, and the number that its next new message gets.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn next(&self, mailbox: MailboxId) -> Result<(i64, Seq), StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(next(*mailbox, conn)))
            .await
    }

    /// A mailbox's folders by ascending number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn folders(&self, mailbox: MailboxId) -> Result<Vec<FolderRow>, StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(folders(*mailbox, conn)))
            .await
    }

    /// A mailbox's folder of this name (UTF-8); made where it is not known. A known one keeps its role.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] if there is no such mailbox, and others.
    pub async fn folder(
        &self,
        mailbox: MailboxId,
        name: &str,
        role: Role,
    ) -> Result<FolderRow, StoreError> {
        let known = self.folders(mailbox).await?;
        if let Some(known) = known.into_iter().find(|folder| folder.name == name) {
            return Ok(known);
        }
        let new = (mailbox, name.to_owned(), role);
        self.write_to(Vec::new(), new, |(mailbox, name, role), conn| {
            Box::pin(make_folder(*mailbox, name, *role, conn))
        })
        .await
    }
}

async fn find(upstream: &str, login: &str, conn: &mut Conn) -> Result<Option<Mailbox>, Failure> {
    let query = sqlx::query(FIND)
        .bind(upstream.to_owned())
        .bind(login.to_owned());
    let row = query.fetch_optional(&mut *conn).await?;
    row.map(|row| mailbox_of(&row)).transpose()
}

async fn find_or_make(
    upstream: &str,
    login: &str,
    now: i64,
    conn: &mut Conn,
) -> Result<Mailbox, Failure> {
    sqlx::query(
        "INSERT INTO mailbox (upstream, login, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (upstream, login) DO NOTHING",
    )
    .bind(upstream.to_owned())
    .bind(login.to_owned())
    .bind(now)
    .execute(&mut *conn)
    .await?;
    find(upstream, login, conn)
        .await?
        .ok_or_else(|| damaged("a mailbox that was just made is not there"))
}

async fn all(conn: &mut Conn) -> Result<Vec<Mailbox>, Failure> {
    let rows = sqlx::query(
        "SELECT id, upstream, login, version, stopped_take, stopped_of, stopped_at, sweep_confirmed FROM mailbox ORDER BY id",
    )
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(mailbox_of).collect()
}

fn mailbox_of(row: &AnyRow) -> Result<Mailbox, Failure> {
    let stopped = match (row.maybe_int(4)?, row.maybe_int(5)?, row.maybe_int(6)?) {
        (Some(would_take), Some(of), Some(at)) => Some(SweepStop { would_take, of, at }),
        _ => None,
    };
    Ok(Mailbox {
        id: MailboxId(row.int(0)?),
        upstream: row.string(1)?,
        login: row.string(2)?,
        version: row.int(3)?,
        stopped,
        sweep_confirmed: row.int(7)? != 0,
    })
}

/// Where there is no such mailbox, the caller is told so.
pub(super) fn no_such_mailbox(mailbox: MailboxId) -> Failure {
    StoreError::NoSuch(format!("mailbox {}", mailbox.0)).into()
}

pub(super) async fn next(mailbox: MailboxId, conn: &mut Conn) -> Result<(i64, Seq), Failure> {
    let row = sqlx::query("SELECT version, next_seq FROM mailbox WHERE id = $1")
        .bind(mailbox.0)
        .fetch_optional(&mut *conn)
        .await?;
    let row = row.ok_or_else(|| no_such_mailbox(mailbox))?;
    Ok((row.int(0)?, row.seq(1)?))
}

async fn folders(mailbox: MailboxId, conn: &mut Conn) -> Result<Vec<FolderRow>, Failure> {
    let rows = sqlx::query(
        "SELECT id, name, role, number FROM folder WHERE mailbox_id = $1 ORDER BY number",
    )
    .bind(mailbox.0)
    .fetch_all(&mut *conn)
    .await?;
    let folder = |row: &AnyRow| {
        let role = Role::from_text(&row.string(2)?);
        Ok(FolderRow {
            id: FolderId(row.int(0)?),
            mailbox,
            name: row.string(1)?,
            role: role.ok_or_else(|| damaged("a folder has no known role"))?,
            number: row.int(3)?,
        })
    };
    rows.iter().map(folder).collect()
}

async fn make_folder(
    mailbox: MailboxId,
    name: &str,
    role: Role,
    conn: &mut Conn,
) -> Result<FolderRow, Failure> {
    // First what locks the mailbox's row: two bridges that make folders at once get two numbers.
    let row = sqlx::query(
        "UPDATE mailbox SET next_folder = next_folder + 1 WHERE id = $1 RETURNING next_folder - 1",
    )
    .bind(mailbox.0)
    .fetch_optional(&mut *conn)
    .await?;
    let number = row.ok_or_else(|| no_such_mailbox(mailbox))?.int(0)?;
    let made = sqlx::query(
        "INSERT INTO folder (mailbox_id, name, role, number) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (mailbox_id, name) DO NOTHING",
    )
    .bind(mailbox.0)
    .bind(name.to_owned())
    .bind(role.as_text())
    .bind(number)
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        // Another was quicker: its number counts, and this one is given to the next.
        sqlx::query("UPDATE mailbox SET next_folder = $2 WHERE id = $1")
            .bind(mailbox.0)
            .bind(number)
            .execute(&mut *conn)
            .await?;
    }
    let folders = folders(mailbox, conn).await?;
    folders
        .into_iter()
        .find(|folder| folder.name == name)
        .ok_or_else(|| damaged("a folder that was just made is not there"))
}
