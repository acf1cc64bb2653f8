//! What `popbridge check` and the start of `serve` say of the secrets that tokens take, before anybody misses them.

use std::path::Path;

use crate::support::bridge::run;
use crate::support::oauth_server::{CLIENT_SECRET, OAuthServer};
use crate::support::office::Plan;
use crate::support::process::eventually;
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
