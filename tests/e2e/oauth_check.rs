//! What `popbridge check` and the start of `serve` say of the secrets that tokens take, before anybody misses them.

use std::path::Path;
use std::process::Command;

use crate::support::bridge::run;
use crate::support::oauth_server::{CLIENT_SECRET, OAuthServer};
use crate::support::office::Plan;
use crate::support::process::{eventually, require};
use crate::support::token_office::TokenOffice;
use crate::support::tree::{Account, Tree};

/// What `check` says of a configuration with this key at the top, this table `[oauth.x]` and an account that is opened with it.
fn check(tree: &Tree, top: &str, table: &str, account: bool) -> (Option<i32>, String) {
    let account = match account {
        true => "[account.sales]\nlogin = \"sales@example.com\"\noauth = \"x\"\n",
        false => "",
    };
    let text = format!(
        "state = \"state\"\n{top}\n[upstream.a]\nurl = \"imaps://a.example\"\n{table}\n{account}"
    );
    let file = tree.write("popbridge.toml", &text);
    let (code, output, errors) = run(&["check", "--config", file.to_str().unwrap()], &[]);
    assert!(!Path::new(&tree.join("state")).exists(), "it makes nothing");
    (code, format!("{output}{errors}"))
}

#[test]
fn check_reads_every_secret_that_tokens_take() {
    let server = OAuthServer::start();
    let tree = Tree::new("oauth-check", &Account::for_servers());
    tree.write("no.key", "hunter2\n");
    tree.write("good.key", &"0f".repeat(32));
    tree.write("empty", "");
    tree.write("secret", CLIENT_SECRET);
    tree.write("no.json", "{\"type\":\"authorized_user\"}");
    let secret = |keys: &str| server.table("x", keys);
    let robot = |file: &str| {
        format!(
            "[oauth.x]\npreset = \"google\"\ngrant = \"service-account\"\nservice_account_file = \"{file}\"\n"
        )
    };
    let plain = secret("");
    let wrong = [
        ("token_key_file = \"no.key\"", plain.clone(), "32 octets"),
        (
            "token_key_file = \"none.key\"",
            plain.clone(),
            "the key of the tokens: the file",
        ),
        (
            "token_key_env = \"NO_KEY\"",
            plain.clone(),
            "NO_KEY is not set",
        ),
        (
            "",
            secret("client_secret_file = \"none\""),
            "[oauth.x]: the file",
        ),
        ("", secret("client_secret_file = \"empty\""), "is empty"),
        (
            "",
            secret("client_secret_env = \"NO_SECRET\""),
            "NO_SECRET is not set",
        ),
        ("", robot("none.json"), "[oauth.x]: the file"),
        ("", robot("no.json"), "that Google gives"),
        ("", secret("ca = \"none.pem\""), "[oauth.x]: "),
    ];
    for (top, table, words) in &wrong {
        let (code, said) = check(&tree, top, table, true);
        assert_eq!(code, Some(1), "{table}: {said}");
        assert!(said.contains(words), "{table}: {said}");
        assert!(!said.contains("is valid"), "{table}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
        // Nobody needs it yet.
        let (code, said) = check(&tree, top, table, false);
        assert_eq!(code, Some(0), "{table}: {said}");
        assert!(said.contains("warning: ") && said.contains(words), "{said}");
    }
    server.service_account(tree.path());
    for (top, table) in [
        (
            "token_key_file = \"good.key\"",
            secret("client_secret_file = \"secret\""),
        ),
        ("", robot("service-account.json")),
    ] {
        let (code, said) = check(&tree, top, &table, true);
        assert_eq!(code, Some(0), "{table}: {said}");
        assert!(said.contains("is valid"), "{table}: {said}");
    }
}

/// What this statement gives of the state, as Python writes it.
fn sql(state: &Path, statement: &str) -> String {
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                  print(c.execute(sys.argv[2]).fetchall())";
    let output = Command::new(require("python3", "python3"))
        .args(["-c", script])
        .arg(state.join("state.db"))
        .arg(statement)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn check_and_status_make_nothing_and_leave_an_older_bridges_store_alone() {
    let server = OAuthServer::start();
    let tree = Tree::new("oauth-look", &Account::for_servers());
    // Nobody listens at the upstream.
    let text = format!(
        "state = \"state\"\n[upstream.a]\nurl = \"imap://127.0.0.1:1\"\n{}\n[account.sales]\nlogin = \"sales@example.com\"\noauth = \"x\"\n",
        server.table("x", "")
    );
    let file = tree.write("popbridge.toml", &text);
    let file = file.to_str().unwrap();
    let state = tree.join("state");
    let said = |arguments: &[&str]| {
        let (code, output, errors) = run(&[arguments, &["--config", file]].concat(), &[]);
        (code, format!("{output}{errors}"))
    };
    let nobody = "nobody has logged in for it yet: `popbridge oauth login sales`";
    // Where there is no store, and where no bridge has opened the account.
    for is_made in [false, true] {
        let (code, words) = said(&["check", "--connect"]);
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains(nobody), "{words}");
        for (command, expected) in [
            (
                &["status"][..],
                "nobody has logged in yet: `popbridge oauth login sales`",
            ),
            (&["oauth", "status"], "missing"),
        ] {
            let (code, words) = said(command);
            assert_eq!(code, Some(0), "{words}");
            assert!(words.contains(expected), "{words}");
        }
        if is_made {
            assert_eq!(sql(&state, "SELECT * FROM mailbox"), "[]");
        } else {
            assert!(!state.exists());
            assert_eq!(said(&["client", "list"]).0, Some(0));
            assert!(state.join("state.db").exists());
        }
    }
    sql(&state, "UPDATE schema_version SET version = version - 1");
    let version = || sql(&state, "SELECT version FROM schema_version");
    let before = version();
    for (command, code) in [
        (&["check", "--connect"][..], Some(1)),
        (&["status"], Some(1)),
        (&["oauth", "status"], Some(1)),
    ] {
        let (ended, words) = said(command);
        assert_eq!(ended, code, "{command:?}: {words}");
        assert!(
            words.contains("made by an older popbridge"),
            "{command:?}: {words}"
        );
        assert_eq!(version(), before, "{command:?}");
    }
}

#[test]
fn a_token_that_check_cannot_keep_is_told_to_be_lost() {
    let mut it = TokenOffice::with("xoauth2", Plan::default());
    it.log_in();
    it.server.set_rotation(true);
    // It would refresh the token itself.
    it.office.close();
    let sql = |statement: &str| sql(&it.office.state, statement);
    sql("UPDATE token SET expires_at = 1, refreshed_at = 0");
    sql(
        "CREATE TRIGGER broken BEFORE UPDATE OF sealed ON token BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    let (code, output, errors) = it.office.run(&["check", "--connect"]);
    sql("DROP TRIGGER broken");
    assert_eq!(code, Some(1), "{output}{errors}");
    for words in [
        "a new token was got and cannot be kept",
        "`popbridge oauth login info`",
    ] {
        assert!(output.contains(words), "{output}");
    }
    it.office.open();
}

#[test]
fn a_start_that_goes_on_warns_of_a_secret_that_cannot_be_read() {
    let server = OAuthServer::start();
    let table = server.table("test", "grant = \"device\"\nclient_secret_file = \"none\"");
    let it = TokenOffice::before(server, &table, "xoauth2", Plan::default());
    let told = |line: &String| {
        line.contains("WARN")
            && line.contains("[oauth.test]: the file")
            && line.contains("cannot be read")
    };
    let bridge = it.office.bridge();
    eventually("it is told", || bridge.log().iter().any(told));
}
