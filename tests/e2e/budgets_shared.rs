//! What an upstream allows is shared by the bridges that share a database.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::budgets::{
    ALLOWED, MESSAGE, ONE_MIB, assert_five_a_second, fetch_until_it_ends, holding_back,
    log_in_at_last, much_mail, noting_log_ins, received,
};
use crate::support::bridge::{Bridge, Options};
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::postgres::Postgres;
use crate::support::process::eventually;

/// Bridges on one database, all with these keys of the upstream.
struct Office {
    database: String,
    folder: tempfile::TempDir,
    keys: String,
    limits: String,
}

impl Office {
    fn new(keys: &str) -> Self {
        Self {
            database: Postgres::shared().database(),
            folder: tempfile::tempdir().unwrap(),
            keys: keys.to_owned(),
            limits: String::new(),
        }
    }

    fn bridge(&self, peer: &RunningPeer) -> Bridge {
        let (url, folder) = (peer.plain_url(), self.folder.path().display());
        let (keys, limits) = (&self.keys, &self.limits);
        Options::config(&format!(
            "state_folder = \"{folder}\"\n[limits]\nread_ahead = \"0B\"\n{limits}\n[upstream.x]\nurl = \"{url}\"\n{keys}\n"
        ))
        .state(Path::new(&self.database))
        .start()
    }

    fn sql(&self, statement: &str) -> String {
        Postgres::shared().sql(&self.database, statement)
    }
}

fn refused(bridge: &Bridge, user: &str) {
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {user}"));
    assert_eq!(
        pop3.err(&format!("PASS {PASSWORD}")).code(),
        Some("SYS/TEMP")
    );
}

#[test]
fn two_bridges_share_a_days_octets() {
    let office = Office::new(ONE_MIB);
    let peer = much_mail().start();
    let (one, two) = (office.bridge(&peer), office.bridge(&peer));
    let mut pop3 = one.pop3_as(USER);
    let desk = format!("{USER}/desk");
    let mut other = two.pop3_as(&desk);
    for n in 1..=20 {
        pop3.retr(n);
    }
    let written = |octets: usize| {
        eventually("it is written down", || {
            let sum = office.sql("SELECT COALESCE(SUM(bytes), 0) FROM traffic");
            sum.parse::<usize>().unwrap() >= octets
        });
    };
    written(20 * MESSAGE);
    fetch_until_it_ends(&mut other, 1);
    assert!(received(&two) < 0.7 * ALLOWED);
    assert!(received(&one) + received(&two) < ALLOWED);
    written((0.95 * ALLOWED) as usize);
    // The first one hears of it when it has something to write.
    if pop3.command("RETR 79").ok {
        pop3.body();
    }
    one.wait_for_line("it knows, too", |line| line.contains("a day is reached"));
    assert_eq!(pop3.err("RETR 80").code(), Some("SYS/TEMP"));
    assert_eq!(pop3.stat().0, 80);
}

/// A peer that holds back each list until there is a word.
fn holding_back_lists() -> (Peer, Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let peer = Peer::with_mail(1).on("EXAMINE", move |_, _| {
        // An error is the end of the test.
        let _ = released.lock().expect("the word").recv();
        Flow::Default
    });
    (peer, release)
}

