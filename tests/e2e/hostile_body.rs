//! Upstreams that make trouble with a message's bytes, the message being small: nothing has been sent when it shows, so the
//! client hears `-ERR` and its session goes on. What is merely unusual gives the message.

use crate::many::{Many, Row};
use crate::support::imap_peer::{Flow, Peer};
use crate::support::pop3::show;

const MAIL: &[u8] = b"Subject: one\r\n\r\nHello\r\n";

/// Three messages; a RETR of the first one is answered by these octets, in which `{tag}` stands for the tag and `@` for its text.
fn body(answer: &str) -> Peer {
    first(answer, false)
}

/// The same, and then the connection ends.
fn body_cut(answer: &str) -> Peer {
    first(answer, true)
}

fn first(answer: &str, ends: bool) -> Peer {
    let peer = Peer::with_mail(3);
    let mut inner = peer.mailbox().lock();
    inner.mail[0].raw = MAIL.to_vec();
    drop(inner);
    let answer = answer.to_owned();
    peer.on("UID FETCH 1 (UID BODY.PEEK[])", move |conn, cmd| {
        conn.raw(
            answer
                .replace("{tag}", &cmd.tag)
                .replace('@', std::str::from_utf8(MAIL).expect("ASCII")),
        );
        if ends {
            conn.close();
            return Flow::End;
        }
        Flow::Done
    })
}

/// RETR 1 is refused with this code, and the same session then reads message 2 and ends in order.
fn assert_refused(code: Option<&str>, rows: Vec<Row>) {
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("RETR 1");
        one.assert_refused(&status, code);
        let second = one.peer.mailbox().lock().mail[1].raw.clone();
        assert_eq!(pop3.retr(2), second, "{}", one.name);
        pop3.quit();
    });
}

#[test]
fn an_unusual_answer_gives_the_message() {
    let long = "x".repeat(60_000);
    let fat = format!(
        "* X {{60000}}\r\n{long}\r\n* 1 FETCH (UID 1 BODY[] {{23}}\r\n@)\r\n{{tag}} OK done\r\n"
    );
    let rows: Vec<Row> = vec![
        (
            "the UID behind the literal",
            body("* 1 FETCH (BODY[] {23}\r\n@ UID 1)\r\n{tag} OK done\r\n"),
        ),
        (
            "the UID on both sides",
            body("* 1 FETCH (UID 1 BODY[] {23}\r\n@ UID 1)\r\n{tag} OK done\r\n"),
        ),
        (
            "other items before and behind",
            body(
                "* 1 FETCH (FLAGS (\\Seen) X-NEW (a b) UID 1 BODY[] {23}\r\n@ MODSEQ (7) RFC822.SIZE 23)\r\n{tag} OK done\r\n",
            ),
        ),
        (
            "an origin",
            body("* 1 FETCH (UID 1 BODY[]<0> {23}\r\n@)\r\n{tag} OK done\r\n"),
        ),
        (
            "small letters",
            body("* 1 fetch (uid 1 body[] {23}\r\n@)\r\n{tag} ok\r\n"),
        ),
        (
            "a binary literal",
            body("* 1 FETCH (UID 1 BODY[] ~{23}\r\n@)\r\n{tag} OK done\r\n"),
        ),
        (
            "a literal with a plus",
            body("* 1 FETCH (UID 1 BODY[] {23+}\r\n@)\r\n{tag} OK done\r\n"),
        ),
        (
            "lines that end in LF",
            body("* 1 FETCH (UID 1 BODY[] {23}\n@)\n{tag} OK done\n"),
        ),
        (
            "another literal behind it",
            body(
                "* 1 FETCH (UID 1 BODY[] {23}\r\n@ BODY[HEADER] {5}\r\nabcde)\r\n{tag} OK done\r\n",
            ),
        ),
        (
            "another literal before it, in a response of its own",
            body(
                "* 1 FETCH (UID 1 BODY[HEADER] {5}\r\nabcde)\r\n* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} OK done\r\n",
            ),
        ),
        (
            "news of flags, arrivals and removals all around",
            body(
                "* 2 FETCH (FLAGS (\\Seen))\r\n* 3 EXPUNGE\r\n* 5 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (FLAGS (Gel\u{f6}scht) UID 1)\r\n* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 2 EXPUNGE\r\n* VANISHED 77\r\n* 9 EXISTS\r\n{tag} OK done\r\n",
            ),
        ),
        (
            "alerts and extensions all around",
            body(
                "* OK [ALERT]\u{fc}\r\n* NAMESPACE NIL NIL NIL\r\n* ESEARCH (TAG \"x\") ALL 1:5\r\n* STATUS INBOX (SIZE 99999999999)\r\n* LIST () \"/\" {5}\r\nINBOX\r\n* X-NEW ((((\r\n* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n* NO [X-Y \u{e9}] {5}\r\n* X-NEW {3}\r\nabc\r\n{tag} OK [ALERT]\u{fc}\r\n",
            ),
        ),
        (
            "flags in a grammar of their own",
            body(
                "* 1 FETCH (ANNOTATION (/comment (value.priv \"x\")))\r\n* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} OK done\r\n",
            ),
        ),
        ("a fat extension", body(&fat)),
        (
            "a body that looks like IMAP",
            body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} OK {5}\r\n"),
        ),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        let got = pop3.retr(1);
        assert_eq!(got, MAIL, "{}: {}", one.name, show(&got));
        pop3.quit();
        assert_eq!(one.peer.connections(), 1, "{}: it works at once", one.name);
    });
}

