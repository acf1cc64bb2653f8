//! Upstreams that refuse, break off, lie or talk nonsense while the folder is listed: what the client sees is a temporary
//! error, and never an empty or a shorter maildrop.

use crate::many::{Many, Row};
use crate::support::bridge::field;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};

const ROW_1: &str = "* 1 FETCH (UID 1 RFC822.SIZE 10 INTERNALDATE \"01-Jan-2024 00:01:00 +0000\")";
const ROW_2: &str = "* 2 FETCH (UID 2 RFC822.SIZE 10 INTERNALDATE \"01-Jan-2024 00:02:00 +0000\")";
const ROW_3: &str = "* 3 FETCH (UID 3 RFC822.SIZE 10 INTERNALDATE \"01-Jan-2024 00:03:00 +0000\")";

fn three() -> Peer {
    Peer::with_mail(3)
}

/// The list is answered by these lines.
fn list(lines: &str) -> Peer {
    three().reply("UID FETCH", lines)
}

/// The list breaks off behind these octets.
fn list_cut(octets: &str) -> Peer {
    three().send_and_close("UID FETCH", octets.as_bytes())
}

/// At a command, octets without end until the bridge has had enough.
fn flood(words: &str, once: &'static str, again: &'static str) -> Peer {
    three().on(words, move |conn, _| {
        conn.raw(once);
        let piece = again.repeat(1 + 65_536 / again.len());
        // Bounded, so that a bridge that takes everything fails the test by its memory and not by its patience.
        for _ in 0..2_000 {
            if !conn.try_raw(&piece) {
                return Flow::End;
            }
        }
        Flow::End
    })
}

/// STAT is refused as temporary in each row, the session goes on, and memory stays in bounds.
fn assert_no_row_becomes_a_maildrop(rows: Vec<Row>) {
    let many = Many::start(rows);
    many.each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("STAT");
        one.assert_refused(&status, Some("SYS/TEMP"));
        pop3.ok("NOOP");
        pop3.quit();
    });
    let peak = many.bridge.memory("VmHWM");
    assert!(peak < 150 << 20, "{peak} octets of memory");
}

#[test]
fn a_refused_or_broken_examine_is_a_temporary_error() {
    let examine = |lines: &str| three().reply("EXAMINE", lines);
    assert_no_row_becomes_a_maildrop(vec![
        ("tagged NO", examine("{tag} NO [SERVERBUG] no")),
        (
            "tagged NO, unavailable",
            examine("{tag} NO [UNAVAILABLE] later"),
        ),
        ("tagged BAD", examine("{tag} BAD what?")),
        ("clean end", three().send_and_close("EXAMINE", b"")),
        (
            "clean end in the middle",
            three().send_and_close("EXAMINE", b"* FLAGS ()\r\n* 0 EXISTS\r\n"),
        ),
        ("BYE", examine("* BYE shutting down")),
        (
            "BYE and yet an answer",
            examine("* 0 EXISTS\n* BYE\n* OK [UIDVALIDITY 1] x\n{tag} OK done"),
        ),
        ("nothing but OK", examine("{tag} OK done")),
        (
            "no UIDVALIDITY",
            examine("* 0 EXISTS\n{tag} OK [READ-ONLY] done"),
        ),
        (
            "UIDVALIDITY 0",
            examine("* 0 EXISTS\n* OK [UIDVALIDITY 0] x\n{tag} OK done"),
        ),
        (
            "no EXISTS",
            examine("* OK [UIDVALIDITY 1] x\n{tag} OK done"),
        ),
        (
            "EXISTS that is no number",
            examine("* 99999999999 EXISTS\n* OK [UIDVALIDITY 1] x\n{tag} OK done"),
        ),
        ("another tag", examine("* 0 EXISTS\nZ99 OK done")),
        ("garbage", examine("\u{0}\u{1}\u{2}garbage")),
        ("HTTP", examine("HTTP/1.1 400 Bad Request\n\nno")),
        ("a continuation", examine("+ go on")),
        ("an empty line", examine("\n")),
        ("a tagged line that is no status", examine("{tag} EXISTS 0")),
    ]);
}

