//! What `popbridge status` says of accounts that are opened with tokens: beside a bridge that runs, and without the key.

use serde_json::Value;

use crate::support::bridge::run;
use crate::support::clock;
use crate::support::oauth_server::{Failure, OAuthServer};
use crate::support::office::Plan;
use crate::support::process::eventually;
use crate::support::token_office::{LIFETIME, TokenOffice};
use crate::support::tree::{Account, Tree};

const LOG_IN: &str = "`popbridge oauth login info`";

/// What programs are told of the account's tokens.
fn token(it: &TokenOffice) -> Value {
    let status = it.office.status();
    assert_eq!(status["account"], "info", "{status}");
    status["token"].clone()
}

/// The line for people.
fn line(it: &TokenOffice) -> String {
    let text = it.office.ok(&["status"]);
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("  token: "));
    let line = lines.next().unwrap_or_else(|| panic!("no token: {text}"));
    assert_eq!(lines.next(), None, "{text}");
    line.to_owned()
}

#[test]
fn it_says_how_long_a_token_is_good_while_a_bridge_runs_and_the_key_is_out_of_reach() {
    let it = TokenOffice::start("xoauth2");
    it.office.add("desk", &[]);
    assert!(it.works("desk"));
    let key = it.office.state.join("token.key");
    let elsewhere = key.with_extension("elsewhere");
    std::fs::rename(&key, &elsewhere).unwrap();
    let said = token(&it);
    assert_eq!(said["state"], "good", "{said}");
    assert_eq!(said["login_needed"], false, "{said}");
    assert_eq!(
        (&said["trouble"], &said["last_error"]),
        (&Value::Null, &Value::Null)
    );
    let left = said["expires"].as_i64().unwrap() - clock::now().cast_signed();
    assert!(
        (LIFETIME.cast_signed() - 60..=LIFETIME.cast_signed()).contains(&left),
        "{said}"
    );
    let words = line(&it);
    assert!(
        words == "good for 59 min" || words == "good for 60 min",
        "{words}"
    );
    assert!(!key.exists(), "it is not made anew");
    std::fs::rename(&elsewhere, &key).unwrap();
    assert!(it.works("desk"));
}

#[test]
fn it_says_since_when_they_are_revoked_and_who_has_to_log_in() {
    let it = TokenOffice::with("xoauth2", Plan::default().with_clock());
    let nobody = format!("nobody has logged in yet: {LOG_IN}");
    assert_eq!(line(&it), nobody);
    let said = token(&it);
    assert_eq!(
        (&said["state"], &said["login_needed"]),
        (&"missing".into(), &true.into())
    );
    it.log_in();
    it.office.add("desk", &[]);
    assert!(it.works("desk"));
    it.server.revoke();
    it.tokens_end(1);
    assert_eq!(it.refusal("desk").code(), Some("SYS/PERM"));
    let words = line(&it);
    for part in [
        "REVOKED since 20",
        " UTC (invalid_grant",
        ", ended ",
        "; log in again: ",
        LOG_IN,
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let said = token(&it);
    assert_eq!(
        (&said["state"], &said["login_needed"]),
        (&"revoked".into(), &true.into())
    );
    let since = said["last_error_at"].as_i64().unwrap();
    assert!(since >= said["expires"].as_i64().unwrap(), "{said}");
    it.log_in();
    assert_eq!(token(&it)["state"], "good");
    assert!(line(&it).starts_with("good for "));
}

#[test]
fn it_says_what_the_authorization_server_said_last() {
    let it = TokenOffice::start("xoauth2");
    it.office.add("desk", &[]);
    assert!(it.works("desk"));
    it.server.fail(Failure::Error(
        "invalid_client",
        "AADSTS7000222: The provided client secret keys are expired.",
    ));
    it.office.ahead(LIFETIME * 9 / 10);
    eventually("a refresh is tried ahead of time", || {
        token(&it)["state"] == "misconfigured"
    });
    let words = line(&it);
    for part in [
        "good for ",
        "; no new one since 20",
        "AADSTS7000222",
        "change it there or in [oauth.test]",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(token(&it)["login_needed"], false);
    // Of other accounts nothing is said.
    let all: Value =
        serde_json::from_str(&it.office.ok(&["status", "--json", "--account", "other"])).unwrap();
    assert_eq!(all["mailboxes"], Value::Array(Vec::new()), "{all}");
}

#[test]
fn accounts_that_no_bridge_has_opened_yet_are_named_too() {
    let server = OAuthServer::start();
    let tree = Tree::new("token-status", &Account::for_servers());
    let text = format!(
        "state = \"state\"\ntoken_key_file = \"{}\"\n[upstream.office]\nurl = \"imaps://imap.example.com\"\n{}{}\
         [account.sales]\nlogin = \"sales@example.com\"\noauth = \"person\"\n\
         [account.robot]\nlogin = \"robot@example.com\"\noauth = \"robot\"\n\
         [account.info]\nlogin = \"info@example.com\"\npassword_env = \"P\"\n",
        tree.join("there-is-none").display(),
        server.table("person", ""),
        server.service_account_table("robot", tree.path()),
    );
    let config = tree.write("popbridge.toml", &text);
    let config = config.to_str().unwrap();
    let (code, output, errors) = run(&["status", "--config", config], &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("account sales: sales@example.com at imap.example.com:993\n  token: nobody has logged in yet: `popbridge oauth login sales`\n"), "{output}");
    assert!(
        output.contains("  token: none yet; popbridge gets one when it needs it\n"),
        "{output}"
    );
    assert!(!output.contains("info@example.com"), "{output}");
    let (_, output, _) = run(&["status", "--json", "--config", config], &[]);
    let all: Value = serde_json::from_str(&output).unwrap();
    let told = |at: usize| {
        (
            all["mailboxes"][at]["account"].clone(),
            all["mailboxes"][at]["token"]["state"].clone(),
        )
    };
    assert_eq!(told(1), ("sales".into(), "missing".into()), "{output}");
    assert_eq!(told(0), ("robot".into(), "none".into()), "{output}");
    assert_eq!(server.asked().len(), 0);
}
