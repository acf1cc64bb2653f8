//! docs/metrics.md is what a bridge serves that is at work: every metric of the one is in the other, with its type and its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::bridge::{Bridge, Options, run};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap_peer::{self, Flow, Peer};
use crate::support::mail::ordinary;
use crate::support::office::LOGIN;
use crate::support::process::eventually;
use crate::support::token_office::TokenOffice;

const TABLE: &str = include_str!("../../docs/metrics.md");

/// Type and labels, by name.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn documented() -> Families {
    let table = TABLE.split("\n## ").next().expect("a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let name = cells[0].trim_end_matches('`').to_owned();
        (name, (cells[1].to_owned(), labels))
    })
    .collect()
}

/// The names of the labels of a sample, and of its metric. No value has a comma or a quotation mark in it here.
fn labels_of(sample: &str) -> (&str, BTreeSet<String>) {
    let Some((name, rest)) = sample.split_once('{') else {
        return (
            sample.split(' ').next().unwrap_or_default(),
            BTreeSet::new(),
        );
    };
    let labels = rest.split_once('}').expect("an end").0.split(',');
    let names = labels.filter_map(|label| label.split_once('='));
    let names = names.map(|(name, _)| name.to_owned());
    (name, names.filter(|name| name != "le").collect())
}

fn served(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("a type");
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (name, labels) = labels_of(line);
            let name = match families.contains_key(name) {
                true => name,
                // A part of a histogram.
                false => name.rsplit_once('_').expect("a part").0,
            };
            let family = families.get_mut(name).expect("a family");
            family.1.extend(labels);
        }
    }
    families
}

/// A bridge whose upstream allows little, with an account that has a client, and a limit on its mailbox.
fn busy(dovecot: &Dovecot) -> Bridge {
    let folder = dovecot.path();
    let password = folder.join("info.password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (state, config) = (folder.join("state"), folder.join("popbridge.toml"));
    let text = format!(
        "state = \"{}\"\n[limits]\nauth_failure_delay = \"0s\"\nsweep_interval = \"1s\"\n\
         [upstream.mail]\nurl = \"{}\"\nbytes_per_day = \"1GiB\"\nlogins_per_second = 1\n\
         [account.info]\nlogin = \"{LOGIN}\"\npassword_file = \"{}\"\n",
        state.display(),
        dovecot.plain_url(),
        password.display()
    );
    std::fs::write(&config, &text).unwrap();
    let bridge = Options::config(&text).state(&state).start();
    let add = ["client", "add", "desk1", "--account", "info", "--config"];
    let (code, output, errors) = run(&[&add[..], &[config.to_str().unwrap()]].concat(), &[]);
    assert_eq!(code, Some(0), "{errors}");
    let mut pop3 = bridge.pop3().log_in("desk1", output.trim_end());
    assert_eq!(pop3.stat().0, 3);
    pop3.retr(1);
    pop3.quit();
    // One after the other: the last of them waits for its turn.
    for user in ["ann", "bob", "eve"] {
        bridge.pop3_as(user).quit();
    }
    bridge
}

#[test]
fn the_table_of_metrics_is_what_bridges_serve() {
    let dovecot = Dovecot::options().quota(10_240).start();
    let mail = dovecot.maildir(LOGIN);
    (1..=3).for_each(|n| drop(mail.deliver(&ordinary(n).raw)));
    let bridge = busy(&dovecot);
    let with_tokens = TokenOffice::start("xoauth2");
    with_tokens.office.add("desk1", &[]);
    with_tokens.poll("desk1");

    let documented = documented();
    assert!(documented.len() > 40, "{documented:?}");
    let mut all = Families::new();
    eventually("all of the table is served", || {
        all = served(&bridge.metrics());
        let others = served(&with_tokens.office.bridge().metrics());
        all.extend(
            others
                .into_iter()
                .filter(|(name, _)| name.contains("_token_")),
        );
        documented.keys().all(|name| all.contains_key(name))
    });
    assert_eq!(all, documented);
}

#[test]
fn connections_that_are_kept_and_that_were_replaced_are_counted() {
    let lost = Arc::new(AtomicBool::new(false));
    let is_lost = Arc::clone(&lost);
    let peer = Peer::with_mail(3).on("NOOP", move |conn, _| {
        if !is_lost.swap(false, Ordering::SeqCst) {
            return Flow::Default;
        }
        conn.close();
        Flow::End
    });
    let peer = peer.start();
    let bridge = Bridge::before(&peer.plain_url());
    let reconnects = || bridge.metric("popbridge_upstream_reconnects_total", &[]);
    let kept = || bridge.metric("popbridge_upstream_kept_connections", &[]);
    let poll = || {
        let mut pop3 = bridge.pop3().log_in(imap_peer::USER, imap_peer::PASSWORD);
        assert_eq!(pop3.stat().0, 3);
        pop3.quit();
    };
    assert_eq!((kept(), reconnects()), (0.0, 0.0));
    poll();
    assert_eq!((kept(), reconnects()), (1.0, 0.0));
    lost.store(true, Ordering::SeqCst);
    poll();
    assert_eq!((kept(), reconnects()), (1.0, 1.0));
    poll();
    assert_eq!((kept(), reconnects()), (1.0, 1.0));
    assert_eq!(peer.connections(), 2);
    // What the store does is counted without a client's doing anything.
    for operation in ["read", "write", "commit"] {
        let labels = [format!("operation=\"{operation}\"")];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let done = bridge.metric("popbridge_store_seconds_count", &labels);
        assert!(done > 0.0, "{operation}");
        assert_eq!(bridge.metric("popbridge_store_errors_total", &labels), 0.0);
    }
}
