//! Micro benchmarks: the parts of the bridge that touch every octet or every message, without sockets and without an upstream.
//!
//! `cargo bench` runs all, `cargo bench -- body` those with "body" in their name. How the whole bridge does is `make bench`.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

mod body;
mod framing;
mod mail;
mod mailbox;
mod metrics;
mod pop3;
mod view;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    framing::bench(&mut criterion);
    pop3::bench(&mut criterion);
    body::bench(&mut criterion);
    view::bench(&mut criterion);
    metrics::bench(&mut criterion);
    criterion.final_summary();
}
