//! `popbridge client` and `popbridge store` as an operator calls them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::bridge::{BINARY, run};
use crate::support::tree::{Account, Tree};

const CONFIG: &str = "state = \"state\"\n[upstream.office]\nurl = \"imaps://imap.example.com\"\n\
    [account.info]\nlogin = \"info@example.com\"\npassword_env = \"INFO_PASSWORD\"\n";

/// A configuration with one account, and its path.
fn configured() -> (Tree, String) {
    let tree = Tree::new("client-command", &Account::for_servers());
    let file = tree.write("popbridge.toml", CONFIG);
    let file = file.to_str().unwrap().to_owned();
    (tree, file)
}

#[test]
fn a_password_comes_alone_on_standard_output_and_words_on_standard_error() {
    let (_tree, file) = configured();
    let add = [
        "client",
        "add",
        "desk1",
        "--account",
        "info",
        "--config",
        &file,
    ];
    let (code, output, errors) = run(&add, &[]);
    assert_eq!(code, Some(0), "{errors}");
    let password = output.strip_suffix('\n').unwrap();
    assert!(password.len() == 26 && !password.contains('\n'), "{output}");
    assert!(
        errors.contains("shown this once") && !errors.contains(password),
        "{errors}"
    );
    let (_, listed, _) = run(
        &["client", "list", "--json"],
        &[("POPBRIDGE_CONFIG", &file)],
    );
    assert!(
        listed.contains("\"client\": \"desk1\"") && !listed.contains(password),
        "{listed}"
    );
}

#[test]
fn a_password_is_read_from_standard_input() {
    let (_tree, file) = configured();
    let mut child = Command::new(BINARY)
        .args([
            "client",
            "--config",
            &file,
            "add",
            "desk1",
            "--account",
            "info",
        ])
        .arg("--password-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "correct horse").unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{errors}"
    );
    assert!(
        !errors.contains("correct") && !errors.contains("warning"),
        "{errors}"
    );
}

#[test]
fn what_is_wrong_is_one_sentence_and_an_exit_code() {
    let (tree, file) = configured();
    let copy = tree.join("copy.db");
    let copy = copy.to_str().unwrap();
    assert_eq!(
        run(&["store", "backup", copy, "--config", &file], &[]).0,
        Some(0)
    );
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["client", "set", "desk1", "view=all"],
            1,
            "there is no client \"desk1\"",
        ),
        (
            &["client", "add", "a b", "--account", "info"],
            2,
            "a space or a control character",
        ),
        (
            &["client", "add", "x@y.example", "--account", "info"],
            2,
            "log-in name of a mailbox",
        ),
        (
            &["client", "add", "desk1", "--account", "inof"],
            2,
            "there is no [account.inof]",
        ),
        (&["store", "backup", copy], 1, "exists already"),
    ];
    for (arguments, expected, words) in cases {
        let (code, output, errors) = run(&[arguments, &["--config", &file]].concat(), &[]);
        assert_eq!((code, output.as_str()), (Some(expected), ""), "{errors}");
        assert!(
            errors.starts_with("popbridge: ") && errors.contains(words),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_password_in_the_databases_url_is_in_no_error() {
    let url = "postgres://popbridge:hunter2@127.0.0.1:1/popbridge";
    let arguments = ["client", "list", "--upstream", "imaps://imap.example.com"];
    let (code, output, errors) = run(&arguments, &[("POPBRIDGE_STATE", url)]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(
        errors.starts_with("popbridge: ") && !errors.contains("hunter2"),
        "{errors}"
    );
    let help = run(&["client", "--help"], &[("POPBRIDGE_STATE", url)]);
    assert!(!help.1.contains("hunter2"), "{}", help.1);
}
