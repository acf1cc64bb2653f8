//! Clients: made, found at log-in, changed, removed.

use sqlx::any::AnyRow;

use super::error::Failure;
use super::mailboxes::no_such_mailbox;
use super::remembered::Touched;
use super::sql::{Columns, Conn};
use super::{Client, ClientId, MailboxId, NewClient, Store, StoreError};
use crate::maildrop::Seq;
use crate::secret::StoredPassword;

/// The columns that [`client_of`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, mailbox_id, login, name, named, account, password, settings, enrolled_at, reset_at, removed_at, ",
            "last_seen, version, losses_before, found_below FROM client ",
            $rest
        )
    };
}

impl Store {
    /// Makes a client, enrolled `now`.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if its log-in name is another's, [`StoreError::NoSuch`] if there is no such mailbox, and others.
    pub async fn add_client(&self, new: &NewClient, now: i64) -> Result<Client, StoreError> {
        let touched = vec![Touched::Mailbox(new.mailbox)];
        let new = (new.clone(), now);
        self.write_to(touched, new, |(new, now), conn| {
            Box::pin(add(new, *now, conn))
        })
        .await
    }

    /// The client with this log-in name, unless it was removed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn client_by_login(&self, login: &str) -> Result<Option<Client>, StoreError> {
        let remembered = &self.0.remembered;
        let before = match remembered.find(|memory| memory.client(login)) {
            Ok(client) => return Ok(Some(client)),
            Err(before) => before,
        };
        let reading = self.read(login, |login, conn| Box::pin(by_login(login, conn)));
        let client = reading.await?;
        if let Some(client) = &client {
            remembered.keep(&before, |memory| memory.keep_client(client));
        }
        Ok(client)
    }

    /// Whether a mailbox has more than one client, removed ones counted of which something is kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn has_several_clients(&self, mailbox: MailboxId) -> Result<bool, StoreError> {
        let reading = self.read(mailbox, |mailbox, conn| Box::pin(several(*mailbox, conn)));
        self.of_mailbox(mailbox, |of| &mut of.is_shared, reading)
            .await
    }

    /// The clients of one mailbox or of all, also removed ones of which something is kept; in the order in which they were made.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn clients(&self, mailbox: Option<MailboxId>) -> Result<Vec<Client>, StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(clients(*mailbox, conn)))
            .await
    }

    /// Changes a client's settings.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn set_client(&self, client: ClientId, settings: &str) -> Result<(), StoreError> {
        let change = (client, settings.to_owned());
        self.write(change, |(client, settings), conn| {
            let statement = "UPDATE client SET settings = $2, version = version + 1 \
                             WHERE id = $1 AND removed_at IS NULL";
            Box::pin(set(*client, statement, settings, conn))
        })
        .await
    }

    /// Changes a client's password.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn set_password(
        &self,
        client: ClientId,
        password: &StoredPassword,
    ) -> Result<(), StoreError> {
        let change = (client, password.clone());
        self.write(change, |(client, password), conn| {
            let statement = "UPDATE client SET password = $2, version = version + 1 \
                             WHERE id = $1 AND removed_at IS NULL";
            Box::pin(set(*client, statement, password.as_text(), conn))
        })
        .await
    }

    /// Forgets what a client has had and deleted.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn reset_client(&self, client: ClientId, now: i64) -> Result<(), StoreError> {
        self.write((client, now), |(client, now), conn| {
            Box::pin(reset(*client, *now, conn))
        })
        .await
    }

    /// Removes a client: its log-in name is free at once, its marks stay until [`prune`](Self::prune) takes them.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn remove_client(&self, client: ClientId, now: i64) -> Result<(), StoreError> {
        self.write((client, now), |(client, now), conn| {
            Box::pin(remove(*client, *now, conn))
        })
        .await
    }

    /// Notes that the mailbox was looked at, and that it had these numbers below `next_seq` then, for the clients that have been made since it was
    /// looked at last.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn found(&self, mailbox: MailboxId, next_seq: Seq) -> Result<(), StoreError> {
        let touched = vec![Touched::ClientsOf(mailbox)];
        self.write_to(touched, (mailbox, next_seq), |(mailbox, next_seq), conn| {
            Box::pin(note_found(*mailbox, *next_seq, conn))
        })
        .await
    }

    /// Notes when clients were last seen. Never goes back; clients that are not there any more are left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn seen(&self, seen: &[(ClientId, i64)]) -> Result<(), StoreError> {
        let mut seen = seen.to_vec();
        // In one order everywhere, so that two bridges do not wait for each other.
        seen.sort_unstable();
        let touched = seen.iter().map(|(client, at)| Touched::Seen(*client, *at));
        self.write_to(touched.collect(), seen, |seen, conn| {
            Box::pin(note_seen(seen, conn))
        })
        .await
    }
}

