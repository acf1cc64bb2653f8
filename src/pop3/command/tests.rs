//! Tables of lines that are commands and lines that are not.

use proptest::prelude::*;

use super::*;

fn no(number: u32) -> MsgNo {
    MsgNo::new(number).unwrap()
}

#[test]
fn commands_are_read_in_any_case() {
    let table: [(&str, Command<'_>); 22] = [
        ("CAPA", Command::Capa),
        ("noop", Command::Noop),
        ("Quit", Command::Quit),
        ("rSET", Command::Rset),
        ("STLS", Command::Stls),
        ("STAT", Command::Query(Query::Stat)),
        ("STAT 1", Command::Query(Query::Stat)),
        ("QUIT ", Command::Quit),
        ("LIST", Command::Query(Query::List(None))),
        ("LIST ", Command::Query(Query::List(None))),
        ("LIST 7", Command::Query(Query::List(Some(no(7))))),
        ("LIST   007", Command::Query(Query::List(Some(no(7))))),
        ("UIDL", Command::Query(Query::Uidl(None))),
        (
            "uidl 4294967295",
            Command::Query(Query::Uidl(Some(no(u32::MAX)))),
        ),
        ("RETR 1", Command::Query(Query::Retr(no(1)))),
        ("DELE 2", Command::Query(Query::Dele(no(2)))),
        ("TOP 1 0", Command::Query(Query::Top(no(1), 0))),
        ("TOP 1   25", Command::Query(Query::Top(no(1), 25))),
        (
            "TOP 1 5000000000",
            Command::Query(Query::Top(no(1), u32::MAX)),
        ),
        ("USER  joe ", Command::User(b"joe")),
        ("USER Joe Doe", Command::User(b"Joe Doe")),
        ("PASS  two  spaces ", Command::Pass(b" two  spaces ")),
    ];
    for (line, expected) in table {
        assert_eq!(parse(line.as_bytes()), Ok(expected), "{line}");
    }
}

#[test]
fn auth_comes_with_and_without_an_initial_response() {
    type Arguments<'a> = (&'a [u8], Option<&'a [u8]>);
    let table: [(&str, Option<Arguments<'_>>); 5] = [
        ("AUTH", None),
        ("AUTH  ", None),
        ("AUTH plain", Some((b"plain", None))),
        ("AUTH PLAIN ", Some((b"PLAIN", None))),
        ("AUTH PLAIN =", Some((b"PLAIN", Some(b"=")))),
    ];
    for (line, expected) in table {
        assert_eq!(
            parse(line.as_bytes()),
            Ok(Command::Auth(expected)),
            "{line}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let table: [&[u8]; 30] = [
        b"",
        b" ",
        b" STAT",
        b"STATS",
        b"XYZZY",
        b"RETR\t1",
        b"STAT\r",
        b"\0",
        b"\xff\xfe",
        b"RETR",
        b"RETR ",
        b"RETR 0",
        b"RETR -1",
        b"RETR +1",
        b"RETR 1 2",
        b"RETR 1 ",
        b"RETR 99999999999999999999",
        b"RETR 4294967296",
        b"RETR one",
        b"RETR 1\0",
        b"RETR \xd9\xa1",
        b"LIST 0",
        b"LIST 1x",
        b"TOP",
        b"TOP 1",
        b"TOP 1 ",
        b"TOP 1 -1",
        b"TOP 1 2 3",
        b"TOP 1 99999999999999999999",
        b"TOP 0 1",
    ];
    for line in table {
        assert!(parse(line).is_err(), "{}", line.escape_ascii());
    }
    for line in [
        &b"STAT \0"[..],
        b"NOOP \x80",
        b"QUIT \x1b[2J",
        b"AUTH PLAIN \xc3\xbc",
    ] {
        assert!(parse(line).is_err(), "{}", line.escape_ascii());
    }
    for line in [
        "USER", "USER ", "USER  ", "PASS", "PASS ", "APOP a b", "LAST",
    ] {
        assert!(parse(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_label_is_never_what_the_client_made_up() {
    for (line, expected) in [("retr 5", "RETR"), ("xyzzy", "unknown"), ("", "unknown")] {
        assert_eq!(name(line.as_bytes()), expected);
    }
    for label in COMMAND_NAMES {
        assert_eq!(name(label.as_bytes()), label);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_makes_the_parser_panic_and_no_refusal_echoes_it(
        line in proptest::collection::vec(any::<u8>(), 0..60),
        word in proptest::sample::select(COMMAND_NAMES.to_vec()),
    ) {
        for line in [line.clone(), [word.as_bytes(), b" ", &line].concat()] {
            if let Err(refusal) = parse(&line) {
                // Borrowed: one of our own sentences.
                prop_assert!(matches!(refusal.text, std::borrow::Cow::Borrowed(_)));
                prop_assert_eq!(refusal.code, None);
            }
        }
    }

    #[test]
    fn every_number_of_32_bits_is_a_message_number(number in 1..=u32::MAX, lines: u32) {
        let line = format!("TOP {number} {lines}");
        prop_assert_eq!(
            parse(line.as_bytes()),
            Ok(Command::Query(Query::Top(no(number), lines)))
        );
    }
}
