//! The questions that the dashboard and the alerts ask, read out of the files that the project ships.

use serde_json::Value;

use crate::support::prometheus::read;

/// A question, and where it is asked.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) place: String,
    pub(super) text: String,
}

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/dashboards/popbridge.json")).expect("JSON")
}

/// The list under this name.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name} is no list: {value}"))
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is no text: {value}"))
}

/// The panels that show something, in order.
pub(super) fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = list(dashboard, "panels").iter();
    all.filter(|panel| panel["type"] != "row").collect()
}

/// What the panels ask, as they are written.
pub(super) fn of_panels(dashboard: &Value) -> Vec<Query> {
    let mut queries = Vec::new();
    for panel in panels(dashboard) {
        for target in list(panel, "targets") {
            queries.push(Query {
                place: format!(
                    "panel {:?}, {}",
                    text(panel, "title"),
                    text(target, "refId")
                ),
                text: text(target, "expr").to_owned(),
            });
        }
    }
    queries
}

/// The same as Grafana asks it when everything is chosen, over a time that a test can wait for, and without an answer for where there is
/// nothing.
pub(super) fn asked(query: Query) -> Query {
    let text = query.text.replace("$__rate_interval", "15s");
    let text = text.trim_end_matches(" or vector(0)").to_owned();
    let text = ["$instance", "$upstream", "$account"]
        .into_iter()
        .fold(text, |text, all| text.replace(all, ".*"));
    assert!(!text.contains('$'), "{}: {text}", query.place);
    Query { text, ..query }
}

/// What the variables of the dashboard offer: label and metric.
pub(super) fn of_variables(dashboard: &Value) -> Vec<Query> {
    let variables = list(&dashboard["templating"], "list").iter();
    let variables = variables.filter(|variable| variable["type"] == "query");
    let query = |variable: &Value| {
        let definition = text(variable, "definition");
        let inner = definition
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inner
            .and_then(|inner| inner.split_once(", "))
            .expect("label_values(metric, label)");
        Query {
            place: format!("variable {}", text(variable, "name")),
            text: format!("count by ({label}) ({metric}{{{label}!=\"\"}})"),
        }
    };
    variables.map(query).collect()
}

/// What the alerts ask, by Prometheus' own spelling, without "more than so much": nearly all of them are rightly silent.
pub(super) fn of_alerts(rules: &[Value]) -> Vec<Query> {
    let query = |rule: &Value| Query {
        place: format!("alert {}", text(rule, "name")),
        text: without_thresholds(text(rule, "query")),
    };
    rules.iter().map(query).collect()
}

fn without_thresholds(expression: &str) -> String {
    let mut words = expression.split_whitespace().peekable();
    let mut kept: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        let compares = ["<", ">", "<=", ">=", "==", "!="].contains(&word);
        let number = words.peek().map(|next| next.trim_end_matches(')'));
        if compares && number.is_some_and(|number| number.parse::<f64>().is_ok()) {
            let ends = words.next().unwrap_or_default().matches(')').count();
            if let Some(last) = kept.last_mut() {
                *last = format!("{last}{}", ")".repeat(ends));
            }
        } else {
            kept.push(word.to_owned());
        }
    }
    kept.join(" ")
}

/// The bridge's metrics that a text names; those of a histogram by its own name.
pub(super) fn metrics(text: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_of_name(c));
    let ours = words.filter(|word| word.starts_with("popbridge_"));
    ours.map(str::to_owned).collect()
}

/// A metric's family: what its samples are called without what a histogram adds.
pub(super) fn family(metric: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    let bare = ends.iter().find_map(|end| metric.strip_suffix(end));
    // Counters and gauges may end like this by themselves; ours do not.
    bare.unwrap_or(metric)
}

#[test]
fn thresholds_are_left_out_and_nothing_else() {
    assert_eq!(
        without_thresholds("max by (a) (x{b=\"c\"}) / max by (a) (y) > 0.8 and on () sum(z) == 0"),
        "max by (a) (x{b=\"c\"}) / max by (a) (y) and on () sum(z)"
    );
    assert_eq!(
        without_thresholds("min((x > 0)) - time() < 1.2096e+06"),
        "min((x)) - time()"
    );
    assert_eq!(without_thresholds("x > y"), "x > y");
}