pub(super) fn no_such_client(client: ClientId) -> Failure {
    StoreError::NoSuch(format!("client {}", client.0)).into()
}

async fn add(new: &NewClient, now: i64, conn: &mut Conn) -> Result<Client, Failure> {
    let made = sqlx::query(
        "INSERT INTO client (mailbox_id, login, name, named, account, password, settings, enrolled_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.mailbox.0)
    .bind(new.login.clone())
    .bind(new.name.clone())
    .bind(i64::from(new.named))
    .bind(new.account.clone())
    .bind(new.password.as_ref().map(|p| p.as_text().to_owned()))
    .bind(new.settings.clone())
    .bind(now)
    .execute(&mut *conn)
    .await
    .map_err(Failure::from);
    if let Err(failure) = made {
        return Err(if failure.is_duplicate() {
            StoreError::Taken(new.login.clone()).into()
        } else if failure.lacks_its_parent() {
            no_such_mailbox(new.mailbox)
        } else {
            failure
        });
    }
    by_login(&new.login, conn)
        .await?
        .ok_or_else(|| super::error::damaged("a client that was just made is not there"))
}

async fn by_login(login: &str, conn: &mut Conn) -> Result<Option<Client>, Failure> {
    let query = sqlx::query(select!("WHERE login = $1 AND removed_at IS NULL"));
    let row = query
        .bind(login.to_owned())
        .fetch_optional(&mut *conn)
        .await?;
    row.map(|row| client_of(&row)).transpose()
}

async fn clients(mailbox: Option<MailboxId>, conn: &mut Conn) -> Result<Vec<Client>, Failure> {
    let query = match mailbox {
        Some(mailbox) => sqlx::query(select!("WHERE mailbox_id = $1 ORDER BY id")).bind(mailbox.0),
        None => sqlx::query(select!("ORDER BY id")),
    };
    let rows = query.fetch_all(&mut *conn).await?;
    rows.iter().map(client_of).collect()
}

async fn several(mailbox: MailboxId, conn: &mut Conn) -> Result<bool, Failure> {
    let rows = sqlx::query("SELECT id FROM client WHERE mailbox_id = $1 LIMIT 2")
        .bind(mailbox.0)
        .fetch_all(&mut *conn)
        .await?;
    Ok(rows.len() > 1)
}

fn client_of(row: &AnyRow) -> Result<Client, Failure> {
    Ok(Client {
        id: ClientId(row.int(0)?),
        mailbox: MailboxId(row.int(1)?),
        login: row.string(2)?,
        name: row.string(3)?,
        named: row.int(4)? != 0,
        account: row.maybe_string(5)?,
        password: row.maybe_string(6)?.map(StoredPassword::from_text),
        settings: row.string(7)?,
        enrolled_at: row.int(8)?,
        reset_at: row.maybe_int(9)?,
        removed_at: row.maybe_int(10)?,
        last_seen: row.maybe_int(11)?,
        version: row.int(12)?,
        losses_before: row.int(13)?,
        found_below: row.maybe_seq(14)?,
    })
}

async fn note_found(mailbox: MailboxId, next_seq: Seq, conn: &mut Conn) -> Result<(), Failure> {
    sqlx::query("UPDATE client SET found_below = $2 WHERE mailbox_id = $1 AND found_below IS NULL")
        .bind(mailbox.0)
        .bind(i64::from(next_seq.get()))
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn set(
    client: ClientId,
    statement: &'static str,
    text: &str,
    conn: &mut Conn,
) -> Result<(), Failure> {
    let query = sqlx::query(statement).bind(client.0).bind(text.to_owned());
    one(client, query.execute(&mut *conn).await?.rows_affected())
}

/// Exactly one client was to be changed.
fn one(client: ClientId, changed: u64) -> Result<(), Failure> {
    match changed {
        0 => Err(no_such_client(client)),
        _ => Ok(()),
    }
}

async fn reset(client: ClientId, now: i64, conn: &mut Conn) -> Result<(), Failure> {
    let changed = sqlx::query(
        "UPDATE client SET reset_at = $2, losses_before = 0, version = version + 1 WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(client.0)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    one(client, changed.rows_affected())?;
    sqlx::query("DELETE FROM mark WHERE client_id = $1")
        .bind(client.0)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn remove(client: ClientId, now: i64, conn: &mut Conn) -> Result<(), Failure> {
    let changed = sqlx::query(
        "UPDATE client SET removed_at = $2, version = version + 1 WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(client.0)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    one(client, changed.rows_affected())
}

async fn note_seen(seen: &[(ClientId, i64)], conn: &mut Conn) -> Result<(), Failure> {
    for (client, at) in seen {
        sqlx::query(
            "UPDATE client SET last_seen = $2 WHERE id = $1 AND (last_seen IS NULL OR last_seen < $2)",
        )
        .bind(client.0)
        .bind(*at)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
