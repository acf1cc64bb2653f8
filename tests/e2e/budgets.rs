//! What an upstream allows: octets in a day, connections, log-ins in a second. When it is used up messages wait, or log-ins, and lists go on;
//! nobody hears that a password is wrong.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::support::bridge::{Bridge, Options};
use crate::support::clock::{Clock, HOUR};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::large;
use crate::support::oauth_server::{Failure, OAuthServer};
use crate::support::pop3::Pop3;
use crate::support::process::{eventually, pause};

pub(crate) const MESSAGE: usize = 20_000;
pub(crate) const ALLOWED: f64 = 1_048_576.0;

/// A mailbox with more than may be had in a day.
pub(crate) fn much_mail() -> Peer {
    let mailbox = Mailbox::ordinary(0);
    for _ in 0..80 {
        mailbox.add(&large(MESSAGE).raw);
    }
    Peer::with_mailbox(mailbox)
}

/// A bridge with these keys of the upstream.
pub(crate) fn config(peer: &RunningPeer, keys: &str) -> Options {
    let url = peer.plain_url();
    Options::config(&format!(
        "[limits]\nauth_failure_delay = \"0s\"\n[upstream.x]\nurl = \"{url}\"\n{keys}\n"
    ))
}

pub(crate) const ONE_MIB: &str = "bytes_per_day = \"1MiB\"";

pub(crate) fn received(bridge: &Bridge) -> f64 {
    let labels = ["direction=\"received\""];
    bridge.metric("popbridge_upstream_bytes_total", &labels)
}

/// Fetches messages from this one on until one has to wait; gives its number.
pub(crate) fn fetch_until_it_ends(pop3: &mut Pop3, from: usize) -> usize {
    for n in from.. {
        let status = pop3.command(&format!("RETR {n}"));
        if !status.ok {
            assert_eq!(status.code(), Some("SYS/TEMP"), "{status:?}");
            assert!(status.text.contains("25 hours"), "{status:?}");
            return n;
        }
        assert!(pop3.body().len() >= MESSAGE);
    }
    unreachable!()
}

/// How many messages each command asked for, with the messages' own answers.
fn portions(peer: &RunningPeer) -> Vec<usize> {
    let bodies = peer.commands("UID FETCH").into_iter();
    let bodies = bodies.filter(|command| command.contains("BODY.PEEK["));
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let count = |command: String| {
        let set = command.split(' ').nth(2).expect("a set").to_owned();
        let ranges = set.split(',').map(|range| match range.split_once(':') {
            Some((first, last)) => number(last) - number(first) + 1,
            None => 1,
        });
        ranges.sum()
    };
    bodies.map(count).collect()
}

#[test]
fn near_the_end_of_a_days_octets_nothing_is_fetched_ahead_and_at_the_end_messages_wait_and_lists_go_on()
 {
    let peer = much_mail().start();
    let bridge = config(&peer, ONE_MIB).start();
    let mut pop3 = bridge.pop3_as(USER);
    let waits = fetch_until_it_ends(&mut pop3, 1);
    let had = received(&bridge);
    assert!((0.95 * ALLOWED..ALLOWED).contains(&had), "{had}");
    // Four fifths of it came several at a time, the rest one by one.
    let portions = portions(&peer);
    let alone = portions.iter().rev().take_while(|count| **count == 1);
    let alone = alone.count();
    let ahead: usize = portions[..portions.len() - alone].iter().sum();
    assert!(portions.iter().any(|count| *count >= 8), "{portions:?}");
    let part = (ahead * MESSAGE) as f64 / ALLOWED;
    assert!((0.75..0.95).contains(&part), "{part} of it: {portions:?}");
    assert!(alone >= 2, "{portions:?}");
    // The operator is told.
    let document = bridge.status_document();
    let mailbox = &document["mailboxes"][0];
    assert_eq!(mailbox["received"]["allowed"], 1 << 20, "{mailbox}");
    assert!(
        mailbox["received"]["bytes"].as_f64() >= Some(0.95 * ALLOWED),
        "{mailbox}"
    );
    let connections = |what: &str| mailbox["connections"][what].as_u64().unwrap();
    assert!(connections("used") + connections("kept") > 0, "{mailbox}");
    let words = document["attention"][0]["words"].as_str().unwrap();
    assert!(
        words.ends_with("may be received in a day: messages wait."),
        "{words}"
    );
    // TOP waits as well; what is in memory is given all the same, and so is what is behind it.
    assert_eq!(pop3.err(&format!("TOP {waits} 5")).code(), Some("SYS/TEMP"));
    assert!(pop3.retr(1).len() >= MESSAGE);
    pop3.quit();
    // Lists go on, also of what is new, and so do deletions.
    peer.mailbox().add(&large(900).raw);
    let mut pop3 = bridge.pop3_as(USER);
    assert_eq!(pop3.stat().0, 81);
    assert_eq!(pop3.err("RETR 81").code(), Some("SYS/TEMP"));
    pop3.ok("DELE 1");
    pop3.quit();
    eventually("it is gone", || peer.mailbox().uids().len() == 80);
    // The log has heard of it once each.
    for words in ["a day is near", "a day is reached"] {
        let lines = bridge.log().into_iter();
        assert_eq!(lines.filter(|line| line.contains(words)).count(), 1);
    }
    let labels = bridge.metrics();
    assert!(
        !labels.contains("popbridge_account_received_bytes"),
        "no account is configured"
    );
}

