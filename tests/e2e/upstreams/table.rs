//! docs/upstreams.md names a test for each habit of a provider or a program; this test reads the sources and holds it to that.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the page's tables: what stands between the bars. Heads and the lines below them are left out.
pub fn rows(page: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_rule = |line: &str| line.starts_with("| ---");
    let row = |(n, line): (usize, &&str)| {
        let is_head = lines.get(n + 1).is_some_and(|next| is_rule(next));
        let cells = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells = cells.split(" | ").map(|cell| cell.trim().to_owned());
        (!is_head && !is_rule(line)).then(|| cells.collect())
    };
    lines.iter().enumerate().filter_map(row).collect()
}

/// The names between backquotes that are names of tests.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The files in which a test of these modules may be: end-to-end tests, or unit tests of the crate.
fn files(modules: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["tests/e2e", "src"] {
        let path = root().join(folder).join(modules.join("/"));
        found.extend([path.with_extension("rs"), path.join("mod.rs")]);
        // `mod tests` is mostly at the end of the module's own file.
        if let Some(("tests", above)) = modules.split_last().map(|(last, above)| (*last, above)) {
            found.push(
                root()
                    .join(folder)
                    .join(above.join("/"))
                    .with_extension("rs"),
            );
            found.push(root().join(folder).join(above.join("/")).join("mod.rs"));
        }
    }
    found
}

/// Whether the source has a test of this name: a function with an attribute that makes it one.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_it = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .is_some_and(|rest| rest.starts_with(&format!("{name}(")))
    };
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["));
        is_it(line)
            && attributes
                .clone()
                .any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

pub fn exists(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let Some((test, modules)) = parts.split_last() else {
        return false;
    };
    files(modules)
        .iter()
        .any(|file| fs::read_to_string(file).is_ok_and(|source| has_test(&source, test)))
}

#[test]
fn each_row_of_the_page_about_upstreams_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/upstreams.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() > 30, "only {} rows were found", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let [habit, answer, tests] = row.as_slice() else {
            wrong.push(format!("not three cells: {row:?}"));
            continue;
        };
        if habit.is_empty() || answer.is_empty() || names(tests).is_empty() {
            wrong.push(format!("something is missing: {row:?}"));
        }
        let missing = names(tests).into_iter().filter(|name| !exists(name));
        wrong.extend(missing.map(|name| format!("there is no test {name} (for: {habit})")));
    }
    if page.contains("TODO") {
        wrong.push("something is left to do on the page".to_owned());
    }
    assert!(wrong.is_empty(), "docs/upstreams.md:\n{}", wrong.join("\n"));
}

#[test]
fn a_test_is_found_where_it_is_and_nowhere_else() {
    assert!(exists(
        "upstreams::table::a_test_is_found_where_it_is_and_nowhere_else"
    ));
    assert!(exists(
        "pop3::body::tests::eight_bit_octets_stay_as_they_are"
    ));
    assert!(exists(
        "imap::error::tests::words_about_the_credentials_win_over_words_about_time"
    ));
    for wrong in [
        "upstreams::table::exists",
        "upstreams::gmail::a_test_is_found_where_it_is_and_nowhere_else",
        "table::a_test_is_found_where_it_is_and_nowhere_else",
        "a_test_is_found_where_it_is_and_nowhere_else",
        "",
    ] {
        assert!(!exists(wrong), "{wrong}");
    }
}
