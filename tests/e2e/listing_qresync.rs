//! QRESYNC (RFC 7162): what vanished is asked for and believed only where the count then adds up; with real Dovecot, with and without it.

use crate::many::{Many, One, Row, quit};
use crate::support::bridge::{Bridge, field};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::imap_peer::{Flow, Peer};
use crate::support::mail::ordinary;

const VANISHED: &str = "UID FETCH 1:* (UID) (CHANGEDSINCE 10 VANISHED)";
const UIDS: &str = "UID FETCH 1:* (UID)";

/// Three messages, QRESYNC, and HIGHESTMODSEQ 10 for the first connection, then 20 and so on.
fn qresync() -> Peer {
    Peer::with_mail(3)
        .capability("IMAP4rev1 AUTH=PLAIN ENABLE CONDSTORE QRESYNC UIDPLUS")
        .on("EXAMINE", |conn, _| {
            let modseq = 10 * (conn.number + 1);
            conn.line(&format!("* OK [HIGHESTMODSEQ {modseq}] x"));
            Flow::Default
        })
        .on("ENABLE", |conn, _| {
            conn.line("* ENABLED QRESYNC CONDSTORE");
            Flow::Default
        })
}

fn vanished(lines: &str) -> Peer {
    qresync().reply(VANISHED, lines)
}

fn poll(one: &One<'_>) -> Vec<String> {
    let mut pop3 = one.log_in();
    let uidls = pop3.lines("UIDL");
    quit(one.bridge, pop3);
    let uid = |line: &String| line.rsplit_once('-').expect("a UIDL").1.to_owned();
    uidls.iter().map(uid).collect()
}

/// After the first session somebody removes UID 2; the second shows the others, and asked for this to find out.
fn assert_found(rows: Vec<Row>, asked: &[&str]) {
    Many::start(rows).each(|one| {
        assert_eq!(poll(&one), ["1", "2", "3"], "{}", one.name);
        one.peer.mailbox().lock().mail.remove(1);
        assert_eq!(poll(&one), ["1", "3"], "{}", one.name);
        assert_eq!(poll(&one), ["1", "3"], "{}", one.name);
        assert_eq!(one.peer.commands("UID FETCH")[2..], *asked, "{}", one.name);
    });
}

#[test]
fn what_vanished_is_asked_for_instead_of_all_uids() {
    assert_found(
        vec![
            ("one UID", vanished("* VANISHED (EARLIER) 2\n{tag} OK done")),
            (
                "more than there ever were",
                vanished("* VANISHED (EARLIER) 2,4:4294967295\n{tag} OK done"),
            ),
            (
                "a range the wrong way round, and flags",
                vanished(
                    "* VANISHED (EARLIER) 9:7,2\n* 1 FETCH (UID 1 MODSEQ (11) FLAGS ())\n{tag} OK done",
                ),
            ),
            (
                "two responses",
                vanished("* VANISHED (EARLIER) 2\n* vanished (earlier) 50\n{tag} OK done"),
            ),
        ],
        &[VANISHED],
    );
}

#[test]
fn where_what_vanished_does_not_add_up_the_uids_are_asked_for() {
    assert_found(
        vec![
            ("nothing", vanished("{tag} OK done")),
            (
                "another one",
                vanished("* VANISHED (EARLIER) 99\n{tag} OK done"),
            ),
            (
                "one too many",
                vanished("* VANISHED (EARLIER) 2:3\n{tag} OK done"),
            ),
            (
                "everything",
                vanished("* VANISHED (EARLIER) 1:4294967295\n{tag} OK done"),
            ),
            ("refused", vanished("{tag} NO [CANNOT] no")),
            ("not understood", vanished("{tag} BAD what?")),
        ],
        &[VANISHED, UIDS],
    );
}

