//! A TCP relay that delays every byte and counts: the long way to an upstream, and what goes over it.
//!
//! Bandwidth is not limited: 64 MiB may be under way in each direction. A new connection waits for three times the delay first, as the
//! handshake of TCP would over that path. A turn is client data behind server data: what one connection waits for one after the other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::arguments::Relay;
use crate::figures::cpu_seconds;
use crate::literals::Literals;

/// The largest piece that is read at once, and how many of them may wait for their time.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 1024;

/// Everything since the start.
#[derive(Default)]
struct Totals {
    connections: AtomicU64,
    turns: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
    literals: AtomicU64,
}

/// Whose data came last on a connection.
#[derive(Default)]
struct Last {
    was_client: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Relays until standard input ends; each line there is answered by one of totals, connections that are still open included.
pub(crate) async fn run(relay: &Relay) -> io::Result<()> {
    let listener = TcpListener::bind(&relay.listen).await?;
    let delay = Duration::from_millis(relay.delay_ms);
    let totals = Arc::new(Totals::default());
    let mut questions = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                totals.connections.fetch_add(1, Relaxed);
                tokio::spawn(connection(client, relay.to.clone(), delay, totals.clone()));
            }
            question = questions.next_line() => {
                if question?.is_none() {
                    return Ok(());
                }
                println!("{}", totals.as_json());
            }
        }
    }
}

impl Totals {
    fn as_json(&self) -> serde_json::Value {
        json!({
            "connections": self.connections.load(Relaxed),
            "turns": self.turns.load(Relaxed),
            "to_server": self.to_server.load(Relaxed),
            "to_client": self.to_client.load(Relaxed),
            "literals": self.literals.load(Relaxed),
            "cpu_s": cpu_seconds(),
        })
    }
}

async fn connection(client: TcpStream, to: String, delay: Duration, totals: Arc<Totals>) {
    sleep(delay * 3).await;
    let Ok(server) = TcpStream::connect(to).await else {
        return; // the client sees the connection closed, as it would without a relay
    };
    // Without it small pieces would wait for each other; where it cannot be had the connection is gone already.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let last = Last::default();
    tokio::join!(
        pump(
            from_client,
            to_server,
            delay,
            Direction::ToServer,
            &last,
            &totals
        ),
        pump(
            from_server,
            to_client,
            delay,
            Direction::ToClient,
            &last,
            &totals
        ),
    );
}

/// One direction, to its end.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    direction: Direction,
    last: &Last,
    totals: &Totals,
) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let writer = tokio::spawn(async move {
        while let Some((due, piece)) = pieces.recv().await {
            if !delay.is_zero() {
                sleep_until(due).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await; // the other side may be gone already
    });
    let mut literals = Literals::default();
    let mut buffer = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..length];
        let from_client = direction == Direction::ToServer;
        let changed = last.was_client.swap(from_client, Relaxed) != from_client;
        if from_client {
            totals.turns.fetch_add(u64::from(changed), Relaxed);
            totals.to_server.fetch_add(length as u64, Relaxed);
        } else {
            totals.to_client.fetch_add(length as u64, Relaxed);
            totals.literals.fetch_add(literals.count(piece), Relaxed);
        }
        let due = Instant::now() + delay;
        if sender.send((due, piece.to_vec())).await.is_err() {
            break;
        }
    }
    drop(sender);
    let _ = writer.await; // it ends with the channel
}
