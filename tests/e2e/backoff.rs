//! Upstreams that ask to be left alone: they are, for as long as they say; programs are told at once, and see what is known where that is
//! still true.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::hostile_login::answered;
use crate::many::{bridged, in_a_hurry, quit};
use crate::support::bridge::{Bridge, Options, field};
use crate::support::fake_folders::Folders;
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::{on_the_wire, ordinary};
use crate::support::peer_office::PeerOffice;
use crate::support::pop3::Status;
use crate::support::process::eventually;

/// A mailbox of three messages whose upstream answers by this line, as long as it is told to.
fn moody(line: &'static str) -> (Peer, Arc<AtomicBool>) {
    made_moody(Peer::with_mail(3), line)
}

fn made_moody(mut peer: Peer, line: &'static str) -> (Peer, Arc<AtomicBool>) {
    let moody = Arc::new(AtomicBool::new(false));
    for words in ["NOOP", "EXAMINE", "UID FETCH", "SELECT"] {
        let moody = Arc::clone(&moody);
        peer = peer.on(words, move |conn, cmd| {
            if !moody.load(Ordering::SeqCst) {
                return Flow::Default;
            }
            conn.answer(cmd, &format!("{{tag}} {line}"));
            Flow::Done
        });
    }
    (peer, moody)
}

const FOR_5_SECONDS: &str = "NO Request is throttled. Suggested Backoff Time: 5000 milliseconds";
const FOR_2_SECONDS: &str = "NO Request is throttled. Suggested Backoff Time: 2000 milliseconds";
const FOR_A_MINUTE: &str = "BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds";

const BEGINS: &str = "the upstream is left alone for a while";
const ENDS: &str = "the upstream may be asked again";

/// The log may come a little after the answer.
fn says_that_it_begins(bridge: &Bridge) {
    bridge.wait_for_line("it is said", |line| line.contains(BEGINS));
}

/// The answer to PASS.
fn pass(bridge: &Bridge, user: &str, password: &str) -> Status {
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {user}"));
    pop3.command(&format!("PASS {password}"))
}

/// A bridge that keeps connections from one session to the next.
fn keeping(peer: &RunningPeer) -> Bridge {
    let start = in_a_hurry(&peer.certs).replace("upstream_idle = \"0s\"\n", "");
    let url = peer.plain_url();
    Options::config(&format!("{start}[upstream.x]\nurl = \"{url}\"\n")).start()
}

#[test]
fn while_it_lasts_nothing_is_asked_and_what_is_known_is_shown() {
    let (peer, moody) = moody(FOR_5_SECONDS);
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "");
    office.add("desk1", &[]);
    let mut pop3 = office.client("desk1");
    assert_eq!(pop3.stat().0, 3);
    pop3.retr(1);
    pop3.quit();

    moody.store(true, Ordering::SeqCst);
    let mut pop3 = office.client("desk1");
    // What the upstream has confirmed a moment ago.
    assert_eq!(pop3.stat().0, 3);
    let asked = peer.heard().lines().count();
    assert_eq!(pop3.retr(1), on_the_wire(&ordinary(1).raw), "from memory");
    let status = pop3.err("RETR 2");
    assert_eq!(status.code(), Some("SYS/TEMP"), "{}", status.text);
    assert!(status.text.contains("left alone for"), "{}", status.text);
    // QUIT is as durable as ever; what it is to do upstream is done later.
    pop3.ok("DELE 3");
    pop3.quit();
    let mut again = office.client("desk1");
    assert_eq!(again.stat().0, 2);
    again.quit();
    assert_eq!(peer.heard().lines().count(), asked, "{}", peer.heard());
    let held = ["upstream=\"mail\""];
    assert_eq!(
        office
            .bridge
            .metric("popbridge_upstream_backing_off", &held),
        1.0
    );
    let document = office.bridge.status_document();
    let left = &document["upstreams"][0]["left_alone"][0];
    assert_eq!(left["keeps_connections"], false, "{document}");
    let words = document["attention"].to_string();
    assert!(words.contains("mail is left alone for"), "{words}");

    moody.store(false, Ordering::SeqCst);
    office
        .bridge
        .wait_for_log("the end", |line| field(line, "message") == ENDS);
    let mut pop3 = office.client("desk1");
    assert_eq!(pop3.retr(2), on_the_wire(&ordinary(2).raw));
    pop3.quit();
    assert_eq!(
        (office.bridge.said(BEGINS), office.bridge.said(ENDS)),
        (1, 1)
    );
}

