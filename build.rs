//! Tells the program which commit it is built from, for `popbridge --version`.
//!
//! `POPBRIDGE_COMMIT` says it where git cannot, as in a container; a source archive without either has the version alone. Nothing else of
//! the machine and no time gets in: the same sources make the same program.
//!
//! Builds for development leave it out, because everything would have to be compiled again after each commit.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of, and so what may differ from the commit.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-env-changed=POPBRIDGE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = match env::var("POPBRIDGE_COMMIT") {
        Ok(given) if !given.trim().is_empty() => Some(given.trim().to_owned()),
        _ if env::var("PROFILE").as_deref() == Ok("release") => of_repository(),
        _ => None,
    };
    let whole = commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=POPBRIDGE_VERSION={whole}");
}

/// The commit in twelve digits, and whether the sources differ from it. `None` without a repository or git.
fn of_repository() -> Option<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    // A repository further up is not popbridge's: an unpacked archive may lie in any.
    if !root.join(".git").exists() {
        return None;
    }
    let commit = git(&root, &["rev-parse", "--short=12", "HEAD"])?;
    // Where a commit or a checkout is noted; a path that is not there would make cargo build each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(&root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let status = ["status", "--porcelain", "--"];
    let changed = git(&root, &[&status[..], &SOURCES[..]].concat())?;
    Some(match changed.is_empty() {
        true => commit,
        false => format!("{commit}, changed"),
    })
}

/// What git prints, without the line end. `None` where it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