#[test]
fn a_restart_does_not_forget_what_was_spent_and_a_day_later_it_is_free_again() {
    let peer = much_mail().start();
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path());
    let start = || {
        let mut options = config(&peer, ONE_MIB).state(&folder.path().join("state"));
        for (name, value) in clock.environment() {
            options = options.environment(&name, &value);
        }
        options.start()
    };
    let bridge = start();
    let mut pop3 = bridge.pop3_as(USER);
    let waits = fetch_until_it_ends(&mut pop3, 1);
    pop3.quit();
    bridge.stop();
    let bridge = start();
    let mut pop3 = bridge.pop3_as(USER);
    let mut refused = || {
        let status = pop3.err(&format!("RETR {waits}"));
        assert_eq!(status.code(), Some("SYS/TEMP"));
    };
    refused();
    clock.set(23 * HOUR);
    refused();
    clock.set(26 * HOUR);
    assert!(pop3.retr(waits).len() >= MESSAGE);
    pop3.quit();
    bridge.wait_for_line("it is said", |line| line.contains("far enough away again"));
}

#[test]
fn without_a_limit_no_message_waits() {
    let peer = much_mail().start();
    let bridge = config(&peer, "bytes_per_day = \"0B\"").start();
    let mut pop3 = bridge.pop3_as(USER);
    for n in 1..=80 {
        pop3.retr(n);
    }
    pop3.quit();
    assert!(received(&bridge) > ALLOWED);
}

/// A peer that notes when somebody logs in.
pub(crate) fn noting_log_ins() -> (Peer, Receiver<Instant>) {
    let (note, noted) = channel();
    let note = Mutex::new(note);
    let peer = Peer::with_mail(1).on("AUTHENTICATE", move |_, _| {
        // An error is the end of the test.
        let _ = note.lock().expect("a note").send(Instant::now());
        Flow::Default
    });
    (peer, noted)
}

/// Logs in, as often as it takes; gives how often it was told to come later.
pub(crate) fn log_in_at_last(bridge: &Bridge, user: &str) -> usize {
    for refused in 0.. {
        let mut pop3 = bridge.pop3();
        pop3.ok(&format!("USER {user}"));
        let status = pop3.command(&format!("PASS {PASSWORD}"));
        if status.ok {
            assert_eq!(pop3.stat().0, 1);
            pop3.quit();
            return refused;
        }
        assert_eq!(status.code(), Some("SYS/TEMP"), "{status:?}");
        pause();
    }
    unreachable!()
}

/// Five a second: no sixth comes less than a second after the first, but for what a busy machine may hold one up.
pub(crate) fn assert_five_a_second(noted: &Receiver<Instant>, count: usize) {
    let mut times: Vec<Instant> = noted.try_iter().collect();
    times.sort();
    assert_eq!(times.len(), count);
    for (first, sixth) in times.iter().zip(&times[5..]) {
        let apart = *sixth - *first;
        assert!(apart >= Duration::from_millis(600), "{apart:?}");
    }
}

