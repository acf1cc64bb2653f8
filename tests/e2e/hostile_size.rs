//! Upstreams that list a size and give something else: no client gets a part for the whole, or a notice for the message.

use crate::many::{Many, Row};
use crate::support::imap_peer::{Flow, Peer};

/// Four thousand lines of 500 octets, two megabytes.
fn long() -> Vec<u8> {
    let mut raw = b"Subject: long\r\n\r\n".to_vec();
    for n in 0..4000 {
        raw.extend(format!("{n:0>498}\r\n").bytes());
    }
    raw
}

const SHORT: &[u8] = b"Subject: short\r\n\r\none\r\n";

/// The header and so many lines of [`long`].
fn top(lines: usize) -> Vec<u8> {
    long()[..b"Subject: long\r\n\r\n".len() + lines * 500].to_vec()
}

fn listed_as(size: usize, raw: &[u8]) -> Peer {
    let peer = Peer::with_mail(1);
    peer.mailbox().lock().mail[0].raw = raw.to_vec();
    let row =
        format!("* 1 FETCH (UID 1 RFC822.SIZE {size} INTERNALDATE \"01-Jan-2024 00:01:00 +0000\")");
    let again = row.clone();
    // It says so again when it is asked whether this still is the message.
    peer.reply("UID FETCH 1:*", &format!("{row}\n{{tag}} OK done"))
        .on("UID FETCH 1", move |conn, cmd| {
            if !cmd.has("RFC822.SIZE") {
                return Flow::Default;
            }
            conn.line(&again);
            conn.ok(cmd);
            Flow::Done
        })
}

/// Answers every range with the whole message.
fn without_ranges(peer: Peer, raw: &'static [u8]) -> Peer {
    peer.on("UID FETCH 1", move |conn, cmd| {
        if !cmd.has("BODY.PEEK[]<") {
            return Flow::Default;
        }
        conn.raw(format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", raw.len()));
        conn.raw(raw);
        conn.line(")");
        conn.ok(cmd);
        Flow::Done
    })
}

#[test]
fn a_message_that_is_longer_than_listed_is_given_whole() {
    let rows: Vec<Row> = vec![
        ("1", listed_as(1, &long())),
        ("100000", listed_as(100_000, &long())),
        ("almost", listed_as(long().len() - 1, &long())),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        for lines in [1, 1000, 1200, 3999, 4000, 99_999_999] {
            let got = pop3.multi(&format!("TOP 1 {lines}"));
            assert!(got == top(lines.min(4000)), "{}: TOP 1 {lines}", one.name);
        }
        assert!(pop3.retr(1) == long(), "{}", one.name);
        pop3.quit();
    });
}

#[test]
fn a_message_that_is_shorter_than_listed_is_given_whole() {
    let rows: Vec<Row> = vec![
        ("a little", listed_as(SHORT.len() + 100, SHORT)),
        ("much", listed_as(50_000, SHORT)),
        (
            "a little, and no ranges",
            without_ranges(listed_as(SHORT.len() + 100, SHORT), SHORT),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        for lines in [0, 1, 2, 99_999_999] {
            let got = pop3.multi(&format!("TOP 1 {lines}"));
            let end = if lines == 0 {
                b"Subject: short\r\n\r\n".len()
            } else {
                SHORT.len()
            };
            assert!(got == SHORT[..end], "{}: TOP 1 {lines}", one.name);
        }
        assert!(pop3.retr(1) == SHORT, "{}", one.name);
        pop3.quit();
    });
}

#[test]
fn tops_of_short_messages_keep_the_connection() {
    Many::start([("short", listed_as(SHORT.len(), SHORT))]).each(|one| {
        let mut pop3 = one.log_in();
        for _ in 0..5 {
            pop3.multi("TOP 1 0");
            pop3.multi("TOP 1 1");
        }
        pop3.quit();
        assert_eq!(
            one.peer.commands("LOGIN").len() + one.peer.commands("AUTHENTICATE").len(),
            1
        );
    });
}

#[test]
fn exchanges_notice_of_a_message_it_cannot_give_is_refused() {
    let notice = b"From: Microsoft Exchange\r\nSubject: Retrieval using the IMAP4 protocol failed for the following message: 1\r\n\r\nsorry\r\n";
    // In pieces that end in the middle of the subject.
    let in_pieces = listed_as(70_000, notice).on("UID FETCH 1", |conn, cmd| {
        if !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        conn.raw(format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", notice.len()));
        for piece in notice.chunks(7) {
            conn.raw(piece);
        }
        conn.line(")");
        conn.ok(cmd);
        Flow::Done
    });
    let quoted = b"Subject: look\r\n\r\nSubject: Retrieval using the IMAP4 protocol failed for the following message: 1\r\n";
    let rows: Vec<Row> = vec![
        ("notice", listed_as(70_000, notice)),
        ("notice in pieces", in_pieces),
        ("quoted in the text", listed_as(70_000, quoted)),
        ("mail", listed_as(notice.len(), notice)),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        for command in ["RETR 1", "TOP 1 99999999"] {
            if one.name.starts_with("notice") {
                assert_eq!(pop3.err(command).code(), None);
            } else if one.name.starts_with("quoted") {
                assert_eq!(pop3.multi(command), quoted);
            } else {
                assert_eq!(pop3.multi(command), notice, "mail that only looks like it");
            }
        }
        pop3.quit();
    });
}

#[test]
fn an_empty_header_of_a_message_with_a_size_is_no_header() {
    let no_header = |peer: Peer| {
        peer.on("UID FETCH 1 (UID BODY.PEEK[HEADER])", |conn, cmd| {
            conn.line("* 1 FETCH (UID 1 BODY[HEADER] \"\")");
            conn.ok(cmd);
            Flow::Done
        })
    };
    let nothing = no_header(Peer::with_mail(1)).on("UID FETCH 1", |conn, cmd| {
        if !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        conn.line("* 1 FETCH (UID 1 BODY[] \"\")");
        conn.ok(cmd);
        Flow::Done
    });
    let body_only: &[u8] = b"\r\nno header\r\n";
    let rows: Vec<Row> = vec![
        ("nothing", nothing),
        (
            "no header",
            no_header(listed_as(body_only.len(), body_only)),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        if one.name == "nothing" {
            assert_eq!(pop3.err("TOP 1 0").code(), None);
        } else {
            assert_eq!(pop3.multi("TOP 1 0"), b"\r\n");
        }
    });
}
