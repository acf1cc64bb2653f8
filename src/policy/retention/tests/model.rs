//! All rules together, against a plain reading of them.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn client()(
        did in proptest::sample::select(vec![
            Did::Nothing, Did::WithoutQuit, Did::Had, Did::Deleted, Did::DeletedForAll,
        ]),
        since in prop_oneof![
            Just(Since::Beginning), Just(Since::Enrolment), (2..5_i64).prop_map(|d| Since::Date(d * DAY)),
        ],
        last in proptest::option::of((0_i64..12).prop_map(|day| day * DAY)),
        max_size in proptest::option::of(99_u32..102),
        enrolled_at in (8_i64..20).prop_map(|day| day * DAY),
        live in proptest::bool::weighted(0.7),
    ) -> Client {
        let view = View { since, last, max_size, ..View::default() };
        let state = if live { ReaderState::Live } else { ReaderState::Expired };
        Client { did, view, enrolled_at, state }
    }
}

/// The rules, read word by word.
fn is_due(clients: &[Client], retention: &Retention, withheld: bool, day: i64) -> bool {
    let had = |c: &Client| matches!(c.did, Did::Had | Did::Deleted | Did::DeletedForAll);
    let deleted = |c: &Client| matches!(c.did, Did::Deleted | Did::DeletedForAll);
    let is_live = |c: &Client| c.state == ReaderState::Live;
    let owed = |c: &Client| {
        let begun = match c.view.since {
            Since::Beginning => true,
            Since::Enrolment => 10 * DAY >= c.enrolled_at,
            Since::Date(date) => 3 * DAY >= date,
        };
        begun
            && c.view.max_size.is_none_or(|most| 100 <= most)
            && c.view
                .last
                .is_none_or(|last| 10 * DAY + last > c.enrolled_at)
    };
    let careless = retention.dispose_undelivered;
    let age = (day - 10) * DAY;
    let met = match retention.when {
        When::Never => false,
        When::AnyClientDeleted => clients.iter().any(deleted),
        When::AllClientsDelivered => {
            clients.iter().any(had)
                && clients
                    .iter()
                    .all(|c| had(c) || !owed(c) || careless && !is_live(c))
        }
        When::AllClientsDeleted => {
            let all = clients.iter().all(|c| match is_live(c) {
                true => deleted(c) || !owed(c),
                false => had(c) || !owed(c) || careless,
            });
            all && clients.iter().any(deleted)
        }
    };
    let for_all = clients.iter().any(|c| c.did == Did::DeletedForAll);
    let wanted = for_all
        || met && age >= retention.min_age
        || retention.max_age.is_some_and(|most| age >= most);
    let missed = clients.iter().any(|c| owed(c) && !had(c)) || !clients.iter().any(had);
    clients.iter().any(is_live) && !withheld && wanted && (careless || !missed)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_what_the_rules_say_and_never_cost_a_client_a_message(
        clients in proptest::collection::vec(client(), 0..4),
        when in proptest::sample::select(RULES.to_vec()),
        (min_age, max_age) in (0_i64..5, proptest::option::of(0_i64..9)),
        dispose_undelivered: bool,
        withheld in proptest::bool::weighted(0.1),
    ) {
        let (min_age, max_age) = (min_age * DAY, max_age.map(|day| day * DAY));
        let retention = Retention { when, min_age, max_age, dispose_undelivered };
        let mut was_due = false;
        for day in 9..25 {
            let words = judge(&clients, &retention, withheld, day);
            let due = words.starts_with("due");
            prop_assert_eq!(due, is_due(&clients, &retention, withheld, day), "{}", words);
            prop_assert!(due || !was_due, "time alone has saved it: {}", words);
            was_due = due;
            let lacking = clients.iter().any(|c| {
                let default = c.view.since == Since::Beginning && c.view.last.is_none() && c.view.max_size.is_none();
                default && matches!(c.did, Did::Nothing | Did::WithoutQuit)
            });
            prop_assert!(!due || !lacking || dispose_undelivered, "{}", words);
        }
    }
}