#[test]
fn a_refused_list_is_a_temporary_error() {
    assert_no_row_becomes_a_maildrop(vec![
        ("tagged NO", list("{tag} NO no")),
        ("NO, unavailable", list("{tag} NO [UNAVAILABLE] later")),
        (
            "NO, limit",
            list("{tag} NO [LIMIT] UID FETCH Rate limit hit."),
        ),
        ("NO, over quota", list("{tag} NO [OVERQUOTA] bandwidth")),
        ("tagged BAD", list("{tag} BAD no")),
        (
            "NO behind all rows",
            list(&format!("{ROW_1}\n{ROW_2}\n{ROW_3}\n{{tag}} NO no")),
        ),
        (
            "NO with an alert that is not ASCII",
            list("{tag} NO [ALERT]\u{fc}berlastet"),
        ),
        ("OK without a row", list("{tag} OK done")),
        (
            "OK with too few rows",
            list(&format!("{ROW_1}\n{ROW_2}\n{{tag}} OK done")),
        ),
        (
            "OK with too many rows",
            list(&format!(
                "{ROW_1}\n{ROW_2}\n{ROW_3}\n{}\n{{tag}} OK done",
                ROW_3.replace('3', "4")
            )),
        ),
        (
            "the same row thrice",
            list(&format!("{ROW_1}\n{ROW_1}\n{ROW_1}\n{{tag}} OK done")),
        ),
        (
            "another command's tag",
            list(&format!("{ROW_1}\n{ROW_2}\n{ROW_3}\nZ99 OK done")),
        ),
        (
            "a command that was never sent is answered",
            list(&format!(
                "{ROW_1}\nZ99 OK done\n{ROW_2}\n{ROW_3}\n{{tag}} OK done"
            )),
        ),
    ]);
}

#[test]
fn a_list_that_breaks_off_is_a_temporary_error() {
    assert_no_row_becomes_a_maildrop(vec![
        ("end before the first row", list_cut("")),
        ("end between two rows", list_cut(&format!("{ROW_1}\r\n"))),
        (
            "end in a row",
            list_cut(&format!("{ROW_1}\r\n{}", &ROW_2[..20])),
        ),
        (
            "end in the tagged line",
            list_cut(&format!("{ROW_1}\r\n{ROW_2}\r\n{ROW_3}\r\nA00")),
        ),
        (
            "reset",
            three().on("UID FETCH", |conn, _| {
                conn.line(ROW_1);
                conn.reset();
                Flow::End
            }),
        ),
        ("BYE", list(&format!("{ROW_1}\n* BYE idle for too long"))),
        (
            "BYE and OK",
            list(&format!("{ROW_1}\n* BYE x\n{{tag}} OK done")),
        ),
    ]);
}

#[test]
fn rows_that_make_no_sense_are_a_temporary_error() {
    let third = |row: &str| list(&format!("{ROW_1}\n{ROW_2}\n{row}\n{{tag}} OK done"));
    assert_no_row_becomes_a_maildrop(vec![
        (
            "no size",
            third("* 3 FETCH (UID 3 INTERNALDATE \"01-Jan-2024 00:03:00 +0000\")"),
        ),
        ("size only", third("* 3 FETCH (RFC822.SIZE 3)")),
        (
            "no UID",
            third("* 3 FETCH (RFC822.SIZE 3 INTERNALDATE \"01-Jan-2024 00:03:00 +0000\")"),
        ),
        (
            "UID 0",
            third("* 3 FETCH (UID 0 RFC822.SIZE 3 INTERNALDATE \"01-Jan-2024 00:03:00 +0000\")"),
        ),
        (
            "a UID beyond 32 bits",
            third(&ROW_3.replace("UID 3", "UID 4294967299")),
        ),
        (
            "a size beyond 32 bits",
            third(&ROW_3.replace("SIZE 10", "SIZE 99999999999")),
        ),
        (
            "a negative size",
            third(&ROW_3.replace("SIZE 10", "SIZE -1")),
        ),
        (
            "a date that is NIL",
            third("* 3 FETCH (UID 3 RFC822.SIZE 3 INTERNALDATE NIL)"),
        ),
        ("an unclosed row", third("* 3 FETCH (UID 3 RFC822.SIZE 10")),
        ("a row of octets", third("* 3 FETCH (\u{1}\u{fffd}\u{1})")),
        (
            "EXISTS falls without an EXPUNGE",
            list(&format!("{ROW_1}\n* 0 EXISTS\n{{tag}} OK done")),
        ),
        (
            "EXPUNGE of what is not there",
            list(&format!("{ROW_1}\n{ROW_2}\n* 9 EXPUNGE\n{{tag}} OK done")),
        ),
        (
            "EXPUNGE 0",
            list(&format!("{ROW_1}\n{ROW_2}\n* 0 EXPUNGE\n{{tag}} OK done")),
        ),
        (
            "VANISHED without end",
            list(&format!("{ROW_1}\n* VANISHED 1:*\n{{tag}} OK done")),
        ),
        (
            "VANISHED everything there can be",
            list(&format!(
                "{ROW_1}\n* VANISHED 1:4294967295\n{{tag}} OK done"
            )),
        ),
    ]);
}

