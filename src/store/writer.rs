//! How changes reach the database.
//!
//! On SQLite one task writes, and commits in groups: what has queued up while the disk was busy shares the next commit. Each piece of
//! work has a savepoint, so that one that fails is undone alone, and nobody gets an answer before the commit. On PostgreSQL each is
//! a transaction of its own, in a task of its own. Either way a caller that gives up does not cut in two what has begun.
//! Must not know: tables.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyPool, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::StoreError;
use super::engine::{self, Engine};
use super::error::{Failure, too_late};
use super::remembered::{LOOK, Remembered, Touched};
use super::sql::{Conn, Work, count, execute};
use super::watched::{Operation, Watched};

/// How many pieces of work may wait for the disk; more callers wait for a place.
const QUEUE: usize = 1024;

/// How many share a commit, at most.
const GROUP: usize = 128;

/// How often a transaction is tried on PostgreSQL that others got in the way of.
const TRIES: usize = 4;

/// What a piece of work does. It may be run again after it was undone.
pub(super) type Change<I, T> = for<'a> fn(&'a I, &'a mut Conn) -> Work<'a, T>;

/// The way to the task that writes the SQLite file.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the task with a connection that may write, if there is one already. What it writes is forgotten in `remembered`; how long
    /// that takes is told to whom `watched` says.
    pub(super) fn start(
        conn: Option<Conn>,
        options: AnyConnectOptions,
        remembered: Option<Arc<Remembered>>,
        watched: Watched,
    ) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write(conn, options, remembered, watched, jobs));
        Self { queue, task }
    }

    /// Where work is queued.
    pub(super) fn queue(&self) -> mpsc::Sender<Box<dyn Job>> {
        self.queue.clone()
    }

    /// Ends when all that is queued is done.
    pub(super) async fn finish(self) {
        drop(self.queue);
        // It ends with an error only if it panicked: nothing is left to be waited for.
        let _ = self.task.await;
    }
}

/// Queues a change and waits until it is committed.
pub(super) async fn submit<I, T>(
    queue: mpsc::Sender<Box<dyn Job>>,
    input: I,
    change: Change<I, T>,
    touched: Vec<Touched>,
    limit: Duration,
) -> Result<T, StoreError>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let closed = || StoreError::Unavailable("it is being closed".to_owned());
    let (reply, answer) = oneshot::channel();
    let job = Queued {
        input,
        change,
        touched,
        done: None,
        reply,
    };
    let waiting = async {
        queue.send(Box::new(job)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    };
    match tokio::time::timeout(limit, waiting).await {
        Ok(answer) => answer,
        Err(_) => Err(too_late(limit.as_secs())),
    }
}

/// A piece of work whose types the writer need not know.
pub(super) trait Job: Send {
    /// Does it; what came of it is kept until [`answer`](Self::answer).
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> Work<'a, ()>;

    /// What it may have made untrue of what is remembered, whether or not it was done.
    fn touched(&self) -> &[Touched];

    /// Tells the caller, unless it has gone.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Queued<I, T> {
    input: I,
    change: Change<I, T>,
    touched: Vec<Touched>,
    done: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<I: Send + Sync, T: Send> Job for Queued<I, T> {
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> Work<'a, ()> {
        Box::pin(async move {
            match (self.change)(&self.input, conn).await {
                Ok(value) => {
                    self.done = Some(Ok(value));
                    Ok(())
                }
                Err(failure) => {
                    let error = StoreError::from(failure);
                    self.done = Some(Err(error.clone()));
                    Err(error.into())
                }
            }
        })
    }

    fn touched(&self) -> &[Touched] {
        &self.touched
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.done, committed) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Unavailable("it was not tried".to_owned())),
        };
        let _ = self.reply.send(answer);
    }
}

