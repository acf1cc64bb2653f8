use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::*;

const FIGURES: ClientFigures = ClientFigures {
    waiting: 4,
    oldest_waiting_seconds: 90,
    last_seen: 1_700_000_000,
    losses: 5,
};

/// The same table with more, for operators.
const MANUAL: &str = include_str!("../../docs/metrics.md");

/// Metrics that have seen one of everything.
fn used() -> (Metrics, SessionGuard, ConnectionGuard) {
    let metrics = Metrics::new();
    let mut session = metrics.session_started(SessionTls::None);
    session.tls_started();
    metrics.session_state(None, Some(SessionState::Authorization));
    let (from, to) = (SessionState::Authorization, SessionState::Transaction);
    metrics.session_state(Some(from), Some(to));
    metrics.session_panicked();
    metrics.command("RETR", CommandOutcome::Ok, Duration::from_millis(3));
    metrics.login(LoginOutcome::Rejected);
    metrics.client_bytes(Direction::Sent, 512);
    metrics.bad_input(BadInput::LineTooLong);
    metrics.index_lookup(IndexLookup::Delta);
    metrics.index_cache(1_600_000, 2);
    metrics.body_lookup(BodyLookup::Awaited);
    metrics.body_fetched(4_000);
    metrics.body_unsent(300);
    metrics.body_cache(5_000, 3);
    metrics.disposals(DisposalOutcome::Done, 3);
    metrics.unreadable_message();
    metrics.refused_connection(Refused::SourceFull);
    metrics.delayed_login();
    metrics.slow_reader();
    metrics.token("info", 1_700_000_000, false);
    metrics.token_refresh("info", TokenRefresh::Ok);
    metrics.account_connections("info", 2);
    metrics.account_budget("info", 1000, 30);
    metrics.waited(
        "office",
        Awaited::Login,
        WaitOutcome::Had,
        Duration::from_millis(200),
    );
    metrics.account("info", 1, 2, &[("desk1".to_owned(), FIGURES)]);
    metrics.sweep_stopped("info", true);
    metrics.account_quota("info", Some((2000, 1500)));
    metrics.account_freeable("info", 700);
    metrics.index_evicted();
    metrics.body_evicted();
    metrics.store(StoreOperation::Commit, Duration::from_millis(4), true);
    metrics.store(StoreOperation::Read, Duration::from_micros(200), false);
    metrics.configured(1_700_000_000);
    metrics.certificate_ends(Some(1_800_000_000));
    let upstream = metrics.upstream("office");
    upstream.connect(ConnectOutcome::Ok);
    upstream.command("UID FETCH", UpstreamOutcome::No, Duration::from_secs(2));
    upstream.bytes(Direction::Received, 70);
    upstream.backed_off(BackOffCause::Throttled);
    let connection = upstream.connection_opened();
    metrics.upstream_reconnected("office");
    metrics.kept_connections(&HashMap::from([("office".to_owned(), 3)]));
    (metrics, session, connection)
}

/// The words of `text` that are metric names of the bridge.
fn lines_starting<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(prefix))
        .collect()
}

/// Name, type and labels.
type Family = (String, String, BTreeSet<String>);

/// The rows of a table of metrics, without the bar at either end.
fn rows<'a>(text: &'a str, prefix: &str) -> Vec<Vec<&'a str>> {
    let rows = lines_starting(text, prefix).into_iter();
    rows.map(|row| {
        let row = row.trim_end().trim_end_matches('|');
        row.split('|').map(str::trim).collect()
    })
    .collect()
}

fn names(cell: &str) -> impl Iterator<Item = String> {
    let names = cell.split(", ").filter(|name| !name.is_empty());
    names.map(|name| name.trim_matches('`').to_owned())
}

fn family(row: &[&str]) -> Family {
    let name = row[0].trim_end_matches('`').to_owned();
    (name, row[1].to_owned(), names(row[2]).collect())
}

