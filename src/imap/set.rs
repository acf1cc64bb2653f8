//! UID sets as they are sent, and the few untagged numbers that need no grammar.
//!
//! Pure. Must not know: connections, or why messages are named.

use crate::maildrop::Uid;

/// The longest UID set in one command; servers take 8000 octets in a line at least (RFC 7162, 4).
const SET_LIMIT: usize = 7000;

/// Writes ascending UIDs as sets of at most 7000 octets each. A range covers only UIDs that were all given: a message that nobody
/// named is in no set.
pub(super) fn uid_sets(uids: &[Uid]) -> Vec<String> {
    let mut sets = Vec::new();
    let mut set = String::new();
    let mut rest = uids;
    while let Some(&first) = rest.first() {
        let run = 1 + rest
            .windows(2)
            .take_while(|pair| pair[0].get().checked_add(1) == Some(pair[1].get()))
            .count();
        let last = rest[run - 1];
        let part = if run > 1 {
            format!("{first}:{last}")
        } else {
            first.to_string()
        };
        if !set.is_empty() && set.len() + 1 + part.len() > SET_LIMIT {
            sets.push(std::mem::take(&mut set));
        }
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&part);
        rest = &rest[run..];
    }
    if !set.is_empty() {
        sets.push(set);
    }
    sets
}

/// `* 12 EXISTS` (RFC 3501, 7.3.1).
pub(super) fn exists(response: &[u8]) -> Option<u32> {
    numbered(response, b"EXISTS")
}

/// `* 12 EXPUNGE` (RFC 3501, 7.4.1).
pub(super) fn expunge(response: &[u8]) -> Option<u32> {
    numbered(response, b"EXPUNGE")
}

/// Whether the response tells that messages came or went.
pub(super) fn is_news(response: &[u8]) -> bool {
    // Lists of 100,000 messages come this way: FETCH is out at the first look.
    let Some(rest) = response.strip_prefix(b"* ") else {
        return false;
    };
    match rest.first() {
        Some(b'0'..=b'9') => {
            let word = rest
                .iter()
                .position(|b| *b == b' ')
                .map(|at| &rest[at + 1..]);
            word.is_some_and(|word| {
                let word = word.trim_ascii_end();
                word.eq_ignore_ascii_case(b"EXISTS") || word.eq_ignore_ascii_case(b"EXPUNGE")
            })
        }
        Some(b'V' | b'v') => {
            rest.split_at_checked(b"VANISHED ".len())
                .is_some_and(|(word, set)| {
                    word.eq_ignore_ascii_case(b"VANISHED ") && !set.starts_with(b"(")
                })
        }
        _ => false,
    }
}

/// Whether the response is `* n FETCH (...)` or, where UIDONLY is enabled, `* uid UIDFETCH (...)` (RFC 9586).
pub(super) fn is_fetch(response: &[u8]) -> bool {
    let mut words = response.splitn(4, |b| *b == b' ').skip(1);
    words
        .next()
        .is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
        && words.next().is_some_and(|w| {
            w.eq_ignore_ascii_case(b"FETCH") || w.eq_ignore_ascii_case(b"UIDFETCH")
        })
}

/// Whether the response is `* WORD ...`.
pub(super) fn is(response: &[u8], word: &[u8]) -> bool {
    response
        .splitn(3, |b| *b == b' ')
        .nth(1)
        .is_some_and(|w| w.trim_ascii_end().eq_ignore_ascii_case(word))
}

/// Whether the VANISHED response is an answer to who asked for it rather than news (RFC 7162, 3.2.10).
pub(super) fn is_earlier(response: &[u8]) -> bool {
    response
        .splitn(4, |b| *b == b' ')
        .nth(2)
        .is_some_and(|w| w.eq_ignore_ascii_case(b"(EARLIER)"))
}

fn numbered(response: &[u8], word: &[u8]) -> Option<u32> {
    let mut words = response.trim_ascii_end().splitn(3, |b| *b == b' ').skip(1);
    let number = words.next()?;
    words.next()?.eq_ignore_ascii_case(word).then_some(())?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(uids: &[u32]) -> Vec<Uid> {
        uids.iter().map(|uid| Uid::new(*uid).unwrap()).collect()
    }

    #[test]
    fn neighbours_become_ranges_and_gaps_stay_gaps() {
        assert_eq!(uid_sets(&of(&[1, 2, 3, 5, 7, 8])), ["1:3,5,7:8"]);
        assert_eq!(
            uid_sets(&of(&[u32::MAX - 1, u32::MAX])),
            ["4294967294:4294967295"]
        );
        assert!(uid_sets(&[]).is_empty());
    }

    #[test]
    fn numbers_are_read_and_nonsense_is_not() {
        assert_eq!(exists(b"* 23 EXISTS\r\n"), Some(23));
        assert_eq!(exists(b"* 23 EXPUNGE\r\n"), None);
        assert_eq!(expunge(b"* 4 expunge\r\n"), Some(4));
        assert_eq!(exists(b"* 99999999999 EXISTS\r\n"), None);
        for news in ["* 1 EXISTS\r\n", "* 2 expunge", "* VANISHED 3:5\r\n"] {
            assert!(is_news(news.as_bytes()), "{news}");
        }
        for other in [
            "* 1 FETCH (FLAGS ())\r\n",
            "* 1 RECENT\r\n",
            "* VANISHED (EARLIER) 1",
            "* FLAGS (EXISTS)",
            "* ",
            "",
        ] {
            assert!(!is_news(other.as_bytes()), "{other}");
        }
        assert!(is_fetch(b"* 1 FETCH (UID 3)\r\n") && is_fetch(b"* 3 uidfetch (FLAGS ())\r\n"));
        assert!(!is_fetch(b"* SEARCH 1 FETCH\r\n") && !is_fetch(b"* 1 UIDFETCHED (UID 3)\r\n"));
        assert!(
            is(b"* list () NIL x\r\n", b"LIST")
                && is(b"* SEARCH\r\n", b"SEARCH")
                && !is(b"*", b"LIST")
        );
    }

    proptest! {
        #[test]
        fn the_sets_name_exactly_the_given_uids(uids in prop::collection::btree_set(1u32..5000, 0..2000)) {
            let uids: Vec<u32> = uids.into_iter().collect();
            let mut named = Vec::new();
            for set in uid_sets(&of(&uids)) {
                prop_assert!(set.len() <= SET_LIMIT);
                for part in set.split(',') {
                    let (a, b) = part.split_once(':').unwrap_or((part, part));
                    named.extend(a.parse::<u32>().unwrap()..=b.parse().unwrap());
                }
            }
            prop_assert_eq!(named, uids);
        }
    }
}
