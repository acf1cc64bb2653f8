//! When a message leaves the mailbox: on the day that the rules say and not before, never while a reader lacks it, never many at once
//! without a person's word.

use std::ops::RangeInclusive;

use crate::support::clock::{DAY, HOUR, now};
use crate::support::office::{NONE, Office, Plan, fetch, listed};
use crate::support::process::eventually;

/// What all have had goes at once.
const ALL_DELIVERED: &str = "retention = { when = \"all-clients-delivered\" }";

fn with(rules: &str) -> Plan {
    Office::plan().with_clock().rules(rules)
}

/// An office with this mail and these clients.
fn opened(plan: Plan, mail: RangeInclusive<usize>, names: &[&str]) -> Office {
    let office = plan.start();
    office.deliver(mail);
    add_all(&office, names);
    office
}

fn add_all(office: &Office, names: &[&str]) {
    for name in names {
        office.add(name, &[]);
    }
}

/// These clients have everything; they say QUIT.
fn collect(office: &Office, names: &[&str]) {
    for name in names {
        let mut pop3 = office.client(name);
        fetch(&mut pop3);
        pop3.quit();
    }
}

/// A client has these messages, deletes them if it is told to, and says QUIT.
fn take(office: &Office, name: &str, numbers: &[usize], delete: bool) {
    let mut pop3 = office.client(name);
    let all = listed(&mut pop3);
    for n in numbers {
        let at = 1 + all.iter().position(|listed| listed == n).unwrap();
        pop3.retr(at);
        if delete {
            pop3.ok(&format!("DELE {at}"));
        }
    }
    pop3.quit();
}

/// A mailbox with much mail, and a rule that lets go what all have had.
fn opened_with_much(messages: usize, names: &[&str]) -> Office {
    let office = with(ALL_DELIVERED).start();
    office.mail.fill_many(messages);
    // The bridge may have looked while the files came, and within a second of that Dovecot does not look again.
    eventually("Dovecot shows all", || {
        office.phone_flags().len() == messages
    });
    add_all(&office, names);
    office
}

/// A client has the first so many of the messages and says QUIT.
fn take_first(office: &Office, name: &str, count: usize) {
    let mut pop3 = office.client(name);
    for n in 1..=count {
        pop3.retr(n);
    }
    pop3.quit();
}

fn dry_run(office: &Office) -> String {
    let before = office.numbers_in("INBOX");
    let said = office.ok(&["sweep", "--dry-run"]);
    assert_eq!(
        office.numbers_in("INBOX"),
        before,
        "a dry run touches nothing"
    );
    said
}

/// A sweep that does all it finds, so many messages.
fn sweep(office: &Office, disposed: usize) {
    let said = office.sweep();
    assert_eq!(said, format!("info: {disposed} disposed of\n"));
}

/// Waits until the bridge's own sweeps have looked at the mailbox once more, from start to end.
fn after_a_sweep(office: &Office) {
    let looks = || {
        let bridge = office.bridge();
        bridge.metric("popbridge_index_lookups_total", &[])
    };
    let before = looks();
    eventually("two more sweeps", || looks() >= before + 3.0);
}

