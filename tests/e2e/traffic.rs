//! What a poll costs: on a folder of 100,000 messages that is known, a log-in without news transfers no list, before and after a restart of
//! the bridge.

use std::collections::HashSet;

use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::figures::show;
use crate::support::imap::Imap;
use crate::support::mail::ordinary;
use crate::support::tree::{Account, Tree};

const MESSAGES: usize = 100_000;

fn received(bridge: &Bridge) -> f64 {
    bridge.metric(
        "popbridge_upstream_bytes_total",
        &["direction=\"received\""],
    )
}

fn lookups(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(
        "popbridge_index_lookups_total",
        &[&format!("outcome=\"{outcome}\"")],
    )
}

/// A log-in, STAT and QUIT: the count that STAT gave, and the octets that the upstream sent for it.
fn poll(bridge: &Bridge) -> (u64, u64) {
    let before = received(bridge);
    let mut pop3 = bridge.pop3_as("ann");
    let (count, _) = pop3.stat();
    pop3.quit();
    (count, (received(bridge) - before) as u64)
}

#[test]
fn a_poll_of_100_000_known_messages_transfers_no_list() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill_many(MESSAGES);
    let state = Tree::new("state", &Account::for_servers());
    let start = || {
        Options::upstream(&dovecot.plain_url())
            .state(state.path())
            .start()
    };
    let bridge = start();
    let mut pop3 = bridge.pop3_as("ann");
    let (count, octets) = pop3.stat();
    assert_eq!(count, MESSAGES as u64);
    let list = pop3.lines("LIST");
    let uidls = pop3.lines("UIDL");
    pop3.quit();
    let cold = received(&bridge);

    // UIDL of everything is right: each number once, in order, each id once, and each as the server's UID says.
    assert_eq!((list.len(), uidls.len()), (MESSAGES, MESSAGES));
    let mut sum = 0;
    let mut ids = HashSet::new();
    for (n, (size, uidl)) in (1..).zip(list.iter().zip(&uidls)) {
        let size = size.strip_prefix(&format!("{n} ")).expect(size);
        sum += size.parse::<u64>().unwrap();
        let id = uidl.strip_prefix(&format!("{n} ")).expect(uidl);
        assert!(ids.insert(id), "{id} twice");
        let uid = id.rsplit(|c: char| !c.is_ascii_digit()).next();
        assert_eq!(uid, Some(n.to_string().as_str()), "{uidl}");
    }
    assert_eq!(sum, octets);

    let (count, hit) = poll(&bridge);
    assert_eq!(count, MESSAGES as u64);
    show(&format!(
        "traffic: {hit} bytes received for a poll of 100000 known messages (the first one: {cold})"
    ));
    assert!(hit < 100, "{hit} octets: the answer to NOOP");
    assert_eq!(
        (lookups(&bridge, "cold"), lookups(&bridge, "hit")),
        (1.0, 1.0)
    );

    Imap::log_in(dovecot.imap_port, "ann", PASSWORD)
        .append("INBOX", &ordinary(7).raw)
        .unwrap();
    let (count, delta) = poll(&bridge);
    assert_eq!(count, MESSAGES as u64 + 1);
    show(&format!(
        "traffic: {delta} bytes received for a poll with one new message"
    ));
    assert!(delta < 4096, "{delta} octets");
    assert_eq!(lookups(&bridge, "delta"), 1.0);

    // What was known is in the state.
    assert_eq!(bridge.stop().code(), Some(0));
    let bridge = start();
    let (count, restarted) = poll(&bridge);
    assert_eq!(count, MESSAGES as u64 + 1);
    show(&format!(
        "traffic: {restarted} bytes received for a poll of 100000 known messages by a bridge that was restarted"
    ));
    assert!(restarted < 4096, "{restarted} octets");
    assert_eq!(
        (lookups(&bridge, "cold"), lookups(&bridge, "hit")),
        (0.0, 1.0)
    );
    let mut pop3 = bridge.pop3_as("ann");
    let after = pop3.lines("UIDL");
    pop3.quit();
    assert_eq!(
        after[..MESSAGES],
        uidls,
        "the UIDLs are the ones from before"
    );
    assert_eq!(after.len(), MESSAGES + 1);
}
