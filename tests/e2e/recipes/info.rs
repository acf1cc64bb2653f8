//! docs/recipes/info-team.md: three people, a printer and a phone on one mailbox of a real server.

use super::page::{Page, TLS_PORT};
use crate::support::clock::{Clock, DAY};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::ordinary;
use crate::support::office::{LOGIN, NONE, fetch, listed, number_of, position};
use crate::support::phone::Phone;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

fn numbers_in(dovecot: &Dovecot, folder: &str) -> Vec<usize> {
    let all = Imap::log_in(dovecot.imap_port, LOGIN, PASSWORD).fetch_all(folder);
    let mut numbers: Vec<usize> = all.iter().map(|message| number_of(&message.body)).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_team_shares_a_mailbox_and_nobody_loses_what_a_phone_takes_away() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir(LOGIN);
    let mut page = Page::open(
        "info-team",
        &[
            TLS_PORT,
            (
                "url = \"imaps://imap.example.com\"",
                &format!(
                    "url = \"{}\"\nca = \"{}\"",
                    dovecot.imaps_url(),
                    dovecot.certs.ca.display()
                ),
            ),
        ],
    );
    let clock = Clock::new(page.tree.path());
    page.environment(clock.environment());
    page.give_certificate(&dovecot.certs);
    page.run("(umask 077; cat >", &format!("{PASSWORD}\n"));
    let said = page.run("popbridge check --connect", "");
    assert!(said.contains("info"), "{said}");
    let bridge = page.serve();
    let passwords = page.run("popbridge client add ann", "");
    let passwords: Vec<&str> = passwords.lines().collect();
    assert_eq!(passwords.len(), 4, "{passwords:?}");
    let client = |name: &str| {
        let names = ["ann", "bob", "cleo", "printer"];
        let which = names.iter().position(|one| *one == name).unwrap();
        let tls = dovecot.certs.client_config();
        Pop3::connect_tls(bridge.pop3s_port, tls).log_in(name, passwords[which])
    };
    assert_eq!(listed(&mut client("printer")), NONE);

    for n in 1..=3 {
        mail.deliver(&ordinary(n).raw);
    }
    eventually("arrivals are held", || {
        numbers_in(&dovecot, "popbridge") == [1, 2, 3]
    });
    Phone::open(dovecot.imap_port).remove(&[2]);
    let mut ann = client("ann");
    assert_eq!(fetch(&mut ann), [1, 2, 3]);
    let first = position(&mut ann, 1);
    ann.ok(&format!("DELE {first}"));
    ann.quit();
    assert_eq!(listed(&mut client("ann")), [2, 3]);
    for name in ["bob", "printer"] {
        let mut pop3 = client(name);
        assert_eq!(fetch(&mut pop3), [1, 2, 3], "{name}");
        pop3.quit();
    }
    assert_eq!(listed(&mut client("printer")), NONE);

    let waiting = page.run("popbridge status --waiting", "");
    assert!(waiting.contains("cleo"), "{waiting}");
    assert!(!waiting.contains("bob"), "{waiting}");
    let mut cleo = client("cleo");
    assert_eq!(fetch(&mut cleo), [1, 2, 3]);
    cleo.quit();
    // All have had everything, and it is not a week old.
    let would_go = page.bash("popbridge sweep --dry-run", "");
    assert!(would_go.contains("0 of 3 would go"), "{would_go}");
    clock.set(8 * DAY);
    let would_go = page.run("popbridge sweep --dry-run", "");
    assert!(would_go.contains("3 of 3 would go"), "{would_go}");
    assert_eq!(numbers_in(&dovecot, "popbridge"), [1, 2, 3]);

    page.run("popbridge client reset bob", "");
    assert_eq!(listed(&mut client("bob")), [1, 2, 3]);
    page.run("popbridge client remove cleo", "");
    let mut refused = Pop3::connect_tls(bridge.pop3s_port, dovecot.certs.client_config());
    refused.ok("USER cleo");
    let status = refused.err(&format!("PASS {}", passwords[2]));
    assert_eq!(status.code(), Some("AUTH"), "{}", status.text);
    page.is_done();
}
