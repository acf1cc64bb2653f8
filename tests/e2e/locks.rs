//! One session for each client at a time, and as many clients at once as there are.

use std::path::Path;

use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::office::{LOGIN, Office, fetch, listed};
use crate::support::pop3::{Pop3, Status};
use crate::support::postgres::Postgres;

/// What a log-in is answered.
fn try_in(bridge: &Bridge, login: &str, password: &str) -> (Pop3, Status) {
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {login}"));
    let status = pop3.command(&format!("PASS {password}"));
    (pop3, status)
}

fn assert_in_use(bridge: &Bridge, login: &str, password: &str) {
    let (_, status) = try_in(bridge, login, password);
    assert_eq!(
        (status.ok, status.code()),
        (false, Some("IN-USE")),
        "{status:?}"
    );
}

#[test]
fn a_client_has_one_session_and_others_have_theirs() {
    let office = Office::start();
    office.deliver(1..=3);
    for name in ["desk1", "desk2", "desk3"] {
        office.add(name, &[]);
    }
    let mut first = office.client("desk1");
    assert_eq!(listed(&mut first), [1, 2, 3]);
    let (bridge, password) = (office.bridge(), office.password("desk1"));
    assert_in_use(bridge, "desk1", &password);
    // All three are in the mailbox at once, and delete what they like.
    let mut second = office.client("desk2");
    let mut third = office.client("desk3");
    assert_eq!(fetch(&mut second), [1, 2, 3]);
    for (pop3, n) in [(&mut first, 1), (&mut second, 2), (&mut third, 3)] {
        pop3.ok(&format!("DELE {n}"));
    }
    // The mailbox's own password is one client more.
    let mut own = bridge.pop3_as(LOGIN);
    assert_eq!(listed(&mut own), [1, 2, 3]);
    assert_in_use(bridge, LOGIN, PASSWORD);
    for pop3 in [third, second, first, own] {
        pop3.quit();
    }
    assert_eq!(listed(&mut office.client("desk1")), [2, 3]);
    assert_eq!(listed(&mut office.client("desk2")), [1, 3]);
    assert_eq!(listed(&mut office.client("desk3")), [1, 2]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
}

#[test]
fn who_was_refused_may_try_again_on_the_same_connection() {
    let office = Office::start();
    office.add("desk1", &[]);
    let first = office.client("desk1");
    let password = office.password("desk1");
    let (mut pop3, status) = try_in(office.bridge(), "desk1", &password);
    assert_eq!(status.code(), Some("IN-USE"));
    first.quit();
    pop3.ok("USER desk1");
    pop3.ok(&format!("PASS {password}"));
    pop3.quit();
}

#[test]
fn a_client_that_has_ended_its_session_is_let_in_again_at_once() {
    let office = Office::start();
    office.deliver(1..=2);
    office.add("desk1", &[]);
    for round in 0..10 {
        let mut pop3 = office.client("desk1");
        if round % 2 == 0 {
            pop3.stat();
        }
        match round % 3 {
            0 => pop3.quit(),
            1 => drop(pop3),
            _ => pop3.into_stream().reset(),
        }
    }
    // In the middle of a command, too.
    for command in ["STAT", "RETR 1", "QUIT"] {
        let mut pop3 = office.client("desk1");
        pop3.send(command);
        drop(pop3);
    }
    assert_eq!(listed(&mut office.client("desk1")), [1, 2]);
}

#[test]
fn in_pass_through_mode_the_clients_behind_the_separator_are_different_ones() {
    let dovecot = Dovecot::start();
    let bridge = Bridge::before(&dovecot.plain_url());
    let plain = bridge.pop3_as(LOGIN);
    let desk1 = bridge.pop3_as("info@example.com/desk1");
    let desk2 = bridge.pop3_as("info@example.com/desk2");
    let other = bridge.pop3_as("other@example.com/desk1");
    for login in [
        LOGIN,
        "info@EXAMPLE.com",
        "info@example.com/desk1",
        "info@Example.Com/desk2",
        "recent:info@example.com/desk2",
    ] {
        assert_in_use(&bridge, login, PASSWORD);
    }
    // A wrong password is told nothing about who is there.
    let (_, status) = try_in(&bridge, "info@example.com/desk1", "wrong");
    assert_eq!(status.code(), Some("AUTH"));
    for pop3 in [plain, desk1, desk2, other] {
        pop3.quit();
    }
}

#[test]
fn between_two_bridges_on_one_database_a_client_has_one_session() {
    let dovecot = Dovecot::start();
    let state = Postgres::shared().database();
    let folder = dovecot.path().join("folder");
    let config = format!(
        "state_folder = \"{}\"\n[limits]\nauth_failure_delay = \"0s\"\n[upstream.mail]\nurl = \"{}\"\n",
        folder.display(),
        dovecot.plain_url()
    );
    let start = || Options::config(&config).state(Path::new(&state)).start();
    let bridges = [start(), start()];
    let (desk1, desk2) = ("info@example.com/desk1", "info@example.com/desk2");
    for round in 0..10 {
        let (here, there) = (&bridges[round % 2], &bridges[(round + 1) % 2]);
        let first = here.pop3_as(desk1);
        assert_in_use(there, desk1, PASSWORD);
        there.pop3_as(desk2).quit();
        // Whoever has ended a session may come back by the other bridge.
        first.quit();
        there.pop3_as(desk1).quit();
    }
}
