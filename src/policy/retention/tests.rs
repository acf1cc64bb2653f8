//! One rule at a time. All of them together are in `model`.

mod model;

use super::*;
use crate::maildrop::{Seq, SeqSet, Uid};
use crate::policy::Since;

const DAY: i64 = 24 * 60 * 60;

/// A message that arrived on day 10.
fn item() -> Item {
    Item {
        seq: Seq::new(5).unwrap(),
        uid: Uid::new(5).unwrap(),
        size: 100,
        octets: 100,
        first_seen: u32::try_from(10 * DAY).unwrap(),
        internal_date: 3 * DAY,
        place: 0,
        was_there: false,
    }
}

/// What a client has done with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Nothing,
    WithoutQuit,
    Had,
    Deleted,
    DeletedForAll,
}

fn marks(did: Did) -> Marks {
    let one = |holds: bool| -> SeqSet { holds.then_some(item().seq).into_iter().collect() };
    Marks {
        delivered: one(did == Did::Had),
        deleted: one(matches!(did, Did::Deleted | Did::DeletedForAll)),
        disposing: one(did == Did::DeletedForAll),
        without_quit: one(did == Did::WithoutQuit),
    }
}

/// A client of a test: what it did, what it sees, whether it is waited for.
#[derive(Clone, Debug)]
struct Client {
    did: Did,
    view: View,
    enrolled_at: i64,
    state: ReaderState,
}

fn live(did: Did) -> Client {
    Client {
        did,
        view: View::default(),
        enrolled_at: 0,
        state: ReaderState::Live,
    }
}

fn expired(did: Did) -> Client {
    Client {
        state: ReaderState::Expired,
        ..live(did)
    }
}

/// What the bridge found later came later.
fn enrolment(at: i64) -> Enrolment {
    Enrolment {
        at,
        found_below: Seq::new(1),
    }
}

/// The verdict in words on this day; clients are called a, b, c ...
fn judge(clients: &[Client], retention: &Retention, withheld: bool, day: i64) -> String {
    let marks: Vec<Marks> = clients.iter().map(|client| marks(client.did)).collect();
    let readers: Vec<Reader<'_>> = clients
        .iter()
        .zip(&marks)
        .zip(["a", "b", "c", "d"])
        .map(|((client, marks), name)| Reader {
            client: 1,
            name,
            marks,
            view: &client.view,
            enrolment: enrolment(client.enrolled_at),
            state: client.state,
        })
        .collect();
    match verdict(&item(), &readers, retention, withheld, day * DAY) {
        Verdict::Keep(reason) => format!("keep: {reason}"),
        Verdict::Due(cause) => format!("due: {cause}"),
    }
}

fn rule(when: When) -> Retention {
    Retention {
        when,
        ..Retention::default()
    }
}

const RULES: [When; 4] = [
    When::AnyClientDeleted,
    When::AllClientsDelivered,
    When::AllClientsDeleted,
    When::Never,
];

#[test]
fn with_no_live_client_nothing_is_due() {
    for when in RULES {
        let greedy = Retention {
            max_age: Some(0),
            dispose_undelivered: true,
            ..rule(when)
        };
        for clients in [vec![], vec![expired(Did::DeletedForAll)]] {
            let verdict = judge(&clients, &greedy, false, 999);
            assert_eq!(verdict, "keep: there is no live client");
        }
    }
}

#[test]
fn what_is_withheld_is_never_due() {
    let greedy = Retention {
        max_age: Some(0),
        dispose_undelivered: true,
        ..rule(When::AnyClientDeleted)
    };
    let verdict = judge(&[live(Did::DeletedForAll)], &greedy, true, 999);
    assert_eq!(verdict, "keep: it could not be read and is withheld");
}

#[test]
fn each_rule_waits_for_what_it_says() {
    use Did::{Deleted, Had, Nothing, WithoutQuit};
    let table = [
        (
            When::Never,
            [Deleted, Deleted],
            "keep: nothing is disposed of",
        ),
        (
            When::AnyClientDeleted,
            [Had, Had],
            "keep: any-client-deleted is not met",
        ),
        (When::AnyClientDeleted, [Had, Deleted], "due: b deleted it"),
        (
            When::AnyClientDeleted,
            [Nothing, Deleted],
            "keep: a has not had it",
        ),
        (
            When::AllClientsDelivered,
            [Had, Had],
            "due: all clients have had it",
        ),
        (
            When::AllClientsDelivered,
            [Had, Deleted],
            "due: all clients have had it",
        ),
        (
            When::AllClientsDelivered,
            [Had, WithoutQuit],
            "keep: b has not had it",
        ),
        (
            When::AllClientsDeleted,
            [Had, Deleted],
            "keep: all-clients-deleted is not met",
        ),
        (
            When::AllClientsDeleted,
            [Deleted, Deleted],
            "due: all clients have deleted it",
        ),
    ];
    for (when, did, expected) in table {
        let verdict = judge(&did.map(live), &rule(when), false, 11);
        assert_eq!(verdict, expected, "{when:?} {did:?}");
    }
}

