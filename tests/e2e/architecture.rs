//! ARCHITECTURE.md says which module may know which; this test reads the sources and holds it to that.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines at which a file is asking for a name for its second half.
const LONG: usize = 420;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Tests of a module may name what the module must not, to check that it does not.
fn is_a_test(path: &Path) -> bool {
    path.iter()
        .any(|part| part.to_string_lossy().contains("test"))
}

/// The files below `folder` whose code (not comments) contains one of `words`, as paths below src.
fn naming(folder: &str, words: &[&str]) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<String> = sources(folder)
        .into_iter()
        .filter(|(path, _)| !is_a_test(path))
        .filter(|(_, text)| {
            let mut code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            code.any(|line| words.iter().any(|word| line.contains(word)))
        })
        .map(|(path, _)| path.strip_prefix(&src).unwrap().display().to_string())
        .collect();
    files.sort();
    files
}

#[test]
fn one_file_names_async_imap() {
    assert_eq!(naming("src", &["async_imap::"]), ["imap/driver.rs"]);
}

#[test]
fn one_file_names_rustls_pemfile() {
    assert_eq!(naming("src", &["rustls_pemfile"]), ["pem.rs"]);
}

#[test]
fn one_file_is_unsafe() {
    assert_eq!(naming("src", &["unsafe"]), ["bridge/unacknowledged.rs"]);
}

#[test]
fn only_the_metrics_name_prometheus() {
    let others: Vec<_> = naming("src", &["prometheus::"])
        .into_iter()
        .filter(|file| !file.starts_with("metrics"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn only_the_store_names_sqlx() {
    let others: Vec<_> = naming("src", &["sqlx"])
        .into_iter()
        .filter(|file| !file.starts_with("store/"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn the_store_knows_no_protocol_and_no_configuration() {
    let named = naming(
        "src/store",
        &[
            "crate::pop3",
            "crate::imap",
            "crate::bridge",
            "crate::server",
            "crate::config",
            "crate::auth",
            "SystemTime",
        ],
    );
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn only_the_imap_side_names_the_imap_grammar() {
    let others: Vec<_> = naming("src", &["imap_proto::"])
        .into_iter()
        .filter(|file| !file.starts_with("imap/"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn the_pure_parts_name_no_io_and_no_clock() {
    let io = [
        "tokio",
        "std::net",
        "std::fs",
        "std::io::Read",
        "Instant",
        "SystemTime",
        "async fn",
        "async_imap",
        "imap_proto",
        "crate::imap",
        "crate::bridge",
        "crate::config",
        "crate::server",
    ];
    for folder in ["src/pop3", "src/maildrop", "src/policy"] {
        let named = naming(folder, &io);
        assert!(named.is_empty(), "{named:?}");
    }
}

#[test]
fn the_upstream_side_knows_neither_pop3_nor_the_bridge() {
    let named = naming(
        "src/imap",
        &[
            "crate::pop3",
            "crate::bridge",
            "crate::server",
            "crate::metrics",
        ],
    );
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in sources("src")
        .into_iter()
        .filter(|(path, _)| !is_a_test(path))
    {
        assert!(
            text.starts_with("//!"),
            "{} has no //! at its start",
            path.display()
        );
    }
}

#[test]
fn no_file_is_long() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        assert!(lines <= LONG, "{} has {lines} lines", path.display());
    }
}
