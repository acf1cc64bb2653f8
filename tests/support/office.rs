//! A mailbox with several readers: info@example.com on a Dovecot, the account `info` of a bridge that holds its password, clients that
//! `popbridge client add` makes while it runs, and a phone that reads the mailbox by IMAP.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::bridge::{BINARY, Bridge, Options, run};
use super::clock::Clock;
use super::dovecot::{Dovecot, PASSWORD};
use super::imap::Imap;
use super::mail::{Maildir, on_the_wire, ordinary};
use super::phone::Phone;
use super::pop3::Pop3;
use super::process::eventually;

/// The mailbox's log-in name.
pub const LOGIN: &str = "info@example.com";

/// Nothing is listed.
pub const NONE: [usize; 0] = [];

/// How an office is set up.
#[derive(Default)]
pub struct Plan {
    top: String,
    limits: String,
    rules: String,
    with_clock: bool,
    state: Option<String>,
    junk: Vec<usize>,
    dovecot: Option<super::dovecot::Options>,
    tokens: Option<String>,
}

impl Plan {
    /// Lines before the first table.
    pub fn top(mut self, lines: &str) -> Self {
        self.top.push_str(lines);
        self.top.push('\n');
        self
    }

    /// Lines of `[limits]`.
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self.limits.push('\n');
        self
    }

    /// Lines of `[account.info]`.
    pub fn rules(mut self, lines: &str) -> Self {
        self.rules.push_str(lines);
        self.rules.push('\n');
        self
    }

    /// The bridge and its commands go by a clock that the test sets.
    pub fn with_clock(mut self) -> Self {
        self.with_clock = true;
        self
    }

    /// State elsewhere than in a folder of the bridge's own: `postgres://...`.
    pub fn state(mut self, url: &str) -> Self {
        self.state = Some(url.to_owned());
        self
    }

    /// A Dovecot that is started in this way.
    pub fn dovecot(mut self, options: super::dovecot::Options) -> Self {
        self.dovecot = Some(options);
        self
    }

    /// There is a folder Junk with these messages in it.
    pub fn junk(mut self, numbers: impl IntoIterator<Item = usize>) -> Self {
        self.junk.extend(numbers);
        self
    }

    /// The mailbox is opened with tokens from this `[oauth.test]`, by a Dovecot that takes them.
    pub fn tokens(mut self, table: &str, dovecot: super::dovecot::Options) -> Self {
        self.tokens = Some(table.to_owned());
        self.dovecot = Some(dovecot);
        self
    }

    pub fn start(self) -> Office {
        let dovecot = self.dovecot.unwrap_or_default().start();
        if !self.junk.is_empty() {
            let junk = dovecot.folder(LOGIN, "Junk");
            for n in &self.junk {
                junk.deliver(&ordinary(*n).raw);
            }
        }
        let password = dovecot.path().join("info.password");
        std::fs::write(&password, format!("{PASSWORD}\n")).expect("a password");
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let folder = dovecot.path().join("state");
        let access = match &self.tokens {
            Some(_) => "oauth = \"test\"".to_owned(),
            None => format!("password_file = \"{}\"", password.display()),
        };
        let config = format!(
            "state_folder = \"{}\"\n{}\
             [limits]\nauth_failure_delay = \"0s\"\n{}{}\
             [upstream.mail]\nurl = \"{}\"\n\
             [account.info]\nlogin = \"{LOGIN}\"\n{access}\n{}",
            folder.display(),
            self.top,
            self.limits,
            self.tokens.unwrap_or_default(),
            dovecot.plain_url(),
            self.rules
        );
        let clock = self.with_clock.then(|| Clock::new(&dovecot.path()));
        let state = self.state.map_or(folder, PathBuf::from);
        let mail = dovecot.maildir(LOGIN);
        let mut office = Office {
            bridge: None,
            config,
            state,
            clock,
            passwords: RefCell::default(),
            mail,
            dovecot,
        };
        office.open();
        office
    }
}

pub struct Office {
    bridge: Option<Bridge>,
    config: String,
    pub state: PathBuf,
    clock: Option<Clock>,
    passwords: RefCell<BTreeMap<String, String>>,
    pub mail: Maildir,
    pub dovecot: Dovecot,
}

