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

/// The items of a FETCH or UIDFETCH response.
pub(super) struct Fetch<'a> {
    /// The message's position; none in UIDFETCH.
    pub(super) position: Option<u32>,
    /// What is told of it. UIDFETCH's number is among them as the UID, before the others.
    pub(super) items: Vec<AttributeValue<'a>>,
}

/// Reads a FETCH response, or a UIDFETCH (RFC 9586), which the grammar crate does not know: it differs in what the number means. `None`
/// also where that is not the UID among the items.
pub(super) fn fetch(response: &[u8]) -> Option<Fetch<'_>> {
    let Some(as_fetch) = without_uid(response) else {
        return match read(response)? {
            Response::Fetch(position, items) => Some(Fetch {
                position: Some(position),
                items,
            }),
            _ => None,
        };
    };
    let Response::Fetch(uid, items) = read(&as_fetch)? else {
        return None;
    };
    let other = |item: &AttributeValue<'_>| matches!(item, AttributeValue::Uid(one) if *one != uid);
    if items.iter().any(other) {
        return None;
    }
    let items = items.into_iter().map(AttributeValue::into_owned);
    Some(Fetch {
        position: None,
        items: std::iter::once(AttributeValue::Uid(uid))
            .chain(items)
            .collect(),
    })
}

/// `* 7 UIDFETCH (...` as `* 7 FETCH (...`; `None` for any other response.
fn without_uid(response: &[u8]) -> Option<Vec<u8>> {
    const UID: usize = "UID".len();
    let behind = response.strip_prefix(b"* ")?;
    let word_at = response.len() - behind.len() + memchr::memchr(b' ', behind)? + 1;
    let (head, word) = response.split_at_checked(word_at)?;
    let is_uidfetch = word
        .get(.."UIDFETCH ".len())
        .is_some_and(|word| word.eq_ignore_ascii_case(b"UIDFETCH "));
    is_uidfetch.then(|| [head, word.get(UID..).unwrap_or_default()].concat())
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

    #[test]
    fn a_uidfetch_names_its_message_by_its_number() {
        let uids = |text: &[u8]| {
            let fetch = fetch(text)?;
            assert_eq!(fetch.position, None);
            let items = fetch.items.iter();
            Some(
                items
                    .filter(|item| matches!(item, AttributeValue::Uid(7)))
                    .count(),
            )
        };
        assert_eq!(uids(b"* 7 UIDFETCH (FLAGS (\\Seen))\r\n"), Some(1));
        assert_eq!(uids(b"* 7 uidfetch (FLAGS () UID 7)\r\n"), Some(2));
        assert_eq!(uids(b"* 7 UIDFETCH (FLAGS () UID 8)\r\n"), None);
        assert_eq!(uids(b"* 7 UIDFETCH\r\n"), None);
        assert!(without_uid(b"* 7 FETCH (UID 7)\r\n").is_none());
        assert!(without_uid(b"* ").is_none() && without_uid(b"* 7 UID").is_none());
    }
}
