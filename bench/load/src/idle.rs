//! Sessions that log in, say STAT and stay: what a thousand programs cost that keep their connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncBufReadExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::arguments::Idle;
use crate::connection::{Connection, Dialer, SMALL};
use crate::figures::print;

/// How long a server may take to answer QUIT at the end; that is not measured.
const GOODBYE: Duration = Duration::from_secs(5);

/// Opens them, prints the figures, holds them until a line comes on standard input or that ends, and says QUIT.
pub(crate) async fn run(idle: Idle) -> io::Result<bool> {
    let (workers, sessions) = (idle.concurrency.max(1), idle.sessions);
    let dialer = Arc::new(Dialer::new(idle.server)?);
    let start = Instant::now();
    let mut all = JoinSet::new();
    for worker in 0..workers {
        let dialer = dialer.clone();
        all.spawn(async move {
            let mut opened = Vec::new();
            for number in (worker..sessions).step_by(workers) {
                opened.push(open(&dialer, number).await.map_err(|e| e.to_string()));
            }
            opened
        });
    }
    let opened = all.join_all().await.into_iter().flatten();
    let (mut held, mut errors) = (Vec::new(), Vec::new());
    for one in opened {
        match one {
            Ok(connection) => held.push(connection),
            Err(error) => errors.push(error),
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let good = print(json!({"sessions": held.len(), "wall_s": wall}), &errors, 0);

    let mut line = String::new();
    tokio::io::BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    for mut connection in held {
        // The figures are out: who has hung up in the meantime changes nothing.
        let _ = timeout(GOODBYE, connection.command("QUIT\r\n")).await;
    }
    Ok(good)
}

async fn open(dialer: &Dialer, number: usize) -> io::Result<Connection> {
    let mut connection = dialer.log_in(number, SMALL).await?;
    let count = connection.stat().await?;
    if count != dialer.server.messages {
        return Err(io::Error::other(format!("{count} messages")));
    }
    Ok(connection)
}