#[test]
fn what_all_have_had_goes_to_the_trash_when_it_is_a_week_old_and_not_before() {
    let rules =
        "dispose = \"trash\"\nretention = { when = \"all-clients-delivered\", min_age = \"7d\" }";
    let office = opened(with(rules), 1..=5, &["desk1", "desk2", "scanner"]);
    // Its date counts where that is later than the day on which the bridge saw it first.
    let dated = now() + 2 * DAY;
    office.deliver_at(6, dated);
    collect(&office, &["desk1", "desk2"]);
    take(&office, "scanner", &[1, 2, 3, 4, 6], false);

    let said = dry_run(&office);
    assert!(said.contains("  5 stay: it is not old enough\n"), "{said}");
    assert!(
        said.contains("  1 stay: scanner has not had it\n"),
        "{said}"
    );
    assert!(said.contains("  0 of 6 would go\n"), "{said}");
    office.ahead(7 * DAY - HOUR);
    sweep(&office, 0);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3, 4, 5, 6]);

    office.ahead(7 * DAY);
    let said = dry_run(&office);
    assert!(said.contains("  4 of 6 would go\n"), "{said}");
    let lines = said
        .lines()
        .filter(|line| line.ends_with(": all clients have had it"));
    assert_eq!(lines.count(), 4, "{said}");
    assert!(
        said.contains("  1 stay: scanner has not had it\n"),
        "{said}"
    );
    assert_eq!(office.numbers_in("Trash"), NONE);
    sweep(&office, 4);
    assert_eq!(office.numbers_in("INBOX"), [5, 6]);
    assert_eq!(office.numbers_in("Trash"), [1, 2, 3, 4]);
    sweep(&office, 0);

    // That was the bridge: nobody has lost anything, and the readers see what is left.
    assert!(office.figures("lost").values().all(|lost| *lost == 0));
    assert_eq!(listed(&mut office.client("desk1")), [5, 6]);

    office.ahead(9 * DAY - HOUR);
    sweep(&office, 0);
    office.ahead(9 * DAY + HOUR);
    sweep(&office, 1);
    assert_eq!(office.numbers_in("INBOX"), [5]);

    // The last reader comes at last, and what is old enough goes with its QUIT.
    take(&office, "scanner", &[5], false);
    eventually("it goes", || office.numbers_in("INBOX") == NONE);
    assert_eq!(office.numbers_in("Trash"), [1, 2, 3, 4, 6, 5]);
}

#[test]
fn what_one_has_deleted_goes_by_itself_on_the_day_unless_another_lacks_it() {
    let plan = with("retention = { when = \"any-client-deleted\", min_age = \"7d\" }")
        .limits("sweep_interval = \"1s\"");
    let office = opened(plan, 1..=4, &["desk1", "desk2"]);
    take(&office, "desk1", &[1, 2], true);
    take(&office, "desk1", &[3], false);
    take(&office, "desk2", &[1, 3], false);
    office.ahead(7 * DAY - HOUR);
    after_a_sweep(&office);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3, 4]);
    office.ahead(7 * DAY);
    eventually("the deleted one goes", || {
        office.numbers_in("INBOX") == [2, 3, 4]
    });
    after_a_sweep(&office);
    assert_eq!(office.numbers_in("INBOX"), [2, 3, 4]);
    let said = dry_run(&office);
    assert!(said.contains("desk2 has not had it"), "{said}");
    assert!(said.contains("any-client-deleted is not met"), "{said}");
    take(&office, "desk2", &[2], false);
    eventually("nobody lacks it any more", || {
        office.numbers_in("INBOX") == [3, 4]
    });
}

#[test]
fn what_all_have_deleted_goes_at_the_last_ones_quit() {
    let rules = "retention = { when = \"all-clients-deleted\" }";
    let office = opened(with(rules), 1..=3, &["desk1", "desk2"]);
    take(&office, "desk1", &[1, 2], true);
    sweep(&office, 0);
    take(&office, "desk2", &[2, 3], false);
    sweep(&office, 0);
    take(&office, "desk2", &[2], true);
    eventually("it goes", || office.numbers_in("INBOX") == [1, 3]);
    sweep(&office, 0);
    assert_eq!(listed(&mut office.client("desk2")), [1, 3]);
    assert_eq!(listed(&mut office.client("desk1")), [3]);
}

#[test]
fn the_highest_age_takes_what_was_had_and_the_rest_only_where_that_is_written_down() {
    for (undelivered, left) in [("keep", &[2_usize, 3] as &[usize]), ("dispose", &[])] {
        let rules = format!(
            "retention = {{ when = \"never\", max_age = \"90d\", undelivered = \"{undelivered}\" }}"
        );
        let office = opened(with(&rules), 1..=3, &["desk1", "desk2"]);
        take(&office, "desk1", &[1, 2], false);
        take(&office, "desk2", &[1], false);
        office.ahead(90 * DAY - HOUR);
        sweep(&office, 0);
        office.ahead(90 * DAY);
        sweep(&office, 3 - left.len());
        assert_eq!(office.numbers_in("INBOX"), left, "{undelivered}");
    }
}

