//! `dispose = "flag"`: what is due stays in the mailbox with a keyword, and is dealt with once, not at each sweep anew.

use crate::support::clock::DAY;
use crate::support::office::{Office, fetch};
use crate::support::process::eventually;

/// The client retrieves messages by position, and says QUIT.
fn take(office: &Office, positions: std::ops::RangeInclusive<usize>) {
    let mut pop3 = office.client("desk1");
    for n in positions {
        pop3.retr(n);
    }
    pop3.quit();
}

/// How many messages are in INBOX, and how many of them have the keyword.
fn flagged(office: &Office) -> (usize, usize) {
    let flags = office.phone_flags();
    let with = flags.iter().filter(|flags| flags.contains("$Disposed"));
    (flags.len(), with.count())
}

/// A sweep that succeeds, once the bridge itself is not at the mailbox; what it says.
fn sweep(office: &Office) -> String {
    let mut said = String::new();
    eventually("the bridge is not at the mailbox", || {
        said = office.ok(&["sweep"]);
        !said.contains("the running bridge is at it")
    });
    said
}

#[test]
fn what_is_flagged_stays_and_only_what_is_new_is_flagged_by_the_next_sweep() {
    let office = Office::plan()
        .with_clock()
        .rules("dispose = \"flag\"")
        .rules("retention = { when = \"all-clients-delivered\", min_age = \"7d\" }")
        .limits("sweep_interval = \"1d\"")
        .start();
    office.add("desk1", &[]);
    office.deliver(1..=3);
    take(&office, 1..=3);
    assert_eq!(sweep(&office), "info: 0 disposed of\n");
    office.ahead(5 * DAY);
    office.deliver(4..=5);
    take(&office, 4..=5);
    office.ahead(7 * DAY);
    assert_eq!(sweep(&office), "info: 0 disposed of, 3 flagged\n");
    assert_eq!(flagged(&office), (5, 3));
    assert_eq!(sweep(&office), "info: 0 disposed of\n");
    let said = office.ok(&["sweep", "--dry-run"]);
    assert!(
        said.contains("  3 stay: it has that flag by now\n"),
        "{said}"
    );
    assert!(said.contains("  2 stay: it is not old enough\n"), "{said}");
    assert!(said.contains("  0 of 5 would go\n"), "{said}");
    office.ahead(12 * DAY);
    let said = office.ok(&["sweep", "--dry-run"]);
    assert!(said.contains("  2 of 5 would go\n"), "{said}");
    assert_eq!(sweep(&office), "info: 0 disposed of, 2 flagged\n");
    assert_eq!(flagged(&office), (5, 5));
    // It is in the mailbox for whoever reads it.
    assert_eq!(fetch(&mut office.client("desk1")), [1, 2, 3, 4, 5]);
}

#[test]
fn many_messages_that_are_flagged_stop_one_sweep_and_not_each_later_one() {
    let office = Office::plan()
        .rules("dispose = \"flag\"\nretention = { when = \"all-clients-delivered\" }")
        .limits("sweep_interval = \"1d\"")
        .start();
    office.mail.fill_many(150);
    // The bridge may have looked while the files came, and within a second of that Dovecot does not look again.
    eventually("Dovecot shows all", || office.phone_flags().len() == 150);
    office.add("desk1", &[]);
    take(&office, 1..=150);
    let (code, said, _) = office.run(&["sweep"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("would take 150 of 150"), "{said}");
    assert_eq!(flagged(&office), (150, 0));
    assert_eq!(
        office.ok(&["sweep", "--confirm"]),
        "info@example.com: confirmed\ninfo: 0 disposed of, 150 flagged\n"
    );
    assert_eq!(flagged(&office), (150, 150));
    assert_eq!(sweep(&office), "info: 0 disposed of\n");
    assert!(office.status()["sweep_stopped"].is_null());
    // A single one that follows is not many.
    office.deliver([1]);
    take(&office, 151..=151);
    eventually("it is flagged", || flagged(&office) == (151, 151));
    assert_eq!(sweep(&office), "info: 0 disposed of\n");
    assert!(office.status()["sweep_stopped"].is_null());
}
