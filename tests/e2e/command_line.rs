//! The program as an operator calls it: `check`, wrong configurations, flags and environment, completions.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::bridge::{BINARY, run};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::mail::ordinary_mail;
use crate::support::net::free_port;
use crate::support::tree::{Account, Tree};

fn folder() -> Tree {
    Tree::new("command-line", &Account::for_servers())
}

/// Runs `check` with a password on standard input: exit code and standard output.
fn check_with_password(arguments: &[&str], password: &str) -> (Option<i32>, String) {
    let mut child = Command::new(BINARY)
        .arg("check")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_wrong_key_is_an_error_with_its_place_and_the_nearest_valid_key() {
    let tree = folder();
    let text = "[upstream.office]\nurl = \"imaps://imap.example.com\"\ndispoze = \"trash\"\n";
    let file = tree.write("popbridge.toml", text);
    let file = file.to_str().unwrap();
    for command in ["serve", "check"] {
        let (code, output, errors) = run(&[command, "--config", file], &[]);
        let expected = format!(
            "popbridge: {file}:3:1: unknown key \"dispoze\" in [upstream.office]; did you mean \"dispose\"?\n"
        );
        assert_eq!(
            (code, output.as_str(), errors.as_str()),
            (Some(2), "", expected.as_str())
        );
    }
}

#[test]
fn a_configuration_that_cannot_be_had_says_what_is_missing() {
    let (code, _, errors) = run(&["check", "--config", "/nowhere/popbridge.toml"], &[]);
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with(
            "popbridge: /nowhere/popbridge.toml: the configuration file cannot be read: "
        ),
        "{errors}"
    );
    let (code, _, errors) = run(
        &[
            "check",
            "--log",
            "debgu",
            "--upstream",
            "imaps://imap.example.com",
        ],
        &[],
    );
    assert_eq!(code, Some(2));
    assert!(errors.contains("debgu"), "{errors}");
    let (code, _, errors) = run(
        &[
            "check",
            "--upstream",
            "imaps://imap.example.com",
            "--user",
            "ann",
        ],
        &[],
    );
    assert_eq!(code, Some(2));
    assert!(errors.contains("--connect"), "{errors}");
}