#[test]
fn a_list_that_was_confirmed_more_than_a_minute_ago_is_not_shown() {
    let (peer, moody) = moody(FOR_A_MINUTE);
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "");
    office.add("desk1", &[]);
    assert_eq!(office.client("desk1").stat().0, 3);
    moody.store(true, Ordering::SeqCst);
    assert_eq!(office.client("desk1").stat().0, 3);
    // As after a nap of the machine, in which other clocks stood still.
    office.ahead(61);
    let status = office.client("desk1").err("STAT");
    assert_eq!(status.code(), Some("SYS/TEMP"), "{}", status.text);
    assert!(status.text.contains("left alone for"), "{}", status.text);
    // What was shown meanwhile was not confirmed once more.
    says_that_it_begins(&office.bridge);
    assert_eq!(office.bridge.said(BEGINS), 1);
}

#[test]
fn a_password_that_is_trusted_lets_in_and_another_one_is_not_called_wrong() {
    let (peer, moody) = moody(FOR_A_MINUTE);
    let peer = peer.start();
    let bridge = keeping(&peer);
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(pop3.stat().0, 3);
    pop3.quit();
    moody.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
        assert_eq!(pop3.stat().0, 3);
        pop3.quit();
    }
    let status = pass(&bridge, USER, "another one");
    assert_eq!(status.code(), Some("LOGIN-DELAY"), "{}", status.text);
    assert!(status.text.contains("seconds"), "{}", status.text);
    assert_eq!(peer.connections(), 1);
    assert_eq!(
        bridge.metric("popbridge_logins_total", &["outcome=\"rejected\""]),
        0.0
    );
}

#[test]
fn log_ins_are_put_off_without_asking_after_the_first() {
    for (line, code) in [
        (
            "{tag} NO [UNAVAILABLE] Temporary authentication failure",
            "SYS/TEMP",
        ),
        (
            "{tag} NO [OVERQUOTA] Account exceeded command or bandwidth limits",
            "SYS/TEMP",
        ),
        (
            "{tag} NO [ALERT] Too many simultaneous connections. (Failure)",
            "LOGIN-DELAY",
        ),
        ("{tag} NO [THROTTLED] x", "LOGIN-DELAY"),
        ("{tag} NO [LIMIT] LOGIN Rate limit hit", "LOGIN-DELAY"),
    ] {
        let (peer, bridge) = bridged(answered(line));
        assert_eq!(
            pass(&bridge, USER, PASSWORD).code(),
            Some("SYS/TEMP"),
            "{line}"
        );
        for password in [PASSWORD, "wrong"] {
            let status = pass(&bridge, USER, password);
            assert_eq!(status.code(), Some(code), "{line}: {}", status.text);
        }
        says_that_it_begins(&bridge);
        assert_eq!((peer.connections(), bridge.said(BEGINS)), (1, 1), "{line}");
        // Others may be let in.
        pass(&bridge, "somebody@example.com", PASSWORD);
        assert_eq!(peer.connections(), 2, "{line}");
    }
}

