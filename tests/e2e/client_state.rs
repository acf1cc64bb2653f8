//! What each client has done, and what it is shown because of that and of its settings.

use crate::support::clock::{DAY, HOUR, now};
use crate::support::mail::{FIRST_DATE, large, on_the_wire};
use crate::support::office::{LOGIN, NONE, Office, fetch, listed};
use crate::support::process::eventually;

/// An office that goes by a clock, with mail, one client with settings and one without.
fn office(mail: std::ops::RangeInclusive<usize>, settings: &[&str]) -> Office {
    let office = Office::plan().with_clock().start();
    office.deliver(mail);
    office.add("device", settings);
    office.add("desk", &[]);
    office
}

fn fetch_all_of(office: &Office, name: &str) -> Vec<usize> {
    let mut pop3 = office.client(name);
    let numbers = fetch(&mut pop3);
    pop3.quit();
    numbers
}

fn listed_to(office: &Office, name: &str) -> Vec<usize> {
    listed(&mut office.client(name))
}

/// Waits until the bridge has done with a client that has hung up.
fn gone(office: &Office, end: &str) {
    office
        .bridge()
        .wait_for_log("the end of the session", |line| {
            line["fields"]["message"] == "session ended" && line["fields"]["end"] == end
        });
}

#[test]
fn a_device_without_a_memory_gets_each_message_once() {
    let office = office(1..=3, &["view=undelivered"]);
    assert_eq!(fetch_all_of(&office, "device"), [1, 2, 3]);
    assert_eq!(fetch_all_of(&office, "device"), NONE);
    office.deliver([4]);
    // TOP is not the whole message.
    let mut pop3 = office.client("device");
    assert_eq!(listed(&mut pop3), [4]);
    pop3.quit();
    assert_eq!(fetch_all_of(&office, "device"), [4]);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3, 4]);
}

#[test]
fn who_hangs_up_without_quit_has_had_and_deleted_nothing() {
    let office = office(1..=3, &["view=undelivered"]);
    let mut pop3 = office.client("device");
    assert_eq!(fetch(&mut pop3), [1, 2, 3]);
    pop3.ok("DELE 1");
    drop(pop3);
    assert_eq!(listed_to(&office, "device"), [1, 2, 3]);
    // Nor is anything deleted that RSET took back.
    let mut pop3 = office.client("device");
    pop3.ok("DELE 2");
    pop3.ok("RSET");
    pop3.quit();
    assert_eq!(listed_to(&office, "device"), [1, 2, 3]);
    assert_eq!(office.figures("deleted")["device"], 0);
}

#[test]
fn a_device_that_never_says_quit_can_be_believed_for_its_view_but_not_for_disposal() {
    let office = Office::plan()
        .rules("retention = { when = \"all-clients-delivered\" }")
        .start();
    office.deliver(1..=2);
    office.add(
        "device",
        &["view=undelivered", "delivered_without_quit=true"],
    );
    let mut pop3 = office.client("device");
    pop3.retr(1);
    drop(pop3);
    gone(&office, "hung_up");
    eventually("it is noted", || listed_to(&office, "device") == [2]);
    assert_eq!(office.sweep(), "info: 0 disposed of\n");
    assert_eq!(office.figures("waiting")["device"], 2);
    // DELE without QUIT is still nothing.
    let mut pop3 = office.client("device");
    pop3.ok("DELE 1");
    drop(pop3);
    assert_eq!(listed_to(&office, "device"), [2]);
}

#[test]
fn what_a_broken_connection_swallowed_was_not_had() {
    let office = Office::start();
    let message = large(150_000);
    office.mail.deliver(&message.raw);
    office.add(
        "device",
        &["view=undelivered", "delivered_without_quit=true"],
    );
    let mut pop3 = office.client("device");
    pop3.ok("STAT");
    pop3.send("RETR 1");
    // The bridge has sent it all, the system has not: nobody reads at the other end, and then nobody is there.
    let sent = "popbridge_commands_total{command=\"RETR\",outcome=\"ok\"} 1";
    eventually("the bridge has sent it", || {
        let (_, metrics) = office.bridge().get("/metrics");
        metrics.lines().any(|line| line == sent)
    });
    pop3.into_stream().reset();
    gone(&office, "broken");
    let mut pop3 = office.client("device");
    assert_eq!(pop3.stat().0, 1);
    assert_eq!(pop3.retr(1), on_the_wire(&message.raw));
}

#[test]
fn the_last_thirty_days_are_counted_from_when_a_message_came() {
    let office = Office::plan().with_clock().start();
    office.deliver_at(1, now() - 31 * DAY);
    office.deliver_at(2, now() - 29 * DAY);
    office.add("device", &["last=30d"]);
    office.add("desk", &[]);
    // What was moved here yesterday is new here, whatever its date.
    let first = listed_to(&office, "desk");
    assert_eq!(first, [1, 2]);
    office.ahead(DAY);
    office.deliver_at(3, now() - 100 * DAY);
    assert_eq!(listed_to(&office, "device").last(), Some(&3));
    office.ahead(40 * DAY);
    assert_eq!(listed_to(&office, "device"), NONE);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3]);
}

