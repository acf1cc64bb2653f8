//! What each command and each piece costs beside itself: counters, and a log line that nobody wants.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use popbridge::metrics::{CommandOutcome, Direction, Metrics};
use tracing::debug;
use tracing_subscriber::EnvFilter;

pub(crate) fn bench(criterion: &mut Criterion) {
    let metrics = Metrics::new();
    let took = Duration::from_micros(30);
    let mut group = criterion.benchmark_group("metrics");
    group.bench_function("a command", |b| {
        b.iter(|| metrics.command(black_box("RETR"), CommandOutcome::Ok, black_box(took)));
    });
    group.bench_function("octets", |b| {
        b.iter(|| metrics.client_bytes(black_box(Direction::Sent), black_box(32_768)));
    });
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("info"))
        .with_writer(std::io::sink)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        group.bench_function("a log line that is not wanted", |b| {
            let command = "RETR";
            b.iter(|| debug!(command, ok = black_box(true), ?took, "answered"));
        });
    });
    group.finish();
}
