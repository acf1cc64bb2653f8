//! Connections to the upstream are kept from one session to the next: who may use them, how many there are, and what a poll costs then.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::Dovecot;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::{large, ordinary};
use crate::support::office::Office;
use crate::support::process::eventually;

fn before(peer: &RunningPeer, limits: &str, keys: &str) -> Bridge {
    let url = peer.plain_url();
    let config = format!(
        "[limits]\nauth_failure_delay = \"0s\"\n{limits}\n[upstream.x]\nurl = \"{url}\"\n{keys}\n"
    );
    Options::config(&config).start()
}

/// A session that looks what there is; gives the number of messages.
fn poll(bridge: &Bridge, user: &str) -> u64 {
    let mut pop3 = bridge.pop3().log_in(user, PASSWORD);
    let (count, _) = pop3.stat();
    pop3.quit();
    count
}

fn refused(bridge: &Bridge, password: &str) {
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    assert_eq!(pop3.err(&format!("PASS {password}")).code(), Some("AUTH"));
}

/// The peer looks at passwords in LOGIN only.
fn with_passwords(count: usize) -> Peer {
    Peer::with_mail(count).capability("IMAP4rev1 UIDPLUS")
}

#[test]
fn a_poll_without_news_asks_the_upstream_one_thing() {
    let peer = Peer::with_mail(3).start();
    let bridge = before(&peer, "", "");
    assert_eq!(poll(&bridge, USER), 3);
    let before = peer.heard();
    for _ in 0..3 {
        assert_eq!(poll(&bridge, USER), 3);
    }
    let since = peer.heard()[before.len()..].to_owned();
    let asked: Vec<&str> = since
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1))
        .collect();
    assert_eq!(asked, ["NOOP"; 3]);
    assert_eq!(peer.connections(), 1);
}

/// The threads that work on the state of the bridge, each with how often it has had something to do.
fn state_threads(bridge: &Bridge) -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", bridge.pid())).expect("threads");
    let tasks = tasks.flatten().filter_map(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let is_of_state = value("Name:")?.starts_with("sqlx-sqlite");
        let slept = value("voluntary_ctxt_switches:")?;
        let name = task.file_name().into_string().ok()?;
        is_of_state.then_some((name, slept))
    });
    tasks.collect()
}

/// Waits until five of these polls in a row read nothing from the state: only the thread that writes has something to do, which is asked
/// whether somebody else has written. One that is asked too late on a busy machine is not believed, and all is read.
fn assert_reads_nothing(bridge: &Bridge, poll: impl Fn()) {
    eventually("polls that read nothing", || {
        poll();
        let before = state_threads(bridge);
        (0..5).for_each(|_| poll());
        let after = state_threads(bridge);
        let worked = after
            .iter()
            .filter(|(thread, slept)| before.get(*thread) != Some(*slept));
        assert!(after.len() > 1, "none that reads: {after:?}");
        worked.count() <= 1
    });
}

#[test]
fn a_poll_without_news_reads_nothing_from_the_state() {
    let peer = Peer::with_mail(3).start();
    let bridge = before(&peer, "", "client_separator = \"/\"");
    let other = format!("{USER}/desk");
    for user in [USER, &other] {
        assert_reads_nothing(&bridge, || assert_eq!(poll(&bridge, user), 3));
    }
    // A client with a password of its own.
    let office = Office::start();
    office.deliver(1..=2);
    office.add("desk", &["view=undelivered"]);
    assert_reads_nothing(office.bridge(), || {
        let mut pop3 = office.client("desk");
        assert_eq!(pop3.stat().0, 2);
        pop3.quit();
    });
}

#[test]
fn what_arrives_or_goes_between_two_polls_is_seen() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir("ann");
    let bridge = Bridge::before(&dovecot.plain_url());
    let subjects = || {
        let mut pop3 = bridge.pop3_as("ann");
        let count = usize::try_from(pop3.stat().0).expect("a count");
        let each = (1..=count).map(|n| crate::support::office::number_of(&pop3.retr(n)));
        each.collect::<Vec<_>>()
    };
    let mut files = Vec::new();
    for n in 1..=4 {
        files.push(mail.deliver(&ordinary(n).raw));
        assert_eq!(subjects(), (1..=n).collect::<Vec<_>>());
    }
    let mut phone = crate::support::imap::Imap::log_in(
        dovecot.imap_port,
        "ann",
        crate::support::dovecot::PASSWORD,
    );
    phone.command("SELECT INBOX");
    phone.command("UID STORE 2 +FLAGS (\\Deleted)");
    phone.command("UID EXPUNGE 2");
    assert_eq!(subjects(), [1, 3, 4]);
    // One goes and another comes: there are as many as before.
    phone.command("UID STORE 4 +FLAGS (\\Deleted)");
    phone.command("UID EXPUNGE 4");
    mail.deliver(&ordinary(5).raw);
    assert_eq!(subjects(), [1, 3, 5]);
    assert_eq!(
        bridge.metric("popbridge_upstream_connects_total", &["outcome=\"ok\""]),
        1.0
    );
}