#[test]
fn a_window_of_thirty_days_leaves_out_what_was_old_when_the_bridge_came() {
    let mut office = Office::plan().with_clock().start();
    // Before the bridge's first look.
    office.close();
    std::fs::remove_dir_all(&office.state).unwrap();
    office.deliver_at(1, now() - 31 * DAY);
    office.deliver_at(2, now() - 29 * DAY);
    office.open();
    office.add("device", &["last=30d"]);
    office.add("desk", &[]);
    assert_eq!(listed_to(&office, "desk"), [1, 2]);
    assert_eq!(listed_to(&office, "device"), [2]);
    office.ahead(2 * DAY);
    assert_eq!(listed_to(&office, "device"), NONE);
}

#[test]
fn a_client_from_now_on_gets_what_arrives_later() {
    let office = office(1..=2, &[]);
    assert_eq!(listed_to(&office, "desk"), [1, 2]);
    office.ahead(HOUR);
    office.add("new", &["since=enrolment"]);
    assert_eq!(listed_to(&office, "new"), NONE);
    office.deliver([3]);
    assert_eq!(listed_to(&office, "new"), [3]);
    assert_eq!(office.figures("waiting")["new"], 1);
    // It may change its mind.
    office.ok(&["client", "set", "new", "since=beginning"]);
    assert_eq!(listed_to(&office, "new"), [1, 2, 3]);
}

#[test]
fn what_came_before_a_client_from_now_on_is_not_shown_to_it_even_if_nobody_had_looked() {
    let office = office(1..=2, &[]);
    assert_eq!(listed_to(&office, "desk"), [1, 2]);
    office.deliver_at(3, now());
    office.ahead(HOUR);
    office.add("new", &["since=enrolment"]);
    assert_eq!(listed_to(&office, "new"), NONE);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3]);
    // Old mail that is moved there later is new there.
    office.deliver_at(4, now() - DAY);
    assert_eq!(listed_to(&office, "new"), [4]);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3, 4]);
    assert_eq!(office.figures("waiting")["new"], 1);
}

#[test]
fn a_client_may_begin_with_a_day() {
    let office = Office::start();
    for (n, days) in [(1, 0), (2, 9), (3, 10), (4, 11)] {
        office.deliver_at(n, FIRST_DATE + days * DAY);
    }
    office.add("device", &["since=2024-01-11"]);
    assert_eq!(listed_to(&office, "device"), [3, 4]);
}

#[test]
fn a_weak_device_is_shown_few_and_small_messages_and_the_oldest_first() {
    let office = office(1..=4, &["max_listed=2"]);
    assert_eq!(listed_to(&office, "device"), [1, 2]);
    let mut pop3 = office.client("device");
    pop3.ok("DELE 1");
    pop3.quit();
    assert_eq!(listed_to(&office, "device"), [2, 3]);
    office.ok(&["client", "set", "device", "view=undelivered"]);
    assert_eq!(fetch_all_of(&office, "device"), [2, 3]);
    assert_eq!(fetch_all_of(&office, "device"), [4]);

    office.mail.deliver(&large(20_000).raw);
    office.add("small", &["max_size=10KiB"]);
    assert_eq!(listed_to(&office, "small"), [1, 2, 3, 4]);
    assert_eq!(office.client("desk").stat().0, 5);
    // What it is not shown does not wait for it.
    assert_eq!(office.figures("waiting")["small"], 4);
}

#[test]
fn recent_shows_thirty_days_of_everything_and_deletes_nothing() {
    let mut office = Office::plan().with_clock().start();
    office.close();
    std::fs::remove_dir_all(&office.state).unwrap();
    office.deliver_at(1, now() - 31 * DAY);
    office.deliver_at(2, now() - 3 * DAY);
    office.deliver_at(3, now() - 2 * DAY);
    office.open();
    office.add("device", &["view=undelivered"]);
    let mut pop3 = office.client("device");
    assert_eq!(fetch(&mut pop3), [1, 2, 3]);
    pop3.ok("DELE 2");
    pop3.quit();
    assert_eq!(listed_to(&office, "device"), NONE);
    let mut pop3 = office.recent("device");
    assert_eq!(fetch(&mut pop3), [2, 3]);
    pop3.ok("DELE 1");
    pop3.ok("DELE 2");
    pop3.quit();
    assert_eq!(listed(&mut office.recent("device")), [2, 3]);
    assert_eq!(office.figures("deleted")["device"], 1);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
    // It is the same client: not both at once.
    let _held = office.client("device");
    let mut second = office.bridge().pop3();
    second.ok("USER recent:device");
    let refused = second.err(&format!("PASS {}", office.password("device")));
    assert_eq!(refused.code(), Some("IN-USE"));
}

