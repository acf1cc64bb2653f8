//! docs/troubleshooting.md and docs/threat-model.md are held to the program: what they quote is said by it, what it tells clients of
//! trouble is quoted, and what is claimed is shown by tests or modules that exist.

use std::fs;
use std::path::{Path, PathBuf};

use crate::upstreams::table;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A source without what only tests say, with texts that go on in the next line joined.
fn spoken(source: &str) -> String {
    // `mod tests;` at the beginning has its text elsewhere.
    let program = source.split("#[cfg(test)]\nmod tests {").next();
    let program = program.unwrap_or_default();
    let mut joined = String::new();
    let mut lines = program.split("\\\n");
    joined.push_str(lines.next().unwrap_or_default());
    for line in lines {
        joined.push_str(line.trim_start());
    }
    joined.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// All that the program can say, file by file.
fn program() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
        for path in entries.collect::<Vec<PathBuf>>() {
            let is_test = path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with("tests") || name.ends_with("_tests.rs")
            });
            match path.is_dir() {
                true if !is_test => folders.push(path),
                false if !is_test && path.extension().is_some_and(|end| end == "rs") => {
                    found.push(spoken(&fs::read_to_string(&path).unwrap()));
                }
                _ => {}
            }
        }
    }
    found
}

/// What stands between single or double backquotes.
fn quotes(cell: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find('`') {
        let mark = if rest[start..].starts_with("``") {
            "``"
        } else {
            "`"
        };
        let behind = &rest[start + mark.len()..];
        let Some(end) = behind.find(mark) else { break };
        found.push(&behind[..end]);
        rest = &behind[end + mark.len()..];
    }
    found
}

/// A quotation without the code before it, and the code.
fn without_code(quotation: &str) -> (Option<&str>, &str) {
    let rest = quotation.strip_prefix("-ERR").unwrap_or(quotation).trim();
    let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match inner {
        Some((code, text)) => (Some(code), text.trim()),
        None => (None, rest),
    }
}

/// The pieces of a quotation that are said as they are.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split("...").filter(|piece| !piece.trim().is_empty())
}

#[test]
fn what_the_page_about_trouble_quotes_is_said_by_the_program() {
    let page = read("docs/troubleshooting.md");
    let rows = table::rows(&page);
    assert!(rows.len() > 50, "only {} rows were found", rows.len());
    let (program, codes) = (program(), spoken(&read("src/pop3/response.rs")));
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in &rows {
        let [symptom, cause, help] = row.as_slice() else {
            wrong.push(format!("not three cells: {row:?}"));
            continue;
        };
        if [symptom, cause, help].iter().any(|cell| cell.is_empty()) {
            wrong.push(format!("something is missing: {row:?}"));
        }
        for quotation in quotes(symptom) {
            count += 1;
            let (code, text) = without_code(quotation);
            if code.is_some_and(|code| !codes.contains(&format!("\"{code}\""))) {
                wrong.push(format!("there is no such code: {quotation}"));
            }
            // One file says all of it: pieces of different messages make none.
            let says_it = |source: &String| pieces(text).all(|piece| source.contains(piece));
            if !program.iter().any(says_it) {
                wrong.push(format!("nobody says: {quotation}"));
            }
        }
    }
    assert!(count > 50, "only {count} messages are quoted");
    assert!(
        wrong.is_empty(),
        "docs/troubleshooting.md:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_sentence_that_a_client_may_hear_of_trouble_is_on_the_page() {
    let page = read("docs/troubleshooting.md");
    let source = spoken(&read("src/bridge/refusals.rs"));
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code.collect();
    let code = code.join("\n");
    let sentences = code.split('"').skip(1).step_by(2);
    let sentences: Vec<&str> = sentences
        .filter(|text| text.starts_with(char::is_uppercase) && text.contains(' '))
        .collect();
    assert!(sentences.len() >= 14, "{sentences:?}");
    for sentence in sentences {
        // What is filled in is "..." on the page.
        let fixed = sentence.split(['{', '}']).step_by(2);
        for piece in fixed.filter(|piece| piece.len() > 1) {
            assert!(page.contains(piece), "not on the page: {sentence}");
        }
    }
}

/// Whether this names a file of the program (`src/imap/dispose.rs`), of its tests or of its set-up.
fn is_file(name: &str) -> bool {
    let known = ["src/", "tests/", "config/", "docs/", "scripts/"];
    let whole = known.iter().any(|start| name.starts_with(start)) || !name.contains('/');
    whole && Path::new(env!("CARGO_MANIFEST_DIR")).join(name).is_file()
}

#[test]
fn each_claim_of_the_threat_model_names_tests_or_files_that_exist() {
    let page = read("docs/threat-model.md");
    let rows = table::rows(&page);
    let claims: Vec<_> = rows.iter().filter(|row| row.len() == 3).collect();
    assert!(claims.len() > 40, "only {} rows were found", claims.len());
    let mut wrong = Vec::new();
    for row in claims {
        let names = quotes(&row[2]);
        if names.is_empty() {
            wrong.push(format!("nothing shows it: {row:?}"));
        }
        let missing = names
            .iter()
            .filter(|name| !table::exists(name) && !is_file(name));
        wrong.extend(missing.map(|name| format!("there is no {name} (for: {})", row[0])));
    }
    assert!(
        wrong.is_empty(),
        "docs/threat-model.md:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs", "docs/recipes"] {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let entries = entries.map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    assert!(pages.len() > 8);
    let mut wrong = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            if !page.with_file_name(file).exists() {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
