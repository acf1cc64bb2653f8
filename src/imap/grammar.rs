//! The door to the grammar crate: responses are read through here, and those that would bring it down are not.
//!
//! imap-proto 0.17 descends into nested parentheses without a limit (a megabyte of `(` in a BODYSTRUCTURE overflows the stack, which
//! ends the process and not just the task) and panics at `INTERNALDATE NIL`. Neither is ever part of an answer that was asked for.
//! Pure. Must not know: commands, connections.

use imap_proto::{AttributeValue, Response};

/// The most opening parentheses in one response, those in strings included: a few belong to what is asked for.
const MOST_PARENTHESES: usize = 100;

/// Reads a response from its `* ` to its CRLF. `None` where it is not understood.
pub(super) fn read(response: &[u8]) -> Option<Response<'_>> {
    // Strings are not told apart: what a lenient grammar takes for one is not certain.
    let nested = memchr::memchr_iter(b'(', response)
        .nth(MOST_PARENTHESES)
        .is_some();
    if nested || has_nil_date(response) {
        return None;
    }
    match Response::parse(response) {
        Ok((_, parsed)) => Some(parsed),
        Err(_) => None,
    }
}

/// The items of a FETCH response.
pub(super) fn fetch(response: &[u8]) -> Option<(u32, Vec<AttributeValue<'_>>)> {
    match read(response)? {
        Response::Fetch(position, items) => Some((position, items)),
        _ => None,
    }
}

/// A quoted string's octets: the grammar leaves the backslashes in (RFC 3501, 4.3).
pub(super) fn unescaped(quoted: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(quoted.len());
    let mut octets = quoted.iter();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'\\' => *octets.next().unwrap_or(octet),
            _ => *octet,
        });
    }
    out
}

fn has_nil_date(response: &[u8]) -> bool {
    const NIL_DATE: &[u8] = b"INTERNALDATE NIL";
    memchr::memchr2_iter(b'l', b'L', response)
        .filter_map(|at| response.get((at + 1).checked_sub(NIL_DATE.len())?..=at))
        .any(|words| words.eq_ignore_ascii_case(NIL_DATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_bring_the_grammar_down_is_not_understood() {
        let deep = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(1_000_000));
        assert!(read(deep.as_bytes()).is_none());
        // The quotation mark hides nothing.
        let hidden = format!(
            "* 1 FETCH (X (\") BODYSTRUCTURE {}\r\n",
            "(".repeat(1_000_000)
        );
        assert!(read(hidden.as_bytes()).is_none());
        assert!(read(b"* 1 FETCH (UID 1 internaldate nil)\r\n").is_none());
        assert!(read(b"INTERNALDATE NIL").is_none());
        assert!(read(b"l").is_none());
    }

    #[test]
    fn what_is_merely_deep_is_understood() {
        // As deep as the limit allows, in a debug build: the stack is large enough for it.
        let deep = format!(
            "* 1 FETCH (BODYSTRUCTURE {}\r\n",
            "(".repeat(MOST_PARENTHESES - 1)
        );
        assert!(read(deep.as_bytes()).is_none());
        assert!(fetch(b"* 1 FETCH (UID 7 FLAGS (\\Seen) INTERNALDATE \"x\")\r\n").is_some());
        assert!(fetch(b"* LIST () \"/\" x\r\n").is_none());
    }
}
