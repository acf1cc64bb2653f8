//! The commands about the maildrop, and QUIT.

use super::*;

#[test]
fn the_list_is_asked_for_by_the_first_command_that_needs_it() {
    for line in ["NOOP", "RSET", "CAPA"] {
        let mut talk = Talk::logged_in(profile());
        talk.say(line);
        assert!(talk.seen[0].starts_with("+OK") && !talk.seen.contains(&"list".to_owned()));
    }
    let table = [
        ("STAT", "+OK 2 300"),
        ("LIST 2", "+OK 2 200"),
        ("UIDL 2", "+OK 2 7-20"),
        ("RETR 2", "retrieve 2 uid 20 of 200, all"),
        ("TOP 2 5", "retrieve 2 uid 20 of 200, 5 lines"),
        ("DELE 2", "+OK Marked to be deleted."),
        ("DELE 3", "-ERR There is no such message."),
    ];
    for (line, expected) in table {
        let mut talk = Talk::logged_in(profile());
        talk.check(line, &["list"]);
        talk.report(|session, out| session.listed(Ok(maildrop(&[100, 200])), out));
        talk.expect(&[expected]);
        talk.check(
            "STAT",
            &[if line == "DELE 2" {
                "+OK 1 100"
            } else {
                "+OK 2 300"
            }],
        );
    }
}

#[test]
fn an_argument_that_makes_no_sense_is_refused_without_a_list() {
    let mut talk = Talk::logged_in(profile());
    for line in [
        "RETR 0",
        "LIST -1",
        "DELE 99999999999999999999",
        "UIDL 1 2",
        "TOP 1",
    ] {
        talk.check_refused(line);
    }
}

#[test]
fn a_list_that_cannot_be_had_is_asked_for_again() {
    let mut talk = Talk::logged_in(profile());
    talk.check("STAT", &["list"]);
    talk.report(|session, out| session.listed(Err(temporary()), out));
    talk.expect(&["-ERR [SYS/TEMP] Later."]);
    talk.check("LIST 1", &["list"]);
    talk.report(|session, out| session.listed(Ok(maildrop(&[100])), out));
    talk.expect(&["+OK 1 100"]);
}

#[test]
fn listings_and_sums_leave_deleted_messages_out_until_rset() {
    let mut talk = Talk::with_messages(&[100, 200, 300]);
    talk.check("DELE 2", &["+OK Marked to be deleted."]);
    talk.check("STAT", &["+OK 2 400"]);
    talk.check("LIST", &["+OK 2 messages:", "1 100", "3 300", "."]);
    talk.check("UIDL", &["+OK 2 messages:", "1 7-10", "3 7-30", "."]);
    for line in ["LIST 2", "UIDL 2", "RETR 2", "TOP 2 0", "DELE 2"] {
        talk.check(line, &["-ERR The message is marked deleted."]);
    }
    talk.say("RSET");
    talk.seen.clear();
    talk.check("LIST", &["+OK 3 messages:", "1 100", "2 200", "3 300", "."]);
}

#[test]
fn an_empty_maildrop_lists_nothing() {
    let mut talk = Talk::with_messages(&[]);
    talk.check("STAT", &["+OK 0 0"]);
    talk.check("LIST", &["+OK 0 messages:", "."]);
    talk.check("RETR 1", &["-ERR There is no such message."]);
}

#[test]
fn a_long_listing_is_written_in_portions() {
    let mut talk = Talk::with_messages(&vec![1000; 100_000]);
    for (command, first, last) in [
        (&b"LIST"[..], "1 1000", "100000 1000"),
        (b"UIDL", "1 7-10", "100000 7-1000000"),
    ] {
        let mut answer = Vec::new();
        let mut portion = Vec::new();
        let action = talk.session.line(Line::Complete(command), &mut portion);
        assert!(matches!(action, Action::More));
        loop {
            assert!(portion.len() < 8 * 1024 + 100);
            answer.append(&mut portion);
            if !talk.session.more(&mut portion) {
                answer.append(&mut portion);
                break;
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        let lines: Vec<&str> = answer.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 100_002);
        assert_eq!(
            [lines[1], lines[100_000], lines[100_001]],
            [first, last, "."]
        );
    }
}

#[test]
fn a_listing_that_the_driver_forgot_comes_before_the_next_answer() {
    let mut talk = Talk::with_messages(&[1000; 5000]);
    let mut out = Vec::new();
    let _ = talk.session.line(Line::Complete(b"LIST"), &mut out);
    let _ = talk.session.line(Line::Complete(b"STAT"), &mut out);
    assert!(out.ends_with(b"\r\n5000 1000\r\n.\r\n+OK 5000 5000000\r\n"));
}

#[test]
fn a_body_is_announced_or_refused() {
    let session = Talk::with_messages(&[100]).session;
    let number = MsgNo::new(1).unwrap();
    let item = *maildrop(&[100]).lookup(number).unwrap();
    let body = |lines| Body {
        number,
        item,
        lines,
    };
    let mut out = Vec::new();
    session.body_starts(&body(None), &mut out);
    session.body_starts(&body(Some(3)), &mut out);
    session.body_refused(&temporary(), &mut out);
    let expected = "+OK 100 octets\r\n+OK Top of message follows.\r\n-ERR [SYS/TEMP] Later.\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn quit_before_any_list_closes_at_once() {
    Talk::logged_in(profile()).check("QUIT", &["+OK Bye.", "close"]);
    // Also where the list could not be had.
    let mut talk = Talk::logged_in(profile());
    talk.say("STAT");
    talk.report(|session, out| session.listed(Err(temporary()), out));
    talk.seen.clear();
    talk.check("QUIT", &["+OK Bye.", "close"]);
}

#[test]
fn quit_without_deletions_still_waits_for_what_was_delivered() {
    let mut talk = Talk::with_messages(&[100]);
    talk.say("DELE 1");
    talk.say("RSET");
    talk.seen.clear();
    talk.check("QUIT", &["delete []"]);
    talk.report(|session, out| session.updated(Err(temporary()), out));
    talk.expect(&["-ERR [SYS/TEMP] Later.", "close"]);
}

#[test]
fn quit_with_deletions_is_answered_when_they_are_done() {
    for (result, expected) in [
        (Ok(()), "+OK Bye."),
        (Err(temporary()), "-ERR [SYS/TEMP] Later."),
    ] {
        let mut talk = Talk::with_messages(&[100, 200, 300]);
        talk.say("DELE 3");
        talk.say("DELE 1");
        talk.seen.clear();
        talk.check("QUIT", &["delete [10, 30]"]);
        assert_eq!(talk.session.state(), StateName::Update);
        talk.report(|session, out| session.updated(result, out));
        talk.expect(&[expected, "close"]);
        assert_eq!(talk.session.state(), StateName::Closed);
    }
}