#[test]
fn a_clients_dele_may_mean_nothing_or_everything() {
    let office = office(1..=3, &["on_delete=ignore"]);
    let mut pop3 = office.client("device");
    assert_eq!(fetch(&mut pop3), [1, 2, 3]);
    pop3.ok("DELE 1");
    pop3.quit();
    assert_eq!(listed_to(&office, "device"), [1, 2, 3]);
    // Everybody's deletion waits for who has not had the message.
    office.ok(&["client", "set", "desk", "on_delete=dispose"]);
    office.add("third", &[]);
    let mut pop3 = office.client("desk");
    pop3.ok("DELE 1");
    pop3.ok("DELE 2");
    pop3.quit();
    assert_eq!(listed_to(&office, "desk"), [3]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
    let mut pop3 = office.client("third");
    pop3.retr(2);
    pop3.quit();
    eventually("nobody lacks it", || office.numbers_in("INBOX") == [1, 3]);
}

#[test]
fn what_a_client_has_had_may_be_marked_upstream_for_phones_to_see() {
    for (rule, flag) in [("seen", "\\Seen"), ("flag:$Fetched", "$Fetched")] {
        let office = office(1..=3, &[&format!("after_retrieve={rule}")]);
        let mut pop3 = office.client("device");
        pop3.retr(2);
        drop(pop3);
        gone(&office, "hung_up");
        assert_eq!(office.phone_flags(), ["", "", ""], "not without QUIT");
        let mut pop3 = office.client("device");
        pop3.retr(2);
        pop3.quit();
        eventually("it is marked", || office.phone_flags() == ["", flag, ""]);
        // What others are shown does not change.
        assert_eq!(fetch_all_of(&office, "desk"), [1, 2, 3]);
        assert_eq!(office.phone_flags(), ["", flag, ""]);
        assert_eq!(listed_to(&office, "device"), [1, 2, 3]);
    }
}

#[test]
fn what_a_client_has_had_goes_to_the_trash_when_nobody_else_lacks_it() {
    let office = office(1..=3, &["after_retrieve=trash"]);
    let mut pop3 = office.client("device");
    pop3.retr(1);
    pop3.retr(2);
    pop3.quit();
    assert_eq!(office.sweep(), "info: 0 disposed of\n");
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
    let pending = &office.status()["pending"];
    assert_eq!(pending[0]["messages"], 2, "{pending}");
    let mut pop3 = office.client("desk");
    pop3.retr(2);
    pop3.quit();
    // At the latest now.
    office.sweep();
    assert_eq!(office.numbers_in("INBOX"), [1, 3]);
    assert_eq!(office.numbers_in("Trash"), [2]);
    assert_eq!(office.figures("lost").values().sum::<i64>(), 0);
}

#[test]
fn the_mailboxs_own_password_is_one_client_more_under_the_accounts_rules() {
    let office = Office::start();
    office.deliver(1..=3);
    // Nobody else is there yet, and still this is a mailbox whose deletions hide.
    let mut own = office.bridge().pop3_as(LOGIN);
    own.ok("DELE 1");
    own.quit();
    assert_eq!(listed(&mut office.bridge().pop3_as(LOGIN)), [2, 3]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
    office.add("desk", &[]);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3]);
    let mut own = office.bridge().pop3_as(LOGIN);
    own.ok("DELE 1");
    own.quit();
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
    assert_eq!(office.figures("deleted")[LOGIN], 2);
}

#[test]
fn what_an_operator_changes_during_a_session_is_not_undone_by_its_quit() {
    let office = office(1..=3, &[]);
    let mut pop3 = office.client("device");
    assert_eq!(fetch(&mut pop3), [1, 2, 3]);
    pop3.quit();
    let mut pop3 = office.client("device");
    pop3.ok("DELE 1");
    office.ok(&["client", "reset", "device"]);
    office.ok(&["client", "set", "device", "view=undelivered"]);
    pop3.quit();
    assert_eq!(fetch_all_of(&office, "device"), [2, 3]);
    // One that is removed meanwhile has nothing to say any more.
    let mut pop3 = office.client("desk");
    pop3.ok("DELE 2");
    office.ok(&["client", "remove", "desk"]);
    let status = pop3.command("QUIT");
    assert!(status.ok || status.code() == Some("SYS/TEMP"), "{status:?}");
    office.add("desk", &[]);
    assert_eq!(listed_to(&office, "desk"), [1, 2, 3]);
}

#[test]
fn what_was_looked_at_as_recent_is_still_undelivered() {
    let office = Office::start();
    office.add("scanner", &["view=undelivered"]);
    office.deliver_at(1, now() - HOUR);
    office.deliver_at(2, now() - HOUR);
    let mut recent = office.recent("scanner");
    assert_eq!(fetch(&mut recent), [1, 2]);
    recent.quit();
    let mut scanner = office.client("scanner");
    assert_eq!(fetch(&mut scanner), [1, 2]);
    scanner.quit();
    assert_eq!(listed(&mut office.client("scanner")), NONE);
}
