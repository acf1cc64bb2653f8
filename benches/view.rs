//! What a client is shown of 100,000 messages, with the sums that STAT answers.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use popbridge::maildrop::{Contents, Maildrop, SeqSet};
use popbridge::policy::{self, Enrolment, Listed, Marks, Seat, View};

use crate::mailbox::{self, DAY, seq};

const MESSAGES: u32 = 100_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let contents = Arc::new(mailbox::contents(MESSAGES, 1));
    let every_other: SeqSet = (1..=MESSAGES / 2).map(|n| seq(2 * n)).collect();
    let mut old = SeqSet::new();
    old.insert_range(seq(1), seq(MESSAGES / 10 * 9));
    // Ten of each thousand are left.
    let mut stretches = SeqSet::new();
    for n in 0..MESSAGES / 1000 {
        stretches.insert_range(seq(1000 * n + 1), seq(1000 * n + 990));
    }
    let all = View::default();
    let undelivered = View {
        list: Listed::Undelivered,
        ..all.clone()
    };
    let lately = View {
        last: Some(30 * DAY),
        ..all.clone()
    };
    let none = Marks::default();
    let deleted = |deleted: &SeqSet| Marks {
        deleted: deleted.clone(),
        ..Marks::default()
    };
    let delivered = |delivered: &SeqSet| Marks {
        delivered: delivered.clone(),
        deleted: stretches.clone(),
        ..Marks::default()
    };
    let mut group = criterion.benchmark_group("view of 100,000");
    for (name, view, marks) in [
        ("everything", &all, none.clone()),
        ("nine tenths deleted", &all, deleted(&old)),
        ("100 stretches deleted", &all, deleted(&stretches)),
        (
            "undelivered, nine tenths had",
            &undelivered,
            delivered(&old),
        ),
        (
            "undelivered, every other had",
            &undelivered,
            delivered(&every_other),
        ),
        ("every other deleted", &all, deleted(&every_other)),
        ("30 days", &lately, none.clone()),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| maildrop(black_box(&contents), view, &marks));
        });
    }
    group.finish();
}

fn maildrop(contents: &Arc<Contents>, view: &View, marks: &Marks) -> (u32, u64) {
    let enrolment = Enrolment {
        at: 0,
        found_below: None,
    };
    let seat = Seat {
        view,
        marks,
        enrolment,
    };
    let now = 60 * i64::from(MESSAGES);
    let shown = policy::show(contents, &seat, &SeqSet::new(), false, now);
    let maildrop = Maildrop::new(Arc::clone(contents), shown);
    (maildrop.count(), maildrop.octets())
}
