//! What is to be done upstream, and who may do it: intents, turns, and sweeps that were stopped.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::error::{Failure, damaged};
use super::gone::Known;
use super::mailboxes::no_such_mailbox;
use super::remembered::Touched;
use super::sql::{CHUNK, Columns, Conn, Values, execute_with, list};
use super::{FolderId, Intent, IntentState, MailboxId, NewIntent, Store, StoreError};
use crate::maildrop::Seq;
use crate::policy::Action;

struct Done {
    mailbox: MailboxId,
    ids: Vec<i64>,
    gone: Vec<(FolderId, Seq)>,
    now: i64,
}

impl Store {
    /// Writes down what is to be done. What is written down already stays as it is; what was cancelled waits again, under the new UID.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn add_intents(&self, intents: &[NewIntent], now: i64) -> Result<(), StoreError> {
        let touched = Touched::by(intents).collect();
        let input = (intents.to_vec(), now);
        self.write_to(touched, input, |(intents, now), conn| {
            Box::pin(insert(intents, *now, conn))
        })
        .await
    }

    /// What waits to be done in a mailbox, in the order in which it was written down.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn intents(&self, mailbox: MailboxId) -> Result<Vec<Intent>, StoreError> {
        self.read(mailbox, |mailbox, conn| Box::pin(open(*mailbox, conn)))
            .await
    }

    /// Whether anything waits to be done in a mailbox.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn has_intents(&self, mailbox: MailboxId) -> Result<bool, StoreError> {
        let reading = self.read(mailbox, |mailbox, conn| Box::pin(is_open(*mailbox, conn)));
        self.of_mailbox(mailbox, |of| &mut of.has_intents, reading)
            .await
    }

    /// Whether `holder` may act on a mailbox for the next `seconds`: one at a time may. Taking it again prolongs it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn turn(
        &self,
        mailbox: MailboxId,
        holder: &str,
        seconds: i64,
    ) -> Result<bool, StoreError> {
        let clock = self.0.engine.clock();
        let input = (mailbox, holder.to_owned(), seconds, clock);
        // Nothing of it is changed; whoever has the turn reads afresh what it acts by.
        let touched = vec![Touched::Mailbox(mailbox)];
        self.write_to(touched, input, |(mailbox, holder, seconds, clock), conn| {
            Box::pin(async move {
                let statement = format!(
                    "UPDATE mailbox SET turn_holder = $1, turn_until = {clock} + {seconds} \
                     WHERE id = {} AND (turn_until <= {clock} OR turn_holder = $1)",
                    mailbox.0
                );
                Ok(execute_with(conn, statement, vec![holder.clone()]).await? > 0)
            })
        })
        .await
    }

    /// Lets others act on the mailbox.
    ///
    /// # Errors
    /// See [`StoreError`]; the turn runs out by itself then.
    pub async fn end_turn(&self, mailbox: MailboxId, holder: &str) -> Result<(), StoreError> {
        let statement =
            "UPDATE mailbox SET turn_holder = '', turn_until = 0 WHERE turn_holder = $1 AND id = ";
        let statement = format!("{statement}{}", mailbox.0);
        self.note(Vec::new(), statement, vec![holder.to_owned()])
            .await
            .map(|_| ())
    }

    /// Notes what was done, and which messages are not in their folders any more because of it: nobody has lost those. Where there are
    /// some, the mailbox has a new version, which is given back.
    ///
    /// # Errors
    /// See [`StoreError`]. What was done upstream is found out again then.
    pub async fn intents_done(
        &self,
        mailbox: MailboxId,
        ids: &[i64],
        gone: &[(FolderId, Seq)],
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let done = Done {
            mailbox,
            ids: ids.to_vec(),
            gone: gone.to_vec(),
            now,
        };
        let touched = vec![Touched::Mailbox(mailbox)];
        self.write_within(super::LARGE, touched, done, |done, conn| {
            Box::pin(finish(done, conn))
        })
        .await
    }

    /// Notes that something could not be done; it stays to be done.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn intents_failed(
        &self,
        ids: &[i64],
        error: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let set =
            format!("state = 'failed', attempts = attempts + 1, last_error = $1, tried_at = {now}");
        self.mark_intents(Vec::new(), &set, ids, error).await
    }

    /// Notes that something is not to be done any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn intents_cancelled(
        &self,
        ids: &[i64],
        why: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let set = format!("state = 'cancelled', last_error = $1, tried_at = {now}");
        // Of whatever mailboxes they are.
        self.mark_intents(vec![Touched::All], &set, ids, why).await
    }

    /// Stops the disposals of a mailbox until the operator has said that they may take so much.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn stop_sweep(
        &self,
        mailbox: MailboxId,
        would_take: i64,
        of: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let set = format!(
            "stopped_take = {would_take}, stopped_of = {of}, stopped_at = {now}, sweep_confirmed = 0"
        );
        self.set_sweep(mailbox, &set).await
    }

    /// The operator's word: the next sweep may take what it was stopped at.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] and others.
    pub async fn confirm_sweep(&self, mailbox: MailboxId) -> Result<(), StoreError> {
        let set = "stopped_take = NULL, stopped_of = NULL, stopped_at = NULL, sweep_confirmed = 1";
        self.set_sweep(mailbox, set).await
    }

    /// The messages of a mailbox to which this was done already, and which may be there still.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn done(&self, mailbox: MailboxId, action: &Action) -> Result<Vec<Seq>, StoreError> {
        self.read((mailbox, action.to_string()), |(mailbox, action), conn| {
            Box::pin(done(*mailbox, action, conn))
        })
        .await
    }

    /// Whether the operator has agreed to a large sweep; the word is used up by asking.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_confirmation(&self, mailbox: MailboxId) -> Result<bool, StoreError> {
        let id = mailbox.0;
        let statement = format!(
            "UPDATE mailbox SET sweep_confirmed = 0 WHERE id = {id} AND sweep_confirmed = 1"
        );
        Ok(self.note(Vec::new(), statement, Vec::new()).await? > 0)
    }

    /// Ends all turns: whoever held one is not there any more. For the one `serve` of a SQLite store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_all_turns(&self) -> Result<(), StoreError> {
        let statement = "UPDATE mailbox SET turn_until = 0 WHERE turn_until > 0".to_owned();
        let ended = self.note(Vec::new(), statement, Vec::new());
        ended.await.map(|_| ())
    }

    /// No sweep of the mailbox is too large any more; a word of the operator's that was not needed is not kept for another one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn clear_stop(&self, mailbox: MailboxId) -> Result<(), StoreError> {
        let id = mailbox.0;
        let statement = format!(
            "UPDATE mailbox SET stopped_take = NULL, stopped_of = NULL, stopped_at = NULL, sweep_confirmed = 0 \
             WHERE id = {id} AND (stopped_at IS NOT NULL OR sweep_confirmed = 1)"
        );
        let cleared = self.note(Vec::new(), statement, Vec::new());
        cleared.await.map(|_| ())
    }

    async fn set_sweep(&self, mailbox: MailboxId, set: &str) -> Result<(), StoreError> {
        let statement = format!("UPDATE mailbox SET {set} WHERE id = {}", mailbox.0);
        match self.note(Vec::new(), statement, Vec::new()).await? {
            0 => Err(no_such_mailbox(mailbox).into()),
            _ => Ok(()),
        }
    }

    async fn mark_intents(
        &self,
        touched: Vec<Touched>,
        set: &str,
        ids: &[i64],
        text: &str,
    ) -> Result<(), StoreError> {
        for ids in ids.chunks(CHUNK) {
            let ids = list(ids.iter().copied());
            let statement = format!(
                "UPDATE intent SET {set} WHERE state IN ('pending', 'failed') AND id IN ({ids})"
            );
            self.note(touched.clone(), statement, vec![text.to_owned()])
                .await?;
        }
        Ok(())
    }

    /// One statement, with numbers written into it.
    async fn note(
        &self,
        touched: Vec<Touched>,
        statement: String,
        texts: Vec<String>,
    ) -> Result<u64, StoreError> {
        self.write_to(touched, (statement, texts), |(statement, texts), conn| {
            Box::pin(execute_with(conn, statement.clone(), texts.clone()))
        })
        .await
    }
}

