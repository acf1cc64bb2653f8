//! The commands against a real store.

use std::path::Path;

use super::super::store as store_command;
use super::*;
use crate::auth::Verifier;
use crate::cli::client::{Client as ClientLine, StoreCommand};
use crate::config::{Overrides, load};

use clap::Parser;

const CONFIG: &str = "state = \"state\"\n[upstream.office]\nurl = \"imaps://imap.example.com\"\ndomains = [\"example.com\"]\n\
    [account.info]\nlogin = \"Info@EXAMPLE.com\"\npassword_env = \"P\"\n\
    [account.sales]\nlogin = \"sales@example.com\"\npassword_env = \"P\"\n";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    client: ClientLine,
}

struct Place {
    _folder: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("popbridge.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let overrides = Overrides {
            config: Some(file),
            ..Overrides::default()
        };
        let config = load(&overrides).unwrap();
        Self {
            _folder: folder,
            config,
        }
    }

    /// What it gave to standard output and to standard error.
    async fn run_with(&self, line: &str, password: &str) -> Result<(String, String), CommandError> {
        let words = ["client"].into_iter().chain(line.split(' '));
        let line = Line::try_parse_from(words).unwrap().client;
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut read = || Ok(Secret::new(password.to_owned()));
        run(&line.command, &self.config, &mut read, &mut out, &mut notes).await?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((text(out), text(notes)))
    }

    async fn run(&self, line: &str) -> (String, String) {
        let done = self.run_with(line, "").await;
        done.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    async fn refused(&self, line: &str) -> String {
        self.run_with(line, "").await.unwrap_err().to_string()
    }

    async fn store(&self) -> Store {
        open(&self.config).await.unwrap()
    }

    async fn lets_in(&self, login: &str, password: &str) -> bool {
        let store = self.store().await;
        let verifier = Verifier::new(store.secret_key().await.unwrap()).unwrap();
        let client = store.client_by_login(login).await.unwrap().unwrap();
        let password = Secret::new(password.to_owned());
        let fits = verifier.verify(&client.password.unwrap(), &password).await;
        store.close().await;
        fits
    }

    /// A client of a pass-through log-in, as a session would make it.
    async fn pass_through(&self, login: &str) {
        let store = self.store().await;
        let place = "imap.example.com:993";
        let mailbox = store.mailbox(place, "team@example.com", 1).await.unwrap();
        let new = NewClient {
            mailbox: mailbox.id,
            login: login.to_owned(),
            name: "desk1".to_owned(),
            named: false,
            account: None,
            password: None,
            settings: "{}".to_owned(),
        };
        store.add_client(&new, 1).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_generated_password_is_alone_on_a_line_and_lets_the_client_in() {
    let place = Place::new();
    let (out, notes) = place.run("add desk1 --account info").await;
    let password = out.strip_suffix('\n').unwrap();
    assert_eq!(password.len(), 26);
    assert!(
        notes.contains("desk1") && !notes.contains(password),
        "{notes}"
    );
    assert!(place.lets_in("desk1", password).await);
    assert!(!place.lets_in("desk1", "wrong").await);
    let store = place.store().await;
    let client = store.client_by_login("desk1").await.unwrap().unwrap();
    let mailbox = store.find_mailbox("imap.example.com:993", "info@example.com");
    assert_eq!(mailbox.await.unwrap().unwrap().id, client.mailbox);
    assert!(client.named && client.account.as_deref() == Some("info"));
}

#[tokio::test]
async fn a_password_can_be_chosen_and_changed_and_the_old_one_is_no_good_then() {
    let place = Place::new();
    let add = "add desk1 --account info --password-stdin";
    let (out, notes) = place.run_with(add, "horse").await.unwrap();
    assert_eq!(out, "");
    assert!(
        notes.contains("fewer than 8 characters") && !notes.contains("horse"),
        "{notes}"
    );
    assert!(place.lets_in("desk1", "horse").await);
    let (out, _) = place.run("passwd desk1").await;
    assert!(!place.lets_in("desk1", "horse").await);
    assert!(place.lets_in("desk1", out.trim_end()).await);
    let long = "x".repeat(257);
    let error = place
        .run_with("passwd desk1 --password-stdin", &long)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the password is longer than 256 bytes");
}

#[tokio::test]
async fn names_that_are_taken_or_hide_a_mailbox_are_refused() {
    let place = Place::new();
    place.run("add desk1 --account info").await;
    for (line, words) in [
        (
            "add desk1 --account sales",
            "there is a client \"desk1\" already",
        ),
        (
            "add team@example.com --account info",
            "could be the log-in name of a mailbox",
        ),
        (
            "add a/b --account info",
            "could be the log-in name of a mailbox",
        ),
        (
            "add recent:x --account info",
            "cannot begin with \"recent:\"",
        ),
        (
            "add desk2 --account inof",
            "there is no [account.inof]; there are info, sales",
        ),
        (
            "add desk2 --account info --set veiw=all",
            "did you mean \"view\"?",
        ),
        (
            "show desk3",
            "there is no client \"desk3\"; popbridge client list shows all",
        ),
        ("list --account x", "there is no [account.x]"),
    ] {
        let message = place.refused(line).await;
        assert!(message.contains(words), "{line}: {message}");
    }
    place.run("add team@elsewhere.example --account info").await;
}

#[tokio::test]
async fn settings_are_changed_shown_and_taken_back() {
    let place = Place::new();
    place
        .run("add desk1 --account info --set view=undelivered")
        .await;
    let (_, notes) = place.run("set desk1 last=30d max_listed=500").await;
    assert!(
        notes.contains("last=30d max_listed=500 view=undelivered"),
        "{notes}"
    );
    // One that is wrong leaves all as they are.
    assert!(
        place
            .refused("set desk1 last=none colour=red")
            .await
            .contains("unknown setting")
    );
    let (shown, _) = place.run("show desk1").await;
    assert!(
        shown.contains("settings:   last=30d max_listed=500 view=undelivered\n"),
        "{shown}"
    );
    assert!(
        shown.contains("mailbox:    info@example.com at imap.example.com:993\n"),
        "{shown}"
    );
    assert!(shown.contains("delivered:  0 messages\n"), "{shown}");
    place
        .run("set desk1 last=default max_listed=default view=default")
        .await;
    let (json, _) = place.run("show desk1 --json").await;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["settings"], serde_json::json!({}));
    assert_eq!(
        (&value["delivered"], &value["account"]),
        (&0.into(), &"info".into())
    );
}

#[tokio::test]
async fn all_clients_are_listed_and_no_password_of_theirs() {
    let place = Place::new();
    let (out, notes) = place.run("list").await;
    assert_eq!(out, "");
    assert!(notes.starts_with("There are no clients"), "{notes}");
    assert_eq!(place.run("list --json").await.0, "[]\n");
    place.run("add desk1 --account info").await;
    place.run("add desk2 --account sales --set last=30d").await;
    place.pass_through("team@example.com/desk1").await;
    let (out, _) = place.run("list").await;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(
        lines[0].starts_with("CLIENT                  ACCOUNT  MAILBOX "),
        "{out}"
    );
    assert!(
        lines[2].starts_with("desk2                   sales    sales@example.com "),
        "{out}"
    );
    assert!(
        lines[3].starts_with("team@example.com/desk1  -        team@example.com "),
        "{out}"
    );
    let (json, _) = place.run("list --account sales --json").await;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value.as_array().unwrap().len(), 1);
    assert_eq!(value[0]["settings"]["last"], "30d");
    for secret in ["k1$", "password"] {
        assert!(!json.contains(secret) && !out.contains(secret));
    }
}