#[test]
fn fifty_clients_at_a_restart_log_in_at_the_pace_that_is_allowed_and_none_hears_that_its_password_is_wrong()
 {
    let (peer, noted) = noting_log_ins();
    let peer = peer.start();
    let bridge = config(&peer, "logins_per_second = 5").start();
    let began = Instant::now();
    let refused: usize = std::thread::scope(|scope| {
        let clients = (0..50).map(|n| {
            let bridge = &bridge;
            scope.spawn(move || log_in_at_last(bridge, &format!("user{n}@example.com")))
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert!(began.elapsed() >= Duration::from_millis(49 * 200));
    assert!(
        refused > 0,
        "the last ones would have waited for ten seconds"
    );
    assert_five_a_second(&noted, 50);
    let waits = |outcome: &str| {
        let labels = ["what=\"login\"", outcome];
        bridge.metric("popbridge_upstream_waits_total", &labels) as usize
    };
    assert_eq!(waits("outcome=\"refused\""), refused);
    assert!((40..50).contains(&waits("outcome=\"had\"")));
    // Who comes back finds its connection, and has nothing to wait for.
    let heard = peer.commands("AUTHENTICATE").len();
    assert_eq!(log_in_at_last(&bridge, "user7@example.com"), 0);
    assert_eq!(peer.commands("AUTHENTICATE").len(), heard);
}

/// A peer that holds back each message until there is a word.
pub(crate) fn holding_back(count: usize) -> (Peer, Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let peer = Peer::with_mail(count).on("UID FETCH 1", move |_, cmd| {
        if cmd.has("BODY.PEEK[]") {
            // An error is the end of the test.
            let _ = released.lock().expect("the word").recv();
        }
        Flow::Default
    });
    (peer, release)
}

#[test]
fn connections_that_are_only_kept_make_room_where_a_host_has_as_many_as_it_may() {
    let (peer, release) = holding_back(1);
    let peer = peer.start();
    let bridge = config(&peer, "host_connections = 2").start();
    let open = || bridge.metric("popbridge_upstream_connections", &[]);
    for n in 0..6 {
        assert_eq!(log_in_at_last(&bridge, &format!("user{n}@example.com")), 0);
        assert!(open() <= 2.0);
    }
    // Two are in use: nobody else gets in for as long as it is patient.
    let mut reading: Vec<Pop3> = (0..2)
        .map(|n| {
            let mut pop3 = bridge.pop3_as(&format!("reader{n}@example.com"));
            pop3.send("RETR 1");
            peer.wait_for("UID FETCH 1", n + 1);
            pop3
        })
        .collect();
    let mut other = bridge.pop3();
    other.ok(&format!("USER {USER}"));
    assert_eq!(
        other.err(&format!("PASS {PASSWORD}")).code(),
        Some("SYS/TEMP")
    );
    assert!(open() <= 2.0);
    drop(release);
    for pop3 in &mut reading {
        pop3.expect_ok();
        pop3.body();
    }
    log_in_at_last(&bridge, USER);
    assert!(open() <= 2.0);
}

#[test]
fn two_upstreams_that_are_one_server_make_room_for_each_other() {
    let peer = Peer::with_mail(1).start();
    let url = peer.plain_url();
    let other = format!(
        "host_connections = 1\n\
         [upstream.y]\nurl = \"{url}\"\ndomains = [\"example.org\"]\nhost_connections = 1"
    );
    let bridge = config(&peer, &other).start();
    for user in ["ann@example.com", "bob@example.org", "ann@example.com"] {
        assert_eq!(log_in_at_last(&bridge, user), 0, "{user}");
        assert!(bridge.metric("popbridge_upstream_connections", &[]) <= 1.0);
    }
}

#[test]
fn a_mailbox_has_as_many_connections_as_it_may_however_its_name_is_written() {
    let peer = Peer::with_mail(1).start();
    let bridge = config(&peer, "connections = 1").start();
    for user in ["ann@example.com", "Ann@Example.com", "ANN@example.com"] {
        assert_eq!(log_in_at_last(&bridge, user), 0, "{user}");
        assert!(bridge.metric("popbridge_upstream_connections", &[]) <= 1.0);
    }
}

#[test]
fn who_waits_for_a_connection_ends_one_that_is_kept_and_waits_for_its_end() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let peer = Peer::with_mail(1).on("LOGOUT", move |_, _| {
        // An error is the end of the test.
        let _ = released.lock().expect("the word").recv();
        Flow::Default
    });
    let peer = peer.start();
    let bridge = config(&peer, "host_connections = 3").start();
    for n in 0..3 {
        assert_eq!(log_in_at_last(&bridge, &format!("user{n}@example.com")), 0);
    }
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    pop3.send(&format!("PASS {PASSWORD}"));
    // The answer to LOGOUT does not come; it is tried again and again until patience with it is over.
    pop3.expect_ok();
    assert_eq!(peer.commands("LOGOUT").len(), 1);
    // The one that is on its way out is one of them.
    assert!(bridge.metric("popbridge_upstream_connections", &[]) <= 3.0);
    drop(release);
    pop3.quit();
}

#[test]
fn an_authorization_server_that_takes_its_time_keeps_no_place_and_no_turn_from_others() {
    let peer = Peer::with_mail(1).start();
    let server = OAuthServer::start();
    let folder = tempfile::tempdir().unwrap();
    let oauth = server.service_account_table("idp", folder.path());
    server.fail(Failure::Slow(Duration::from_secs(30)));
    let account = "[account.info]\nlogin = \"info@example.com\"\noauth = \"idp\"";
    let keys = format!("host_connections = 1\nlogins_per_second = 1\n{oauth}{account}");
    let bridge = config(&peer, &keys).start();
    // The account is looked after from the start on.
    eventually("a token is asked for", || !server.asked().is_empty());
    assert_eq!(log_in_at_last(&bridge, USER), 0);
    let turns = ["what=\"login\"", "outcome=\"had\""];
    let waited = bridge.metric("popbridge_upstream_waits_total", &turns);
    assert_eq!(waited, 0.0, "the first turn was still to be had");
}
