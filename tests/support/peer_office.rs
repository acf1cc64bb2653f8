//! A mailbox with several readers on the scriptable peer: the account `info` of a bridge that holds its password, and clients that
//! `popbridge client add` makes. For what an [`Office`](super::office::Office) on a real server cannot show.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::bridge::{Bridge, Options, run};
use super::clock::Clock;
use super::imap_peer::{PASSWORD, RunningPeer, USER};
use super::pop3::Pop3;
use super::process::eventually;
use super::tree::{Account, Tree};

pub struct PeerOffice {
    pub bridge: Bridge,
    clock: Clock,
    config: String,
    state: String,
    passwords: RefCell<BTreeMap<String, String>>,
    _tree: Tree,
}

impl PeerOffice {
    /// A bridge in front of this peer; `rules` are lines of `[account.info]`.
    pub fn start(peer: &RunningPeer, rules: &str) -> Self {
        Self::with_limits(peer, "", rules)
    }

    /// One that keeps no connection when a session is over; see [`Self::is_cleared_up`].
    pub fn that_keeps_nothing(peer: &RunningPeer) -> Self {
        Self::with_limits(peer, "upstream_idle = \"0s\"\n", "")
    }

    /// Waits until nothing is done any more for sessions that are over.
    pub fn is_cleared_up(&self) {
        eventually("the upstream's connections are closed", || {
            self.bridge.metric("popbridge_upstream_connections", &[]) == 0.0
        });
    }

    fn with_limits(peer: &RunningPeer, limits: &str, rules: &str) -> Self {
        let tree = Tree::new("office", &Account::for_servers());
        let password = tree.write("info.password", &format!("{PASSWORD}\n"));
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        // With a certificate, so that no RSA key is made at the start.
        let (cert, key) = (peer.certs.cert.display(), peer.certs.key.display());
        let config = format!(
            "[limits]\nauth_failure_delay = \"0s\"\nsweep_interval = \"1d\"\n{limits}\
             [tls]\ncertificate = \"{cert}\"\nkey = \"{key}\"\n\
             [upstream.mail]\nurl = \"{}\"\n\
             [account.info]\nlogin = \"{USER}\"\npassword_file = \"{}\"\n{rules}\n",
            peer.plain_url(),
            password.display(),
        );
        let file = tree.write("popbridge.toml", &config);
        let clock = Clock::new(tree.path());
        let state = tree.join("state");
        let mut options = Options::config(&config).state(&state);
        for (name, value) in clock.environment() {
            options = options.environment(&name, &value);
        }
        let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
        Self {
            bridge: options.start(),
            clock,
            config: text(&file),
            state: text(&state),
            passwords: RefCell::default(),
            _tree: tree,
        }
    }

    /// The clock is so many seconds ahead of the true time from now on.
    pub fn ahead(&self, seconds: u64) {
        self.clock.set(seconds);
    }

    /// An operator's command: exit code and standard output.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let place = ["--config", &self.config, "--state", &self.state];
        let environment = self.clock.environment();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let (code, output, errors) = run(&[arguments, &place].concat(), &environment);
        eprintln!("{arguments:?}: {code:?}\n{output}{errors}"); // shown where the test fails
        (code, output)
    }

    /// The same, which must succeed; gives what it prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, output) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    }

    /// Looks through the mailbox once the bridge itself is not at it; exit code and what is said.
    pub fn sweep(&self) -> (Option<i32>, String) {
        let mut said = (None, String::new());
        eventually("the bridge is not at the mailbox", || {
            said = self.run(&["sweep"]);
            !said.1.contains("the running bridge is at it")
        });
        said
    }

    /// A sweep that does all it finds, so many messages.
    pub fn sweep_disposes_of(&self, messages: usize) {
        let expected = format!("info: {messages} disposed of\n");
        assert_eq!(self.sweep(), (Some(0), expected));
    }

    /// Makes a client with these settings.
    pub fn add(&self, name: &str, settings: &[&str]) {
        let mut arguments = vec!["client", "add", name, "--account", "info"];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        let password = self.ok(&arguments).trim_end().to_owned();
        let mut passwords = self.passwords.borrow_mut();
        passwords.insert(name.to_owned(), password);
    }

    /// A client, logged in.
    pub fn client(&self, name: &str) -> Pop3 {
        let password = self.passwords.borrow()[name].clone();
        self.bridge.pop3().log_in(name, &password)
    }

    /// `popbridge status --json`: the one mailbox.
    pub fn status(&self) -> Value {
        let output = self.ok(&["status", "--json"]);
        let status: Value = serde_json::from_str(&output).expect("JSON");
        status["mailboxes"][0].clone()
    }
}

/// The unique-ids that a client is shown, in order.
pub fn uidls(pop3: &mut Pop3) -> Vec<String> {
    let lines = pop3.lines("UIDL").into_iter();
    let words = lines.map(|line| line.split_once(' ').map(|(_, uidl)| uidl.to_owned()));
    words.map(|uidl| uidl.expect("a UIDL")).collect()
}
