//! Sessions as fast as they go: so many workers, each with one session after the other.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::arguments::{Run, manifest};
use crate::connection::Dialer;
use crate::figures::{Tally, percentile, print};
use crate::session::{Plan, session};

/// Runs them and prints their figures.
pub(crate) async fn run(run: Run) -> io::Result<bool> {
    if run.together && run.concurrency != run.sessions {
        return Err(io::Error::other(
            "--together needs as many sessions at a time as altogether",
        ));
    }
    let (workers, sessions) = (run.concurrency, run.sessions);
    let plan = Arc::new(Plan {
        dialer: Dialer::new(run.server.clone())?,
        manifest: run.manifest.as_deref().map_or(Ok(Vec::new()), manifest)?,
        together: run.together.then(|| Barrier::new(workers)),
        run,
    });
    let start = Instant::now();
    let mut all = JoinSet::new();
    for worker in 0..workers {
        let plan = plan.clone();
        all.spawn(async move {
            let mut tally = Tally::default();
            // Every worker has accounts of its own where their number is a multiple of the workers': a mailbox has one session at a time.
            for number in (worker..sessions).step_by(workers) {
                if let Err(error) = session(&plan, number, &mut tally).await {
                    tally.errors.push(error.to_string());
                }
            }
            tally
        });
    }
    let mut tally = Tally::default();
    for one in all.join_all().await {
        tally.add(one);
    }
    Ok(report(start, workers, sessions, tally))
}

fn report(start: Instant, workers: usize, sessions: usize, mut tally: Tally) -> bool {
    let wall = start.elapsed().as_secs_f64();
    // One session at a time: the rates are those of the measured parts, without the log-ins.
    let measured = if workers == 1 {
        tally.times.iter().sum::<f64>() / 1e3
    } else {
        wall
    };
    let rate = |count: f64| count / measured.max(1e-9);
    let good = sessions.saturating_sub(tally.errors.len());
    let figures = json!({
        "sessions": sessions,
        "wall_s": wall,
        "sessions_per_s": good as f64 / wall,
        "p50_ms": percentile(&mut tally.times, 0.5),
        "p99_ms": percentile(&mut tally.times, 0.99),
        "first_byte_ms": percentile(&mut tally.first_byte, 0.5),
        "messages": tally.messages,
        "messages_per_s": rate(tally.messages as f64),
        "octets": tally.octets,
        "mb_per_s": rate(tally.octets as f64) / 1e6,
    });
    print(figures, &tally.errors, tally.mismatches)
}
