//! What is shown, against a plain loop over all messages.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::maildrop::tests::{place, register};

const DAY: i64 = 24 * 60 * 60;

fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

fn set(numbers: impl IntoIterator<Item = u32>) -> SeqSet {
    numbers.into_iter().map(seq).collect()
}

/// Messages of these dates, first-seen times and sizes, numbered 2, 4, 6 ...
fn contents(messages: &[(i64, u32, u32)]) -> Contents {
    let rows = messages.iter().zip(1..);
    let mut register = register(rows.map(|((_, _, size), n)| (2 * n, n, *size)));
    for ((date, first_seen, _), at) in messages.iter().zip(0..) {
        Arc::make_mut(&mut register.index).messages[at].internal_date = *date;
        register.entries[at].first_seen = *first_seen;
    }
    Contents::new(vec![(place("INBOX"), Arc::new(register))])
}

/// The numbers that are shown on day 100.
fn shown(contents: &Contents, view: &View, marks: &Marks, recent: bool) -> Vec<u32> {
    let seat = Seat {
        view,
        marks,
        enrolment: Enrolment {
            at: 50 * DAY,
            found_below: Seq::new(1),
        },
    };
    let shown = show(contents, &seat, &set([8]), recent, 100 * DAY);
    let number = |position: usize| contents.items[position].seq.get();
    match shown {
        Shown::All => (0..contents.items.len()).map(number).collect(),
        Shown::Part(runs) => {
            assert!(runs.len() < contents.items.len(), "that is all");
            runs.iter().flatten().map(number).collect()
        }
    }
}

/// Messages 2 to 10: old, moved here lately, of the day of enrolment, recent and large, new.
fn five() -> Contents {
    let day = |day: i64| (day * DAY, u32::try_from(day * DAY).unwrap());
    let messages = [
        (10, 10, 1),
        (10, 60, 2),
        (50, 50, 3),
        (90, 90, 999),
        (99, 99, 5),
    ];
    contents(&messages.map(|(date, seen, size)| (day(date).0, day(seen).1, size)))
}

#[test]
fn a_client_that_has_done_nothing_sees_everything_without_a_list_of_its_own() {
    let contents = five();
    let seat = Seat {
        view: &View::default(),
        marks: &Marks::default(),
        enrolment: Enrolment {
            at: 0,
            found_below: None,
        },
    };
    let all = show(&contents, &seat, &set([8]), false, 0);
    assert_eq!(all, Shown::All);
}

#[test]
fn what_a_client_deleted_is_hidden_and_what_it_has_had_is_not() {
    let marks = Marks {
        delivered: set([2, 4]),
        deleted: set([4]),
        ..Marks::default()
    };
    let shown = shown(&five(), &View::default(), &marks, false);
    assert_eq!(shown, [2, 6, 8, 10]);
}

#[test]
fn undelivered_hides_what_was_had_deleted_or_could_not_be_read() {
    let view = View {
        list: Listed::Undelivered,
        ..View::default()
    };
    let marks = Marks {
        delivered: set([2]),
        deleted: set([4]),
        without_quit: set([6]),
        ..Marks::default()
    };
    assert_eq!(shown(&five(), &view, &marks, false), [10]);
    assert_eq!(
        shown(&five(), &view, &Marks::default(), false),
        [2, 4, 6, 10]
    );
}

#[test]
fn each_window_leaves_out_what_is_outside() {
    let table = [
        (
            View {
                last: Some(50 * DAY),
                ..View::default()
            },
            vec![4, 6, 8, 10],
        ),
        (
            View {
                last: Some(1),
                ..View::default()
            },
            vec![],
        ),
        (
            View {
                since: Since::Enrolment,
                ..View::default()
            },
            vec![4, 6, 8, 10],
        ),
        (
            View {
                since: Since::Date(50 * DAY),
                ..View::default()
            },
            vec![6, 8, 10],
        ),
        (
            View {
                max_size: Some(5),
                ..View::default()
            },
            vec![2, 4, 6, 10],
        ),
        (
            View {
                max_listed: Some(2),
                ..View::default()
            },
            vec![2, 4],
        ),
        (
            View {
                max_listed: Some(5),
                ..View::default()
            },
            vec![2, 4, 6, 8, 10],
        ),
        (
            View {
                max_listed: Some(0),
                ..View::default()
            },
            vec![],
        ),
    ];
    for (view, expected) in table {
        let shown = shown(&five(), &view, &Marks::default(), false);
        assert_eq!(shown, expected, "{view:?}");
    }
}