#[test]
fn a_kept_connection_lets_nobody_in_with_another_password() {
    let peer = with_passwords(3).start();
    let bridge = before(&peer, "", "");
    assert_eq!(poll(&bridge, USER), 3);
    refused(&bridge, "wrong");
    assert_eq!(peer.connections(), 2, "the upstream was asked");
    refused(&bridge, "wrong");
    assert_eq!(peer.connections(), 2, "and is not asked the same again");
    refused(&bridge, "wrong, too");
    assert_eq!(peer.connections(), 3);
    assert_eq!(poll(&bridge, USER), 3);
    assert_eq!(peer.connections(), 3, "the right one is known still");
}

#[test]
fn without_trust_the_upstream_is_asked_for_each_log_in() {
    let peer = with_passwords(3).start();
    let bridge = before(&peer, "password_trust = \"0s\"", "");
    for n in 1..=3 {
        assert_eq!(poll(&bridge, USER), 3);
        assert_eq!(peer.commands("LOGIN").len(), n);
    }
}

#[test]
fn a_kept_connection_that_was_lost_meanwhile_is_replaced() {
    // Each connection ends when its first session is over, some with a word and some without.
    let peer = Peer::with_mail(3).on("NOOP", |conn, _| {
        if conn.number % 2 == 0 {
            conn.line("* BYE idle for too long");
        }
        conn.close();
        Flow::End
    });
    let peer = peer.start();
    let bridge = before(&peer, "", "");
    for n in 1..=4 {
        assert_eq!(poll(&bridge, USER), 3);
        assert_eq!(peer.connections(), n);
    }
}

#[test]
fn no_more_connections_are_open_than_is_allowed_and_a_slow_reader_keeps_nobody_from_his_list() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir("ann");
    mail.deliver(&large(16 << 20).raw);
    mail.deliver(&ordinary(2).raw);
    let config = format!(
        "[upstream.x]\nurl = \"{}\"\nconnections = 2\n",
        dovecot.plain_url()
    );
    let bridge = Options::config(&config).start();
    // It asks for a message and reads nothing of it.
    let mut slow = bridge.pop3_as("ann/slow");
    slow.stat();
    slow.send("RETR 1");
    let open = || bridge.metric("popbridge_upstream_connections", &[]);
    eventually("the body is on its way", || {
        bridge.metric(
            "popbridge_upstream_bytes_total",
            &["direction=\"received\""],
        ) > 100_000.0
    });
    for n in 1..=8 {
        let mut other = bridge.pop3_as(&format!("ann/other{n}"));
        assert_eq!(other.stat().0, 2);
        assert!(open() <= 2.0);
        other.quit();
    }
    // Who wants a message waits until the slow one is gone.
    let mut other = bridge.pop3_as("ann/other");
    assert_eq!(other.stat().0, 2);
    other.send("RETR 2");
    drop(slow);
    other.expect_ok();
    assert!(!other.body().is_empty());
    assert!(open() <= 2.0);
}

#[test]
fn a_log_in_that_hangs_at_the_upstream_does_not_keep_others_out() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let peer = with_passwords(3).on("LOGIN", move |conn, _| {
        if conn.number == 0 {
            // An error is the end of the test.
            let _ = released.lock().expect("the word").recv();
        }
        Flow::Default
    });
    let peer = peer.start();
    let bridge = before(&peer, "", "connections = 1");
    let mut first = bridge.pop3();
    first.ok(&format!("USER {USER}"));
    first.send(&format!("PASS {PASSWORD}"));
    peer.wait_for("LOGIN", 1);
    assert_eq!(poll(&bridge, USER), 3);
    assert_eq!(peer.commands("LOGIN").len(), 2);
    release.send(()).expect("the peer waits");
    first.expect_ok();
    assert_eq!(first.stat().0, 3);
    first.quit();
}

#[test]
fn kept_connections_are_closed_in_order_when_the_bridge_ends() {
    let peer = Peer::with_mail(3).start();
    let bridge = before(&peer, "", "");
    assert_eq!(poll(&bridge, USER), 3);
    assert_eq!(peer.commands("LOGOUT").len(), 0);
    assert!(bridge.stop().success());
    assert_eq!(peer.commands("LOGOUT").len(), 1);
}

#[test]
fn a_connection_that_nobody_uses_is_closed_in_the_end() {
    let peer = Peer::with_mail(3).start();
    let bridge = before(&peer, "upstream_idle = \"1s\"", "");
    assert_eq!(poll(&bridge, USER), 3);
    peer.wait_for("LOGOUT", 1);
    eventually("it is gone", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    assert_eq!(poll(&bridge, USER), 3);
    assert_eq!(peer.connections(), 2);
}