#[test]
fn an_upstream_that_takes_no_connections_is_tried_for_nobody_else() {
    let (peer, bridge) =
        bridged(Peer::with_mail(1).greeting("* BYE Too many connections from your IP"));
    assert_eq!(pass(&bridge, USER, PASSWORD).code(), Some("SYS/TEMP"));
    let status = pass(&bridge, "somebody@example.com", PASSWORD);
    assert_eq!(status.code(), Some("LOGIN-DELAY"), "{}", status.text);
    assert_eq!(peer.connections(), 1);
    peer.assert_no_credentials_left();
}

#[test]
fn an_upstream_that_turns_connections_away_is_given_room_by_those_that_nobody_uses() {
    let peer = Peer::with_mail(1).script(|conn| {
        // As Courier counts them: by the address that they come from.
        if conn.number == 1 {
            conn.line("* BYE Maximum connection limit reached for your IP address");
            return None;
        }
        conn.line("* OK ready");
        while let Some(cmd) = conn.next() {
            if cmd.is("CAPABILITY") {
                conn.line("* CAPABILITY IMAP4rev1");
            }
            conn.ok(&cmd);
        }
        None
    });
    let peer = peer.start();
    let bridge = keeping(&peer);
    assert!(pass(&bridge, USER, PASSWORD).ok);
    eventually("the session is over", || {
        bridge.metric("popbridge_sessions", &[]) == 0.0
    });
    assert!(!pass(&bridge, "somebody@example.com", PASSWORD).ok);
    eventually("the other one goes", || {
        bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    bridge.wait_for_log("the end", |line| field(line, "message") == ENDS);
    assert!(pass(&bridge, "somebody@example.com", PASSWORD).ok);
}

#[test]
fn disposals_stop_at_the_first_word_of_it_and_are_done_as_soon_as_it_is_over() {
    let mailbox = Mailbox::ordinary(0);
    // Two portions and a rest.
    for _ in 0..1300 {
        mailbox.add(b"Subject: x\r\n\r\n");
    }
    let peer = Peer::with_mailbox(mailbox).on("UID EXPUNGE", {
        let asked = AtomicBool::new(false);
        move |conn, cmd| {
            if asked.swap(true, Ordering::SeqCst) {
                return Flow::Default;
            }
            conn.tagged(cmd, FOR_2_SECONDS);
            Flow::Done
        }
    });
    let (peer, bridge) = bridged(peer);
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    for n in 1..=pop3.stat().0 {
        pop3.ok(&format!("DELE {n}"));
    }
    quit(&bridge, pop3);
    assert_eq!(peer.commands("UID EXPUNGE").len(), 1);
    bridge.wait_for_log("the end", |line| field(line, "message") == ENDS);
    // Nothing rests because of it.
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(pop3.stat().0, 0);
    pop3.quit();
    eventually("all are gone", || peer.mailbox().uids().is_empty());
}

#[test]
fn a_refusal_of_one_message_keeps_nobody_from_the_others() {
    for line in [
        "NO [LIMIT] UID FETCH Rate limit hit.",
        "NO [UNAVAILABLE] UID FETCH Server error",
    ] {
        let peer = Peer::with_mail(3).on("UID FETCH 2", move |conn, cmd| {
            if !cmd.has("BODY") {
                return Flow::Default;
            }
            conn.tagged(cmd, line);
            Flow::Done
        });
        let (peer, bridge) = bridged(peer);
        let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
        assert_eq!(pop3.err("RETR 2").code(), Some("SYS/TEMP"), "{line}");
        for n in [3, 1] {
            assert_eq!(pop3.retr(n), on_the_wire(&ordinary(n).raw), "{line}");
        }
        pop3.quit();
        assert_eq!(bridge.said(BEGINS), 0, "{line}");
        drop(peer);
    }
}

/// Lets one connection in and says this to the log-ins of all others.
fn with_room_for_one(peer: Peer, line: &'static str) -> Peer {
    peer.on("AUTHENTICATE", move |conn, cmd| {
        if conn.number == 0 {
            return Flow::Default;
        }
        if conn.sasl_response(cmd).is_none() {
            return Flow::End;
        }
        conn.tagged(cmd, line);
        Flow::Done
    })
}

const CROWDED: &str = "NO [ALERT] Too many simultaneous connections. (Failure)";

#[test]
fn who_tries_passwords_at_an_upstream_that_has_enough_of_it_shuts_nobody_out() {
    for line in [
        CROWDED,
        "NO [LIMIT] LOGIN Rate limit hit",
        "NO [THROTTLED] x",
    ] {
        let peer = with_room_for_one(Peer::with_mail(3), line).start();
        let bridge = keeping(&peer);
        let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
        assert_eq!(pop3.stat().0, 3);
        for _ in 0..2 {
            assert!(!pass(&bridge, USER, "a guess").ok, "{line}");
        }
        says_that_it_begins(&bridge);
        assert_eq!((peer.connections(), bridge.said(BEGINS)), (2, 1), "{line}");
        assert_eq!(pop3.retr(1), on_the_wire(&ordinary(1).raw), "{line}");
        pop3.quit();
        let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
        assert_eq!(pop3.stat().0, 3, "{line}");
        assert_eq!(pop3.retr(2), on_the_wire(&ordinary(2).raw), "{line}");
        pop3.quit();
        assert_eq!(peer.connections(), 2, "{line}");
    }
}

#[test]
fn who_wants_a_connection_that_there_is_no_room_for_waits_for_one_that_is_in_use() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(Some(gone));
    let peer = with_room_for_one(Peer::with_mail(3), CROWDED).on("UID FETCH 1", move |_, cmd| {
        if cmd.has("BODY")
            && let Some(gone) = gone.lock().unwrap().take()
        {
            let _ = gone.recv();
        }
        Flow::Default
    });
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "");
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    let (mut desk1, mut desk2) = (office.client("desk1"), office.client("desk2"));
    assert_eq!((desk1.stat().0, desk2.stat().0), (3, 3));
    desk1.send("RETR 1");
    eventually("it is read", || peer.heard().contains("BODY.PEEK["));
    desk2.send("RETR 2");
    office
        .bridge
        .wait_for_log("no room", |line| field(line, "message") == BEGINS);
    go.send(()).unwrap();
    desk1.expect_ok();
    assert_eq!(desk1.body(), on_the_wire(&ordinary(1).raw));
    desk2.expect_ok();
    assert_eq!(desk2.body(), on_the_wire(&ordinary(2).raw));
    assert_eq!(peer.connections(), 2);
}