#[test]
fn a_body_as_a_quoted_string_is_unescaped() {
    let many = Many::start([
        (
            "quoted",
            body("* 1 FETCH (UID 1 BODY[] \"a \\\"b\\\" \\\\ c \u{e9}\")\r\n{tag} OK done\r\n"),
        ),
        (
            "quoted, the UID behind it",
            body("* 1 FETCH (BODY[] \"a \\\"b\\\" \\\\ c \u{e9}\" UID 1)\r\n{tag} OK done\r\n"),
        ),
    ]);
    many.each(|one| {
        let mut pop3 = one.log_in();
        assert_eq!(pop3.retr(1), "a \"b\" \\ c \u{e9}\r\n".as_bytes());
        pop3.quit();
    });
}

#[test]
fn a_message_that_the_upstream_lists_and_does_not_give_is_gone() {
    assert_refused(
        None,
        vec![
            ("OK and nothing else", body("{tag} OK done\r\n")),
            (
                "NIL",
                body("* 1 FETCH (UID 1 BODY[] NIL)\r\n{tag} OK done\r\n"),
            ),
            (
                "an empty literal",
                body("* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n{tag} OK done\r\n"),
            ),
            (
                "an empty string",
                body("* 1 FETCH (UID 1 BODY[] \"\")\r\n{tag} OK done\r\n"),
            ),
            ("a UID only", body("* 1 FETCH (UID 1)\r\n{tag} OK done\r\n")),
            (
                "news only",
                body("* 1 FETCH (UID 1 FLAGS ())\r\n* 1 EXPUNGE\r\n{tag} OK done\r\n"),
            ),
            (
                "another section",
                body("* 1 FETCH (UID 1 BODY[TEXT] {7}\r\nHello\r\n)\r\n{tag} OK done\r\n"),
            ),
            (
                "the header only",
                body("* 1 FETCH (UID 1 BODY[HEADER] {7}\r\nHello\r\n)\r\n{tag} OK done\r\n"),
            ),
        ],
    );
}

#[test]
fn an_empty_message_is_an_empty_message() {
    let peer = Peer::with_mail(3);
    peer.mailbox().lock().mail[0].raw.clear();
    Many::start([("empty", peer)]).each(|one| {
        let mut pop3 = one.log_in();
        assert_eq!(pop3.ok("LIST 1"), "1 0");
        assert_eq!(pop3.retr(1), b"");
        assert_eq!(pop3.multi("TOP 1 5"), b"");
        pop3.quit();
    });
}

