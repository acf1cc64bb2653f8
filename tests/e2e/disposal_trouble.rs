//! Removals that the upstream refuses or breaks off: QUIT says `+OK`, because the deletion is written down. The client does not see the
//! messages again; they stay upstream until a later session of the account gives the next attempt its chance, and are removed once. What was
//! merely lost on the way is tried at once on a new connection. And the real server, with and without what makes removing safe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::many::{Many, One, Row, an_hour_passes, in_a_hurry};
use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::mail::ordinary_mail;
use crate::support::pop3::Status;
use crate::support::process::eventually;

fn delete_two(one: &One<'_>) -> Status {
    let mut pop3 = one.log_in();
    pop3.ok("DELE 2");
    pop3.ok("DELE 4");
    let status = pop3.command("QUIT");
    pop3.expect_end();
    status
}

/// A session of the client and what it sets going upstream, to its end; gives the number of messages.
fn later_session(one: &One<'_>) -> u64 {
    let mut pop3 = one.log_in();
    let (count, _) = pop3.stat();
    pop3.quit();
    eventually("the upstream's connection is closed", || {
        one.bridge.metric("popbridge_upstream_connections", &[]) == 0.0
    });
    count
}

/// Two messages were deleted and the upstream has not let them go: they are hidden from the client, and all that was touched is `step`.
fn assert_hidden(one: &One<'_>, status: &Status, step: &str) {
    assert!(status.ok, "{}: {}", one.name, status.text);
    assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5], "{}", one.name);
    // Nothing comes after the step that failed.
    let heard = one.peer.heard();
    let last = heard.lines().rfind(|line| !line.ends_with("LOGOUT"));
    assert!(
        last.is_some_and(|line| line.contains(step)),
        "{step}: {last:?}"
    );
    assert_eq!(later_session(one), 3, "{}", one.name);
    assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5], "{}", one.name);
}

/// The upstream does as it is told by now: what was deleted is removed when the pause is over, and then no more is done.
fn assert_removed_later(one: &One<'_>) {
    let changes = || one.peer.commands("UID").len();
    let before = changes();
    assert_eq!(later_session(one), 3, "{}", one.name);
    assert_eq!(changes(), before, "{}: in the pause", one.name);
    an_hour_passes(one.bridge);
    assert_eq!(later_session(one), 3, "{}", one.name);
    assert_eq!(one.peer.mailbox().uids(), [1, 3, 5], "{}", one.name);
    an_hour_passes(one.bridge);
    let removed = one.peer.heard().matches("SELECT").count();
    assert_eq!(later_session(one), 3, "{}", one.name);
    let again = one.peer.heard().matches("SELECT").count();
    assert_eq!(again, removed, "{}: done is done", one.name);
}

fn with(capability: &str) -> Peer {
    Peer::with_mail(5)
        .capability(&format!("IMAP4rev1 AUTH=PLAIN {capability}"))
        .reply("UID COPY", "{tag} OK done")
}

/// Whether the peers of a table do what they are asked.
#[derive(Clone, Default)]
struct Mended(Arc<AtomicBool>);

impl Mended {
    fn set(&self, mended: bool) {
        self.0.store(mended, Ordering::Relaxed);
    }

    /// Until it is mended, the peer gives this answer to this command; an empty one is the end of the connection.
    fn broken(&self, peer: Peer, words: &str, answer: &str) -> Peer {
        let (mended, answer) = (self.clone(), answer.to_owned());
        peer.on(words, move |conn, cmd| {
            if mended.0.load(Ordering::Relaxed) {
                return Flow::Default;
            }
            if answer.is_empty() {
                conn.close();
                return Flow::End;
            }
            conn.answer(cmd, &answer);
            Flow::Done
        })
    }
}

/// The first connection ends at this command, before it is carried out; later ones are decent.
fn lost_once(peer: Peer, words: &str) -> Peer {
    peer.on(words, move |conn, _| {
        if conn.number > 0 {
            return Flow::Default;
        }
        conn.close();
        Flow::End
    })
}

#[test]
fn what_is_refused_at_any_step_is_hidden_and_removed_once_later_on() {
    for (keys, capability, steps) in [
        ("", "UIDPLUS", &["SELECT", "UID STORE", "UID EXPUNGE"][..]),
        (
            "dispose = \"trash\"",
            "MOVE",
            &["LIST", "SELECT", "UID MOVE"],
        ),
        (
            "dispose = \"trash\"",
            "UIDPLUS",
            &["LIST", "SELECT", "UID COPY", "UID STORE", "UID EXPUNGE"],
        ),
        (
            "expunge_without_uidplus = true",
            "",
            &["UID STORE", "EXPUNGE"],
        ),
    ] {
        let answers = [
            "{tag} NO no",
            "{tag} NO [INUSE] x",
            "{tag} BAD what?",
            "* BYE x",
            "Z9 OK done",
        ];
        let mended = Mended::default();
        let rows: Vec<Row> = steps
            .iter()
            .flat_map(|step| {
                answers.map(|answer| (*step, mended.broken(with(capability), step, answer)))
            })
            .collect();
        Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
            mended.set(false);
            let status = delete_two(&one);
            assert_hidden(&one, &status, one.name);
            mended.set(true);
            assert_removed_later(&one);
            if capability == "MOVE" {
                let trash = one.peer.mailbox().lock().trash.len();
                assert_eq!(trash, 2, "{}: each once", one.name);
            }
        });
    }
}