impl Office {
    /// With the rules as they are by default.
    pub fn start() -> Self {
        Plan::default().start()
    }

    pub fn plan() -> Plan {
        Plan::default()
    }

    /// `popbridge serve`, as it is started here.
    pub fn options(&self) -> Options {
        let options = Options::config(&self.config).state(&self.state);
        let environment = self.environment().into_iter();
        environment.fold(options, |options, (name, value)| {
            options.environment(&name, &value)
        })
    }

    /// Adds a line to `[account.info]`, for the next start.
    pub fn also(&mut self, line: &str) {
        self.config.push_str(line);
        self.config.push('\n');
        // Commands read it anew.
        let _ = std::fs::remove_file(self.dovecot.path().join("office.toml"));
    }

    /// Starts the bridge, on the state that is there.
    pub fn open(&mut self) {
        self.bridge = None;
        self.bridge = Some(self.options().without_file_size_signal().start());
    }

    /// Starts a bridge that is expected to refuse: exit code and what it says.
    pub fn refuses_to_open(&self) -> (Option<i32>, String) {
        let ports = ["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"];
        let (code, _, errors) =
            self.run(&[&["serve", "--log-format", "text"], &ports[..]].concat());
        (code, errors)
    }

    pub fn bridge(&self) -> &Bridge {
        self.bridge.as_ref().expect("the bridge runs")
    }

    pub fn bridge_mut(&mut self) -> &mut Bridge {
        self.bridge.as_mut().expect("the bridge runs")
    }

    /// Ends the bridge in order.
    pub fn close(&mut self) {
        let bridge = self.bridge.take().expect("the bridge runs");
        assert!(bridge.stop().success());
    }

    /// The clock is so many seconds ahead of the true time from now on.
    pub fn ahead(&self, seconds: u64) {
        self.clock.as_ref().expect("a clock").set(seconds);
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.clock.as_ref().map_or(Vec::new(), Clock::environment)
    }