#[test]
fn a_refused_body_is_a_temporary_error() {
    assert_refused(
        Some("SYS/TEMP"),
        vec![
            ("NO", body("{tag} NO no\r\n")),
            ("unavailable", body("{tag} NO [UNAVAILABLE] later\r\n")),
            ("limit", body("{tag} NO [LIMIT] rate\r\n")),
            ("BAD", body("{tag} BAD what?\r\n")),
            (
                "NO behind a whole literal",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} NO [SERVERBUG] oops\r\n"),
            ),
            (
                "BAD behind a whole literal",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} BAD oops\r\n"),
            ),
            (
                "NO behind a string",
                body("* 1 FETCH (UID 1 BODY[] \"abc\")\r\n{tag} NO oops\r\n"),
            ),
        ],
    );
}

#[test]
fn a_body_that_breaks_off_is_a_temporary_error() {
    assert_refused(
        Some("SYS/TEMP"),
        vec![
            ("before the answer", body_cut("")),
            ("in the head", body_cut("* 1 FETCH (UID 1 BO")),
            (
                "before the first octet",
                body_cut("* 1 FETCH (UID 1 BODY[] {23}\r\n"),
            ),
            (
                "in the literal",
                body_cut("* 1 FETCH (UID 1 BODY[] {23}\r\nSubj"),
            ),
            (
                "behind the literal",
                body_cut("* 1 FETCH (UID 1 BODY[] {23}\r\n@"),
            ),
            (
                "before the tagged line",
                body_cut("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n"),
            ),
            (
                "in the tagged line",
                body_cut("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} O"),
            ),
            (
                "BYE",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n* BYE enough\r\n"),
            ),
            (
                "BYE and OK",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n* BYE enough\r\n{tag} OK done\r\n"),
            ),
        ],
    );
}

#[test]
fn a_body_that_is_not_what_was_asked_for_is_a_temporary_error() {
    assert_refused(
        Some("SYS/TEMP"),
        vec![
            (
                "another message's",
                body("* 2 FETCH (UID 2 BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "another message's, as it turns out",
                body("* 2 FETCH (BODY[] {23}\r\n@ UID 2)\r\n{tag} OK done\r\n"),
            ),
            (
                "another message's after all",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@ UID 2)\r\n{tag} OK done\r\n"),
            ),
            (
                "nobody's",
                body("* 1 FETCH (BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "nobody's, quoted",
                body("* 1 FETCH (BODY[] \"abc\")\r\n{tag} OK done\r\n"),
            ),
            (
                "from the middle on",
                body("* 1 FETCH (UID 1 BODY[]<5> {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "two at once",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@ BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "a literal where none belongs",
                body("* 1 FETCH (UID 1 BODY[] \"a\" BODY[HEADER] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "a head that is no head",
                body("* 1 FETCH (UID 1 (BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "a tail that is no tail",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@more than promised)\r\n{tag} OK done\r\n"),
            ),
            (
                "a literal that is too short for its text",
                body("* 1 FETCH (UID 1 BODY[] {5}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "another tag",
                body("* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\nZ99 OK done\r\n"),
            ),
            (
                "another command's answer first",
                body("Z99 OK done\r\n* 1 FETCH (UID 1 BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
            (
                "a literal beyond 32 bits",
                body("* 1 FETCH (UID 1 BODY[] {4294967296}\r\n@"),
            ),
            (
                "half a gigabyte that is nobody's",
                body("* X {536000000}\r\n@"),
            ),
            ("garbage", body("\u{1}\u{2}\r\n")),
            (
                "parentheses",
                body(&format!(
                    "* 1 FETCH (BODYSTRUCTURE {} BODY[] {{5}}\r\n",
                    "(".repeat(500_000)
                )),
            ),
            (
                "a date that is NIL",
                body("* 1 FETCH (UID 1 INTERNALDATE NIL BODY[] {23}\r\n@)\r\n{tag} OK done\r\n"),
            ),
        ],
    );
}
