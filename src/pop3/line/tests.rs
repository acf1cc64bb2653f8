//! Lines cut in every way, and what a buffer holds.

use proptest::prelude::*;

use super::*;

/// What the lines of this input are, when it comes in these pieces.
fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut buffer = LineBuffer::new();
    let mut lines = Vec::new();
    for piece in pieces {
        buffer.push(piece);
        while let Some(line) = buffer.next_line() {
            lines.push(match line {
                Line::Complete(line) => Some(line.to_vec()),
                Line::TooLong => None,
            });
        }
        assert!(buffer.octets.len() <= MAX_LINE + 1 + piece.len());
    }
    lines
}

fn complete(line: &str) -> Option<Vec<u8>> {
    Some(line.as_bytes().to_vec())
}

#[test]
fn crlf_and_bare_lf_end_a_line_and_one_cr_is_taken_away() {
    let found = lines([&b"STAT\r\nNOOP\n\r\n\nRETR 1\r\r\nrest"[..]]);
    let expected = ["STAT", "NOOP", "", "", "RETR 1\r"].map(complete);
    assert_eq!(found, expected);
}

#[test]
fn a_line_may_come_octet_by_octet() {
    let found = lines(b"STAT\r\nQUIT\r\n".chunks(1));
    assert_eq!(found, ["STAT", "QUIT"].map(complete));
}

#[test]
fn a_line_of_exactly_the_limit_is_taken_and_one_more_is_not() {
    for (octets, end, taken) in [
        (MAX_LINE, "\r\n", true),
        (MAX_LINE, "\n", true),
        (MAX_LINE + 1, "\r\n", false),
        (MAX_LINE + 1, "\n", false),
    ] {
        let text = "x".repeat(octets);
        let input = format!("{text}{end}NOOP\r\n");
        let expected = [taken.then(|| text.into_bytes()), complete("NOOP")];
        assert_eq!(lines([input.as_bytes()]), expected);
        assert_eq!(lines(input.as_bytes().chunks(1)), expected);
    }
}

#[test]
fn a_line_that_may_be_longer_is_taken_up_to_what_it_may_have() {
    let longest = |start: &[u8]| {
        if start.starts_with(b"AUTH ") {
            10_000
        } else {
            MAX_LINE
        }
    };
    for (start, octets, taken) in [
        ("AUTH ", 10_000, true),
        ("AUTH ", 10_001, false),
        ("PASS ", MAX_LINE + 1, false),
    ] {
        let text = format!("{start}{}", "x".repeat(octets - start.len()));
        let input = format!("{text}\r\nNOOP\r\n");
        for size in [1, 700, input.len()] {
            let (mut buffer, mut found) = (LineBuffer::new(), Vec::new());
            for piece in input.as_bytes().chunks(size) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line_within(longest) {
                    found.push(matches!(line, Line::Complete(_)));
                }
                assert!(buffer.octets.len() <= 10_000 + 1 + size);
            }
            assert_eq!(found, [taken, true], "{start} {octets} in pieces of {size}");
        }
    }
}

#[test]
fn an_endless_line_is_reported_once_and_takes_no_memory() {
    let mut buffer = LineBuffer::new();
    let mut reported = 0;
    for _ in 0..1000 {
        buffer.push(&[b'x'; 1000]);
        while let Some(line) = buffer.next_line() {
            assert_eq!(line, Line::TooLong);
            reported += 1;
        }
    }
    assert_eq!(reported, 1);
    assert_eq!(buffer.octets.capacity(), 0);
    assert!(!buffer.is_empty(), "the client is in the middle of a line");
    buffer.push(b"x\r\nNOOP\r\n");
    assert_eq!(buffer.next_line(), Some(Line::Complete(b"NOOP")));
}

#[test]
fn a_buffer_whose_lines_are_taken_holds_no_memory() {
    let mut buffer = LineBuffer::new();
    buffer.push(b"STAT\r\nLIST\r\n");
    while buffer.next_line().is_some() {}
    assert_eq!(buffer.octets.capacity(), 0);
}

#[test]
fn what_follows_stls_in_the_same_segment_is_seen() {
    let mut buffer = LineBuffer::new();
    buffer.push(b"STLS\r\nUSER mallory\r\n");
    assert_eq!(buffer.next_line(), Some(Line::Complete(b"STLS")));
    assert!(!buffer.is_empty());
    buffer.clear();
    assert!(buffer.is_empty());
    assert_eq!(buffer.next_line(), None);

    buffer.push(b"STLS\r\n");
    assert_eq!(buffer.next_line(), Some(Line::Complete(b"STLS")));
    assert!(buffer.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lines_do_not_depend_on_how_the_input_is_cut(
        parts in proptest::collection::vec(
            prop_oneof![
                4 => proptest::collection::vec(any::<u8>(), 0..40),
                2 => Just(b"\r\n".to_vec()),
                1 => Just(b"\n".to_vec()),
                1 => (MAX_LINE - 3..MAX_LINE + 3).prop_map(|octets| vec![b'x'; octets]),
            ],
            0..12,
        ),
        size in 1_usize..3000,
    ) {
        let input = parts.concat();
        prop_assert_eq!(lines([&input[..]]), lines(input.chunks(size)));
        prop_assert_eq!(lines([&input[..]]), lines(parts.iter().map(|part| &part[..])));
    }
}
