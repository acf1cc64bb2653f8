//! What packages are made of: the file that they install, the version with its commit, manual pages. scripts/package_test.sh makes one and
//! installs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::bridge::{Options, field, run};
use crate::support::imap_peer::{PASSWORD, USER};
use crate::support::process::output_of;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn without_a_mail_server_the_bridge_serves_and_tells_whoever_logs_in() {
    let mut bridge = Options::config("await_upstream = true\n").start();
    assert_eq!(bridge.get("/readyz").0, 200);
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    assert_eq!(
        pop3.err(&format!("PASS {PASSWORD}")).code(),
        Some("SYS/PERM")
    );
    pop3.ok("QUIT");
    let count = |outcome| bridge.metric("popbridge_logins_total", &[outcome]);
    assert_eq!(count("outcome=\"unavailable\""), 1.0);
    assert_eq!(
        count("outcome=\"no_upstream\""),
        0.0,
        "nobody is to be banned"
    );
    bridge.wait_for_log("what is missing", |line| {
        field(line, "message").contains("add [upstream.NAME]")
    });
    bridge.signal("TERM");
    assert_eq!(bridge.wait().code(), Some(0));
}

/// build.rs as cargo runs it, for a folder: the version that it gives to the program.
struct BuildScript {
    _folder: tempfile::TempDir,
    program: PathBuf,
    sources: PathBuf,
}

impl BuildScript {
    fn compiled() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("build");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(rustc)
            .args(["--edition", "2024", "-o"])
            .arg(&program)
            .arg(Path::new(ROOT).join("build.rs"))
            .status()
            .unwrap();
        assert!(compiled.success());
        let sources = folder.path().join("sources");
        fs::create_dir_all(sources.join("src")).unwrap();
        for file in ["src/main.rs", "build.rs", "Cargo.toml", "Cargo.lock"] {
            fs::write(sources.join(file), "1").unwrap();
        }
        Self {
            _folder: folder,
            program,
            sources,
        }
    }

    fn git(&self, folder: &Path, line: &str) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(line.split(' '))
            .output()
            .expect("git is needed: apt-get install --no-install-recommends git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn version(&self, profile: &str, commit: &str) -> String {
        let output = Command::new(&self.program)
            .env("CARGO_MANIFEST_DIR", &self.sources)
            .env("CARGO_PKG_VERSION", "1.2.3")
            .env("PROFILE", profile)
            .env("POPBRIDGE_COMMIT", commit)
            .current_dir(&self.sources)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("cargo::rustc-env=POPBRIDGE_VERSION="));
        line.unwrap().to_owned()
    }
}

#[test]
fn the_version_names_the_commit_where_there_is_one_and_says_when_the_sources_are_others() {
    let script = BuildScript::compiled();
    let sources = script.sources.clone();
    assert_eq!(script.version("release", ""), "1.2.3", "a source archive");
    assert_eq!(
        script.version("release", "0123456789ab"),
        "1.2.3 (0123456789ab)",
        "a container"
    );
    // A repository that the archive was unpacked in is not its own.
    script.git(sources.parent().unwrap(), "init --quiet");
    assert_eq!(script.version("release", ""), "1.2.3");
    script.git(&sources, "init --quiet");
    script.git(&sources, "add .");
    script.git(&sources, "commit --quiet -m one");
    let commit = script.git(&sources, "rev-parse --short=12 HEAD");
    assert_eq!(script.version("release", ""), format!("1.2.3 ({commit})"));
    assert_eq!(
        script.version("debug", ""),
        "1.2.3",
        "no rebuild after each commit"
    );
    fs::write(sources.join("README.md"), "not built").unwrap();
    assert_eq!(script.version("release", ""), format!("1.2.3 ({commit})"));
    fs::write(sources.join("src/main.rs"), "2").unwrap();
    assert_eq!(
        script.version("release", ""),
        format!("1.2.3 ({commit}, changed)")
    );
}

#[test]
fn the_version_is_told_and_has_its_section_in_the_changelog() {
    let version = env!("CARGO_PKG_VERSION");
    let (code, told, _) = run(&["--version"], &[]);
    assert_eq!(code, Some(0));
    assert!(told.starts_with(&format!("popbridge {version}")), "{told}");
    let changes = fs::read_to_string(Path::new(ROOT).join("CHANGELOG.md")).unwrap();
    let mut headings = changes.lines().filter_map(|line| line.strip_prefix("## "));
    assert!(headings.any(|heading| heading.split(' ').next() == Some(version)));
}

#[test]
fn manual_pages_are_written_where_the_packager_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(
        run(&["man", path], &[("POPBRIDGE_ADMIN", "127.0.0.1:5")]).0,
        Some(0)
    );
    let names = output_of("ls", &[path]);
    for name in ["popbridge.1", "popbridge-serve.1", "popbridge-client-add.1"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
    let serve = fs::read_to_string(folder.path().join("popbridge-serve.1")).unwrap();
    assert!(
        !serve.contains("127.0.0.1:5"),
        "nothing of this machine is in it"
    );
    let (code, _, errors) = run(&["man", "/nowhere"], &[]);
    assert_eq!(code, Some(1));
    assert!(errors.starts_with("popbridge: "), "{errors}");
}

#[test]
fn everything_that_the_package_is_made_of_is_there() {
    let manifest: toml::Table = fs::read_to_string(Path::new(ROOT).join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let deb = manifest["package"]["metadata"]["deb"].as_table().unwrap();
    let assets = deb["assets"].as_array().unwrap();
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        // Those are made by scripts/package.sh.
        if source.starts_with("target/") {
            continue;
        }
        let folder = Path::new(ROOT).join(source);
        let there = match source.split_once('*') {
            Some((folder, end)) => fs::read_dir(Path::new(ROOT).join(folder))
                .unwrap()
                .any(|file| file.unwrap().file_name().to_string_lossy().ends_with(end)),
            None => folder.is_file(),
        };
        assert!(there, "{source}");
    }
}
