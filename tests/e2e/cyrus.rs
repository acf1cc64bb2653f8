//! Cyrus behind the bridge: another server's ways (its own greeting, FETCH order, hierarchy and refusal of odd mail).

use crate::support::bridge::{Bridge, Options};
use crate::support::cyrus::{Cyrus, ODD_PASSWORD};
use crate::support::dovecot::PASSWORD;
use crate::support::mail::{odd_mail, on_the_wire, ordinary_mail};

#[test]
fn a_mailbox_at_cyrus_is_read_octet_for_octet() {
    let cyrus = Cyrus::start();
    let odd = odd_mail();
    let kept = cyrus.fill("ann", &odd);
    let fetched = cyrus.imap("ann").fetch_all("INBOX");
    assert!(kept.len() > 100 && fetched.len() == kept.len());
    let bridge = Bridge::before(&cyrus.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    assert_eq!(pop3.stat().0, kept.len() as u64);
    for (n, message) in (1..).zip(&fetched) {
        assert_eq!(pop3.retr(n), on_the_wire(&message.body), "message {n}");
    }
    pop3.quit();
}

#[test]
fn dele_at_cyrus_removes_only_the_named_messages_and_the_next_poll_lists_nothing() {
    let cyrus = Cyrus::start();
    cyrus.fill("ann", &ordinary_mail(4));
    let bridge = Bridge::before(&cyrus.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    let before = pop3.lines("UIDL");
    pop3.ok("DELE 2");
    pop3.quit();
    assert_eq!(cyrus.imap("ann").fetch_all("INBOX").len(), 3);
    let mut pop3 = bridge.pop3_as("ann");
    let unique = |line: &String| line.split_once(' ').map(|(_, uidl)| uidl.to_owned());
    let after: Vec<_> = pop3.lines("UIDL").iter().map(unique).collect();
    let expected: Vec<_> = [0, 2, 3].map(|i| unique(&before[i])).into();
    assert_eq!(after, expected);
    pop3.quit();
    let lists = bridge.metric("popbridge_index_lookups_total", &["outcome=\"cold\""]);
    assert_eq!(lists, 1.0);
}

#[test]
fn dele_at_cyrus_moves_to_the_trash_where_the_rule_says_so() {
    let cyrus = Cyrus::start();
    cyrus.fill("ann", &ordinary_mail(2));
    let bridge = Options::config(&format!(
        "[upstream.cyrus]\nurl = \"{}\"\ndispose = \"trash\"\ntrash = \"Trash\"\n",
        cyrus.plain_url()
    ))
    .start();
    let mut pop3 = bridge.pop3_as("ann");
    pop3.ok("DELE 1");
    pop3.quit();
    let mut imap = cyrus.imap("ann");
    assert_eq!(imap.fetch_all("Trash").len(), 1);
    assert_eq!(imap.fetch_all("INBOX").len(), 1);
}

#[test]
fn a_wrong_password_at_cyrus_is_auth() {
    let cyrus = Cyrus::start();
    let bridge = Bridge::before(&cyrus.plain_url());
    let mut pop3 = bridge.pop3();
    pop3.ok("USER ann");
    assert_eq!(
        pop3.err(&format!("PASS not {PASSWORD}")).code(),
        Some("AUTH")
    );
}

#[test]
fn a_password_that_cannot_be_quoted_reaches_a_cyrus_that_has_only_login() {
    let cyrus = Cyrus::start_with("LOGIN");
    cyrus.fill("ann", &ordinary_mail(2));
    let bridge = Options::limits(&cyrus.plain_url(), "").start();
    assert_eq!(bridge.pop3().log_in("ann", ODD_PASSWORD).stat().0, 2);
    let mut pop3 = bridge.pop3();
    pop3.ok("USER ann");
    let status = pop3.err(&format!("PASS {ODD_PASSWORD} "));
    assert_eq!(status.code(), Some("AUTH"));
}