#[test]
fn a_removed_client_is_waited_for_a_week_and_without_clients_nothing_goes() {
    let office = opened(with(ALL_DELIVERED), 1..=2, &["desk1", "desk2"]);
    collect(&office, &["desk1"]);
    office.ok(&["client", "remove", "desk2"]);
    sweep(&office, 0);
    office.ahead(7 * DAY - HOUR);
    sweep(&office, 0);
    office.ok(&["client", "remove", "desk1"]);
    office.ahead(7 * DAY + HOUR);
    let said = dry_run(&office);
    assert!(
        said.contains("  2 stay: there is no live client\n"),
        "{said}"
    );
    sweep(&office, 0);
    office.ahead(1000 * DAY);
    sweep(&office, 0);
    assert_eq!(office.numbers_in("INBOX"), [1, 2]);
}

#[test]
fn a_removed_clients_week_ends() {
    let office = opened(with(ALL_DELIVERED), 1..=2, &["desk1", "desk2"]);
    collect(&office, &["desk1"]);
    office.ok(&["client", "remove", "desk2"]);
    office.ahead(7 * DAY + HOUR);
    sweep(&office, 2);
}

#[test]
fn a_reset_client_is_waited_for_again() {
    let rules = "retention = { when = \"all-clients-delivered\", min_age = \"7d\" }";
    let office = opened(with(rules), 1..=2, &["desk1", "desk2"]);
    collect(&office, &["desk1", "desk2"]);
    office.ok(&["client", "reset", "desk2"]);
    office.ahead(100 * DAY);
    sweep(&office, 0);
    collect(&office, &["desk2"]);
    eventually("they go", || office.numbers_in("INBOX") == NONE);
}

#[test]
fn an_expired_clients_mail_is_released_only_where_that_is_written_down() {
    for (undelivered, goes) in [("keep", 0), ("dispose", 2)] {
        let rules = format!(
            "client_expires = \"30d\"\n\
             retention = {{ when = \"all-clients-delivered\", undelivered = \"{undelivered}\" }}"
        );
        let office = opened(with(&rules), 1..=2, &["desk1", "desk2"]);
        office.ok(&["client", "set", "desk1", "expires=never"]);
        collect(&office, &["desk1"]);
        // It expires, and a week later it counts no more.
        office.ahead(37 * DAY - HOUR);
        sweep(&office, 0);
        office.ahead(37 * DAY);
        sweep(&office, goes);
        assert_eq!(office.numbers_in("INBOX").len(), 2 - goes, "{undelivered}");
    }
}

#[test]
fn a_sweep_of_much_at_once_stops_until_a_person_agrees() {
    let office = opened_with_much(150, &["desk1", "desk2"]);
    take_first(&office, "desk1", 150);
    sweep(&office, 0);
    // Nor is it a matter for the QUIT that makes it all due.
    take_first(&office, "desk2", 150);
    assert_eq!(office.phone_flags().len(), 150);
    for _ in 0..2 {
        let (code, said, _) = office.run(&["sweep"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("info: 0 disposed of\n"), "{said}");
        assert!(
            said.contains("STOPPED, the rules would take 150 of 150"),
            "{said}"
        );
    }
    let said = office.ok(&["status"]);
    assert!(
        said.contains("STOPPED") && said.contains("sweep --confirm"),
        "{said}"
    );
    let stopped = &office.status()["sweep_stopped"];
    assert_eq!(
        (&stopped["would_take"], &stopped["of"]),
        (&150.into(), &150.into())
    );
    let said = office.ok(&["sweep", "--dry-run"]);
    assert!(said.contains("  150 of 150 would go\n"), "{said}");
    assert_eq!(office.phone_flags().len(), 150);

    let said = office.ok(&["sweep", "--confirm"]);
    assert_eq!(said, "info@example.com: confirmed\ninfo: 150 disposed of\n");
    assert_eq!(office.phone_flags().len(), 0);
    assert!(office.status()["sweep_stopped"].is_null());
    assert!(!office.ok(&["status"]).contains("STOPPED"));
}

#[test]
fn a_hundred_messages_or_a_fifth_of_the_mailbox_are_not_much() {
    for (all, had) in [(100, 100), (600, 120)] {
        let office = opened_with_much(all, &["desk1"]);
        take_first(&office, "desk1", had);
        eventually("they go", || office.phone_flags().len() == all - had);
        assert!(office.status()["sweep_stopped"].is_null());
    }
}
