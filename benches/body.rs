//! RETR and TOP: from the message's octets to the answer's.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use popbridge::pop3::body::Encoder;

use crate::mail;

/// What comes from the upstream at a time, at most.
const PIECE: usize = 16 * 1024;
/// When the answer is sent.
const SEND_AT: usize = 32 * 1024;

type Mail = fn(usize) -> Vec<u8>;

const KINDS: [(&str, Mail); 4] = [
    ("attachment", mail::attachment),
    ("text", mail::text),
    ("text with LF", mail::text_with_lf),
    ("dots", mail::dots),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body");
    let mut out = Vec::new();
    for (kind, mail) in KINDS {
        for (name, octets) in [("15 KiB", 15 * 1024), ("1 MiB", 1 << 20)] {
            let mail = mail(octets);
            group.throughput(Throughput::Bytes(octets as u64));
            group.bench_function(format!("{kind}, {name}"), |b| {
                b.iter(|| encode(None, black_box(&mail), &mut out));
            });
        }
    }
    // As fetchmail reads messages.
    let mail = mail::attachment(1 << 20);
    group.bench_function("attachment, 1 MiB, TOP of all", |b| {
        b.iter(|| encode(Some(u32::MAX), black_box(&mail), &mut out));
    });
    group.finish();
}

fn encode(lines: Option<u32>, mail: &[u8], out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(lines);
    out.clear();
    for piece in mail.chunks(PIECE) {
        encoder.encode(piece, out);
        if out.len() >= SEND_AT {
            black_box(&out);
            out.clear();
        }
    }
    encoder.finish(out);
    black_box(&out);
}
