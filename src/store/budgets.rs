//! What upstreams allow, reckoned over all instances: connections, and the pace of log-ins.
//!
//! They are written down on PostgreSQL only, by the database's clock: on SQLite there is one bridge, whose memory knows them. A connection is a row that counts for as long as its instance says every few seconds that it
//! is alive, so that one that is killed gives its connections back. None of this needs to survive a power cut of the database, which
//! ends the instances' own work as well: it is not waited for until it is on the disk.
//! Must not know: how much is allowed, what happens when that is reached.

use std::collections::HashSet;
use std::time::Duration;

use super::engine::Engine;
use super::error::Failure;
use super::sql::{CHUNK, Columns, Conn, Values, execute, execute_with, list};
use super::wanted::{Waits, wait};
use super::{Store, StoreError, lasting};

/// For how many seconds an instance is alive that says nothing more.
const ALIVE_FOR: i64 = 60;
/// In milliseconds. Nobody takes a place that is so far beyond everybody's patience: the row was written by another clock, before a fail-over
/// or a correction.
const NOBODYS_PLACE: i64 = 60_000;
/// Whether a connection `c` is one of an instance that is alive. `$2` is the one that asks.
pub(super) const ALIVE: &str = "(c.holder = $2 OR EXISTS \
     (SELECT 1 FROM instance i WHERE i.holder = c.holder AND i.expires_at > {now}))";

/// A connection to an upstream, or one that is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connecting {
    /// Given by its instance to this one only.
    pub number: i64,
    /// Whose it is, by a name that means the same at all instances.
    pub mailbox: String,
    /// Where it goes to.
    pub host: String,
}

/// How many connections there may be, those of all instances together; none: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// To the mailbox.
    pub mailbox: Option<usize>,
    /// To the host.
    pub host: Option<usize>,
    /// Those to the mailbox that last for as long as a client likes are not in the way; the instance has so many of them.
    pub lasting: Option<usize>,
}

/// What came of asking for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is counted.
    Yes,
    /// It is counted, and one too many: only such as last for as long as a client likes are in the way.
    Beyond,
    /// The mailbox has as many as there may be.
    FullMailbox,
    /// The host has.
    FullHost,
}

impl Store {
    /// Counts a connection, if there may be one more. Else it is noted that one is waited for, see [`Store::alive`].
    ///
    /// # Errors
    /// See [`StoreError`]; whether it is counted is unknown then, and [`Store::disconnected`] is right in any case.
    pub async fn claim(
        &self,
        holder: &str,
        connecting: &Connecting,
        caps: Caps,
        waits: Waits,
    ) -> Result<Claimed, StoreError> {
        if !self.is_shared() {
            return Ok(Claimed::Yes);
        }
        let work = (holder.to_owned(), connecting.clone(), caps, waits);
        self.write_to(
            Vec::new(),
            work,
            |(holder, connecting, caps, waits), conn| {
                Box::pin(claim(holder, connecting, *caps, *waits, conn))
            },
        )
        .await
    }

