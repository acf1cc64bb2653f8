//! Removals that the upstream refuses or breaks off: QUIT never says `+OK` to them, and what was lost on the way is tried once more on a
//! new connection. And the real server, with and without what makes removing safe.

use crate::many::{Many, One, Row, in_a_hurry};
use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::mail::ordinary_mail;
use crate::support::pop3::Status;

fn delete_two(one: &One<'_>) -> Status {
    let mut pop3 = one.log_in();
    pop3.ok("DELE 2");
    pop3.ok("DELE 4");
    let status = pop3.command("QUIT");
    pop3.expect_end();
    status
}

fn with(capability: &str) -> Peer {
    Peer::with_mail(5)
        .capability(&format!("IMAP4rev1 AUTH=PLAIN {capability}"))
        .reply("UID COPY", "{tag} OK done")
}

/// The connections from `from` on end at this command, before it is carried out; the earlier ones are decent.
fn lost(peer: Peer, words: &str, only: Option<usize>) -> Peer {
    peer.on(words, move |conn, _| {
        if only.is_some_and(|number| conn.number != number) {
            return Flow::Default;
        }
        conn.close();
        Flow::End
    })
}

#[test]
fn a_refusal_at_any_step_is_a_temporary_error() {
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
        let rows: Vec<Row> = steps
            .iter()
            .flat_map(|step| answers.map(|answer| (*step, with(capability).reply(step, answer))))
            .collect();
        Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
            let status = delete_two(&one);
            one.assert_refused(&status, Some("SYS/TEMP"));
            assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5], "{}", one.name);
            // Nothing comes after the step that failed.
            let heard = one.peer.heard();
            let last = heard.lines().rfind(|line| !line.ends_with("LOGOUT"));
            assert!(
                last.is_some_and(|line| line.contains(one.name)),
                "{}: {last:?}",
                one.name
            );
        });
    }
}

#[test]
fn a_connection_lost_at_any_step_twice_is_a_temporary_error() {
    let steps = ["SELECT", "UID STORE", "UID EXPUNGE"];
    let rows: Vec<Row> = steps
        .iter()
        .map(|step| (*step, lost(with("UIDPLUS"), step, None)))
        .collect();
    Many::start(rows).each(|one| {
        let status = delete_two(&one);
        one.assert_refused(&status, Some("SYS/TEMP"));
        assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5], "{}", one.name);
        assert_eq!(one.peer.connections(), 2, "{}", one.name);
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
            .map(|step| (*step, lost(with(capability), step, Some(0))))
            .collect();
        Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
            let status = delete_two(&one);
            assert!(status.ok, "{}: {}", one.name, status.text);
            assert_eq!(one.peer.mailbox().uids(), [1, 3, 5], "{}", one.name);
        });
    }
}

#[test]
fn a_connection_lost_behind_a_copy_makes_no_second_copy() {
    let rows = [("copied", lost(with("UIDPLUS"), "UID STORE", Some(0)))];
    Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"").each(|one| {
        let status = delete_two(&one);
        one.assert_refused(&status, Some("SYS/TEMP"));
        assert_eq!(one.peer.commands("UID COPY").len(), 1);
    });
}

#[test]
fn an_answer_lost_behind_the_deed_is_no_harm() {
    // The first connection ends when the messages are gone and before it is said.
    let peer = with("UIDPLUS").on("UID EXPUNGE", |conn, cmd| {
        if conn.number > 0 {
            return Flow::Default;
        }
        let _ = cmd;
        conn.raw("* 2 EXPUNGE\r\n* 3 EXP");
        conn.close();
        Flow::End
    });
    Many::start([("lost behind the deed", peer)]).each(|one| {
        assert!(delete_two(&one).ok);
        assert_eq!(
            one.peer.commands("UID EXPUNGE"),
            ["UID EXPUNGE 2,4", "UID EXPUNGE 2,4"]
        );
    });
}

#[test]
fn another_folder_behind_a_lost_connection_is_not_touched() {
    let peer = lost(with("UIDPLUS"), "UID STORE", Some(0)).on("SELECT", |conn, cmd| {
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
        one.assert_refused(&status, Some("SYS/TEMP"));
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