#[test]
fn what_is_lost_twice_at_any_step_is_hidden_and_removed_once_later_on() {
    let mended = Mended::default();
    let steps = ["SELECT", "UID STORE", "UID EXPUNGE"];
    let rows: Vec<Row> = steps
        .iter()
        .map(|step| (*step, mended.broken(with("UIDPLUS"), step, "")))
        .collect();
    Many::start(rows).each(|one| {
        mended.set(false);
        let status = delete_two(&one);
        assert_eq!(one.peer.connections(), 2, "{}", one.name);
        assert_hidden(&one, &status, one.name);
        mended.set(true);
        assert_removed_later(&one);
    });
}

#[test]
fn a_connection_lost_at_any_step_once_is_replaced() {
    for (keys, capability, steps) in [
        ("", "UIDPLUS", &["SELECT", "UID STORE", "UID EXPUNGE"][..]),
        (
            "dispose = \"trash\"",
            "MOVE",
            &["LIST", "SELECT", "UID MOVE"],
        ),
        (
            "expunge_without_uidplus = true",
            "",
            &["UID STORE", "EXPUNGE"],
        ),
    ] {
        let rows: Vec<Row> = steps
            .iter()
            .map(|step| (*step, lost_once(with(capability), step)))
            .collect();
        Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
            let status = delete_two(&one);
            assert!(status.ok, "{}: {}", one.name, status.text);
            assert_eq!(one.peer.mailbox().uids(), [1, 3, 5], "{}", one.name);
            assert_eq!(one.peer.connections(), 2, "{}", one.name);
        });
    }
}

#[test]
fn a_connection_lost_behind_a_copy_makes_no_second_copy_at_once() {
    let rows = [("copied", lost_once(with("UIDPLUS"), "UID STORE"))];
    Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"").each(|one| {
        let status = delete_two(&one);
        assert_hidden(&one, &status, "UID STORE");
        assert_eq!(one.peer.commands("UID COPY").len(), 1);
        // Nobody can tell later whether there is a copy: rather two in the trash than none.
        assert_removed_later(&one);
        assert_eq!(one.peer.commands("UID COPY").len(), 2);
    });
}

#[test]
fn an_answer_lost_behind_the_deed_is_no_harm() {
    // The first connection ends when the messages are gone and before it is said.
    let (open, gate) = channel();
    let gate = Mutex::new(gate);
    let peer = with("UIDPLUS").on("UID EXPUNGE", move |conn, _| {
        let _ = gate.lock().expect("gate").recv();
        conn.raw("* 2 EXPUNGE\r\n* 3 EXP");
        conn.close();
        Flow::End
    });
    Many::start([("lost behind the deed", peer)]).each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("DELE 2");
        pop3.ok("DELE 4");
        pop3.send("QUIT");
        one.peer.wait_for("UID EXPUNGE", 1);
        let deleted = |uid: u32| [2, 4].contains(&uid);
        let mut inner = one.peer.mailbox().lock();
        inner.mail.retain(|mail| !deleted(mail.uid));
        drop(inner);
        open.send(()).expect("the peer");
        pop3.expect_ok();
        pop3.expect_end();
        assert_eq!(later_session(&one), 3);
        assert_eq!(one.peer.commands("UID EXPUNGE"), ["UID EXPUNGE 2,4"]);
        let failed = |line: &String| line.contains("it will be tried again");
        assert!(!one.bridge.log().iter().any(failed));
    });
}

#[test]
fn another_folder_behind_a_lost_connection_is_not_touched() {
    let peer = lost_once(with("UIDPLUS"), "UID STORE").on("SELECT", |conn, cmd| {
        if conn.number == 0 {
            return Flow::Default;
        }
        conn.answer(
            cmd,
            "* 5 EXISTS\n* OK [UIDVALIDITY 2] x\n{tag} OK [READ-WRITE] done",
        );
        Flow::Done
    });
    Many::start([("another folder", peer)]).each(|one| {
        let status = delete_two(&one);
        assert_hidden(&one, &status, "SELECT");
        an_hour_passes(one.bridge);
        assert_eq!(later_session(&one), 3);
        assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5]);
        assert_eq!(one.peer.commands("UID STORE").len(), 1);
        assert_eq!(one.peer.commands("UID EXPUNGE").len(), 0);
    });
}

