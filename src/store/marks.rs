//! What clients have had and deleted, and the end of a session that writes it down.

use super::clients::no_such_client;
use super::disposals::insert;
use super::engine::Engine;
use super::error::{Failure, damaged};
use super::remembered::Touched;
use super::sql::{CHUNK, Columns, Conn, Values};
use super::{ClientId, Quit, Store, StoreError};
use crate::maildrop::SeqSet;
use crate::policy::Marks;

/// What a range of numbers in table mark is. Never renumbered: the database is full of them.
#[derive(Clone, Copy)]
enum Kind {
    Delivered = 1,
    Deleted = 2,
    /// Deleted, and for everybody.
    Disposing = 3,
    WithoutQuit = 4,
}

impl Store {
    /// What a client has done, with the client's version.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn marks(&self, client: ClientId) -> Result<(i64, Marks), StoreError> {
        self.snapshot(client, |client, conn| Box::pin(marks(*client, conn)))
            .await
    }

    /// Writes down all that a session leaves behind, whole or not at all. After `Ok` it survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another has taken the maildrop over, [`StoreError::NoSuch`] if the client is not there any more, and
    /// others. Nothing was written then; but see [`StoreError::Unavailable`].
    pub async fn quit(&self, quit: &Quit) -> Result<(), StoreError> {
        let mut touched = vec![Touched::Client(quit.client)];
        touched.extend(Touched::by(&quit.intents));
        let work = (self.0.engine, quit.clone());
        self.write_to(touched, work, |(engine, quit), conn| {
            Box::pin(end(*engine, quit, conn))
        })
        .await
    }
}

async fn marks(client: ClientId, conn: &mut Conn) -> Result<(i64, Marks), Failure> {
    let row = sqlx::query("SELECT version FROM client WHERE id = $1")
        .bind(client.0)
        .fetch_optional(&mut *conn)
        .await?;
    let version = row.ok_or_else(|| no_such_client(client))?.int(0)?;
    let rows = sqlx::query(
        "SELECT kind, first_seq, last_seq FROM mark WHERE client_id = $1 ORDER BY kind, first_seq",
    )
    .bind(client.0)
    .fetch_all(&mut *conn)
    .await?;
    let mut marks = Marks::default();
    for row in &rows {
        let (first, last) = (row.seq(1)?, row.seq(2)?);
        let sets: &mut [&mut SeqSet] = match row.int(0)? {
            1 => &mut [&mut marks.delivered],
            2 => &mut [&mut marks.deleted],
            3 => &mut [&mut marks.deleted, &mut marks.disposing],
            4 => &mut [&mut marks.without_quit],
            _ => return Err(damaged("a client has marks of an unknown kind")),
        };
        for set in sets {
            set.insert_range(first, last);
        }
    }
    Ok((version, marks))
}

async fn end(engine: Engine, quit: &Quit, conn: &mut Conn) -> Result<(), Failure> {
    // Also locks the client's row, so that a session that takes the maildrop over meanwhile reads what is written here.
    let changed = sqlx::query("UPDATE client SET version = version + 1 WHERE id = $1")
        .bind(quit.client.0)
        .execute(&mut *conn)
        .await?;
    if changed.rows_affected() == 0 {
        return Err(no_such_client(quit.client));
    }
    if engine == Engine::Postgres {
        let lease = &quit.lease;
        // The row is locked: it cannot be taken over between this and the commit.
        let mine = sqlx::query(
            "SELECT epoch FROM lease WHERE client_id = $1 AND epoch = $2 AND holder = $3 FOR UPDATE",
        )
        .bind(quit.client.0)
        .bind(lease.epoch)
        .bind(lease.holder.clone())
        .fetch_optional(&mut *conn)
        .await?;
        if mine.is_none() || lease.client != quit.client {
            return Err(StoreError::LeaseLost.into());
        }
    }
    let hidden = quit.deleted.difference(&quit.disposing);
    for (kind, set) in [
        (Kind::Delivered, &quit.delivered),
        (Kind::Deleted, &hidden),
        (Kind::Disposing, &quit.disposing),
        (Kind::WithoutQuit, &quit.without_quit),
    ] {
        mark(quit, kind, set, conn).await?;
    }
    insert(&quit.intents, quit.at, conn).await
}

async fn mark(quit: &Quit, kind: Kind, set: &SeqSet, conn: &mut Conn) -> Result<(), Failure> {
    let ranges: Vec<_> = set.ranges().collect();
    for chunk in ranges.chunks(CHUNK) {
        let mut values = Values::default();
        for (first, last) in chunk {
            values
                .row()
                .number(quit.client.0)
                .number(kind as i64)
                .number(first.get())
                .number(last.get())
                .number(quit.at);
        }
        // Of two ranges with one beginning the longer one says all that both say.
        let before = "INSERT INTO mark (client_id, kind, first_seq, last_seq, at) VALUES ";
        let after = " ON CONFLICT (client_id, kind, first_seq) DO UPDATE SET \
                     at = CASE WHEN excluded.last_seq > mark.last_seq THEN excluded.at ELSE mark.at END, \
                     last_seq = CASE WHEN excluded.last_seq > mark.last_seq THEN excluded.last_seq ELSE mark.last_seq END";
        values.run(conn, before, after).await?;
    }
    Ok(())
}
