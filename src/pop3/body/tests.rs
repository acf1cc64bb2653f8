//! The rules as a table, and against the same rules octet by octet.

use proptest::prelude::*;

use super::*;

fn encode<'a>(lines: Option<u32>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut encoder = Encoder::new(lines);
    let mut out = Vec::new();
    for piece in pieces {
        encoder.encode(piece, &mut out);
    }
    encoder.finish(&mut out);
    out
}

fn retr(message: &str) -> String {
    String::from_utf8(encode(None, [message.as_bytes()])).unwrap()
}

fn top(lines: u32, message: &str) -> String {
    String::from_utf8(encode(Some(lines), [message.as_bytes()])).unwrap()
}

#[test]
fn line_ends_are_repaired_and_dots_stuffed() {
    let table = [
        ("", ".\r\n"),
        ("a", "a\r\n.\r\n"),
        ("a\r\n", "a\r\n.\r\n"),
        ("a\n", "a\r\n.\r\n"),
        ("a\nb\r\n", "a\r\nb\r\n.\r\n"),
        ("\n", "\r\n.\r\n"),
        ("\n\n\n", "\r\n\r\n\r\n.\r\n"),
        (".", "..\r\n.\r\n"),
        (".\r\n.\r\n", "..\r\n..\r\n.\r\n"),
        ("..\n.a\n a.\n", "...\r\n..a\r\n a.\r\n.\r\n"),
        ("a\n.b", "a\r\n..b\r\n.\r\n"),
        // A lone CR is no line end ...
        ("a\r.b\r\n", "a\r.b\r\n.\r\n"),
        ("a\r\r\n", "a\r\r\n.\r\n"),
        // ... nor is one at the very end.
        ("a\r", "a\r\r\n.\r\n"),
        ("\r", "\r\r\n.\r\n"),
        ("a\0b\r\n", "a\0b\r\n.\r\n"),
    ];
    for (message, expected) in table {
        assert_eq!(retr(message), expected, "{message:?}");
    }
}

#[test]
fn eight_bit_octets_stay_as_they_are() {
    let all: Vec<u8> = (0..=255).filter(|octet| *octet != b'\n').collect();
    let expected = [&all[..], b"\r\n.\r\n"].concat();
    assert_eq!(encode(None, [&all[..]]), expected);
}

#[test]
fn top_counts_body_lines_and_not_those_of_the_header() {
    let message = "A: 1\r\nB: 2\r\n\r\none\r\n.two\r\nthree";
    let table = [
        (0, "A: 1\r\nB: 2\r\n\r\n.\r\n"),
        (1, "A: 1\r\nB: 2\r\n\r\none\r\n.\r\n"),
        (2, "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\n.\r\n"),
        (3, "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\nthree\r\n.\r\n"),
        (
            u32::MAX,
            "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\nthree\r\n.\r\n",
        ),
    ];
    for (lines, expected) in table {
        assert_eq!(top(lines, message), expected, "TOP {lines}");
        assert_eq!(top(lines, &message.replace("\r\n", "\n")), expected);
    }
}

#[test]
fn top_of_an_odd_message_ends_where_the_message_does() {
    let table = [
        (5, "", ".\r\n"),
        (0, "A: 1\r\n", "A: 1\r\n.\r\n"),
        (0, "\r\nbody\r\n", "\r\n.\r\n"),
        (0, "\nbody\n", "\r\n.\r\n"),
        (1, "\r\n\r\n\r\n", "\r\n\r\n.\r\n"),
        (0, "A: 1\r\n\r\n.\r\n", "A: 1\r\n\r\n.\r\n"),
    ];
    for (lines, message, expected) in table {
        assert_eq!(top(lines, message), expected, "TOP {lines} of {message:?}");
    }
}

#[test]
fn top_says_when_the_rest_need_not_be_read() {
    let mut encoder = Encoder::new(Some(1));
    let mut out = Vec::new();
    encoder.encode(b"A: 1\r\n\r\none", &mut out);
    assert!(!encoder.is_done());
    encoder.encode(b"\r\ntwo\r\n", &mut out);
    assert!(encoder.is_done());
    assert_eq!(encoder.octets(), 13);
    encoder.encode(b"three\r\n", &mut out);
    encoder.finish(&mut out);
    assert_eq!(out, b"A: 1\r\n\r\none\r\n.\r\n");
}

