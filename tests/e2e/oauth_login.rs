//! `popbridge oauth login` and `status` as a person uses them, against an authorization server that plays good and bad days.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::bridge::run;
use crate::support::browser::{LoginCommand, consent, get};
use crate::support::oauth_server::{CLIENT_SECRET, Failure, OAuthServer};
use crate::support::office::{LOGIN, Plan};
use crate::support::process::eventually;
use crate::support::token_office::TokenOffice;
use crate::support::tree::{Account, Tree};

const USER: &str = "sales@example.com";

/// A server, and a configuration with an account whose tokens come from there.
pub struct Place {
    pub server: OAuthServer,
    tree: Tree,
    config: PathBuf,
}

impl Place {
    pub fn new(keys: &str) -> Self {
        let server = OAuthServer::start();
        let table = server.table("idp", keys);
        Self::with(server, &table)
    }

    fn with(server: OAuthServer, table: &str) -> Self {
        let tree = Tree::new("oauth-login", &Account::for_servers());
        let text = format!(
            "state = \"state\"\n[upstream.office]\nurl = \"imap://127.0.0.1:1\"\n{table}\n\
             [account.sales]\nlogin = \"{USER}\"\noauth = \"idp\"\n[account.info]\nlogin = \"info@example.com\"\npassword_env = \"P\"\n"
        );
        let config = tree.write("popbridge.toml", &text);
        Self {
            server,
            tree,
            config,
        }
    }

    pub fn login(&self, arguments: &[&str]) -> LoginCommand {
        LoginCommand::start(&[&["sales"], arguments].concat(), &self.config)
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let config = self.config.to_str().unwrap();
        run(&[arguments, &["--config", config]].concat(), &[])
    }

