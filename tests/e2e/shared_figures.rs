//! Ten clients of one mailbox of 100,000 messages: how long each waits for its list, what the state takes on disk, and that a poll without
//! news reads next to nothing of it and waits for no write.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::many::in_a_hurry;
use crate::support::bridge::{Bridge, Options};
use crate::support::figures::show;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::tracer::{Call, Next, follow, kill9};
use crate::support::tree::{Account, Tree};

const MESSAGES: usize = 100_000;
const CLIENTS: usize = 10;
/// What a client that is used by a person waits at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a poll may read of the state, in octets: a few pages of the file, which has hundreds of times as many.
const READ: u64 = 64 * 1024;

/// A mailbox that is listed at once, so that what is measured is the bridge's.
fn peer() -> RunningPeer {
    let mut list = String::new();
    for n in 1..=MESSAGES {
        let (size, minute, second) = (1_000 + n * 7_919 % 50_000, n / 60, n % 60);
        let (day, hour, minute) = (minute / 1440 + 1, minute / 60 % 24, minute % 60);
        writeln!(
            list,
            "* {n} FETCH (UID {n} RFC822.SIZE {size} INTERNALDATE \"{day:02}-Jan-2024 {hour:02}:{minute:02}:{second:02} +0000\")\r"
        )
        .unwrap();
    }
    let next = MESSAGES + 1;
    let examined = format!(
        "* {MESSAGES} EXISTS\n* OK [UIDVALIDITY 1] ok\n* OK [UIDNEXT {next}] ok\n{{tag}} OK [READ-ONLY] done"
    );
    Peer::with_mail(0)
        .reply("EXAMINE", &examined)
        .on("UID FETCH 1:*", move |conn, cmd| {
            conn.raw(&list);
            conn.ok(cmd);
            Flow::Done
        })
        .start()
}

fn name(client: usize) -> String {
    format!("{USER}/c{client}")
}

/// Each client has deleted another one message in about a hundred.
fn deleted(client: usize) -> impl Iterator<Item = usize> {
    (client + 1..=MESSAGES).step_by(95 + client)
}

/// Log-in and STAT, timed; then QUIT.
fn poll(bridge: &Bridge, client: usize) -> Duration {
    let pop3 = bridge.pop3();
    let started = Instant::now();
    let mut pop3 = pop3.log_in(&name(client), PASSWORD);
    let (count, _) = pop3.stat();
    let took = started.elapsed();
    assert_eq!(count as usize, MESSAGES - deleted(client).count());
    pop3.quit();
    took
}

/// The times of all clients, one after the other.
fn poll_each(bridge: &Bridge) -> Vec<Duration> {
    (0..CLIENTS).map(|client| poll(bridge, client)).collect()
}

fn slowest(times: &[Duration]) -> u128 {
    times.iter().max().map_or(0, Duration::as_millis)
}

fn octets(state: &Path) -> u64 {
    let files = std::fs::read_dir(state).unwrap().flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("state.db"));
    files.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn ten_clients_share_100_000_messages() {
    let peer = peer();
    let folder = Tree::new("shared", &Account::for_servers());
    let state = folder.join("state");
    let (start, url) = (in_a_hurry(&peer.certs), peer.plain_url());
    let config = format!("{start}[upstream.x]\nurl = \"{url}\"\n");
    let start = || Options::config(&config).state(&state).start();

    let bridge = start();
    let mut first = Duration::ZERO;
    for client in 0..CLIENTS {
        let pop3 = bridge.pop3();
        let started = Instant::now();
        let mut pop3 = pop3.log_in(&name(client), PASSWORD);
        assert_eq!(pop3.stat().0 as usize, MESSAGES);
        first = first.max(started.elapsed());
        let numbers: Vec<usize> = deleted(client).collect();
        for some in numbers.chunks(100) {
            let lines: String = some.iter().map(|n| format!("DELE {n}\r\n")).collect();
            pop3.send_raw(lines.as_bytes());
            some.iter().for_each(|_| drop(pop3.expect_ok()));
        }
        pop3.quit();
    }
    assert!(bridge.stop().success());
    let size = octets(&state);

    let bridge = start();
    let cold = poll_each(&bridge);
    let warm = poll_each(&bridge);
    let memory = bridge.memory("VmHWM") / 1024 / 1024;
    assert!(bridge.stop().success());

    let bridge = start();
    let together = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let bridge = &bridge;
            scope.spawn(move || poll(bridge, client));
        }
    });
    let together = together.elapsed();
    show(&format!(
        "shared: log-in and STAT of {CLIENTS} clients x {MESSAGES} messages: {} ms for the very first; after a restart {} ms for the first and \
         at most {} ms for each of the others; {} ms until all have it that come at once; warm at most {} ms. State: {} KiB on disk; \
         memory: {memory} MiB at the peak",
        first.as_millis(),
        cold[0].as_millis(),
        slowest(&cold[1..]),
        together.as_millis(),
        slowest(&warm),
        size / 1024,
    ));
    for times in [&cold, &warm, &vec![first, together]] {
        assert!(times.iter().all(|took| *took < PATIENCE), "{times:?}");
    }
    assert!(size < 12 << 20, "{size} octets of state");
    polls_read_and_write_next_to_nothing(&bridge, &state, size);
}

fn polls_read_and_write_next_to_nothing(bridge: &Bridge, state: &Path, size: u64) {
    let (process, calls) = (bridge.pid(), Mutex::new(Vec::<Call>::new()));
    let (is_ready, ready) = mpsc::channel();
    let file = state.canonicalize().unwrap().join("state.db");
    let file = file.to_str().unwrap();
    let started = std::thread::scope(|scope| {
        let calls = &calls;
        scope.spawn(move || {
            let is_ready = || is_ready.send(()).unwrap();
            follow(process, is_ready, |call| {
                // The lock beside it, the log and its index included.
                if call.on.starts_with(file) {
                    calls.lock().unwrap().push(call.clone());
                }
                Next::GoesOn
            });
        });
        ready.recv().unwrap();
        let started = Instant::now();
        poll_each(bridge);
        let took = started.elapsed();
        kill9(process);
        took
    });
    let calls = calls.into_inner().unwrap();
    let of = |names: &'static [&str]| calls.iter().filter(|call| names.contains(&call.name));
    let reads = of(&["read", "pread64"]);
    let read = reads.map(|call| call.count).sum::<u64>() / CLIENTS as u64;
    let syncs = of(&["fsync", "fdatasync"]).count();
    show(&format!(
        "shared: a warm poll reads {read} octets of the state ({} in the file); {CLIENTS} polls in a row write {} times and sync {syncs} times",
        size,
        of(&["write", "pwrite64"]).count(),
    ));
    assert!(read <= READ, "{read} octets");
    // Every 10 seconds the times at which clients were last seen are written behind their backs; and once in `sweep_interval` the mailbox is
    // looked through after a session, for which its turn is taken and given back. The first write after a start begins SQLite's log, whose
    // head is synced by itself. Nothing else is.
    let beats = started.as_secs() as usize / 10 + 1;
    assert!(syncs <= beats + 3, "{syncs} in {started:?}");
}
