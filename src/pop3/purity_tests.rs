//! The protocol core does no I/O and has no clock: these tests keep it so.

use std::fs;
use std::path::{Path, PathBuf};

/// What nothing in `pop3` and `maildrop` may name, tests aside.
const FORBIDDEN: [&str; 12] = [
    "tokio",
    "async ",
    ".await",
    "rustls",
    "imap_",
    "std::net",
    "std::fs",
    "std::io::Read",
    "std::env",
    "std::thread",
    "std::time",
    "sqlx",
];

#[test]
fn the_core_names_no_runtime_no_socket_no_file_and_no_clock() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = files_below(&sources.join("pop3"));
    files.extend(files_below(&sources.join("maildrop")));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .ends_with("tests");
        if path.is_dir() && !is_test {
            files.extend(files_below(&path));
        } else if !is_test {
            files.push(path);
        }
    }
    files
}