/// See [`Store::add_intents`].
pub(super) async fn insert(
    intents: &[NewIntent],
    now: i64,
    conn: &mut Conn,
) -> Result<(), Failure> {
    for chunk in intents.chunks(CHUNK / 2) {
        let mut values = Values::default();
        for intent in chunk {
            values
                .row()
                .number(intent.mailbox.0)
                .number(intent.folder.0)
                .number(intent.seq.get())
                .text(Some(&intent.action.to_string()))
                .number(intent.uid_validity.get())
                .number(intent.uid.get())
                .number(intent.size)
                .number(intent.internal_date)
                .optional(intent.gm_msgid.map(u64::cast_signed))
                .text(Some(&intent.cause))
                .text(Some("pending"))
                .number(now);
        }
        let before = "INSERT INTO intent (mailbox_id, folder_id, seq, action, uid_validity, uid, size, internal_date, \
                      gm_msgid, cause, state, created_at) VALUES ";
        let after = " ON CONFLICT (mailbox_id, folder_id, seq, action) DO UPDATE SET \
                     uid_validity = excluded.uid_validity, uid = excluded.uid, size = excluded.size, \
                     internal_date = excluded.internal_date, gm_msgid = excluded.gm_msgid, cause = excluded.cause, \
                     state = 'pending', attempts = 0, last_error = NULL, tried_at = NULL, created_at = excluded.created_at \
                     WHERE intent.state = 'cancelled' OR (intent.state = 'done' AND intent.action IN ('expunge', 'trash', 'archive') \
                     AND EXISTS (SELECT 1 FROM message WHERE message.folder_id = intent.folder_id AND message.seq = intent.seq \
                     AND message.gone_at IS NULL))";
        values.run(conn, before, after).await?;
    }
    Ok(())
}

