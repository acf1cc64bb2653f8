//! docs/recipes/gmail-scanner.md: a device that forgets what it has fetched, in front of a Gmail that takes tokens only.

use std::process::Command;
use std::sync::Arc;

use super::opened_by_tokens;
use super::page::Page;
use crate::support::bridge::Bridge;
use crate::support::browser::consent;
use crate::support::clock::Clock;
use crate::support::fake_folders::{Folders, GMAIL};
use crate::support::imap_peer::{Flow, RunningPeer};
use crate::support::mail::{ordinary, repaired};
use crate::support::oauth_server::{CLIENT_ID, CLIENT_SECRET, OAuthServer};
use crate::support::process::{eventually, require};

const SCANS: &str = "scans@example.com";

/// The mailbox, with two messages of long ago.
fn gmail(server: &Arc<OAuthServer>) -> (Arc<Folders>, RunningPeer) {
    let folders = Folders::new(&[
        ("INBOX", "\\HasNoChildren"),
        ("[Gmail]/All Mail", "\\All \\HasNoChildren"),
        ("[Gmail]/Trash", "\\HasNoChildren \\Trash"),
    ]);
    for n in 1..=2 {
        deliver(&folders, n);
    }
    let capability = GMAIL.replace("AUTH=PLAIN", "AUTH=PLAIN AUTH=XOAUTH2");
    let peer = folders.peer().capability(&capability).implicit_tls();
    let inbox = folders.of("INBOX");
    let peer = peer.on("NOOP", move |conn, cmd| {
        conn.line(&format!("* {} EXISTS", inbox.uids().len()));
        conn.ok(cmd);
        Flow::Done
    });
    let peer = opened_by_tokens(peer, server, SCANS, SCANS).start();
    (folders, peer)
}

fn deliver(folders: &Folders, n: usize) {
    for folder in ["INBOX", "[Gmail]/All Mail"] {
        folders.of(folder).add(&repaired(&ordinary(n).raw));
    }
}

/// What curl says when it lists the device's messages from an address of this machine, in clear.
fn list_from(address: &str, bridge: &Bridge, password: &str) -> Option<String> {
    let output = Command::new(require("curl", "curl"))
        .args(["--silent", "--max-time", "20", "--interface", address])
        .args(["--user", &format!("scanner:{password}")])
        .arg(format!("pop3://127.0.0.1:{}/", bridge.pop3_port))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said = said.trim_end().to_owned();
    output.status.success().then_some(said)
}

#[test]
fn a_scanner_gets_each_new_message_from_gmail_once_and_changes_nothing() {
    let server = Arc::new(OAuthServer::start());
    let (folders, peer) = gmail(&server);
    let mut page = Page::open(
        "gmail-scanner",
        &[
            (
                "address = \"192.168.10.5:110\"",
                "address = \"127.0.0.1:0\"",
            ),
            (
                "plaintext = [\"192.168.10.20\"]",
                "plaintext = [\"127.0.0.1\"]",
            ),
            (
                "provider = \"gmail\"",
                &format!(
                    "provider = \"gmail\"\nurl = \"{}\"\nca = \"{}\"",
                    peer.imaps_url(),
                    peer.certs.ca.display()
                ),
            ),
            (
                "client_id = \"1234567890-abcdef.apps.googleusercontent.com\"",
                &format!(
                    "client_id = \"{CLIENT_ID}\"\nauthorization_url = \"{}\"\ntoken_url = \"{}\"",
                    server.url("/authorize"),
                    server.url("/token")
                ),
            ),
        ],
    );
    let clock = Clock::new(page.tree.path());
    page.environment(clock.environment());
    page.run("(umask 077; cat >", &format!("{CLIENT_SECRET}\n"));
    page.run("popbridge check", "");
    let bridge = page.serve();
    let mut login = page.log_in();
    let back = consent(&login.address());
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    login.paste(&back);
    let (status, said) = login.end();
    assert!(status.success(), "{said}");
    let password = page.run("popbridge client add scanner", "");
    let password = password.trim_end();

    // Nothing that came before, and from no other address.
    // popbridge looks for new tokens once a second.
    eventually("the mailbox can be opened", || {
        list_from("127.0.0.1", &bridge, password).as_deref() == Some("")
    });
    assert_eq!(list_from("127.0.0.2", &bridge, password), None);
    // What comes in the second of the first look goes by its date, and the peer's are old.
    clock.set(60);
    for n in 3..=4 {
        deliver(&folders, n);
    }
    let mut device = bridge.pop3().log_in("scanner", password);
    assert_eq!(device.stat().0, 2);
    for (position, n) in [(1, 3), (2, 4)] {
        assert_eq!(device.retr(position), repaired(&ordinary(n).raw));
    }
    device.quit();
    assert_eq!(
        list_from("127.0.0.1", &bridge, password).as_deref(),
        Some("")
    );
    let status = page.run("popbridge status", "");
    let of_it = status.lines().find(|line| line.contains("scanner"));
    let words: Vec<&str> = of_it.expect(&status).split_whitespace().collect();
    assert_eq!(words[..2], ["scanner", "0"], "{status}");

    // A device that never says QUIT.
    page.run("popbridge client set scanner", "");
    deliver(&folders, 5);
    let mut device = bridge.pop3().log_in("scanner", password);
    assert_eq!(device.retr(1), repaired(&ordinary(5).raw));
    drop(device);
    eventually("it has had the message", || {
        list_from("127.0.0.1", &bridge, password).as_deref() == Some("")
    });

    assert_eq!(folders.of("INBOX").uids(), [1, 2, 3, 4, 5]);
    for changing in ["UID STORE", "UID MOVE", "UID COPY", "UID EXPUNGE", "SELECT"] {
        assert_eq!(peer.commands(changing).len(), 0, "{changing}");
    }
    let log = bridge.log().join("\n");
    for secret in server.secrets() {
        assert!(!log.contains(&secret), "{secret}");
    }
    page.is_done();
}