#[test]
fn octets_are_counted_as_list_does_whatever_is_stuffed_replaced_or_appended() {
    let table = [
        ("A: 1\r\n\r\none\r\n", 13),
        ("A: 1\n\n.one\n", 14),
        ("A: 1\r\n\r\n..\r\n.\r\n", 15),
        // As Dovecot counts: what is put behind a last line is none of it.
        ("A: 1\r\n\r\none", 11),
        ("A: 1\r\n\0\r", 8),
        ("", 0),
    ];
    for (message, expected) in table {
        let all = Workarounds {
            no_nuls: true,
            end_of_header: true,
        };
        for workarounds in [Workarounds::default(), all] {
            for step in [1, 2, 100] {
                let mut encoder = Encoder::new(None).for_client(workarounds);
                let mut out = Vec::new();
                for piece in message.as_bytes().chunks(step) {
                    encoder.encode(piece, &mut out);
                }
                assert_eq!(encoder.octets(), expected, "{message:?} by {step}");
            }
        }
    }
}

/// The same rules, octet by octet.
fn reference(lines: Option<u32>, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = b'\n';
    let mut in_body = false;
    // The blank line counts as one.
    let mut left = lines.map(|lines| u64::from(lines) + 1);
    for &octet in message {
        if last == b'\n' {
            in_body |= matches!(octet, b'\r' | b'\n');
            if octet == b'.' {
                out.push(b'.');
            }
        }
        if octet == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(octet);
        last = octet;
        if let (b'\n', true, Some(left)) = (octet, in_body, &mut left) {
            *left -= 1;
            if *left == 0 {
                break;
            }
        }
    }
    if last != b'\n' {
        out.extend(b"\r\n");
    }
    out.extend(b".\r\n");
    out
}

/// What a client makes of an answer (RFC 1939 section 3).
fn decode(answer: &[u8]) -> Vec<u8> {
    let text = answer.strip_suffix(b".\r\n").unwrap();
    let mut message = Vec::new();
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") && line != b".\r\n");
        message.extend(line.strip_prefix(b".").unwrap_or(line));
    }
    message
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    // Mostly the octets that matter.
    let octet = proptest::sample::select(b"\r\n..ab:\0\xff".to_vec());
    proptest::collection::vec(octet, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn any_cut_gives_what_the_octet_by_octet_rules_give(
        message in message(),
        lines in proptest::option::of(0_u32..5),
        sizes in proptest::collection::vec(0_usize..8, 1..20),
    ) {
        let mut pieces = Vec::new();
        let mut rest = &message[..];
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(encode(lines, pieces), reference(lines, &message));
    }

    #[test]
    fn what_is_odd_in_a_long_message_is_found_wherever_it_stands(
        lines in proptest::collection::vec(60_usize..90, 40..80),
        odd in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..6), 0..6),
        cut in any::<proptest::sample::Index>(),
        top in proptest::option::of(0_u32..90),
    ) {
        let mut message: Vec<u8> =
            lines.into_iter().flat_map(|line| [&vec![b'x'; line][..], b"\r\n"].concat()).collect();
        for (place, kind) in odd {
            let at = place.index(message.len());
            let odd = [&b"\n"[..], b"\r\n.", b"\n.", b".", b"\r", b"\n\n..\r\n.\r\n"][kind];
            message.splice(at..at, odd.iter().copied());
        }
        let (start, end) = message.split_at(cut.index(message.len()));
        prop_assert_eq!(encode(top, [start, end]), reference(top, &message));
    }

    #[test]
    fn a_client_gets_back_the_message_with_its_line_ends_repaired(message in message()) {
        let mut repaired = Vec::new();
        for &octet in &message {
            if octet == b'\n' && repaired.last() != Some(&b'\r') {
                repaired.push(b'\r');
            }
            repaired.push(octet);
        }
        if repaired.last().is_some_and(|last| *last != b'\n') {
            repaired.extend(b"\r\n");
        }
        prop_assert_eq!(decode(&encode(None, [&message[..]])), repaired);
    }
}