#[test]
fn a_deletion_for_everybody_waits_for_those_who_have_not_had_it_but_for_no_age() {
    let patient = Retention {
        min_age: 90 * DAY,
        ..Retention::default()
    };
    let alone = [live(Did::DeletedForAll)];
    assert_eq!(
        judge(&alone, &patient, false, 10),
        "due: a deleted it for everybody"
    );
    let two = [live(Did::DeletedForAll), live(Did::Nothing)];
    assert_eq!(judge(&two, &patient, false, 10), "keep: b has not had it");
    let careless = Retention {
        dispose_undelivered: true,
        ..patient
    };
    assert_eq!(
        judge(&two, &careless, false, 10),
        "due: a deleted it for everybody"
    );
}

#[test]
fn age_counts_from_the_day_the_message_was_first_seen_where_that_is_later() {
    let monthly = Retention {
        min_age: 30 * DAY,
        ..rule(When::AllClientsDelivered)
    };
    let client = [live(Did::Had)];
    assert_eq!(
        judge(&client, &monthly, false, 39),
        "keep: it is not old enough"
    );
    assert_eq!(
        judge(&client, &monthly, false, 40),
        "due: all clients have had it"
    );
}

#[test]
fn the_highest_age_needs_no_rule_but_somebody_who_had_it() {
    let monthly = Retention {
        max_age: Some(30 * DAY),
        ..Retention::default()
    };
    let had = [live(Did::Had)];
    assert_eq!(
        judge(&had, &monthly, false, 39),
        "keep: it is not old enough"
    );
    assert_eq!(
        judge(&had, &monthly, false, 40),
        "due: it has reached max_age"
    );
    assert_eq!(
        judge(&[live(Did::Nothing)], &monthly, false, 40),
        "keep: a has not had it"
    );
    let mut outside = live(Did::Nothing);
    outside.view.max_size = Some(99);
    let outside = [outside];
    assert_eq!(
        judge(&outside, &monthly, false, 40),
        "keep: no client has had it"
    );
    let careless = Retention {
        dispose_undelivered: true,
        ..monthly
    };
    assert_eq!(
        judge(&outside, &careless, false, 40),
        "due: it has reached max_age"
    );
}

#[test]
fn it_is_said_when_a_message_will_be_old_enough() {
    let retention = Retention {
        min_age: 30 * DAY,
        max_age: Some(60 * DAY),
        ..rule(When::AllClientsDelivered)
    };
    let marks = marks(Did::Had);
    let view = View::default();
    let reader = Reader {
        client: 1,
        name: "a",
        marks: &marks,
        view: &view,
        enrolment: enrolment(0),
        state: ReaderState::Live,
    };
    let early = verdict(&item(), &[reader], &retention, false, 11 * DAY);
    let until = 40 * DAY;
    assert_eq!(early, Verdict::Keep(Reason::TooYoung { until }));
}

#[test]
fn an_expired_client_is_released_only_where_that_is_written_down() {
    let clients = [live(Did::Had), expired(Did::Nothing)];
    let mut retention = rule(When::AllClientsDelivered);
    assert_eq!(
        judge(&clients, &retention, false, 11),
        "keep: b has not had it"
    );
    retention.dispose_undelivered = true;
    assert_eq!(
        judge(&clients, &retention, false, 11),
        "due: all clients have had it"
    );
    // A live one is waited for nevertheless.
    let clients = [live(Did::Had), live(Did::Nothing)];
    assert_eq!(
        judge(&clients, &retention, false, 11),
        "keep: b has not had it"
    );
    // An expired one need not delete what it has had.
    let clients = [live(Did::Deleted), expired(Did::Had)];
    let retention = rule(When::AllClientsDeleted);
    assert_eq!(
        judge(&clients, &retention, false, 11),
        "due: all clients have deleted it"
    );
}

#[test]
fn what_a_clients_window_leaves_out_is_not_waited_for() {
    let day = 20 * DAY;
    let enrolled_later = |view| Client {
        view,
        enrolled_at: day,
        ..live(Did::Nothing)
    };
    let outside = [
        View {
            since: Since::Enrolment,
            ..View::default()
        },
        View {
            since: Since::Date(4 * DAY),
            ..View::default()
        },
        View {
            max_size: Some(99),
            ..View::default()
        },
        View {
            last: Some(10 * DAY),
            ..View::default()
        },
    ];
    let inside = [
        View::default(),
        View {
            since: Since::Date(3 * DAY),
            ..View::default()
        },
        View {
            max_size: Some(100),
            ..View::default()
        },
        // It was inside when the client was made known, though it is not any more.
        View {
            last: Some(11 * DAY),
            ..View::default()
        },
    ];
    let retention = rule(When::AllClientsDelivered);
    for (views, expected) in [
        (outside, "due: all clients have had it"),
        (inside, "keep: b has not had it"),
    ] {
        for view in views {
            let words = format!("{view:?}");
            let clients = [live(Did::Had), enrolled_later(view)];
            assert_eq!(judge(&clients, &retention, false, 99), expected, "{words}");
        }
    }
}