#[test]
fn the_oldest_of_what_is_left_are_listed_first() {
    let view = View {
        max_listed: Some(2),
        ..View::default()
    };
    let marks = Marks {
        deleted: set([2, 6]),
        ..Marks::default()
    };
    assert_eq!(shown(&five(), &view, &marks, false), [4, 8]);
}

#[test]
fn recent_shows_thirty_days_whatever_was_done() {
    let view = View {
        list: Listed::Undelivered,
        last: Some(1),
        ..View::default()
    };
    let marks = Marks {
        delivered: set([8]),
        deleted: set([10]),
        ..Marks::default()
    };
    assert_eq!(shown(&five(), &view, &marks, true), [8, 10]);
    let small = View {
        max_size: Some(5),
        ..view
    };
    assert_eq!(shown(&five(), &small, &marks, true), [10]);
}

fn numbers() -> impl Strategy<Value = SeqSet> {
    proptest::collection::vec(1_u32..40, 0..20).prop_map(set)
}

prop_compose! {
    fn view()(
        undelivered: bool,
        last in proptest::option::of(0_i64..120),
        since in prop_oneof![
            Just(Since::Beginning), Just(Since::Enrolment), (0_i64..120).prop_map(Since::Date),
        ],
        max_listed in proptest::option::of(0_u32..20),
        max_size in proptest::option::of(0_u32..10),
    ) -> View {
        let list = if undelivered { Listed::Undelivered } else { Listed::All };
        View { list, last, since, max_listed, max_size }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_what_a_plain_loop_shows(
        messages in proptest::collection::vec((0_i64..100, 0_u32..100, 0_u32..10), 0..20),
        view in view(),
        (delivered, deleted, without_quit, withheld) in (numbers(), numbers(), numbers(), numbers()),
        (at, found_below) in (0_i64..120, proptest::option::of(1_u32..40)),
        recent: bool,
    ) {
        // Ten seconds apart, so that clocks may be apart, too.
        let messages: Vec<_> =
            messages.into_iter().map(|(date, seen, size)| (10 * date, 10 * seen, size)).collect();
        let at = 10 * at;
        let contents = contents(&messages);
        let marks = Marks { delivered, deleted, without_quit, ..Marks::default() };
        let enrolment = Enrolment { at, found_below: found_below.and_then(Seq::new) };
        let seat = Seat { view: &view, marks: &marks, enrolment };
        let now = 1000;
        let mut expected = Vec::new();
        for (position, item) in (0..).zip(&contents.items) {
            let later = item.internal_date.max(i64::from(item.first_seen));
            let undelivered = view.list == Listed::Undelivered;
            let hidden = marks.deleted.contains(item.seq)
                || undelivered && (marks.delivered.contains(item.seq)
                    || marks.without_quit.contains(item.seq)
                    || withheld.contains(item.seq));
            let begun = match view.since {
                Since::Beginning => true,
                Since::Enrolment => {
                    let found = found_below.is_none_or(|below| item.seq.get() < below);
                    later >= at && !(found && item.internal_date < at - 300)
                }
                Since::Date(date) => item.internal_date >= date,
            };
            let last = if recent { Some(30 * DAY) } else { view.last };
            if (recent || !hidden)
                && begun
                && last.is_none_or(|last| later >= now - last)
                && view.max_size.is_none_or(|most| item.size <= most)
                && view.max_listed.is_none_or(|most| expected.len() < most as usize)
            {
                expected.push(position);
            }
        }
        let shown: Vec<usize> = match show(&contents, &seat, &withheld, recent, now) {
            Shown::All => (0..contents.items.len()).collect(),
            Shown::Part(runs) => runs.iter().flatten().collect(),
        };
        prop_assert_eq!(shown, expected);
    }
}