#[test]
fn the_table_for_operators_is_the_same_with_units_and_alerts() {
    let own: BTreeSet<_> = rows(include_str!("../metrics.rs"), "//! | `")
        .iter()
        .map(|row| (family(row), row[3]))
        .collect();
    let table = MANUAL.split("## Values").next().unwrap();
    let rows = rows(table, "| `");
    let manual: BTreeSet<_> = rows.iter().map(|row| (family(row), row[4])).collect();
    assert_eq!(own, manual);
    for row in rows {
        let [name, kind, _, unit, _, alerts] = row[..] else {
            panic!("{row:?} has not six cells");
        };
        let name = name.trim_end_matches('`');
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(name.contains("_bytes"), unit == "bytes", "{name}");
        assert_eq!(
            name.ends_with("_timestamp_seconds"),
            unit == "seconds since 1970",
            "{name}"
        );
        let is_time = name.ends_with("_seconds") && !name.ends_with("_timestamp_seconds");
        assert_eq!(is_time, unit == "seconds", "{name}");
        assert!(names(alerts).all(|alert| alert.starts_with("Popbridge")));
    }
}

fn values<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|value| value.as_str()).collect()
}

#[test]
fn the_values_of_labels_for_operators_are_those_that_there_are() {
    let expected = [
        ("sessions", "tls", values::<SessionTls>()),
        ("session_states", "state", values::<SessionState>()),
        ("commands_total", "outcome", values::<CommandOutcome>()),
        ("logins_total", "outcome", values::<LoginOutcome>()),
        ("client_bytes_total", "direction", values::<Direction>()),
        ("upstream_bytes_total", "direction", values::<Direction>()),
        ("bad_input_total", "kind", values::<BadInput>()),
        (
            "upstream_connects_total",
            "outcome",
            values::<ConnectOutcome>(),
        ),
        (
            "upstream_commands_total",
            "outcome",
            values::<UpstreamOutcome>(),
        ),
        ("upstream_backoffs_total", "cause", values::<BackOffCause>()),
        ("upstream_waits_total", "what", values::<Awaited>()),
        ("upstream_wait_seconds", "what", values::<Awaited>()),
        ("upstream_waits_total", "outcome", values::<WaitOutcome>()),
        ("index_lookups_total", "outcome", values::<IndexLookup>()),
        ("body_lookups_total", "outcome", values::<BodyLookup>()),
        ("disposals_total", "outcome", values::<DisposalOutcome>()),
        ("token_refreshes_total", "outcome", values::<TokenRefresh>()),
        ("refused_connections_total", "reason", values::<Refused>()),
        ("store_seconds", "operation", values::<StoreOperation>()),
        (
            "store_errors_total",
            "operation",
            values::<StoreOperation>(),
        ),
    ];
    let expected = expected.into_iter().map(|(name, label, values)| {
        let values = values.into_iter().map(str::to_owned).collect::<Vec<_>>();
        (format!("popbridge_{name}"), label.to_owned(), values)
    });
    let table = MANUAL.split("## Values").nth(1).unwrap();
    let mut documented = BTreeSet::new();
    for row in rows(table, "| `") {
        for name in names(row[0]) {
            documented.insert((name, row[1].to_owned(), names(row[2]).collect::<Vec<_>>()));
        }
    }
    assert_eq!(documented, expected.collect::<BTreeSet<_>>());
}

#[test]
fn the_table_in_the_documentation_is_what_is_rendered() {
    let source = include_str!("../metrics.rs");
    let documented: BTreeSet<Family> = rows(source, "//! | `")
        .iter()
        .map(|row| family(row))
        .collect();

    let (metrics, ..) = used();
    let mut rendered = BTreeSet::new();
    for family in metrics.registry.gather() {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let metric = &family.get_metric()[0];
        let labels: BTreeSet<String> = metric
            .get_label()
            .iter()
            .map(|label| label.name().to_owned())
            .collect();
        rendered.insert((family.name().to_owned(), kind, labels));
    }
    assert_eq!(documented, rendered);
}