#[test]
fn check_without_connect_binds_nothing_connects_nowhere_and_makes_nothing() {
    let tree = folder();
    let state = tree.join("state");
    let port = free_port();
    // Somebody listens there already: that is none of its business.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = format!("127.0.0.1:{port}");
    let arguments = [
        "check",
        "--upstream",
        "imap://127.0.0.1:1",
        "--listen",
        &address,
        "--state",
        state.to_str().unwrap(),
    ];
    let (code, output, errors) = run(&arguments, &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(
        output,
        "The configuration is valid: 1 upstream and 1 listener.\n"
    );
    assert!(!state.exists());
}

#[test]
fn check_connect_shows_what_each_upstream_can_do_once() {
    let dovecot = Dovecot::start();
    let tree = folder();
    let text = format!(
        "[upstream.office]\nurl = \"{}\"\ndomains = [\"example.com\", \"example.org\", \"example.net\"]\n\
         [upstream.private]\nurl = \"{}\"\nca = \"{}\"\n[upstream.down]\nurl = \"imap://127.0.0.1:1\"\ndomains = [\"down.example\"]\n",
        dovecot.plain_url(),
        dovecot.imaps_url(),
        dovecot.certs.ca.display(),
    );
    let file = tree.write("popbridge.toml", &text);
    let (code, output, errors) = run(
        &["check", "--connect", "--config", file.to_str().unwrap()],
        &[],
    );
    assert_eq!(code, Some(1), "one is down: {output}{errors}");
    let places = [
        "down (127.0.0.1:1):",
        "office (127.0.0.1:",
        "private (localhost:",
    ];
    let at = places.map(|place| {
        output
            .find(place)
            .unwrap_or_else(|| panic!("{place} is missing: {output}"))
    });
    assert!(at.is_sorted(), "{output}");
    assert_eq!(output.matches("before log-in: ").count(), 2, "{output}");
    assert_eq!(output.matches("cannot connect: ").count(), 1, "{output}");
}

#[test]
fn check_with_a_user_logs_in_and_shows_folders_and_messages() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(7));
    let before = dovecot.maildir("ann").files();
    let ca = folder();
    let text = format!(
        "[upstream.mail]\nurl = \"{}\"\nca = \"{}\"\n",
        dovecot.starttls_url(),
        dovecot.certs.ca.display()
    );
    let file = ca.write("popbridge.toml", &text);
    let arguments = [
        "--connect",
        "--config",
        file.to_str().unwrap(),
        "--user",
        "ann",
        "--password-stdin",
    ];
    let (code, output) = check_with_password(&arguments, PASSWORD);
    assert_eq!(code, Some(0), "{output}");
    for words in [
        "The configuration is valid: 1 upstream and 2 listeners.",
        "ann at mail:",
        "  after log-in:  ",
        " UIDPLUS ",
        "    INBOX",
        "    Trash",
        "  INBOX:         7 messages, UIDVALIDITY ",
        "  deleting:      ",
    ] {
        assert!(output.contains(words), "{words:?} is missing: {output}");
    }
    assert_eq!(dovecot.maildir("ann").files(), before);
    let (code, output) = check_with_password(&arguments, "wrong");
    assert_eq!(code, Some(1));
    assert!(output.contains("the log-in was refused: "), "{output}");
    assert!(!output.contains("wrong"), "{output}");
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_the_environment() {
    let tree = folder();
    let file = tree.write(
        "popbridge.toml",
        "[upstream.x]\nurl = \"imap://127.0.0.1:1\"\n",
    );
    let file = file.to_str().unwrap();
    let shown = |arguments: &[&str], environment: &[(&str, &str)]| {
        let (code, output, errors) =
            run(&[&["check", "--connect"], arguments].concat(), environment);
        assert_eq!(code, Some(1), "{errors}");
        output
            .lines()
            .find_map(|line| line.split_once("(127.0.0.1:")?.1.strip_suffix("):"))
            .map(str::to_owned)
    };
    let in_environment = [
        ("POPBRIDGE_UPSTREAM", "imap://127.0.0.1:2"),
        ("POPBRIDGE_CONFIG", file),
    ];
    let flag = ["--upstream", "imap://127.0.0.1:3"];
    assert_eq!(shown(&[], &in_environment[1..]).as_deref(), Some("1"));
    assert_eq!(
        shown(&["--config", file], &in_environment).as_deref(),
        Some("2")
    );
    assert_eq!(shown(&flag, &in_environment).as_deref(), Some("3"));
    let (_, output, _) = run(
        &["check", "--config", file],
        &[
            ("POPBRIDGE_LISTEN", "127.0.0.1:0,127.0.0.1:0"),
            ("POPBRIDGE_TLS_LISTEN", "[::1]:0"),
        ],
    );
    assert!(output.contains("3 listeners"), "{output}");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_good_as_none() {
    let names = [
        "CONFIG",
        "LISTEN",
        "TLS_LISTEN",
        "ADMIN",
        "STATE",
        "LOG",
        "LOG_FORMAT",
    ]
    .map(|n| format!("POPBRIDGE_{n}"));
    let environment: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let (code, output, errors) = run(
        &["check", "--upstream", "imaps://imap.example.com"],
        &environment,
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(output.contains("1 upstream and 2 listeners"), "{output}");
}

#[test]
fn completions_are_scripts_that_their_shell_accepts() {
    let (code, script, _) = run(&["completions", "bash"], &[]);
    assert_eq!(code, Some(0));
    for word in ["popbridge", "serve", "--tls-listen", "--password-stdin"] {
        assert!(script.contains(word), "{word}");
    }
    let checked = Command::new("bash")
        .args(["-n", "-c", &script])
        .output()
        .unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty());
    assert_eq!(run(&["completions", "cobol"], &[]).0, Some(2));
}
