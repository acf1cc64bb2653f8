//! One mailbox, several readers: each gets every message, whatever the other readers and a phone do.

use crate::support::clock::HOUR;
use crate::support::office::{NONE, Office, Plan, fetch, listed, position};
use crate::support::phone::Phone;

/// The values of [`Office::figures`], in the order of these names.
fn figures<const N: usize>(office: &Office, what: &str, names: [&str; N]) -> [i64; N] {
    let all = office.figures(what);
    names.map(|name| all[name])
}

const THREE: [&str; 3] = ["desk1", "desk2", "scanner"];

/// Three readers who were made while the bridge runs: two see everything, one what it has not had.
fn three_readers(office: &Office) {
    office.add("desk1", &[]);
    office.add("desk2", &["view=all"]);
    office.add("scanner", &["view=undelivered"]);
}

/// Whether arrivals are in INBOX only, where a phone can take them away, or held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrivals {
    InInbox,
    Held,
}

impl Arrivals {
    fn plan(self) -> Plan {
        match self {
            Self::InInbox => Office::plan(),
            Self::Held => Office::plan().rules("hold = \"popbridge\""),
        }
    }

    /// Waits until copies have been made so many times, where any are made.
    fn wait_for_copies(self, office: &Office, times: usize) {
        if self == Self::Held {
            office.wait_for_copies(times);
        }
    }

    /// What is left of these messages for readers when a phone has taken some away.
    fn left(self, numbers: &[usize], taken: &[usize]) -> Vec<usize> {
        let is_left = |n: &&usize| self == Self::Held || !taken.contains(n);
        numbers.iter().filter(is_left).copied().collect()
    }

    /// What readers lose by what a phone takes away: so much, or nothing.
    fn lost<const N: usize>(self, so_much: [i64; N]) -> [i64; N] {
        match self {
            Self::InInbox => so_much,
            Self::Held => [0; N],
        }
    }
}

#[test]
fn three_readers_and_a_phone_share_a_mailbox_and_each_reader_gets_each_message() {
    three_readers_and_a_phone(Arrivals::InInbox);
}

#[test]
fn three_readers_and_a_phone_share_a_mailbox_that_is_held_and_no_reader_loses_anything() {
    three_readers_and_a_phone(Arrivals::Held);
}

fn three_readers_and_a_phone(arrivals: Arrivals) {
    let mut office = arrivals.plan().with_clock().start();
    office.deliver(1..=6);
    three_readers(&office);
    let mut phone = office.phone();
    readers_and_phone_at_work(&office, &mut phone);

    // New mail, also for whom has had everything.
    office.deliver([7]);
    assert_eq!(listed(&mut office.client("desk1")), [3, 4, 5, 6, 7]);
    assert_eq!(listed(&mut office.client("scanner")), [5, 6, 7]);

    // What the phone takes away is lost for exactly those who had not had it, or for nobody.
    office.ahead(HOUR);
    arrivals.wait_for_copies(&office, 2);
    let taken = [2, 5];
    phone.remove(&taken);
    let left = |numbers: &[usize]| arrivals.left(numbers, &taken);
    assert_eq!(listed(&mut office.client("desk1")), left(&[3, 4, 5, 6, 7]));
    let all = left(&[1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(listed(&mut office.client("desk2")), all);
    assert_eq!(listed(&mut office.client("scanner")), left(&[5, 6, 7]));
    let lost = arrivals.lost([0, 2, 1]);
    assert_eq!(figures(&office, "lost", THREE), lost);
    let waiting = [1, 5 - lost[1], 3 - lost[2]];
    assert_eq!(figures(&office, "waiting", THREE), waiting);

    // Who comes later gets what is left, and has lost nothing.
    office.ahead(2 * HOUR);
    office.add("desk4", &["view=undelivered"]);
    let mut desk4 = office.client("desk4");
    assert_eq!(fetch(&mut desk4), all);
    desk4.quit();
    assert_eq!(listed(&mut office.client("desk4")), NONE);
    assert_eq!(office.figures("lost")["desk4"], 0);

    // So does a new device in an old one's place, although the old one had deleted some of it.
    office.ok(&["client", "reset", "desk1"]);
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), all);
    desk1.quit();
    assert_eq!(office.figures("lost")["desk1"], 0);
    assert_eq!(figures(&office, "lost", THREE), lost);

    // After a restart everything is as it was, and nobody has done anything to the mailbox but the phone.
    office.close();
    office.open();
    assert_eq!(listed(&mut office.client("desk2")), all);
    assert_eq!(listed(&mut office.client("scanner")), left(&[5, 6, 7]));
    assert_eq!(listed(&mut office.client("desk4")), NONE);
    assert_eq!(figures(&office, "lost", THREE), lost);
    assert_eq!(office.numbers_in("INBOX"), [1, 3, 4, 6, 7]);

    // Nor is the rest of it different from before.
    office.deliver([8]);
    assert_eq!(listed(&mut office.client("desk4")), [8]);
    arrivals.wait_for_copies(&office, 1);
    phone.remove(&[8]);
    let left = arrivals.left(&[8], &[8]);
    assert_eq!(listed(&mut office.client("desk4")), left);
    let both = [lost[1] + 1, lost[2] + 1];
    let names = ["desk2", "scanner"];
    assert_eq!(figures(&office, "lost", names), arrivals.lost(both));
}