#[test]
fn a_list_that_failed_is_asked_for_again_by_the_next_command() {
    let once = |answer: &'static str| {
        three().on("UID FETCH 1:*", move |conn, cmd| {
            if conn.number > 0 {
                return Flow::Default;
            }
            conn.answer(cmd, answer);
            Flow::Done
        })
    };
    let rows = [
        ("NO", once("{tag} NO [UNAVAILABLE] later")),
        ("garbage", once("garbage")),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("STAT");
        one.assert_refused(&status, Some("SYS/TEMP"));
        assert_eq!(pop3.stat().0, 3, "{}", one.name);
        pop3.quit();
    });
    // What was merely lost is asked for again at once.
    let lost = three().on("UID FETCH 1:*", |conn, _| {
        if conn.number > 0 {
            return Flow::Default;
        }
        conn.raw(ROW_1);
        conn.close();
        Flow::End
    });
    Many::start([("lost", lost)]).each(|one| assert_eq!(one.log_in().stat().0, 3));
}

#[test]
fn responses_without_bounds_are_a_temporary_error_and_cost_no_memory() {
    let deep = "(".repeat(1_000_000);
    let deep = format!("* 1 FETCH (BODYSTRUCTURE {deep}\n{{tag}} OK done");
    assert_no_row_becomes_a_maildrop(vec![
        (
            "a literal of half a gigabyte where none belongs",
            list_cut("* 1 FETCH (UID 1 RFC822.SIZE {536000000}\r\nabc"),
        ),
        (
            "that literal, and its octets",
            flood("UID FETCH", "* X {536000000}\r\n", "x"),
        ),
        (
            "a literal longer than there are",
            list_cut("* X {99999999999999999999}\r\n"),
        ),
        ("a line without end", flood("UID FETCH", "* X ", "x")),
        ("a line without end in EXAMINE", flood("EXAMINE", "", "y")),
        (
            "a response of literals without end",
            flood("UID FETCH", "* X {1}\r\n", "x {1}\r\n"),
        ),
        ("rows without end", flood("UID FETCH", "", concat_row())),
        (
            "what vanished, without end and without a question",
            flood(
                "UID FETCH",
                "",
                "* VANISHED (EARLIER) 1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9\r\n",
            ),
        ),
        ("parentheses without end", list(&deep)),
    ]);
}

fn concat_row() -> &'static str {
    "* 1 FETCH (UID 1 RFC822.SIZE 10 INTERNALDATE \"01-Jan-2024 00:01:00 +0000\")\r\n"
}

#[test]
fn folders_without_end_put_a_removal_off_and_cost_no_memory() {
    let long = format!("* LIST () \"/\" {}\r\n", "x".repeat(60_000)).leak();
    let rows = [
        ("many", flood("LIST", "", "* LIST (\\A) \"/\" x\r\n")),
        ("long", flood("LIST", "", long)),
    ];
    let many = Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"");
    many.each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("DELE 1");
        pop3.quit();
        assert_eq!(one.peer.mailbox().uids(), [1, 2, 3], "{}", one.name);
        one.bridge.wait_for_log("why", |line| {
            field(line, "message") == "not done upstream; it will be tried again"
                && field(line, "error").contains("list of folders")
                && line["span"]["account"] == one.user
        });
        assert_eq!(one.log_in().stat().0, 2, "{}", one.name);
    });
    let peak = many.bridge.memory("VmHWM");
    assert!(peak < 150 << 20, "{peak} octets of memory");
}
