//! Memory does not grow with a message: what one large RETR and twenty at once add to an idle bridge.
//!
//! The upstream is the scriptable peer, which makes up a message of 100 MB as it goes. The bridge reads it as it reads any other
//! server's literal, and no test has to keep that much.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Duration;

use crate::support::bridge::{Bridge, Options};
use crate::support::figures::show;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::net::Stream;
use crate::support::pop3::{Mode, Pop3};

const SIZE: usize = 100_000_000;
const SMALL: &str = "Subject: small\r\n\r\nThis is all.\r\n";
/// What a session may add, in octets (the figure).
const ALLOWED: u64 = 512 * 1024;

/// A mailbox whose first message has 100 MB and whose second is small.
fn peer() -> RunningPeer {
    // Lines of 80 octets, so that the message has the shape that mail has.
    let block = format!("{}\r\n", "x".repeat(78)).repeat(10_000);
    Peer::with_mail(0)
        .on("EXAMINE", |conn, cmd| {
            conn.answer(
                cmd,
                "* 2 EXISTS\n* OK [UIDVALIDITY 1] ok\n* OK [UIDNEXT 3] ok\n{tag} OK [READ-ONLY] done",
            );
            Flow::Done
        })
        .on("UID FETCH 1:*", |conn, cmd| {
            for (n, size) in [(1, SIZE), (2, SMALL.len())] {
                conn.line(&format!(
                    "* {n} FETCH (UID {n} RFC822.SIZE {size} INTERNALDATE \"01-Jan-2024 00:00:00 +0000\")"
                ));
            }
            conn.ok(cmd);
            Flow::Done
        })
        .on("UID FETCH 1", move |conn, cmd| {
            if !cmd.has("BODY.PEEK[]") {
                let row = "UID 1 RFC822.SIZE {size} INTERNALDATE \"01-Jan-2024 00:00:00 +0000\"";
                conn.line(&format!("* 1 FETCH ({})", row.replace("{size}", &SIZE.to_string())));
                conn.ok(cmd);
                return Flow::Done;
            }
            conn.raw(format!("* 1 FETCH (UID 1 BODY[] {{{SIZE}}}\r\n"));
            for _ in 0..SIZE / block.len() {
                conn.raw(&block);
            }
            conn.answer(cmd, ")\n{tag} OK done");
            Flow::Done
        })
        .on("UID FETCH 2", |conn, cmd| {
            let size = SMALL.len();
            conn.raw(format!("* 2 FETCH (UID 2 BODY[] {{{size}}}\r\n{SMALL})\r\n"));
            conn.ok(cmd);
            Flow::Done
        })
        .start()
}

/// A client that is about to read, its list known.
fn reader(bridge: &Bridge, tls: bool, user: &str) -> Pop3 {
    let (mode, port) = match tls {
        true => (Mode::Tls, bridge.pop3s_port),
        false => (Mode::Plain, bridge.pop3_port),
    };
    let mut pop3 = Pop3::connect_as(mode, port, &bridge.tls_config()).log_in(user, PASSWORD);
    assert_eq!(pop3.stat(), (2, (SIZE + SMALL.len()) as u64));
    pop3
}

/// RETR to its end; gives the number of octets read, status line and final dot included. `meet` is visited half-way.
fn retrieve(stream: &mut Stream, meet: impl Fn()) -> usize {
    stream.write_all(b"RETR 1\r\n").unwrap();
    let mut buffer = vec![0; 1 << 18];
    let (mut total, mut met, mut last) = (0, false, Vec::new());
    while total < SIZE || !last.ends_with(b"\r\n.\r\n") {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the end after {total} octets");
        total += n;
        last.extend(&buffer[n.saturating_sub(5)..n]);
        last.drain(..last.len().saturating_sub(5));
        if total > SIZE / 2 && !met {
            met = true;
            meet();
        }
    }
    total
}

/// The small message through sessions that are closed again, so that the program's pages and what is allocated once are there.
fn warm_up(bridge: &Bridge) {
    for tls in [false, true] {
        let mut pop3 = reader(bridge, tls, USER);
        assert_eq!(pop3.retr(2), SMALL.as_bytes());
        pop3.quit();
    }
}

#[test]
fn one_message_of_100_mb_adds_less_than_512_kib() {
    let peer = peer();
    let bridge = Options::limits(&peer.plain_url(), "").start();
    warm_up(&bridge);
    for tls in [false, true] {
        let idle = bridge.memory("VmRSS");
        bridge.reset_peak_memory();
        let mut stream = reader(&bridge, tls, USER).into_stream();
        let octets = retrieve(&mut stream, || ());
        assert_eq!(octets, SIZE + "+OK 100000000 octets\r\n.\r\n".len());
        // Once: a second one would start from what the first has not given back, and look cheaper than it is.
        let added = bridge.memory("VmHWM").saturating_sub(idle);
        show(&format!(
            "memory: {} KiB added at the peak by one RETR of 100 MB, tls={tls}",
            added / 1024
        ));
        assert!(added < ALLOWED, "{added} octets");
    }
}

#[test]
fn twenty_messages_of_100_mb_at_once_add_less_than_512_kib_each_and_slow_readers_no_more() {
    const READERS: usize = 20;
    let peer = peer();
    let url = peer.plain_url();
    let config = format!("[upstream.mail]\nurl = \"{url}\"\nconnections = 24\n");
    let bridge = Options::config(&config).start();
    warm_up(&bridge);
    let idle = bridge.memory("VmRSS");
    bridge.reset_peak_memory();
    // Half of them stop reading half-way until all the others have come there, so that all twenty are under way at once.
    let half_way = Barrier::new(READERS);
    std::thread::scope(|scope| {
        for n in 0..READERS {
            let (bridge, half_way) = (&bridge, &half_way);
            scope.spawn(move || {
                // One session a client at a time: twenty clients of the mailbox.
                let user = format!("{USER}/reader{n}");
                let mut stream = reader(bridge, n % 2 == 1, &user).into_stream();
                stream
                    .socket()
                    .set_read_timeout(Some(Duration::from_secs(120)))
                    .unwrap();
                retrieve(&mut stream, || {
                    half_way.wait();
                });
            });
        }
    });
    let added = bridge.memory("VmHWM").saturating_sub(idle);
    let each = added / READERS as u64;
    show(&format!(
        "memory: {} KiB added at the peak by 20 RETR of 100 MB at once, {} KiB each",
        added / 1024,
        each / 1024
    ));
    assert!(each < ALLOWED, "{each} octets each");
}