#[test]
fn every_metric_has_a_help_text_that_is_a_sentence() {
    let text = used().0.render();
    let names = lines_starting(&text, "# TYPE ");
    let helps = lines_starting(&text, "# HELP ");
    let table = rows(include_str!("../metrics.rs"), "//! | `");
    assert_eq!((names.len(), helps.len()), (table.len(), table.len()));
    for help in helps {
        let (_, help) = help.split_once(' ').unwrap();
        assert!(help.len() > 10 && (help.ends_with('.')), "{help}");
    }
}

#[test]
fn what_happened_is_counted() {
    let (metrics, session, connection) = used();
    let text = metrics.render();
    for line in [
        concat!(
            "popbridge_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "popbridge_sessions{tls=\"none\"} 0",
        "popbridge_sessions{tls=\"starttls\"} 1",
        "popbridge_session_states{state=\"authorization\"} 0",
        "popbridge_session_states{state=\"transaction\"} 1",
        "popbridge_session_states{state=\"update\"} 0",
        "popbridge_sessions_total 1",
        "popbridge_commands_total{command=\"RETR\",outcome=\"ok\"} 1",
        "popbridge_command_seconds_bucket{command=\"RETR\",le=\"0.0025\"} 0",
        "popbridge_command_seconds_bucket{command=\"RETR\",le=\"0.005\"} 1",
        "popbridge_logins_total{outcome=\"rejected\"} 1",
        "popbridge_client_bytes_total{direction=\"sent\"} 512",
        "popbridge_bad_input_total{kind=\"line_too_long\"} 1",
        "popbridge_upstream_connections{upstream=\"office\"} 1",
        "popbridge_upstream_connects_total{outcome=\"ok\",upstream=\"office\"} 1",
        "popbridge_upstream_commands_total{command=\"UID FETCH\",outcome=\"no\",upstream=\"office\"} 1",
        "popbridge_upstream_bytes_total{direction=\"received\",upstream=\"office\"} 70",
        "popbridge_upstream_backoffs_total{cause=\"throttled\",upstream=\"office\"} 1",
        "popbridge_upstream_backoffs_total{cause=\"over_quota\",upstream=\"office\"} 0",
        "popbridge_upstream_backing_off{upstream=\"office\"} 1",
        "popbridge_index_lookups_total{outcome=\"delta\"} 1",
        "popbridge_index_cache_bytes 1600000",
        "popbridge_index_cache_entries 2",
        "popbridge_refused_connections_total{reason=\"source_full\"} 1",
        "popbridge_refused_connections_total{reason=\"memory\"} 0",
        "popbridge_delayed_logins_total 1",
        "popbridge_slow_readers_total 1",
        "popbridge_body_lookups_total{outcome=\"awaited\"} 1",
        "popbridge_body_fetched_bytes_total 4000",
        "popbridge_body_unsent_bytes_total 300",
        "popbridge_body_cache_bytes 5000",
        "popbridge_body_cache_entries 3",
        "popbridge_account_connections{account=\"info\"} 2",
        "popbridge_account_budget_bytes{account=\"info\"} 1000",
        "popbridge_account_received_bytes{account=\"info\"} 30",
        "popbridge_upstream_waits_total{outcome=\"had\",upstream=\"office\",what=\"login\"} 1",
        "popbridge_account_sweep_stopped{account=\"info\"} 1",
        "popbridge_account_quota_bytes{account=\"info\"} 2000",
        "popbridge_account_quota_used_bytes{account=\"info\"} 1500",
        "popbridge_account_freeable_bytes{account=\"info\"} 700",
        "popbridge_index_cache_evictions_total 1",
        "popbridge_body_cache_evictions_total 1",
        "popbridge_upstream_kept_connections{upstream=\"office\"} 3",
        "popbridge_upstream_reconnects_total{upstream=\"office\"} 1",
        "popbridge_store_seconds_count{operation=\"commit\"} 1",
        "popbridge_store_seconds_bucket{operation=\"read\",le=\"0.0001\"} 0",
        "popbridge_store_seconds_bucket{operation=\"read\",le=\"0.00025\"} 1",
        "popbridge_store_errors_total{operation=\"commit\"} 1",
        "popbridge_store_errors_total{operation=\"read\"} 0",
    ] {
        assert!(
            text.lines().any(|rendered| rendered == line),
            "{line} is not in\n{text}"
        );
    }
    drop((session, connection));
    let text = metrics.render();
    assert!(text.contains("popbridge_sessions{tls=\"starttls\"} 0\n"));
    assert!(text.contains("popbridge_upstream_connections{upstream=\"office\"} 0\n"));
}

#[test]
fn fixed_labels_stand_at_zero_before_the_first_event() {
    let metrics = Metrics::new();
    let _office = metrics.upstream("office");
    let text = metrics.render();
    for line in [
        "popbridge_logins_total{outcome=\"unavailable\"} 0",
        "popbridge_index_lookups_total{outcome=\"hit\"} 0",
        "popbridge_client_bytes_total{direction=\"received\"} 0",
        "popbridge_sessions{tls=\"implicit\"} 0",
        "popbridge_store_errors_total{operation=\"write\"} 0",
        "popbridge_upstream_reconnects_total{upstream=\"office\"} 0",
        "popbridge_upstream_kept_connections{upstream=\"office\"} 0",
        "popbridge_upstream_connects_total{outcome=\"tls\",upstream=\"office\"} 0",
        "popbridge_upstream_bytes_total{direction=\"sent\",upstream=\"office\"} 0",
        "popbridge_upstream_waits_total{outcome=\"refused\",upstream=\"office\",what=\"connection\"} 0",
    ] {
        assert!(
            text.lines().any(|rendered| rendered == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn an_account_that_is_configured_no_more_has_no_figures_and_others_keep_theirs() {
    let (metrics, ..) = used();
    let other = [("till".to_owned(), FIGURES)];
    metrics.account("shop", 1, 2, &other);
    metrics.forget_account("info");
    // And once more, as it is done each time.
    metrics.forget_account("info");
    let text = metrics.render();
    assert!(!text.contains("account=\"info\""), "{text}");
    assert!(text.contains("popbridge_account_pending_disposals{account=\"shop\"} 1"));
    assert!(text.contains("client=\"till\""));
}

#[test]
fn a_client_that_was_removed_has_no_figures_any_more() {
    let metrics = Metrics::new();
    let clients = ["desk1", "desk2"].map(|name| (name.to_owned(), FIGURES));
    metrics.account("info", 0, 0, &clients);
    assert!(metrics.render().contains("client=\"desk2\""));
    metrics.account("info", 0, 0, &clients[..1]);
    let text = metrics.render();
    assert!(
        text.contains("popbridge_client_waiting_messages{account=\"info\",client=\"desk1\"} 4")
    );
    assert!(!text.contains("desk2"));
}

#[test]
fn an_upstream_that_keeps_no_connection_any_more_has_none() {
    let metrics = Metrics::new();
    let (_office, _home) = (metrics.upstream("office"), metrics.upstream("home"));
    metrics.kept_connections(&HashMap::from([("office".to_owned(), 2)]));
    metrics.kept_connections(&HashMap::from([("home".to_owned(), 1)]));
    let text = metrics.render();
    assert!(text.contains("popbridge_upstream_kept_connections{upstream=\"office\"} 0\n"));
    assert!(text.contains("popbridge_upstream_kept_connections{upstream=\"home\"} 1\n"));
}

#[test]
fn a_mailbox_whose_upstream_does_not_say_how_full_it_is_has_no_quota() {
    let metrics = Metrics::new();
    metrics.account_quota("info", Some((2000, 1500)));
    metrics.account_quota("other", Some((7, 7)));
    metrics.account_quota("info", None);
    let text = metrics.render();
    assert!(text.contains("popbridge_account_quota_bytes{account=\"other\"} 7\n"));
    assert!(!text.contains("account=\"info\""), "{text}");
}