#[test]
fn two_bridges_share_the_connections_to_a_mailbox() {
    let office = Office::new("connections = 1");
    let (peer, release) = holding_back_lists();
    let peer = peer.start();
    let (one, two) = (office.bridge(&peer), office.bridge(&peer));
    let mut reading = one.pop3_as(USER);
    reading.send("STAT");
    peer.wait_for("EXAMINE", 1);
    let desk = format!("{USER}/desk");
    refused(&two, &desk);
    assert_eq!(peer.connections(), 1);
    let labels = ["what=\"connection\"", "outcome=\"refused\""];
    assert_eq!(two.metric("popbridge_upstream_waits_total", &labels), 1.0);
    drop(release);
    reading.expect_ok();
    // The first one keeps its connection for its next session, until somebody wants it.
    log_in_at_last(&two, &desk);
    eventually("it has made room", || {
        one.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    assert_eq!(office.sql("SELECT COUNT(*) FROM connection"), "1");
    reading.quit();
    assert!(one.stop().success() && two.stop().success());
    assert_eq!(office.sql("SELECT COUNT(*) FROM connection"), "0");
    assert_eq!(office.sql("SELECT COUNT(*) FROM instance"), "0");
}

#[test]
fn clients_that_read_slowly_at_two_bridges_keep_nobody_from_a_log_in_a_list_or_a_message() {
    for connections in [1, 2] {
        let office = Office::new(&format!("connections = {connections}"));
        let (peer, release) = holding_back(1);
        let peer = peer.start();
        let (one, two) = (office.bridge(&peer), office.bridge(&peer));
        let mut reading = Vec::new();
        for (client, bridge) in [("tablet", &one), ("phone", &two)] {
            let mut pop3 = bridge.pop3_as(&format!("{USER}/{client}"));
            assert_eq!(pop3.stat().0, 1);
            pop3.send("RETR 1");
            reading.push(pop3);
            // With one connection the second message waits, and then there is one too many.
            peer.wait_for("UID FETCH 1", reading.len());
        }
        // With one connection a bridge's own lists wait for its messages.
        for bridge in [&one, &two].into_iter().filter(|_| connections > 1) {
            let mut pop3 = bridge.pop3_as(&format!("{USER}/desk"));
            assert_eq!(pop3.stat().0, 1);
            pop3.quit();
        }
        drop(release);
        for pop3 in &mut reading {
            pop3.expect_ok();
            pop3.body();
        }
    }
}

#[test]
fn a_bridge_that_is_killed_gives_its_connections_back_after_a_minute() {
    let office = Office::new("connections = 1");
    let (peer, _release) = holding_back(1);
    let peer = peer.start();
    let (mut one, two) = (office.bridge(&peer), office.bridge(&peer));
    let mut reading = one.pop3_as(USER);
    reading.send("RETR 1");
    peer.wait_for("UID FETCH 1", 1);
    let holder = office.sql("SELECT holder FROM connection");
    one.kill9();
    let desk = format!("{USER}/desk");
    refused(&two, &desk);
    // The database's clock, in a minute.
    let later =
        format!("UPDATE instance SET expires_at = expires_at - 60 WHERE holder = '{holder}'");
    office.sql(&later);
    assert_eq!(log_in_at_last(&two, &desk), 0);
    assert_ne!(office.sql("SELECT holder FROM instance"), holder);
}

#[test]
fn a_bridge_that_is_told_to_end_is_alive_for_as_long_as_somebody_reads() {
    let mut office = Office::new("connections = 1");
    office.limits = "drain = \"1h\"".to_owned();
    let (peer, release) = holding_back(1);
    let peer = peer.start();
    let mut one = office.bridge(&peer);
    let mut reading = one.pop3_as(USER);
    reading.send("RETR 1");
    peer.wait_for("UID FETCH 1", 1);
    one.signal("TERM");
    one.wait_for_line("it ends", |line| line.contains("ending when"));
    // It has said that it is alive for the last time before it was told, and has an hour.
    for _ in 0..2 {
        let left = "(expires_at - EXTRACT(EPOCH FROM clock_timestamp()))";
        office.sql("UPDATE instance SET expires_at = expires_at - 55");
        eventually("it says that it is alive", || {
            office.sql(&format!("SELECT {left} > 30 FROM instance")) == "t"
        });
    }
    let lease = office.sql("SELECT COUNT(*) FROM lease");
    assert_eq!(lease, "1", "its client's lock");
    drop(release);
    reading.expect_ok();
    reading.body();
    assert!(one.wait().success());
    assert_eq!(office.sql("SELECT COUNT(*) FROM connection"), "0");
}

#[test]
fn two_bridges_share_the_pace_of_log_ins() {
    let office = Office::new("logins_per_second = 5");
    let (peer, noted) = noting_log_ins();
    let peer = peer.start();
    let bridges = [office.bridge(&peer), office.bridge(&peer)];
    std::thread::scope(|scope| {
        for n in 0..20 {
            let bridge = &bridges[n % 2];
            scope.spawn(move || log_in_at_last(bridge, &format!("user{n}@example.com")));
        }
    });
    assert_five_a_second(&noted, 20);
}

#[test]
fn a_poll_on_a_kept_connection_writes_nothing_of_all_this() {
    let keys = format!("{ONE_MIB}\nlogins_per_second = 100\nhost_connections = 9");
    let office = Office::new(&keys);
    let (peer, _) = noting_log_ins();
    let peer = peer.start();
    let bridge = office.bridge(&peer);
    log_in_at_last(&bridge, USER);
    office.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
         CREATE TRIGGER no BEFORE INSERT OR UPDATE OR DELETE ON connection FOR EACH STATEMENT EXECUTE FUNCTION no(); \
         CREATE TRIGGER no BEFORE INSERT OR UPDATE OR DELETE ON login_pace FOR EACH STATEMENT EXECUTE FUNCTION no(); \
         CREATE TRIGGER no BEFORE INSERT OR UPDATE ON traffic FOR EACH STATEMENT EXECUTE FUNCTION no()",
    );
    for _ in 0..5 {
        assert_eq!(log_in_at_last(&bridge, USER), 0);
    }
    // Another mailbox needs a connection of its own: the triggers are at work.
    refused(&bridge, "other@example.com");
}
