//! The dashboard and the alerts that the project ships, on a real Prometheus that looks at a real bridge.

mod queries;
mod world;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use queries::{Query, dashboard, family, list, metrics, panels, text};
use world::World;

use crate::support::process::{PATIENCE, eventually, pause, require};
use crate::support::prometheus::{Prometheus, path, read};

const RULES: &str = "grafana/prometheus/popbridge.rules.yml";
const TESTS: &str = "grafana/prometheus/popbridge.rules.test.yml";

/// What is asked in vain for as long as a test is patient.
fn unanswered(prometheus: &Prometheus, mut queries: Vec<Query>) -> Vec<Query> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        queries.retain(|query| !prometheus.has_data(&query.text));
        if queries.is_empty() || Instant::now() > deadline {
            return queries;
        }
        pause();
    }
}

#[test]
fn on_a_bridge_under_load_every_panel_and_every_alert_has_data_and_none_names_a_metric_that_is_not_there()
 {
    let world = World::start();
    let prometheus = Prometheus::looking_at(world.bridge.admin_port);
    // Counters are seen to grow only by who has seen them before.
    eventually("a first look", || {
        prometheus.has_data("up{job=\"popbridge\"} == 1")
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| world.work(&is_over));
        let _at_last = Ends(&is_over);
        let dashboard = dashboard();
        let mut all = queries::of_variables(&dashboard);
        all.extend(
            queries::of_panels(&dashboard)
                .into_iter()
                .map(queries::asked),
        );
        all.extend(queries::of_alerts(&prometheus.rules()));
        let named: BTreeSet<String> = all.iter().flat_map(|query| metrics(&query.text)).collect();
        let unanswered = unanswered(&prometheus, all);
        assert!(unanswered.is_empty(), "these have no data: {unanswered:#?}");

        let told = world.bridge.metrics();
        let is_told = |metric: &&String| told.contains(&format!("# TYPE {} ", family(metric)));
        let unknown: Vec<_> = named.iter().filter(|metric| !is_told(metric)).collect();
        assert!(unknown.is_empty(), "the bridge does not have {unknown:?}");

        // Prometheus itself finds nothing wrong, and sees who is in trouble.
        eventually("the rules are looked at", || {
            prometheus.rules().iter().all(|rule| rule["health"] == "ok")
        });
        for alert in [
            "PopbridgeMailLost\",client=\"late\",alertstate=\"firing",
            "PopbridgeUpstreamLeftAlone\",upstream=\"shut",
            "PopbridgeUpstreamUnreachable\",upstream=\"shut",
            "PopbridgeUpstreamErrors\",upstream=\"moody",
        ] {
            let seen = format!("ALERTS{{alertname=\"{alert}\"}}");
            eventually(&seen, || prometheus.has_data(&seen));
        }
        assert!(!prometheus.has_data("ALERTS{upstream=\"office\"}"));
    });
}

/// Ends the load with the test, however that ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn promtool(arguments: &[&str]) {
    let program = require("promtool", "prometheus");
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    let at = |name: &str| path(name).to_str().expect("UTF-8").to_owned();
    promtool(&["check", "config", &at("grafana/prometheus/prometheus.yml")]);
    promtool(&["check", "rules", &at(RULES)]);
    promtool(&["test", "rules", &at(TESTS)]);
}

