//! IMAP as it comes in: the list of 10,000 messages, and bodies.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use popbridge::imap::bench::{self, Nobody};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;

use crate::mail;

const MESSAGES: u32 = 10_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let list = list();
    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("list of 10,000: lines", |b| {
        b.iter(|| bench::lines(black_box(&list)).unwrap());
    });
    group.bench_function("list of 10,000: transport", |b| {
        b.iter(|| read(&runtime, &list));
    });
    group.bench_function("list of 10,000: messages", |b| {
        b.iter(|| {
            let rows = bench::messages(socket(&list), Arc::new(Nobody), MESSAGES);
            assert_eq!(runtime.block_on(rows).unwrap(), MESSAGES as usize);
        });
    });
    for (name, octets, count) in [("15 KiB", 15 * 1024, 100_u32), ("1 MiB", 1 << 20, 4)] {
        let bodies = bodies(octets, count);
        group.throughput(Throughput::Bytes(bodies.len() as u64));
        group.bench_function(format!("bodies of {name}: transport"), |b| {
            b.iter(|| assert_eq!(read(&runtime, &bodies), octets as u64 * u64::from(count)));
        });
    }
    group.finish();
}

/// What Dovecot says to `UID FETCH 1:* (RFC822.SIZE INTERNALDATE)`.
fn list() -> Vec<u8> {
    let mut list = String::new();
    for number in 1..=MESSAGES {
        let (uid, size) = (1000 + number, 2048 + number * 7 % 50_000);
        write!(
            list,
            "* {number} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \"17-Jul-2026 02:44:25 +0000\")\r\n"
        )
        .unwrap();
    }
    list.into_bytes()
}

/// What it says to `UID FETCH n BODY.PEEK[]`, again and again.
fn bodies(octets: usize, count: u32) -> Vec<u8> {
    let mail = mail::attachment(octets);
    let mut said = Vec::new();
    for number in 1..=count {
        let start = format!("* {number} FETCH (UID {number} BODY[] {{{octets}}}\r\n");
        said.extend_from_slice(start.as_bytes());
        said.extend_from_slice(&mail);
        said.extend_from_slice(b")\r\nA1 OK Fetch completed.\r\n");
    }
    said
}

fn socket(said: &[u8]) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
    tokio::io::join(Cursor::new(said.to_vec()), tokio::io::sink())
}

fn read(runtime: &Runtime, said: &[u8]) -> u64 {
    runtime.block_on(bench::read(socket(said), Arc::new(Nobody)))
}
