//! A mailbox whose arrivals are held by bridges that share a database: each arrival is held once, whichever bridge is quicker, also where
//! messages are so alike that a copy does not tell whose it is.

use crate::support::bridge::{Bridge, field};
use crate::support::clock::now;
use crate::support::office::{NONE, Office, listed};
use crate::support::postgres::Postgres;
use crate::support::process::eventually;

/// An office that shares its state, and the database's URL.
fn office() -> (Office, String) {
    let database = Postgres::shared().database();
    let plan = Office::plan().rules("hold = \"popbridge\"");
    let office = plan.state(&database).start();
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    (office, database)
}

/// Messages of one size: the numbers are as long as each other, and so is what fills them up.
fn alike(count: usize, from: usize) -> Vec<usize> {
    (0..count).map(|n| 1000 + 60 * (from + n)).collect()
}

/// Delivers messages that are alike, in one second.
fn deliver_alike(office: &Office, date: u64, numbers: &[usize]) {
    for n in numbers {
        office.deliver_at(*n, date);
    }
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

/// What a bridge says to have copied.
fn copied(bridge: &Bridge) -> u64 {
    let lines = bridge.log().into_iter();
    let lines = lines.filter(|line| line.contains("arrivals are held"));
    let counts = lines.map(|line| field(&serde_json::from_str(&line).unwrap(), "messages"));
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

#[test]
fn two_bridges_hold_each_arrival_once_and_a_phone_takes_nothing_away_from_their_clients() {
    let (office, _) = office();
    let other = office.options().start();
    let mut phone = office.phone();
    let both = [("desk1", office.bridge()), ("desk2", &other)];
    let both = both.map(|(name, bridge)| (name, bridge, office.password(name)));
    let mut all: Vec<usize> = Vec::new();
    for round in 0..20 {
        let arrivals = alike(3, 3 * round);
        deliver_alike(&office, now(), &arrivals);
        all.extend(&arrivals);
        // Both look at once, beside what wakes them by itself.
        std::thread::scope(|scope| {
            for (name, bridge, password) in &both {
                scope.spawn(move || bridge.pop3().log_in(name, password).stat());
            }
        });
        eventually("all are held", || {
            office.numbers_in("popbridge").len() >= all.len()
        });
        phone.remove(&arrivals);
    }
    let uidls = both.each_ref().map(|(name, bridge, password)| {
        let mut pop3 = bridge.pop3().log_in(name, password);
        assert_eq!(sorted(listed(&mut pop3)), all);
        pop3.lines("UIDL")
    });
    assert_eq!(uidls[0], uidls[1]);
    assert_eq!(sorted(office.numbers_in("popbridge")), all);
    assert_eq!(office.numbers_in("INBOX"), NONE);
    let copied = copied(office.bridge()) + copied(&other);
    assert_eq!(copied, all.len() as u64, "each is copied once");
    let lost = office.figures("lost");
    assert_eq!((lost["desk1"], lost["desk2"]), (0, 0));
}

/// Another bridge has its turn at the mailbox for as long as the test wants.
fn another_has_its_turn(database: &str, has: bool) {
    let (holder, until) = if has {
        ("another", "9999999999")
    } else {
        ("", "0")
    };
    let statement = format!("UPDATE mailbox SET turn_holder = '{holder}', turn_until = {until}");
    Postgres::shared().sql(database, &statement);
}

#[test]
fn copies_that_another_bridge_is_about_to_write_down_are_not_taken_for_new_messages() {
    let (office, database) = office();
    office.deliver([1]);
    office.wait_for_copies(1);
    assert_eq!(listed(&mut office.client("desk1")), [1]);
    another_has_its_turn(&database, true);
    let arrivals = alike(2, 0);
    deliver_alike(&office, now(), &arrivals);
    let before = office.client("desk1").lines("UIDL");
    assert_eq!(before.len(), 3);
    let mut phone = office.phone();
    phone.copy("2:3", "popbridge");
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    // The other one has thought better of it.
    phone.remove_from("popbridge", &arrivals);
    another_has_its_turn(&database, false);
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    assert_eq!(
        sorted(office.numbers_in("popbridge")),
        [&[1], &arrivals[..]].concat()
    );
}

#[test]
fn whose_copies_are_is_not_forgotten_because_another_bridge_has_written_meanwhile() {
    let (office, database) = office();
    office.deliver([1]);
    office.wait_for_copies(1);
    assert_eq!(listed(&mut office.client("desk1")), [1]);
    // Both arrivals are known before any is copied.
    another_has_its_turn(&database, true);
    let arrivals = alike(2, 0);
    deliver_alike(&office, now(), &arrivals);
    let before = office.client("desk1").lines("UIDL");
    assert_eq!(before.len(), 3);
    // The first time that copies are written down, the mailbox is another one than it was.
    let trigger = "CREATE SEQUENCE tried; \
         CREATE FUNCTION try() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF nextval(''tried'') = 1 THEN RETURN NULL; END IF; RETURN NEW; END'; \
         CREATE TRIGGER try BEFORE UPDATE ON mailbox FOR EACH ROW \
         WHEN (NEW.version <> OLD.version AND OLD.turn_holder <> '') EXECUTE FUNCTION try()";
    Postgres::shared().sql(&database, trigger);
    another_has_its_turn(&database, false);
    assert_eq!(office.client("desk1").lines("UIDL"), before);
    assert_eq!(
        Postgres::shared().sql(&database, "SELECT last_value FROM tried"),
        "2"
    );
    assert_eq!(
        sorted(office.numbers_in("popbridge")),
        [&[1], &arrivals[..]].concat()
    );
    assert_eq!(office.client("desk2").lines("UIDL"), before);
}
