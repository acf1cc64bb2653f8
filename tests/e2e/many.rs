//! One bridge in front of many scriptable peers, so that a table of faults costs one start of the bridge. Each peer is an
//! upstream of its own, which the domain of the log-in name chooses.

use std::process::Command;

use crate::support::bridge::{Bridge, Options};
use crate::support::certs::Certs;
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer};
use crate::support::pop3::{Pop3, Status};
use crate::support::process::{eventually, require};

/// A row's name and its peer.
pub type Row = (&'static str, Peer);

pub struct Many {
    pub bridge: Bridge,
    peers: Vec<(String, RunningPeer)>,
}

/// One row of the table while it is tried.
pub struct One<'a> {
    pub name: &'a str,
    pub peer: &'a RunningPeer,
    pub bridge: &'a Bridge,
    pub user: String,
}

impl Many {
    /// Peers that speak without TLS.
    pub fn start(rows: impl IntoIterator<Item = Row>) -> Self {
        Self::start_with(rows, RunningPeer::plain_url, "")
    }

    /// Peers reached by the URL that `url` makes, each one's authority trusted; `keys` are more lines for each upstream.
    pub fn start_with(
        rows: impl IntoIterator<Item = Row>,
        url: impl Fn(&RunningPeer) -> String,
        keys: &str,
    ) -> Self {
        let peers: Vec<_> = rows
            .into_iter()
            .map(|(name, peer)| (name.to_owned(), peer.start()))
            .collect();
        let certs = peers.first().map(|(_, peer)| &peer.certs);
        let mut config = certs.map(in_a_hurry).unwrap_or_default();
        for (n, (_, peer)) in peers.iter().enumerate() {
            let (url, ca) = (url(peer), peer.certs.ca.display());
            config.push_str(&format!(
                "[upstream.n{n}]\nurl = \"{url}\"\ndomains = [\"n{n}.test\"]\nca = \"{ca}\"\n{keys}\n"
            ));
        }
        let bridge = Options::config(&config).start();
        Self { bridge, peers }
    }

    /// Tries each row, in order, and makes sure that nothing panicked in the bridge.
    pub fn each(&self, mut of: impl FnMut(One<'_>)) {
        for (n, (name, peer)) in self.peers.iter().enumerate() {
            eprintln!("row {n}: {name}"); // shown where the test fails
            of(One {
                name,
                peer,
                bridge: &self.bridge,
                user: format!("user@n{n}.test"),
            });
            let log = self.bridge.log();
            let panicked = log.iter().find(|line| line.contains("panicked"));
            assert_eq!(panicked, None, "{name}");
        }
    }
}

impl One<'_> {
    /// The answer to PASS, on a connection of its own.
    pub fn pass(&self) -> (Pop3, Status) {
        let mut pop3 = self.bridge.pop3();
        pop3.ok(&format!("USER {}", self.user));
        let status = pop3.command(&format!("PASS {PASSWORD}"));
        (pop3, status)
    }

    pub fn log_in(&self) -> Pop3 {
        let (pop3, status) = self.pass();
        assert!(status.ok, "{}: {}", self.name, status.text);
        pop3
    }

    /// Fails unless `status` is a refusal with this code (`None`: without any).
    pub fn assert_refused(&self, status: &Status, code: Option<&str>) {
        assert!(!status.ok, "{}: accepted: {}", self.name, status.text);
        assert_eq!(status.code(), code, "{}: {}", self.name, status.text);
    }
}

/// What failed upstream an hour ago or less is now older by an hour, so that the pause before the next attempt is over.
pub fn an_hour_passes(bridge: &Bridge) {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  db.execute('UPDATE intent SET tried_at = tried_at - 3600')\n\
                  db.commit()";
    let database = bridge.state().join("state.db");
    let done = Command::new(require("python3", "python3"))
        .args(["-c", script])
        .arg(&database)
        .status();
    assert!(done.expect("python3").success(), "{}", database.display());
}

/// The start of a configuration without pauses: a wrong password is answered at once, and no RSA key is made at the start, which takes
/// longer than most of these tests. No connection is kept from one session to the next: peers tell connections apart.
pub fn in_a_hurry(certs: &Certs) -> String {
    let (cert, key) = (certs.cert.display(), certs.key.display());
    format!(
        "[limits]\nauth_failure_delay = \"0s\"\nupstream_idle = \"0s\"\n[tls]\ncertificate = \"{cert}\"\nkey = \"{key}\"\n"
    )
}

/// A bridge in front of one peer, reached without TLS.
pub fn bridged(peer: Peer) -> (RunningPeer, Bridge) {
    let peer = peer.start();
    let bridge = before(&peer, &peer.plain_url(), "");
    (peer, bridge)
}

/// A bridge that reaches this peer by `url`; `keys` are more lines for the upstream.
pub fn before(peer: &RunningPeer, url: &str, keys: &str) -> Bridge {
    let (start, ca) = (in_a_hurry(&peer.certs), peer.certs.ca.display());
    let config = format!("{start}[upstream.x]\nurl = \"{url}\"\nca = \"{ca}\"\n{keys}\n");
    Options::config(&config).start()
}

/// QUIT, and the end of what the bridge does behind it: the next session has a connection of its own.
pub fn quit(bridge: &Bridge, pop3: Pop3) {
    pop3.quit();
    eventually("the upstream's connection is closed", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
}

/// Logged in as the peer's user.
pub fn log_in(bridge: &Bridge) -> Pop3 {
    bridge
        .pop3()
        .log_in(crate::support::imap_peer::USER, PASSWORD)
}