async fn done(mailbox: MailboxId, action: &str, conn: &mut Conn) -> Result<Vec<Seq>, Failure> {
    let rows = sqlx::query(
        "SELECT DISTINCT seq FROM intent WHERE mailbox_id = $1 AND action = $2 AND state = 'done'",
    )
    .bind(mailbox.0)
    .bind(action.to_owned())
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(|row| row.seq(0)).collect()
}

async fn is_open(mailbox: MailboxId, conn: &mut Conn) -> Result<bool, Failure> {
    let row = sqlx::query(
        "SELECT id FROM intent WHERE mailbox_id = $1 AND state IN ('pending', 'failed') LIMIT 1",
    )
    .bind(mailbox.0)
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.is_some())
}

async fn open(mailbox: MailboxId, conn: &mut Conn) -> Result<Vec<Intent>, Failure> {
    let rows = sqlx::query(
        "SELECT id, folder_id, seq, action, uid_validity, uid, size, internal_date, gm_msgid, cause, state, attempts, \
         last_error, created_at, tried_at FROM intent \
         WHERE mailbox_id = $1 AND state IN ('pending', 'failed') ORDER BY id",
    )
    .bind(mailbox.0)
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(|row| intent_of(mailbox, row)).collect()
}

fn intent_of(mailbox: MailboxId, row: &AnyRow) -> Result<Intent, Failure> {
    let action = row.string(3)?.parse();
    Ok(Intent {
        id: row.int(0)?,
        new: NewIntent {
            mailbox,
            folder: FolderId(row.int(1)?),
            seq: row.seq(2)?,
            uid_validity: row.uid_validity(4)?,
            uid: row.uid(5)?,
            size: row.u32(6)?,
            internal_date: row.int(7)?,
            gm_msgid: row.maybe_int(8)?.map(i64::cast_unsigned),
            action: action.map_err(|_| damaged("something unknown is to be done upstream"))?,
            cause: row.string(9)?,
        },
        state: match row.string(10)?.as_str() {
            "failed" => IntentState::Failed,
            _ => IntentState::Pending,
        },
        attempts: row.int(11)?,
        last_error: row.maybe_string(12)?,
        created_at: row.int(13)?,
        tried_at: row.maybe_int(14)?,
    })
}

async fn finish(done: &Done, conn: &mut Conn) -> Result<Option<i64>, Failure> {
    let mut version = None;
    if !done.gone.is_empty() {
        // First, as everywhere: it locks the mailbox's row.
        let row =
            sqlx::query("UPDATE mailbox SET version = version + 1 WHERE id = $1 RETURNING version")
                .bind(done.mailbox.0)
                .fetch_optional(&mut *conn)
                .await?;
        let row = row.ok_or_else(|| no_such_mailbox(done.mailbox))?;
        version = Some(row.int(0)?);
    }
    for ids in done.ids.chunks(CHUNK) {
        let statement = format!(
            "UPDATE intent SET state = 'done', attempts = attempts + 1, last_error = NULL, tried_at = {} \
             WHERE mailbox_id = {} AND id IN ({})",
            done.now,
            done.mailbox.0,
            list(ids.iter().copied())
        );
        sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .execute(&mut *conn)
            .await?;
    }
    let mut gone = done.gone.clone();
    gone.sort_unstable();
    for of_folder in gone.chunk_by(|a, b| a.0 == b.0) {
        let Some((folder, _)) = of_folder.first() else {
            continue;
        };
        let known = Known::read(*folder, conn).await?;
        if known.mailbox != done.mailbox {
            return Err(StoreError::NoSuch(format!("folder {} of this mailbox", folder.0)).into());
        }
        let seqs: Vec<Seq> = of_folder.iter().map(|(_, seq)| *seq).collect();
        known.lose(&seqs, done.now, true, conn).await?;
    }
    Ok(version)
}