    /// What `oauth status` says of the account.
    fn status(&self) -> Value {
        let (code, output, errors) = self.run(&["oauth", "status", "sales", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        let all: Value = serde_json::from_str(&output).unwrap();
        all["accounts"][0].clone()
    }

    fn state(&self) -> String {
        self.status()["state"].as_str().unwrap().to_owned()
    }

    fn ends_well(&self, login: LoginCommand) {
        let (status, said) = login.end();
        assert!(status.success(), "{said}");
        self.keeps_quiet(&said);
        assert_eq!(self.state(), "good");
    }

    pub fn fails(&self, login: LoginCommand, words: &str) {
        let (status, said) = login.end();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        self.keeps_quiet(&said);
        assert_eq!(self.state(), "missing");
    }

    /// Nothing that is secret was said.
    fn keeps_quiet(&self, said: &str) {
        for secret in self.server.secrets() {
            assert!(!said.contains(&secret), "{secret} in:\n{said}");
        }
    }
}

#[test]
fn a_browser_on_this_machine_comes_back_with_a_code() {
    let place = Place::new("");
    assert_eq!(place.state(), "missing");
    let mut login = place.login(&[]);
    // As under cron or a service: nothing can be pasted.
    login.close_input();
    let address = login.address();
    let back = consent(&address);
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    let (status, page) = get(&back);
    assert_eq!(status, 200);
    assert!(page.contains("popbridge is logged in"), "{page}");
    // Nobody listens at the upstream: a reason to say so, and none to lose what the person has given.
    login.line("The tokens were not tried at the upstream: ");
    place.ends_well(login);
    let asked = place.server.asked();
    let authorized = asked.iter().find(|asked| asked.path == "/authorize");
    assert_eq!(authorized.unwrap().form["login_hint"], USER);
    let status = place.status();
    for key in ["expires", "refreshed"] {
        assert!(status[key].as_str().unwrap().ends_with('Z'), "{status}");
    }
    assert_eq!(status["user"], USER);
}

#[test]
fn a_machine_without_a_browser_takes_what_is_pasted() {
    // A server without device codes.
    let server = OAuthServer::start();
    let table = format!(
        "[oauth.idp]\nclient_id = \"popbridge-test\"\nauthorization_url = \"{}\"\ntoken_url = \"{}\"\n",
        server.url("/authorize"),
        server.url("/token")
    );
    let place = Place::with(server, &table);
    let mut login = place.login(&["--no-browser"]);
    let back = consent(&login.address());
    login.paste("");
    login.paste("http://127.0.0.1:1/?code=guessed&state=guessed");
    login.line("does not belong to this log-in");
    login.paste(&format!("  {back}"));
    place.ends_well(login);
    assert_eq!(place.server.grants("authorization_code"), 1);

    // The code alone, out of the same address.
    let mut login = place.login(&["--no-browser"]);
    let back = consent(&login.address());
    let (_, code) = back.split_once("code=").unwrap();
    login.paste(code.split('&').next().unwrap());
    place.ends_well(login);
}

#[test]
fn a_code_that_somebody_else_sends_is_not_used() {
    let place = Place::new("");
    let mut login = place.login(&[]);
    let address = login.address();
    place.server.mix_states_up();
    let (status, page) = get(&consent(&address));
    assert_eq!(status, 400);
    assert!(page.contains("does not belong"), "{page}");
    login.line("does not belong to this log-in");
    assert_eq!(place.server.grants("authorization_code"), 0);
    let port = address.split_once("127.0.0.1%3A").unwrap().1;
    let port = port.split('%').next().unwrap();
    let elsewhere = get(&format!("http://127.0.0.1:{port}/favicon.ico"));
    assert_eq!(elsewhere.0, 404);
}

#[test]
fn a_person_who_says_no_is_believed() {
    let place = Place::new("");
    place.server.deny();
    let mut login = place.login(&[]);
    let address = login.address();
    // What would be in the way of keeping tokens shows before somebody is sent to a browser.
    let key = place.config.with_file_name("state").join("token.key");
    assert!(key.exists(), "{}", key.display());
    let back = consent(&address);
    let (status, page) = get(&back);
    assert_eq!(status, 400, "{page}");
    place.fails(
        login,
        "the log-in was denied: access_denied The user said no",
    );
}

#[test]
fn a_server_that_does_not_take_the_code_is_quoted() {
    let place = Place::new("");
    place.server.fail(Failure::Error(
        "invalid_grant",
        "AADSTS54005: OAuth2 Authorization code was already redeemed.\r\nTrace ID: 1",
    ));
    let mut login = place.login(&[]);
    let (status, _) = get(&consent(&login.address()));
    assert_eq!(status, 400);
    place.fails(
        login,
        "does not accept the code: invalid_grant (AADSTS54005: OAuth2 Authorization code was already redeemed.)",
    );
}

#[test]
fn a_person_types_a_code_on_any_machine() {
    let place = Place::new("client_secret_env = \"SECRET\"\n");
    let mut login = LoginCommand::start_with(
        &["sales", "--no-browser"],
        &place.config,
        &[("SECRET", CLIENT_SECRET)],
    );
    let line = login.line("enter the code");
    assert!(
        line.contains(&place.server.url("/activate")) && line.contains("WDJB-"),
        "{line}"
    );
    let kind = "urn:ietf:params:oauth:grant-type:device_code";
    eventually("it is asked while nobody has decided", || {
        place.server.grants(kind) > 0
    });
    assert_eq!(place.state(), "missing");
    place.server.decide(Ok(USER));
    place.ends_well(login);
    let asked = place.server.asked();
    let first = asked.iter().find(|asked| asked.path == "/device").unwrap();
    assert_eq!(first.form["client_secret"], CLIENT_SECRET);
}

#[test]
fn a_clients_secret_is_withheld_where_device_codes_are_refused() {
    let place = Place::new("grant = \"device\"\nclient_secret_env = \"SECRET\"\n");
    place.server.refuse_devices("not client-secret-9f2c");
    let login = LoginCommand::start_with(&["sales"], &place.config, &[("SECRET", CLIENT_SECRET)]);
    place.fails(login, "invalid_client (withheld");
}

#[test]
fn who_wants_a_device_code_where_there_is_none_hears_what_helps() {
    for (keys, arguments, words) in [
        (
            "grant = \"device\"",
            &[][..],
            "write grant = \"code\" into [oauth.idp]",
        ),
        (
            "grant = \"device\"",
            &["--device"],
            "write grant = \"code\" into [oauth.idp]",
        ),
        ("", &["--device"], "leave --device out"),
    ] {
        let place = Place::new(keys);
        place.server.hide_devices();
        let (status, said) = place.login(arguments).end();
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(
            said.contains("--device"),
            words.contains("--device"),
            "{said}"
        );
    }
}

#[test]
fn a_server_that_speaks_for_another_one_is_not_believed() {
    let place = Place::new("");
    place.server.pretend_another_issuer();
    let login = place.login(&[]);
    place.fails(login, "that of another issuer");
}

#[test]
fn accounts_for_which_nobody_has_to_log_in_say_so() {
    let place = Place::new("");
    for (account, words) in [
        ("info", "[account.info] is opened with a password"),
        ("nobody", "there is no [account.nobody]"),
    ] {
        let (code, _, errors) = place.run(&["oauth", "login", account]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
    let server = OAuthServer::start();
    let folder = Tree::new("oauth-robot", &Account::for_servers());
    let table = server.service_account_table("idp", folder.path());
    let robot = Place::with(server, &table);
    let (code, _, errors) = robot.run(&["oauth", "login", "sales"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("by itself"), "{errors}");
    assert_eq!(robot.state(), "none");
}

#[test]
fn the_status_is_a_table_for_people_and_json_for_programs() {
    let place = Place::new("");
    let (code, text, errors) = place.run(&["oauth", "status"]);
    assert_eq!(code, Some(0), "{errors}");
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("ACCOUNT"), "{text}");
    assert!(lines.next().unwrap().contains("missing"), "{text}");
    assert!(!text.contains("info@example.com"), "{text}");
    assert!(!place.tree.join("state").join("token.key").exists());
}

#[test]
fn tokens_of_somebody_else_do_not_replace_those_that_work() {
    let it = TokenOffice::with("xoauth2", Plan::default());
    it.log_in();
    it.office.deliver(1..=2);
    it.office.add("desk", &[]);
    let status = || it.office.ok(&["oauth", "status", "info", "--json"]);
    let before = status();
    let (code, output, errors) = it.log_in_as("ann@example.com", &[]);
    assert_eq!(code, Some(1), "{output}{errors}");
    for words in ["Nothing has changed", "somebody other than", "--no-try"] {
        assert!(errors.contains(words), "{errors}");
    }
    assert!(!errors.contains("Done"), "{errors}");
    assert_eq!(it.leaks(&[output, errors]), None);
    assert_eq!(status(), before);
    assert!(it.works("desk"));
    // Who wants it has it.
    let (code, output, errors) = it.log_in_as("ann@example.com", &["--no-try"]);
    assert_eq!(code, Some(0), "{output}{errors}");
    assert!(errors.contains("were not tried"), "{errors}");
    assert_eq!(it.office.run(&["check", "--connect"]).0, Some(1));
    // The right person mends it, and is told nothing of what was not tried.
    let (code, _, errors) = it.log_in_as(LOGIN, &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("Done") && !errors.contains("not tried"),
        "{errors}"
    );
}

#[test]
fn a_clients_secret_that_cannot_be_read_is_told_before_the_browser_is_opened() {
    let place = Place::new("client_secret_credential = \"idp\"");
    let login = place.login(&[]);
    let (status, said) = login.end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("systemd-run --pty") && said.contains("LoadCredential=idp:"),
        "{said}"
    );
    assert!(!said.contains("Open this address"), "{said}");
    assert_eq!(place.server.asked().len(), 0);
}

#[test]
fn check_connect_tries_the_tokens_and_says_who_has_to_log_in() {
    let it = TokenOffice::with("xoauth2", Plan::default());
    let (code, output, errors) = it.office.run(&["check", "--connect"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        output.contains("The configuration is valid")
            && output.contains("`popbridge oauth login info`"),
        "{output}"
    );
    it.log_in();
    it.office.deliver(1..=2);
    let output = it.office.ok(&["check", "--connect"]);
    assert!(output.contains("2 messages, UIDVALIDITY"), "{output}");
    assert!(
        !it.server
            .secrets()
            .iter()
            .any(|secret| output.contains(secret))
    );
    it.server.expire_access();
    let (code, output, _) = it.office.run(&["check", "--connect"]);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("the token was refused"), "{output}");
}