async fn write(
    mut conn: Option<Conn>,
    options: AnyConnectOptions,
    remembered: Option<Arc<Remembered>>,
    watched: Watched,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
) {
    let mut group = Vec::new();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            queued = jobs.recv_many(&mut group, GROUP) => {
                if queued == 0 {
                    break;
                }
                let began = Instant::now();
                let committed = commit(&mut conn, &options, &mut group).await;
                watched.done(Operation::Commit, began, &committed);
                if let Some(remembered) = &remembered {
                    // Also where it failed: some of it may be on the disk.
                    remembered.forget(group.iter().flat_map(|job| job.touched()));
                    if conn.is_none() {
                        remembered.looked(Instant::now(), None);
                    }
                }
                for job in group.drain(..) {
                    job.answer(committed.clone());
                }
            }
            _ = looks.tick(), if remembered.is_some() => {
                if let Some(remembered) = &remembered {
                    look(&mut conn, &options, remembered).await;
                }
            }
        }
    }
    if let Some(conn) = conn {
        // The last one to close the file folds the write-ahead log into it.
        let _ = conn.close().await;
    }
}

/// Asks whether anybody else has committed something.
async fn look(kept: &mut Option<Conn>, options: &AnyConnectOptions, remembered: &Remembered) {
    let at = Instant::now();
    let asked = async {
        let conn = connected(kept, options).await?;
        count(conn, "PRAGMA data_version").await
    };
    let answer = asked.await;
    if answer.is_err() {
        // Whatever is wrong with it, the figures of another one have nothing to do with its.
        *kept = None;
    }
    remembered.looked(at, answer.ok());
}

async fn connected<'a>(
    kept: &'a mut Option<Conn>,
    options: &AnyConnectOptions,
) -> Result<&'a mut Conn, StoreError> {
    match kept {
        Some(conn) => Ok(conn),
        None => Ok(kept.insert(engine::connect(options, Engine::Sqlite).await?)),
    }
}

/// Runs a group of jobs as one transaction.
async fn commit(
    kept: &mut Option<Conn>,
    options: &AnyConnectOptions,
    group: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let conn = connected(kept, options).await?;
    let done = transaction(conn, group).await;
    if done.is_err() && execute(conn, "ROLLBACK").await.is_err() {
        // SQLite has undone it already (no room, an I/O error), or it never began; or the connection is of no use any more.
        // A new one is right in all three cases.
        *kept = None;
    }
    done.map_err(StoreError::from)
}

async fn transaction(conn: &mut Conn, group: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    execute(conn, Engine::Sqlite.begin()).await?;
    for job in group {
        execute(conn, "SAVEPOINT job").await?;
        if let Err(why) = job.run(conn).await {
            // Where the savepoint is gone, SQLite has undone all of the transaction: the first reason is the true one.
            let undone = execute(conn, "ROLLBACK TO job").await;
            undone.map_err(|_| why)?;
        }
        execute(conn, "RELEASE job").await?;
    }
    execute(conn, "COMMIT").await
}

/// Runs a change on PostgreSQL, in a task of its own.
pub(super) async fn run_shared<I, T>(
    pool: AnyPool,
    input: I,
    change: Change<I, T>,
    limit: Duration,
    watched: Watched,
) -> Result<T, StoreError>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let task = tokio::spawn(async move {
        let began = Instant::now();
        let mut tries = 1;
        let done = loop {
            match once(&pool, &input, change, limit).await {
                Err(failure) if failure.is_passing() && tries < TRIES => tries += 1,
                done => break done.map_err(StoreError::from),
            }
        };
        watched.done(Operation::Commit, began, &done);
        done
    });
    match task.await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable(
            "the work on it broke off".to_owned(),
        )),
    }
}

async fn once<I, T>(
    pool: &AnyPool,
    input: &I,
    change: Change<I, T>,
    limit: Duration,
) -> Result<T, Failure>
where
    I: Sync,
{
    let mut conn = pool.acquire().await?;
    let work = async {
        let mut transaction = conn.begin_with(Engine::Postgres.begin()).await?;
        let value = change(input, &mut transaction).await?;
        transaction.commit().await?;
        Ok(value)
    };
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            // Whatever it is in the middle of, nobody waits for it again.
            drop(conn.detach());
            Err(too_late(limit.as_secs()).into())
        }
    }
}