/// Each of the three has some of the messages 1 to 6 and deletes some; the phone reads and marks them.
fn readers_and_phone_at_work(office: &Office, phone: &mut Phone) {
    // The first takes everything and deletes two.
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), [1, 2, 3, 4, 5, 6]);
    desk1.ok("DELE 1");
    desk1.ok("DELE 2");
    desk1.quit();
    assert_eq!(listed(&mut office.client("desk1")), [3, 4, 5, 6]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3, 4, 5, 6]);

    // The phone reads, stars and answers: nothing of this is the readers' concern.
    phone.flag("1:6", "\\Seen \\Flagged \\Answered");
    let mut scanner = office.client("scanner");
    assert_eq!(listed(&mut scanner), [1, 2, 3, 4, 5, 6]);
    for n in 1..=4 {
        scanner.retr(n);
    }
    scanner.quit();
    assert_eq!(listed(&mut office.client("scanner")), [5, 6]);
    let mut desk2 = office.client("desk2");
    assert_eq!(listed(&mut desk2), [1, 2, 3, 4, 5, 6]);
    desk2.retr(1);
    desk2.retr(3);
    desk2.quit();
    // Mail that is marked as deleted and still there is there.
    phone.flag("3", "\\Deleted");
    assert_eq!(
        listed(&mut office.client("desk2")),
        [1, 2, 3, 4, 5, 6],
        "had, not deleted: this view shows all"
    );
    assert_eq!(figures(office, "waiting", THREE), [0, 4, 2]);
    assert_eq!(figures(office, "delivered", THREE), [6, 2, 4]);
    assert_eq!(figures(office, "deleted", THREE), [2, 0, 0]);
    assert_eq!(figures(office, "lost", THREE), [0, 0, 0]);
}

#[test]
fn reading_and_deleting_leave_no_trace_in_the_mailbox() {
    let office = Office::start();
    office.deliver(1..=3);
    three_readers(&office);
    let before = office.phone_flags();
    for name in THREE {
        let mut pop3 = office.client(name);
        assert_eq!(fetch(&mut pop3), [1, 2, 3]);
        pop3.ok("DELE 1");
        pop3.quit();
    }
    assert_eq!(office.phone_flags(), before);
    assert!(
        before.iter().all(|flags| !flags.contains("Seen")),
        "{before:?}"
    );
}

#[test]
fn a_unique_id_is_the_same_for_all_readers_and_after_a_restart() {
    let mut office = Office::start();
    office.deliver(1..=4);
    three_readers(&office);
    let uidls = |office: &Office, name| office.client(name).lines("UIDL");
    let first = uidls(&office, "desk1");
    assert_eq!(uidls(&office, "desk2"), first);
    assert_eq!(uidls(&office, "scanner"), first);
    let mut desk1 = office.client("desk1");
    desk1.ok("DELE 2");
    desk1.quit();
    office.bridge_mut().kill9();
    office.open();
    assert_eq!(uidls(&office, "desk2"), first);
    let id = |line: &String| line.split_once(' ').unwrap().1.to_owned();
    let left: Vec<String> = uidls(&office, "desk1").iter().map(id).collect();
    let expected: Vec<String> = [0, 2, 3].map(|n: usize| id(&first[n])).into();
    assert_eq!(left, expected);
}

#[test]
fn the_status_says_in_words_who_has_not_collected_what() {
    let office = Office::start();
    office.deliver(1..=3);
    three_readers(&office);
    let mut desk1 = office.client("desk1");
    fetch(&mut desk1);
    desk1.quit();
    let text = office.ok(&["status"]);
    let words = |name: &str| -> Vec<String> {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in\n{text}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert!(
        text.contains("account info: info@example.com at "),
        "{text}"
    );
    assert!(text.contains("  3 messages\n"), "{text}");
    assert_eq!(words("desk1")[1..3], ["0", "-"], "{text}");
    assert_eq!(words("desk2")[1], "3", "{text}");
    assert!(words("desk2").contains(&"never".to_owned()), "{text}");
    // The same with those only who have something to collect, and as metrics.
    let waiting = office.ok(&["status", "--waiting"]);
    assert!(
        !waiting.contains("desk1") && waiting.contains("scanner"),
        "{waiting}"
    );
    let mut pop3 = office.client("scanner");
    let third = position(&mut pop3, 3);
    pop3.retr(third);
    pop3.quit();
    assert_eq!(figures(&office, "waiting", THREE), [0, 3, 2]);
}
