//! TOP asks for ranges, and upstreams have their own ideas of ranges: the client gets the right lines, or an error, and never fewer
//! lines as if there were no more.

use crate::many::{Many, Row};
use crate::support::imap_peer::{Flow, Peer};
use crate::support::peer_conn::{Cmd, Conn};

/// Lines of 500 octets, so that 100 of them take several ranges.
fn message() -> Vec<u8> {
    let mut raw = b"Subject: long\r\n\r\n".to_vec();
    for n in 0..200 {
        raw.extend(format!("{n:0>498}\r\n").bytes());
    }
    raw
}

/// The header and so many lines.
fn top(lines: usize) -> Vec<u8> {
    message()[..b"Subject: long\r\n\r\n".len() + lines * 500].to_vec()
}

/// Answers each range in a way of its own, given offset and length.
fn ranges(answer: fn(&mut Conn, &Cmd, usize, usize)) -> Peer {
    let peer = Peer::with_mail(1);
    peer.mailbox().lock().mail[0].raw = message();
    peer.on("UID FETCH 1", move |conn, cmd| {
        let range = cmd
            .line
            .split_once('<')
            .and_then(|(_, r)| r.split_once('>'));
        let Some((offset, length)) = range.and_then(|(r, _)| r.split_once('.')) else {
            return Flow::Default;
        };
        let number = |text: &str| text.parse().expect("a number");
        answer(conn, cmd, number(offset), number(length));
        Flow::Done
    })
}

fn literal(conn: &mut Conn, cmd: &Cmd, label: &str, octets: &[u8]) {
    conn.raw(format!(
        "* 1 FETCH (UID 1 BODY[]{label} {{{}}}\r\n",
        octets.len()
    ));
    conn.raw(octets);
    conn.line(")");
    conn.ok(cmd);
}

fn cut(offset: usize, length: usize) -> Vec<u8> {
    let all = message();
    let end = (offset + length).min(all.len());
    all[offset.min(end)..end].to_vec()
}

#[test]
fn an_unusual_idea_of_ranges_gives_the_right_lines() {
    let rows: Vec<Row> = vec![
        ("a decent one", {
            let peer = Peer::with_mail(1);
            peer.mailbox().lock().mail[0].raw = message();
            peer
        }),
        (
            "the whole message without an origin",
            ranges(|conn, cmd, _, _| literal(conn, cmd, "", &message())),
        ),
        (
            "the whole message with an origin",
            ranges(|conn, cmd, _, _| literal(conn, cmd, "<0>", &message())),
        ),
        (
            "no origin where it is 0",
            ranges(|conn, cmd, offset, length| {
                let label = if offset == 0 {
                    String::new()
                } else {
                    format!("<{offset}>")
                };
                literal(conn, cmd, &label, &cut(offset, length));
            }),
        ),
        (
            "an octet too early wherever it has to skip (Dovecot 2.4.1)",
            ranges(|conn, cmd, offset, length| {
                let part = cut(offset.saturating_sub(1), length);
                literal(conn, cmd, &format!("<{offset}>"), &part);
            }),
        ),
        (
            "less than was asked for although there is more",
            ranges(|conn, cmd, offset, length| {
                literal(
                    conn,
                    cmd,
                    &format!("<{offset}>"),
                    &cut(offset, length.min(5001)),
                );
            }),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        // Some of these make a range end between CR and LF.
        for lines in (0..32).chain([100, 150, 200, 201]) {
            let got = pop3.multi(&format!("TOP 1 {lines}"));
            assert!(got == top(lines.min(200)), "{}: TOP 1 {lines}", one.name);
        }
        assert!(pop3.retr(1) == message(), "{}", one.name);
        pop3.quit();
    });
}

#[test]
fn a_message_that_ends_where_a_range_ends_is_read_to_its_end() {
    let peer = Peer::with_mail(1);
    // The first range of TOP 1 1 takes 8192 + 80 octets.
    let mut raw = b"Subject: exact\r\n\r\n".to_vec();
    raw.resize(8192 + 80 - 2, b'x');
    raw.extend(b"\r\n");
    peer.mailbox().lock().mail[0].raw.clone_from(&raw);
    Many::start([("exact", peer)]).each(|one| {
        let mut pop3 = one.log_in();
        assert_eq!(pop3.multi("TOP 1 1"), raw);
        pop3.quit();
    });
}

#[test]
fn a_longer_range_that_cannot_be_had_cuts_the_answer() {
    let rows: Vec<Row> = vec![
        (
            "refused, later",
            ranges(|conn, cmd, offset, length| {
                if length < 25_000 {
                    literal(conn, cmd, "<0>", &cut(offset, length));
                } else {
                    conn.tagged(cmd, "NO [UNAVAILABLE] x");
                }
            }),
        ),
        (
            "nothing, later",
            ranges(|conn, cmd, offset, length| {
                if length < 25_000 {
                    literal(conn, cmd, "<0>", &cut(offset, length));
                } else {
                    conn.ok(cmd);
                }
            }),
        ),
        (
            "less than before, later",
            ranges(|conn, cmd, offset, length| {
                let length = if length < 25_000 { length } else { 100 };
                literal(conn, cmd, "<0>", &cut(offset, length));
            }),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        // Either something was sent, and the connection ends, or nothing was, and it is refused; a final dot never comes.
        let outcome = match pop3.command("TOP 1 150") {
            status if status.ok => pop3.try_body().map(|body| body.len()).map_err(drop),
            _ => Err(()),
        };
        assert_eq!(outcome, Err(()), "{}", one.name);
    });
}

#[test]
fn a_header_that_cannot_be_had_is_refused() {
    let header = |answer: &'static str| {
        Peer::with_mail(1).on("UID FETCH 1 (UID BODY.PEEK[HEADER])", move |conn, cmd| {
            conn.raw(answer.replace("{tag}", &cmd.tag));
            Flow::Done
        })
    };
    let many = Many::start([
        ("NO", header("{tag} NO [UNAVAILABLE] x\r\n")),
        (
            "another section",
            header("* 1 FETCH (UID 1 BODY[1.HEADER] {6}\r\nA: b\r\n)\r\nZ9 OK\r\n"),
        ),
        (
            "a BYE",
            header("* 1 FETCH (UID 1 BODY[HEADER] {6}\r\nA: b\r\n)\r\n* BYE\r\n"),
        ),
    ]);
    many.each(|one| {
        let status = one.log_in().command("TOP 1 0");
        one.assert_refused(&status, Some("SYS/TEMP"));
    });
}
