//! What a provider's profile does: ids, folders of which not all is shown, notices that are no messages.

use crate::many::{before, in_a_hurry, log_in};
use crate::support::bridge::{Bridge, Options};
use crate::support::fake_folders::{Folders, GMAIL};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::{ordinary, repaired};
use crate::support::peer_office::uidls;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

/// A bridge whose state is in this folder.
fn keeping_state(peer: &RunningPeer, state: &Tree, keys: &str) -> Bridge {
    let (start, url) = (in_a_hurry(&peer.certs), peer.plain_url());
    let config = format!("{start}[upstream.x]\nurl = \"{url}\"\n{keys}\n");
    Options::config(&config).state(&state.join("state")).start()
}

fn ids(bridge: &Bridge) -> Vec<String> {
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    let ids = uidls(&mut pop3);
    pop3.quit();
    ids
}

#[test]
fn a_mailbox_that_gets_gmails_profile_later_on_keeps_the_ids_that_clients_know() {
    let folders = Folders::new(&[("INBOX", "")]);
    let deliver = |n| folders.of("INBOX").add(&repaired(&ordinary(n).raw));
    deliver(1);
    deliver(2);
    let peer = folders.peer().capability(GMAIL).start();
    let state = Tree::new("state", &Account::for_servers());
    let bridge = keeping_state(&peer, &state, "");
    let before = ids(&bridge);
    assert!(bridge.stop().success());
    let bridge = keeping_state(&peer, &state, "provider = \"gmail\"");
    assert_eq!(ids(&bridge), before);
    // The peer tells nobody of arrivals who has the folder open.
    eventually("the connection is closed", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    deliver(3);
    let after = ids(&bridge);
    assert_eq!(after[..2], before);
    assert!(after[2].starts_with("GmailId"), "{after:?}");
}

#[test]
fn a_mailbox_that_is_new_has_the_ids_of_its_provider() {
    let folders = Folders::new(&[("INBOX", "")]);
    folders.of("INBOX").add(&repaired(&ordinary(1).raw));
    let peer = folders.peer().capability(GMAIL).start();
    let bridge = before(&peer, &peer.plain_url(), "provider = \"gmail\"");
    assert!(ids(&bridge).iter().all(|id| id.starts_with("GmailId")));
}

#[test]
fn a_connection_that_is_as_old_as_the_upstream_lets_it_be_is_not_used_again() {
    let peer = Peer::with_mail(1).start();
    // Connections are kept from one session to the next.
    let start = in_a_hurry(&peer.certs).replace("upstream_idle = \"0s\"\n", "");
    let (url, life) = (peer.plain_url(), "session_life = \"1s\"");
    let bridge =
        Options::config(&format!("{start}[upstream.x]\nurl = \"{url}\"\n{life}\n")).start();
    eventually("a new connection", || {
        ids(&bridge);
        peer.connections() > 1
    });
    // It was closed in order, and nobody noticed.
    eventually("the old one's end", || !peer.commands("LOGOUT").is_empty());
    assert_eq!(
        bridge.metric("popbridge_logins_total", &["outcome=\"unavailable\""]),
        0.0
    );
}

#[test]
fn where_sizes_are_exact_a_subject_like_exchanges_is_a_message() {
    let raw = b"Subject: Retrieval using the IMAP4 protocol failed for the following message: 1\r\n\r\nwhat is this?\r\n";
    for (keys, comes) in [
        ("", false),
        ("provider = \"gmail\"\nuidl = \"default\"", true),
    ] {
        let peer = Peer::with_mail(0);
        peer.mailbox().add(raw);
        // Not as long as it is.
        let row = "* 1 FETCH (UID 1 RFC822.SIZE 4000 INTERNALDATE \"01-Jan-2024 00:01:00 +0000\")\n{tag} OK";
        let peer = peer.reply("UID FETCH 1:*", row).start();
        let bridge = before(&peer, &peer.plain_url(), keys);
        let mut pop3 = log_in(&bridge);
        assert_eq!(pop3.command("RETR 1").ok, comes, "{keys}");
    }
}