#[test]
fn where_qresync_is_not_enabled_the_uids_are_asked_for() {
    assert_found(
        vec![
            (
                "ENABLE is refused",
                qresync().reply("ENABLE", "{tag} NO no"),
            ),
            (
                "ENABLE is not understood",
                qresync().reply("ENABLE", "{tag} BAD what?"),
            ),
            (
                "ENABLE does nothing",
                qresync().reply("ENABLE", "{tag} OK done"),
            ),
            (
                "ENABLE enables something else",
                qresync().reply("ENABLE", "* ENABLED CONDSTORE\n{tag} OK done"),
            ),
        ],
        &[UIDS],
    );
}

#[test]
fn where_a_vanished_cannot_be_read_the_whole_list_is() {
    let rows = [
        "* VANISHED (EARLIER) 1:*",
        "* VANISHED all",
        "* VANISHED (EARLIER)",
    ];
    let rows = rows.map(|line| (line, vanished(&format!("{line}\n{{tag}} OK done"))));
    Many::start(rows).each(|one| {
        poll(&one);
        one.peer.mailbox().lock().mail.remove(1);
        assert_eq!(poll(&one), ["1", "3"], "{}", one.name);
    });
}

#[test]
fn a_highestmodseq_that_goes_back_makes_the_list_distrusted() {
    let peer = Peer::with_mail(3).on("EXAMINE", |conn, _| {
        let modseq = 100 - conn.number;
        conn.line(&format!("* OK [HIGHESTMODSEQ {modseq}] x"));
        Flow::Default
    });
    let many = Many::start([("back", peer)]);
    many.each(|one| {
        poll(&one);
        assert_eq!(poll(&one), ["1", "2", "3"]);
        assert_eq!(one.peer.commands("UID FETCH 1:*").len(), 2);
    });
    many.bridge.wait_for_log("the reason", |line| {
        field(line, "reason") == "HIGHESTMODSEQ went back"
    });
}

fn commands(bridge: &Bridge, command: &str) -> f64 {
    let label = format!("command=\"{command}\"");
    bridge.metric("popbridge_upstream_commands_total", &[&label])
}

/// Mail comes and goes behind the bridge's back; each session shows what there is.
fn follows(dovecot: &Dovecot) -> Bridge {
    dovecot.maildir("ann").fill_many(200);
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut other = Imap::log_in(dovecot.imap_port, "ann", PASSWORD);
    other.command("SELECT INBOX");
    let uids = |bridge: &Bridge| {
        let mut pop3 = bridge.pop3_as("ann");
        let uidls = pop3.lines("UIDL");
        pop3.quit();
        let uid = |line: &String| line.rsplit_once('-')?.1.parse().ok();
        uidls
            .iter()
            .map(|l| uid(l).expect("a UID"))
            .collect::<Vec<u32>>()
    };
    assert_eq!(uids(&bridge), (1..=200).collect::<Vec<_>>());
    for gone in [100, 200, 3] {
        other.command(&format!("UID STORE {gone} +FLAGS.SILENT (\\Deleted)"));
        other.command("EXPUNGE");
        assert!(!uids(&bridge).contains(&gone));
    }
    other.append("INBOX", &ordinary(1).raw).expect("append");
    other.command("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.command("EXPUNGE");
    let now = uids(&bridge);
    assert_eq!((now.len(), now[0], now[196]), (197, 2, 201));
    assert_eq!(uids(&bridge), now);
    // The first list, three that something went from, one with a new message; and one more where the last message was gone, which could
    // not say any more whether UIDs still mean what they meant.
    assert_eq!(commands(&bridge, "FETCH list"), 6.0);
    bridge
}

#[test]
fn a_real_server_with_qresync_is_followed() {
    let bridge = follows(&Dovecot::start());
    // Dovecot tells a HIGHESTMODSEQ only where QRESYNC is enabled, so it is from the first session on.
    assert_eq!(commands(&bridge, "FETCH vanished"), 4.0);
    assert_eq!(commands(&bridge, "FETCH uids"), 0.0);
}

#[test]
fn a_real_server_without_qresync_is_followed() {
    let bridge = follows(&Dovecot::options().plain_imap4rev1().start());
    assert_eq!(commands(&bridge, "FETCH vanished"), 0.0);
    assert_eq!(commands(&bridge, "FETCH uids"), 4.0);
}