#[test]
fn an_unusual_upstream_removes_all_the_same() {
    let noise = "* OK [ALERT]\u{fc}\r\n* NAMESPACE NIL NIL NIL\r\n* 1 FETCH (FLAGS (\u{fc}))\r\n* VANISHED 77\r\n* X-NEW {3}\r\nabc\r\n";
    let mut peer = with("UIDPLUS");
    for words in ["SELECT", "UID STORE", "UID EXPUNGE"] {
        peer = peer.on(words, move |conn, _| {
            conn.raw(noise);
            Flow::Default
        });
    }
    Many::start([("noise", peer)]).each(|one| {
        assert!(delete_two(&one).ok);
        assert_eq!(one.peer.mailbox().uids(), [1, 3, 5]);
    });
}

/// Five messages in a real server, of which a POP3 client deletes two while another program has marked a third.
struct Real {
    dovecot: Dovecot,
    bridge: Bridge,
}

impl Real {
    fn start(dovecot: Dovecot, keys: &str) -> Self {
        dovecot.maildir("ann").fill(&ordinary_mail(5));
        let (start, url) = (in_a_hurry(&dovecot.certs), dovecot.plain_url());
        let config = format!("{start}[upstream.x]\nurl = \"{url}\"\n{keys}\n");
        let bridge = Options::config(&config).start();
        let mut other = Imap::log_in(dovecot.imap_port, "ann", PASSWORD);
        other.command("SELECT INBOX");
        other.command("UID STORE 3 +FLAGS.SILENT (\\Deleted)");
        other.command("LOGOUT");
        Self { dovecot, bridge }
    }

    fn delete_two(&self) -> Status {
        let mut pop3 = self.bridge.pop3_as("ann");
        pop3.ok("DELE 2");
        pop3.ok("DELE 4");
        pop3.command("QUIT")
    }

    /// UIDs of a folder, and those of them that are marked `\Deleted`.
    fn uids(&self, folder: &str) -> (Vec<u32>, Vec<u32>) {
        let mail = Imap::log_in(self.dovecot.imap_port, "ann", PASSWORD).fetch_all(folder);
        let marked = mail.iter().filter(|m| m.flags.contains("\\Deleted"));
        (
            mail.iter().map(|m| m.uid).collect(),
            marked.map(|m| m.uid).collect(),
        )
    }
}

#[test]
fn a_real_server_loses_just_what_was_deleted() {
    let real = Real::start(Dovecot::start(), "");
    assert!(real.delete_two().ok);
    assert_eq!(real.uids("INBOX"), (vec![1, 3, 5], vec![3]));
    assert_eq!(real.uids("Trash"), (vec![], vec![]));
}

#[test]
fn a_real_server_moves_to_its_trash() {
    for capability in [
        "IMAP4rev1 MOVE SPECIAL-USE",
        "IMAP4rev1 MOVE SPECIAL-USE LIST-EXTENDED",
        "IMAP4rev1 UIDPLUS SPECIAL-USE",
    ] {
        let dovecot = Dovecot::options().capability(capability).start();
        let real = Real::start(dovecot, "dispose = \"trash\"");
        assert!(real.delete_two().ok, "{capability}");
        assert_eq!(real.uids("INBOX"), (vec![1, 3, 5], vec![3]), "{capability}");
        assert_eq!(real.uids("Trash").0, [1, 2], "{capability}");
    }
}

#[test]
fn a_real_server_moves_to_a_folder_with_an_umlaut() {
    let real = Real::start(
        Dovecot::start(),
        "dispose = \"trash\"\ntrash = \"Gel\u{f6}scht & weg\"",
    );
    assert_eq!(real.delete_two().code(), Some("SYS/PERM"));
    assert_eq!(real.uids("INBOX").0, [1, 2, 3, 4, 5]);
    let mut other = Imap::log_in(real.dovecot.imap_port, "ann", PASSWORD);
    other.command("CREATE \"Gel&APY-scht &- weg\"");
    assert!(real.delete_two().ok);
    assert_eq!(real.uids("INBOX"), (vec![1, 3, 5], vec![3]));
    assert_eq!(real.uids("\"Gel&APY-scht &- weg\"").0, [1, 2]);
}

#[test]
fn an_old_real_server_is_not_touched_unless_the_risk_is_accepted() {
    let old = || Dovecot::options().plain_imap4rev1().start();
    let real = Real::start(old(), "");
    assert_eq!(real.delete_two().code(), Some("SYS/PERM"));
    assert_eq!(real.uids("INBOX"), (vec![1, 2, 3, 4, 5], vec![3]));
    let real = Real::start(old(), "expunge_without_uidplus = true");
    assert!(real.delete_two().ok);
    // This is the risk: what another program had only marked is gone as well.
    assert_eq!(real.uids("INBOX").0, [1, 5]);
}
