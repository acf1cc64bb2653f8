//! What clients say, and the answers that need no upstream.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use popbridge::maildrop::Shown;
use popbridge::pop3::{Action, Line, LineBuffer, Session};

use crate::mailbox;

/// What one read from a client brings at most.
const READ: usize = 2048;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pop3");
    let pipeline: String = (1..=1000).map(|n| format!("LIST {n}\r\n")).collect();
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 lines", |b| {
        let mut buffer = LineBuffer::new();
        b.iter(|| {
            let mut lines = 0;
            for piece in black_box(pipeline.as_bytes()).chunks(READ) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line() {
                    black_box(line);
                    lines += 1;
                }
            }
            assert_eq!(lines, 1000);
        });
    });
    let mut session = mailbox::session(mailbox::contents(10_000, 1), Shown::All);
    let mut out = Vec::new();
    for command in ["NOOP", "STAT", "LIST 9999", "UIDL 9999", "RETR 9999"] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("command {command}"), |b| {
            b.iter(|| {
                out.clear();
                session.line(Line::Complete(black_box(command.as_bytes())), &mut out)
            });
        });
    }
    for (folders, command) in [(1, "LIST"), (1, "UIDL"), (3, "UIDL")] {
        let mut session = mailbox::session(mailbox::contents(10_000, folders), Shown::All);
        group.throughput(Throughput::Elements(10_000));
        group.bench_function(format!("{command} of 10,000 in {folders}"), |b| {
            b.iter(|| listing(&mut session, command, &mut out));
        });
    }
    group.finish();
}

/// A whole listing, taken in portions as the driver does.
fn listing(session: &mut Session, command: &str, out: &mut Vec<u8>) -> usize {
    let mut octets = 0;
    out.clear();
    let action = session.line(Line::Complete(command.as_bytes()), out);
    let mut more = matches!(action, Action::More);
    while more {
        more = session.more(out);
        if out.len() >= 32 * 1024 {
            octets += out.len();
            out.clear();
        }
    }
    octets + out.len()
}
