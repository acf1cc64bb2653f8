//! An office: each of many clients logs in, says STAT and QUIT, and does so again a minute later. Clients keep to their own
//! time-table, whatever the server does, so that a slow server is asked no less.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::arguments::Office;
use crate::connection::{Dialer, SMALL};
use crate::figures::{milliseconds_since, percentile, print};

/// Longer than this and a session has failed: mail programs wait for about a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// One poll.
struct Poll {
    /// Which of the client's polls it is, from 0 on.
    round: u32,
    /// From STAT to its answer, in milliseconds.
    stat: f64,
    /// From the connection to the answer to QUIT, in milliseconds.
    session: f64,
}

/// What one client has seen.
#[derive(Default)]
struct Seen {
    polls: Vec<Poll>,
    errors: Vec<String>,
    /// Polls that were left out because the one before had not ended yet.
    skipped: u64,
}

/// Runs the office and prints its figures.
pub(crate) async fn run(office: Office) -> io::Result<bool> {
    let dialer = Arc::new(Dialer::new(office.server)?);
    let rounds = (office.duration.as_secs_f64() / office.interval.as_secs_f64())
        .round()
        .max(1.0) as u32;
    let start = Instant::now();
    let mut all = JoinSet::new();
    for number in 0..office.clients {
        let offset = office
            .interval
            .mul_f64(number as f64 / office.clients as f64);
        let dialer = dialer.clone();
        let interval = office.interval;
        all.spawn(async move { client(&dialer, number, start + offset, interval, rounds).await });
    }
    let (mut polls, mut errors, mut skipped) = (Vec::new(), Vec::new(), 0);
    for one in all.join_all().await {
        polls.extend(one.polls);
        errors.extend(one.errors);
        skipped += one.skipped;
    }
    Ok(report(start, &polls, errors, skipped))
}

async fn client(
    dialer: &Dialer,
    number: usize,
    start: Instant,
    interval: Duration,
    rounds: u32,
) -> Seen {
    let mut seen = Seen::default();
    for round in 0..rounds {
        let due = start + interval * round;
        if round > 0 && Instant::now() > due {
            seen.skipped += 1;
            continue;
        }
        sleep_until(due.into()).await;
        match timeout(PATIENCE, poll(dialer, number)).await {
            Ok(Ok((stat, session))) => seen.polls.push(Poll {
                round,
                stat,
                session,
            }),
            Ok(Err(error)) => seen.errors.push(error.to_string()),
            Err(_) => seen.errors.push(format!("no end after {PATIENCE:?}")),
        }
    }
    seen
}

/// One session: the times of STAT and of all of it.
async fn poll(dialer: &Dialer, number: usize) -> io::Result<(f64, f64)> {
    let start = Instant::now();
    let mut connection = dialer.log_in(number, SMALL).await?;
    let asked = Instant::now();
    let count = connection.stat().await?;
    let stat = milliseconds_since(asked);
    if count != dialer.server.messages {
        return Err(io::Error::other(format!("{count} messages")));
    }
    connection.command("QUIT\r\n").await?;
    Ok((stat, milliseconds_since(start)))
}

fn report(start: Instant, polls: &[Poll], mut errors: Vec<String>, skipped: u64) -> bool {
    let wall = start.elapsed().as_secs_f64();
    if skipped > 0 {
        errors.push(format!(
            "{skipped} polls were left out: the ones before lasted too long"
        ));
    }
    let of = |what: fn(&Poll) -> f64, first: u32| -> Vec<f64> {
        let later = polls.iter().filter(|poll| poll.round >= first);
        later.map(what).collect()
    };
    let (mut stat, mut session) = (of(|poll| poll.stat, 0), of(|poll| poll.session, 0));
    // In the first round the bridge meets every mailbox and every client for the first time.
    let mut settled = of(|poll| poll.stat, 1);
    let figures = json!({
        "sessions": polls.len(),
        "skipped": skipped,
        "wall_s": wall,
        "sessions_per_s": polls.len() as f64 / wall,
        "stat_p50_ms": percentile(&mut stat, 0.5),
        "stat_p99_ms": percentile(&mut stat, 0.99),
        "stat_max_ms": percentile(&mut stat, 1.0),
        "settled_stat_p99_ms": percentile(&mut settled, 0.99),
        "p50_ms": percentile(&mut session, 0.5),
        "p99_ms": percentile(&mut session, 0.99),
    });
    print(figures, &errors, 0)
}