#[test]
fn what_arrived_meanwhile_is_held_when_it_is_over() {
    let folders = Folders::new(&[("INBOX", "")]);
    folders.of("INBOX").add(&ordinary(1).raw);
    let (arrives, arrived) = channel::<()>();
    let arrived = Mutex::new(Some(arrived));
    let capability = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS IDLE";
    let peer = folders.peer().capability(capability);
    let peer = peer.on("IDLE", move |conn, cmd| {
        conn.line("+ idling");
        if let Some(arrived) = arrived.lock().unwrap().take()
            && arrived.recv().is_ok()
        {
            conn.line("* 2 EXISTS");
        }
        if conn.read_line().is_none() {
            return Flow::End;
        }
        conn.ok(cmd);
        Flow::Done
    });
    let (peer, moody) = made_moody(peer, FOR_2_SECONDS);
    let peer = peer.start();
    let office = PeerOffice::start(&peer, "hold = \"popbridge\"");
    peer.wait_for("IDLE", 1);
    eventually("the first one is held", || {
        folders.of("popbridge").uids().len() == 1
    });

    moody.store(true, Ordering::SeqCst);
    folders.of("INBOX").add(&ordinary(2).raw);
    arrives.send(()).unwrap();
    office
        .bridge
        .wait_for_log("enough", |line| field(line, "message") == BEGINS);
    moody.store(false, Ordering::SeqCst);
    eventually("the second one is held", || {
        folders.of("popbridge").uids().len() == 2
    });
}