    /// An operator's command: exit code, standard output, standard error.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        run(
            &self.with_place(arguments, &self.config_file()),
            &environment,
        )
    }

    /// The same, which must succeed; gives what it prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, output, errors) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}{errors}");
        output
    }

    /// The same, with a password on standard input.
    pub fn ok_with_password(&self, arguments: &[&str], password: &str) {
        let file = self.config_file();
        let mut child = Command::new(BINARY)
            .args(self.with_place(arguments, &file))
            .arg("--password-stdin")
            .envs(self.environment())
            .stdin(Stdio::piped())
            .spawn()
            .expect("popbridge");
        writeln!(child.stdin.take().expect("stdin"), "{password}").expect("write");
        assert!(child.wait().expect("an end").success(), "{arguments:?}");
    }

    /// `popbridge sweep`, as soon as the bridge is not at the mailbox itself; gives what it prints.
    pub fn sweep(&self) -> String {
        let mut said = String::new();
        eventually("the bridge is not at it", || {
            said = self.ok(&["sweep"]);
            !said.contains("the running bridge is at it")
        });
        said
    }

    fn config_file(&self) -> String {
        let file = self.dovecot.path().join("office.toml");
        if !file.exists() {
            std::fs::write(&file, &self.config).expect("a configuration");
        }
        file.to_str().expect("UTF-8").to_owned()
    }

    fn with_place<'a>(&'a self, arguments: &[&'a str], file: &'a str) -> Vec<&'a str> {
        let state = self.state.to_str().expect("UTF-8");
        [arguments, &["--config", file, "--state", state]].concat()
    }

    /// Makes a client with a password that the bridge invents, and these settings.
    pub fn add(&self, name: &str, settings: &[&str]) {
        let mut arguments = vec!["client", "add", name, "--account", "info"];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        let password = self.ok(&arguments).trim_end().to_owned();
        self.passwords
            .borrow_mut()
            .insert(name.to_owned(), password);
    }

    /// The password that [`Self::add`] noted.
    pub fn password(&self, name: &str) -> String {
        self.passwords.borrow()[name].clone()
    }

    /// A client, logged in.
    pub fn client(&self, name: &str) -> Pop3 {
        self.bridge().pop3().log_in(name, &self.password(name))
    }

    /// A client, logged in as `recent:`.
    pub fn recent(&self, name: &str) -> Pop3 {
        let login = format!("recent:{name}");
        self.bridge().pop3().log_in(&login, &self.password(name))
    }

    /// Delivers the messages with these numbers, see [`ordinary`].
    pub fn deliver(&self, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            self.mail.deliver(&ordinary(n).raw);
        }
    }

    /// Delivers a message with this INTERNALDATE, in seconds since 1970.
    pub fn deliver_at(&self, n: usize, date: u64) {
        let name = format!("{date}.T{n:07}.dated");
        self.mail.deliver_as(&name, &ordinary(n).raw, date);
    }

    /// The mailbox by IMAP, as a phone has it open.
    pub fn phone(&self) -> Phone {
        Phone::open(self.dovecot.imap_port)
    }

    /// Waits until the bridge has said so many times that arrivals are held.
    pub fn wait_for_copies(&self, times: usize) {
        eventually("copies", || {
            let lines = self.bridge().log().into_iter();
            let said = lines.filter(|line| line.contains("arrivals are held"));
            said.count() >= times
        });
    }

    /// The numbers of the messages in a folder, looked at without a trace.
    pub fn numbers_in(&self, folder: &str) -> Vec<usize> {
        let mut imap = Imap::log_in(self.dovecot.imap_port, LOGIN, PASSWORD);
        let all = imap.fetch_all(folder).into_iter();
        // What is removed in this moment is listed and has no text any more.
        let all = all.filter(|message| !message.body.is_empty());
        all.map(|message| number_of(&message.body)).collect()
    }

    /// The flags of the messages in INBOX.
    pub fn phone_flags(&self) -> Vec<String> {
        let mut imap = Imap::log_in(self.dovecot.imap_port, LOGIN, PASSWORD);
        let all = imap.fetch_all("INBOX").into_iter();
        // "\\Recent" is about the session that looks.
        all.map(|message| message.flags.replace("\\Recent", "").trim().to_owned())
            .collect()
    }

    /// `popbridge status --json`: the one mailbox.
    pub fn status(&self) -> Value {
        let output = self.ok(&["status", "--json"]);
        let status: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!(
            status["mailboxes"].as_array().map(Vec::len),
            Some(1),
            "{status}"
        );
        status["mailboxes"][0].clone()
    }

    /// One figure of each client, by name.
    pub fn figures(&self, what: &str) -> BTreeMap<String, i64> {
        let status = self.status();
        let clients = status["clients"].as_array().expect("clients");
        let one = |client: &Value| {
            let name = client["login"].as_str().expect("a name").to_owned();
            (name, client[what].as_i64().expect("a figure"))
        };
        clients.iter().map(one).collect()
    }
}

/// Which of the messages of [`ordinary`] this is.
pub fn number_of(message: &[u8]) -> usize {
    let text = String::from_utf8_lossy(message);
    let subject = text.split("Subject: Message ").nth(1);
    let digits = subject.and_then(|rest| rest.split(['\r', '\n']).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("not a message of the tests: {text}"))
}

/// Retrieves everything that is listed, and checks each octet; gives the numbers of the messages.
pub fn fetch(pop3: &mut Pop3) -> Vec<usize> {
    let count = usize::try_from(pop3.stat().0).expect("a count");
    let each = (1..=count).map(|position| {
        let message = pop3.retr(position);
        let n = number_of(&message);
        assert_eq!(message, on_the_wire(&ordinary(n).raw), "message {n}");
        n
    });
    each.collect()
}

/// Which messages are listed, told without retrieving any.
pub fn listed(pop3: &mut Pop3) -> Vec<usize> {
    let count = usize::try_from(pop3.stat().0).expect("a count");
    let each = (1..=count).map(|position| number_of(&pop3.multi(&format!("TOP {position} 0"))));
    each.collect()
}

/// The position of a message in the list.
pub fn position(pop3: &mut Pop3, number: usize) -> usize {
    let listed = listed(pop3);
    let found = listed.iter().position(|n| *n == number);
    1 + found.unwrap_or_else(|| panic!("message {number} is not among {listed:?}"))
}