    /// These connections of the instance are over, or were never made.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn disconnected(&self, holder: &str, numbers: &[i64]) -> Result<(), StoreError> {
        if !self.is_shared() || numbers.is_empty() {
            return Ok(());
        }
        let work = (holder.to_owned(), numbers.to_vec());
        self.write_to(Vec::new(), work, |(holder, numbers), conn| {
            Box::pin(async move {
                lazily(conn).await?;
                let numbers = list(numbers.iter().copied());
                let statement =
                    format!("DELETE FROM connection WHERE holder = $1 AND number IN ({numbers})");
                execute_with(conn, statement, vec![holder.clone()]).await?;
                Ok(())
            })
        })
        .await
    }

    /// The instance is alive and has these connections; of those that were `asked` for it does not know yet. Others have numbers above
    /// `newest`. What is not as it says is corrected.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn alive(
        &self,
        holder: &str,
        live: &[Connecting],
        asked: &[i64],
        newest: i64,
    ) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        let work = (holder.to_owned(), live.to_vec(), asked.to_vec(), newest);
        self.write_to(Vec::new(), work, |(holder, live, asked, newest), conn| {
            Box::pin(alive(holder, live, asked, *newest, conn))
        })
        .await
    }

    /// The instance ends: it has no connections any more.
    ///
    /// # Errors
    /// See [`StoreError`]; they are not counted any more within a minute then.
    pub async fn leave(&self, holder: &str) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        self.write_to(Vec::new(), holder.to_owned(), |holder, conn| {
            Box::pin(async move {
                for statement in [
                    "DELETE FROM instance WHERE holder = $1",
                    "DELETE FROM connection WHERE holder = $1",
                    "DELETE FROM wanted WHERE holder = $1",
                    "DELETE FROM lasting WHERE holder = $1",
                ] {
                    sqlx::query(statement)
                        .bind(holder.clone())
                        .execute(&mut *conn)
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Takes the next place in the row of log-ins at a host, of which one begins every `interval`. Gives how long that is to be waited for;
    /// `None`, and no place, where it is longer than `patience`, or where nothing is shared.
    ///
    /// # Errors
    /// See [`StoreError`]; a place may be taken then, and stays empty.
    pub async fn log_in_turn(
        &self,
        host: &str,
        interval: Duration,
        patience: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let millis =
            |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::from(u32::MAX));
        let work = (host.to_owned(), millis(interval), millis(patience));
        let wait = self
            .write_to(Vec::new(), work, |(host, interval, patience), conn| {
                Box::pin(log_in_turn(host, *interval, *patience, conn))
            })
            .await?;
        Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
    }
}

/// `{now}` stands for the database's clock in seconds, `{millis}` for the same in milliseconds.
pub(super) fn timed(statement: &str) -> sqlx::AssertSqlSafe<String> {
    let millis = "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)";
    let statement = statement.replace("{now}", Engine::Postgres.clock());
    sqlx::AssertSqlSafe(statement.replace("{millis}", millis))
}

/// This transaction is not waited for until it is on the disk.
pub(super) async fn lazily(conn: &mut Conn) -> Result<(), Failure> {
    execute(conn, "SET LOCAL synchronous_commit TO OFF").await
}

async fn claim(
    holder: &str,
    connecting: &Connecting,
    caps: Caps,
    waits: Waits,
    conn: &mut Conn,
) -> Result<Claimed, Failure> {
    lazily(conn).await?;
    let Connecting {
        number,
        mailbox,
        host,
    } = connecting;
    let places = [
        (mailbox, caps.mailbox, "mailbox", Claimed::FullMailbox),
        (host, caps.host, "host", Claimed::FullHost),
    ];
    let others = |full| match full {
        Claimed::FullMailbox => waits.mailbox,
        _ => waits.host,
    };
    let mut claimed = Claimed::Yes;
    // The mailbox first, everywhere: no two wait for each other.
    for (place, cap, column, full) in places {
        let Some(cap) = cap else { continue };
        let cap = i64::try_from(cap).unwrap_or(i64::MAX);
        if used(place, column, holder, conn).await? >= cap {
            if let (Some(own), Claimed::FullMailbox) = (caps.lasting, full) {
                lasting::note(holder, mailbox, own, conn).await?;
                if lasting::passing(mailbox, holder, conn).await? < cap {
                    claimed = Claimed::Beyond;
                    continue;
                }
            }
            wait(holder, place, others(full) + 1, conn).await?;
            return Ok(full);
        }
    }
    if waits.again {
        for (place, _, _, full) in places {
            wait(holder, place, others(full), conn).await?;
        }
    }
    enrol(holder, conn).await?;
    sqlx::query(
        "INSERT INTO connection (holder, number, mailbox, host) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (holder, number) DO NOTHING",
    )
    .bind(holder.to_owned())
    .bind(*number)
    .bind(mailbox.clone())
    .bind(host.clone())
    .execute(&mut *conn)
    .await?;
    Ok(claimed)
}

/// How many connections to a place there are. Whoever else asks the same waits until this transaction has ended.
async fn used(place: &str, column: &str, holder: &str, conn: &mut Conn) -> Result<i64, Failure> {
    // In a space of its own beside the lock of the migrations. Two places with one hash wait for each other, and nothing worse.
    sqlx::query("SELECT pg_advisory_xact_lock(7011042, hashtext($1))")
        .bind(place.to_owned())
        .execute(&mut *conn)
        .await?;
    let row = sqlx::query(timed(&format!(
        "SELECT COUNT(*) FROM connection c WHERE c.{column} = $1 AND {ALIVE}"
    )))
    .bind(place.to_owned())
    .bind(holder.to_owned())
    .fetch_one(&mut *conn)
    .await?;
    row.int(0)
}

/// The instance is there, if it was not yet. Nothing is written if it was: all its log-ins would wait for the one row.
async fn enrol(holder: &str, conn: &mut Conn) -> Result<(), Failure> {
    sqlx::query(timed(
        "INSERT INTO instance (holder, expires_at) VALUES ($1, {now} + $2) ON CONFLICT (holder) DO NOTHING",
    ))
    .bind(holder.to_owned())
    .bind(ALIVE_FOR)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

async fn alive(
    holder: &str,
    live: &[Connecting],
    asked: &[i64],
    newest: i64,
    conn: &mut Conn,
) -> Result<(), Failure> {
    lazily(conn).await?;
    enrol(holder, conn).await?;
    sqlx::query(timed(
        "UPDATE instance SET expires_at = {now} + $2 WHERE holder = $1",
    ))
    .bind(holder.to_owned())
    .bind(ALIVE_FOR)
    .execute(&mut *conn)
    .await?;
    let counted = sqlx::query("SELECT COUNT(*) FROM connection WHERE holder = $1 AND number <= $2")
        .bind(holder.to_owned())
        .bind(newest)
        .fetch_one(&mut *conn)
        .await?
        .int(0)?;
    if counted != i64::try_from(live.len()).unwrap_or(i64::MAX) {
        // It was thought dead, or one of both does not know what came of a write.
        correct(holder, live, asked, newest, conn).await?;
    }
    let dead = sqlx::query(timed("DELETE FROM instance WHERE expires_at <= {now}"))
        .execute(&mut *conn)
        .await?;
    if dead.rows_affected() > 0 {
        execute(
            conn,
            "DELETE FROM connection WHERE holder NOT IN (SELECT holder FROM instance)",
        )
        .await?;
    }
    for statement in [
        "DELETE FROM wanted WHERE expires_at <= {now}",
        "DELETE FROM lasting WHERE expires_at <= {now}",
    ] {
        sqlx::query(timed(statement)).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn correct(
    holder: &str,
    live: &[Connecting],
    asked: &[i64],
    newest: i64,
    conn: &mut Conn,
) -> Result<(), Failure> {
    // By difference: there may be thousands, and it happens whenever one of them is just about to be counted.
    let rows = sqlx::query("SELECT number FROM connection WHERE holder = $1 AND number <= $2")
        .bind(holder.to_owned())
        .bind(newest)
        .fetch_all(&mut *conn)
        .await?;
    let counted = rows.iter().map(|row| row.int(0));
    let counted = counted.collect::<Result<HashSet<i64>, Failure>>()?;
    let here = live.iter().map(|one| one.number);
    // Whether these are counted is for those to say who ask for them now: one that is refused would be counted for no one.
    let here: HashSet<i64> = here.chain(asked.iter().copied()).collect();
    let over: Vec<i64> = counted.difference(&here).copied().collect();
    for chunk in over.chunks(CHUNK) {
        let numbers = list(chunk.iter().copied());
        let statement =
            format!("DELETE FROM connection WHERE holder = $1 AND number IN ({numbers})");
        execute_with(conn, statement, vec![holder.to_owned()]).await?;
    }
    let missing = live.iter().filter(|one| !counted.contains(&one.number));
    let missing: Vec<&Connecting> = missing.collect();
    for chunk in missing.chunks(CHUNK) {
        let mut values = Values::default();
        for one in chunk {
            values
                .row()
                .text(Some(holder))
                .number(one.number)
                .text(Some(&one.mailbox))
                .text(Some(&one.host));
        }
        let before = "INSERT INTO connection (holder, number, mailbox, host) VALUES ";
        let after = " ON CONFLICT (holder, number) DO NOTHING";
        values.run(conn, before, after).await?;
    }
    Ok(())
}

async fn log_in_turn(
    host: &str,
    interval: i64,
    patience: i64,
    conn: &mut Conn,
) -> Result<Option<i64>, Failure> {
    lazily(conn).await?;
    let row = sqlx::query(timed(
        "INSERT INTO login_pace (host, next_at) VALUES ($1, {millis} + $2) \
         ON CONFLICT (host) DO UPDATE SET next_at = $2 + CASE WHEN login_pace.next_at > {millis} + $4 THEN {millis} \
         ELSE GREATEST(login_pace.next_at, {millis}) END \
         WHERE login_pace.next_at <= {millis} + $3 OR login_pace.next_at > {millis} + $4 \
         RETURNING next_at - $2 - {millis}",
    ))
    .bind(host.to_owned())
    .bind(interval)
    .bind(patience)
    .bind(patience.saturating_add(NOBODYS_PLACE))
    .fetch_optional(&mut *conn)
    .await?;
    row.map(|row| row.int(0)).transpose()
}
