//! One session of a scenario, from the connection to the answer to QUIT.

use std::fmt::Write as _;
use std::io;
use std::time::Instant;

use tokio::sync::Barrier;

use crate::arguments::{Expected, Run, Scenario, Verify};
use crate::connection::{Connection, Dialer, LARGE};
use crate::figures::{Tally, milliseconds_since};

/// What the sessions of a run have in common.
pub(crate) struct Plan {
    pub(crate) run: Run,
    pub(crate) dialer: Dialer,
    pub(crate) manifest: Vec<Expected>,
    /// Where sessions wait for each other after the log-in.
    pub(crate) together: Option<Barrier>,
}

/// Runs the session of this number; what it saw before it failed counts, too.
pub(crate) async fn session(plan: &Plan, number: usize, tally: &mut Tally) -> io::Result<()> {
    let start = Instant::now();
    let logged_in = plan.dialer.log_in(number, LARGE).await;
    if let Some(barrier) = &plan.together {
        barrier.wait().await; // who could not log in is waited for as well, or the others would wait for ever
    }
    let mut connection = logged_in?;
    let expected = plan.dialer.server.messages;
    match plan.run.scenario {
        Scenario::Login => {
            tally.expect(connection.stat().await?, expected);
            connection.command("QUIT\r\n").await?;
            tally.times.push(milliseconds_since(start));
        }
        Scenario::Poll => {
            tally.expect(connection.stat().await?, expected);
            tally.expect(connection.listing("UIDL\r\n").await?, expected);
            connection.command("QUIT\r\n").await?;
            tally.times.push(milliseconds_since(start));
        }
        Scenario::Uidl => {
            tally.expect(connection.listing("UIDL\r\n").await?, expected);
            tally.expect(connection.listing("LIST\r\n").await?, expected);
            tally.times.push(milliseconds_since(start));
            connection.command("QUIT\r\n").await?;
        }
        Scenario::Retr | Scenario::Top => {
            fetch(plan, &mut connection, tally).await?;
            connection.command("QUIT\r\n").await?;
        }
    }
    Ok(())
}

/// All messages, with as many commands under way as the run allows. Timed from the answer to STAT to the last message's end.
async fn fetch(plan: &Plan, connection: &mut Connection, tally: &mut Tally) -> io::Result<()> {
    let run = &plan.run;
    let count = connection.stat().await?;
    tally.expect(count, run.server.messages);
    let total = if run.limit > 0 {
        count.min(run.limit)
    } else {
        count
    };
    let start = Instant::now();
    let (mut asked, mut received) = (0, 0);
    let mut commands = String::new();
    while received < total {
        commands.clear();
        while asked < total && asked - received < run.pipeline.max(1) {
            asked += 1;
            let _ = match run.scenario {
                Scenario::Top => write!(commands, "TOP {asked} 0\r\n"),
                _ => write!(commands, "RETR {asked}\r\n"),
            }; // writing into a String cannot fail
        }
        if !commands.is_empty() {
            connection.send(&commands).await?;
        }
        connection.ok().await?;
        if received == 0 {
            tally.first_byte.push(milliseconds_since(start));
        }
        let body = connection.body(run.verify).await?;
        tally.messages += 1;
        tally.octets += body.size;
        if run.verify != Verify::None {
            let right = plan.manifest.get(received).is_some_and(|message| {
                message.size == body.size
                    && (run.verify != Verify::Sha256 || message.sha256 == body.sha256)
            });
            tally.mismatches += u64::from(!right);
        }
        received += 1;
    }
    tally.times.push(milliseconds_since(start));
    Ok(())
}
