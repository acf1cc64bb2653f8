//! The units in config/systemd: systemd understands them, and the service is as shut in as can be. They are not run: nothing here is
//! started by systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::bridge::BINARY;
use crate::support::process::require;
use crate::support::tree::{Account, Tree};

fn unit(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd");
    folder.join(name)
}

fn analyze(arguments: &[&str]) -> Output {
    let output = Command::new(require("systemd-analyze", "systemd"))
        .args(arguments)
        .env("SYSTEMD_PAGER", "cat")
        .output();
    output.expect("systemd-analyze")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn systemd_rates_the_services_exposure_below_2() {
    let service = unit("popbridge.service");
    let rated = analyze(&["security", "--offline=true", service.to_str().unwrap()]);
    let table = said(&rated);
    let verdict = table
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let verdict = verdict.unwrap_or_else(|| panic!("{table}"));
    let level = verdict
        .split(": ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let level: f64 = level.and_then(|level| level.parse().ok()).expect("a level");
    assert!(level < 2.0, "{table}");
    println!("{verdict}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let tree = Tree::new("units", &Account::for_servers());
    let text = std::fs::read_to_string(unit("popbridge.service")).unwrap();
    assert!(
        text.contains("ExecStart=/usr/bin/popbridge serve "),
        "{text}"
    );
    // What is not installed cannot be looked at.
    let here = text.replace("/usr/bin/popbridge ", &format!("{BINARY} "));
    let service = tree.write("popbridge.service", &here);
    let socket = std::fs::read_to_string(unit("popbridge.socket")).unwrap();
    let socket = tree.write("popbridge.socket", &socket);
    let verify = |service: &Path| {
        let files = [service.to_str().unwrap(), socket.to_str().unwrap()];
        analyze(&[
            "verify",
            "--man=no",
            "--recursive-errors=no",
            files[0],
            files[1],
        ])
    };
    let verified = verify(&service);
    let words = said(&verified);
    assert!(verified.status.success(), "{words}");
    assert!(!words.contains("popbridge"), "{words}");
    // It does look.
    let wrong = here.replace("ProtectClock=yes", "ProtectClocks=yes");
    let service = tree.write("popbridge.service", &wrong);
    assert!(said(&verify(&service)).contains("ProtectClocks"));
}

#[test]
fn the_service_is_what_the_bridge_expects_of_it() {
    let text = std::fs::read_to_string(unit("popbridge.service")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "DynamicUser=yes",
        "StateDirectory=popbridge",
        "LoadCredential=popbridge:/etc/popbridge/credentials",
        "WatchdogSec=60",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    let config = popbridge::config::DEFAULT_FILE;
    assert!(text.contains(&format!("serve --config {config}\n")));
}