#[tokio::test]
async fn a_pass_through_client_is_found_however_its_domain_is_written_and_has_no_password_of_its_own()
 {
    let place = Place::new();
    place.pass_through("team@example.com/desk1").await;
    let (shown, _) = place.run("show team@EXAMPLE.com/desk1").await;
    assert!(shown.contains("password:   its mailbox's\n"), "{shown}");
    let refused = place.refused("passwd team@example.com/desk1").await;
    assert!(
        refused.contains("only the mail server can change"),
        "{refused}"
    );
    let (_, notes) = place.run("remove team@example.com/desk1").await;
    assert!(notes.contains("makes it anew"), "{notes}");
}

#[tokio::test]
async fn a_removed_client_is_gone_says_for_how_long_it_is_waited_for_and_frees_its_name() {
    let place = Place::new();
    place.run("add desk1 --account info").await;
    place.run("reset desk1").await;
    let (_, notes) = place.run("remove desk1").await;
    assert!(notes.contains("For 7 days"), "{notes}");
    assert!(
        place
            .refused("show desk1")
            .await
            .contains("there is no client")
    );
    let (listed, _) = place.run("list").await;
    assert!(listed.contains("removed 2"), "{listed}");
    place.run("add desk1 --account sales").await;
}

#[tokio::test]
async fn the_store_is_copied_to_a_file_that_must_not_exist() {
    let place = Place::new();
    place.run("add desk1 --account info").await;
    let file = place.config.state.folder.join("copy.db");
    let backup = StoreCommand::Backup { file: file.clone() };
    let mut notes = Vec::new();
    store_command::run(&backup, &place.config, &mut notes)
        .await
        .unwrap();
    assert!(Path::new(&file).exists() && notes.starts_with(b"The store was copied to "));
    let again = store_command::run(&backup, &place.config, &mut notes).await;
    assert!(matches!(again, Err(CommandError::Failed(_))));
}
