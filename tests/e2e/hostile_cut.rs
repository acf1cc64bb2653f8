//! A large message that the upstream does not give to its end: something was sent already, so the client's connection is reset
//! and never ended in order, and the final `.` is never sent (curl takes an orderly end for a whole message).

use std::io::{ErrorKind, Read};

use crate::many::{Many, Row};
use crate::support::imap_peer::{Flow, Peer};
use crate::support::mail;
use crate::support::pop3::Pop3;

const SIZE: usize = 300_000;

/// One large message; what comes of its literal and behind it is up to `rest`.
fn large(
    announced: usize,
    given: usize,
    rest: &'static str,
    how: fn(&mut crate::support::peer_conn::Conn),
) -> Peer {
    let peer = Peer::with_mail(1);
    let text = mail::repaired(&mail::text(SIZE, 7));
    peer.mailbox().lock().mail[0].raw.clone_from(&text);
    peer.on("UID FETCH 1 (UID BODY.PEEK[])", move |conn, cmd| {
        conn.line(&format!("* 1 FETCH (BODY[] {{{announced}}}"));
        conn.raw(&text[..given]);
        conn.raw(rest.replace("{tag}", &cmd.tag));
        how(conn);
        Flow::End
    })
}

fn goes_on(conn: &mut crate::support::peer_conn::Conn) {
    conn.stall();
}

fn ends(conn: &mut crate::support::peer_conn::Conn) {
    conn.close();
}

/// Everything up to the end of the connection, which must be a reset.
fn until_reset(pop3: Pop3, name: &str) -> Vec<u8> {
    let mut got = Vec::new();
    let mut stream = pop3.into_stream();
    let mut chunk = [0; 65_536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => panic!("{name}: an orderly end after {} octets", got.len()),
            Ok(n) => got.extend(&chunk[..n]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}");
                return got;
            }
        }
    }
}

#[test]
fn a_message_cut_upstream_resets_the_client() {
    let rows: Vec<Row> = vec![
        ("an end in the literal", large(SIZE, SIZE / 2, "", ends)),
        (
            "a reset in the literal",
            large(SIZE, SIZE / 2, "", |conn| conn.reset()),
        ),
        ("an end behind the literal", large(SIZE, SIZE, "", ends)),
        (
            "an end before the tagged line",
            large(SIZE, SIZE, " UID 1)\r\n", ends),
        ),
        (
            "NO behind the literal",
            large(
                SIZE,
                SIZE,
                " UID 1)\r\n{tag} NO [UNAVAILABLE] x\r\n",
                goes_on,
            ),
        ),
        (
            "BAD behind the literal",
            large(SIZE, SIZE, " UID 1)\r\n{tag} BAD x\r\n", goes_on),
        ),
        (
            "BYE behind the literal",
            large(SIZE, SIZE, " UID 1)\r\n* BYE x\r\n", goes_on),
        ),
        (
            "BYE, and OK for all that",
            large(
                SIZE,
                SIZE,
                " UID 1)\r\n* BYE x\r\n{tag} OK done\r\n",
                goes_on,
            ),
        ),
        (
            "another message's UID",
            large(SIZE, SIZE, " UID 2)\r\n{tag} OK done\r\n", goes_on),
        ),
        (
            "no UID",
            large(SIZE, SIZE, ")\r\n{tag} OK done\r\n", goes_on),
        ),
        (
            "garbage behind the literal",
            large(SIZE, SIZE, "\u{1}\r\n{tag} OK done\r\n", goes_on),
        ),
        (
            "another tag",
            large(SIZE, SIZE, " UID 1)\r\nZ99 OK done\r\n", goes_on),
        ),
        (
            "a literal shorter than its text",
            large(SIZE / 2, SIZE, " UID 1)\r\n{tag} OK done\r\n", goes_on),
        ),
        (
            "a second large literal",
            large(SIZE, SIZE, " BODY[TEXT] {300000}\r\n", goes_on),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("RETR 1");
        let got = until_reset(pop3, one.name);
        assert!(!got.ends_with(b"\r\n.\r\n"), "{}", one.name);
    });
}

#[test]
fn an_upstream_that_falls_silent_is_given_up_and_the_client_reset() {
    let rows: Vec<Row> = vec![("silence", large(SIZE, SIZE / 2, "", goes_on))];
    let many = Many::start_with(rows, |peer| peer.plain_url(), "command_timeout = \"1s\"");
    many.each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("RETR 1");
        until_reset(pop3, one.name);
    });
}

#[test]
fn an_upstream_that_falls_silent_before_a_message_or_a_list_is_a_temporary_error() {
    let silent = |words: &'static str| {
        Peer::with_mail(2).on(words, |conn, _| {
            conn.stall();
            Flow::End
        })
    };
    let rows: Vec<Row> = vec![
        ("EXAMINE", silent("EXAMINE")),
        ("the list", silent("UID FETCH 1:*")),
        ("a body", silent("UID FETCH 1 (UID BODY.PEEK[])")),
    ];
    let many = Many::start_with(rows, |peer| peer.plain_url(), "command_timeout = \"1s\"");
    many.each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("RETR 1");
        one.assert_refused(&status, Some("SYS/TEMP"));
    });
}