/// The names of the alerts.
fn alerts() -> Vec<String> {
    let rules = read(RULES);
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn each_alert_has_a_moment_at_which_it_fires_one_at_which_it_does_not_and_a_line_that_says_what_to_do()
 {
    let tests = read(TESTS);
    let rules = read(RULES);
    let readme = read("grafana/README.md");
    let told = readme.matches("| `Popbridge").count();
    assert_eq!(told, alerts().len(), "README.md tells of other alerts");
    for alert in alerts() {
        let moments: Vec<&str> = tests
            .split("- alertname: ")
            .filter(|moment| moment.lines().next() == Some(&alert))
            .collect();
        // A test of one that fires names everybody for whom it does: there are others in it for whom it does not.
        let silent = moments
            .iter()
            .any(|moment| moment.contains("exp_alerts: []"));
        let series = tests
            .split("\n  - name: ")
            .filter(|test| test.contains(&alert))
            .any(|test| {
                test.matches("- series: ").count() > test.matches("- exp_labels: ").count()
            });
        assert!(
            moments
                .iter()
                .any(|moment| moment.contains("- exp_labels: ")),
            "{alert} never fires"
        );
        assert!(silent || series, "{alert} always fires");
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{alert}` |")));
        let row = row.unwrap_or_else(|| panic!("README.md does not tell of {alert}"));
        let rule = rules
            .split("- alert: ")
            .find(|rule| rule.lines().next() == Some(&alert))
            .expect("a rule");
        let severity = rule
            .split("severity: ")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .expect("a severity");
        assert_eq!(row.split(" | ").nth(1), Some(severity), "{row}");
    }
}

#[test]
fn dashboard_alerts_and_their_tests_name_only_metrics_that_are_in_the_table_of_the_sources() {
    let sources = read("src/metrics.rs");
    let table: BTreeSet<&str> = sources
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    assert!(table.len() > 30, "{table:?}");
    for file in [RULES, TESTS, "grafana/dashboards/popbridge.json"] {
        let named = metrics(&read(file));
        // Data sources and the like have other names.
        let unknown: BTreeSet<&str> = named
            .iter()
            .map(|metric| family(metric))
            .filter(|name| !table.contains(name))
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn the_table_of_metrics_names_the_alerts_that_ask_for_each() {
    let rules = read(RULES);
    // Behind the name comes the expression, and behind that the words.
    let asks = |rule: &str, metric: &String| {
        let expression = rule.split("labels: ").next().unwrap_or_default();
        metrics(expression)
            .iter()
            .any(|named| family(named) == metric)
    };
    let table = read("docs/metrics.md");
    // Name, type, labels, unit, what, alerts; another table has the values of labels.
    let cells = table
        .lines()
        .map(|line| line.split('|').map(str::trim).collect());
    let rows: Vec<Vec<&str>> = cells
        .filter(|row: &Vec<&str>| row.len() == 8 && row[1].starts_with('`'))
        .collect();
    assert!(rows.len() > 40, "{rows:?}");
    for row in rows {
        let (metric, told) = (row[1].trim_matches('`').to_owned(), row[6]);
        let asking = rules
            .split("- alert: ")
            .skip(1)
            .filter(|rule| asks(rule, &metric));
        let asking: Vec<&str> = asking.filter_map(|rule| rule.lines().next()).collect();
        assert_eq!(told, asking.join(", "), "{metric}");
    }
}

#[test]
fn the_dashboard_asks_its_questions_from_top_to_bottom_and_says_what_each_panel_shows() {
    let dashboard = dashboard();
    let rows = list(&dashboard, "panels")
        .iter()
        .filter(|panel| panel["type"] == "row");
    let questions: Vec<&str> = rows.map(|row| text(row, "title")).collect();
    assert_eq!(
        questions,
        [
            "Is mail flowing?",
            "Who is not collecting?",
            "Is an upstream in trouble?",
            "How fast?",
            "How full?",
            "The bridge itself"
        ]
    );
    let (mut ids, mut taken, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(x + w <= 24 && y >= last, "{title}");
        last = y;
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} lies over another one");
        }
    }
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(text(panel, "description").ends_with('.'), "{title}");
        assert!(
            !text(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
            "{title}"
        );
        let sources = list(panel, "targets").iter().chain([panel]);
        for source in sources {
            assert_eq!(
                text(&source["datasource"], "uid"),
                "${datasource}",
                "{title}"
            );
        }
    }
}

#[test]
fn the_picture_is_the_dashboards() {
    let python = require("python3", "python3");
    let output = Command::new(python)
        .arg(path("scripts/dashboard_svg.py"))
        .arg("--check")
        .output()
        .expect("python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
