//! What one FETCH told of a folder's messages, with EXISTS and the positions kept true to what came and went meanwhile.
//!
//! Pure. Must not know: connections, or what was known of the folder before.

use std::ops::RangeInclusive;

use imap_proto::Response as Parsed;

use super::error::Error;
use super::row::{Row, Wanted, row};
use super::{grammar, set};
use crate::maildrop::Uid;

/// Positions that may be expunged during one command before it is asked for again from the start.
const EXPUNGES: usize = 1000;
/// Rows beyond two for each message that one command may tell: somebody's flags change, and messages arrive.
const SURPLUS: usize = 1000;
/// The most rows of one command, whatever EXISTS claims.
const MOST_ROWS: usize = 10_000_000;
/// The most ranges of vanished messages that one command may tell.
const MOST_RANGES: usize = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Rows {
    wanted: Wanted,
    pub(super) rows: Vec<Row>,
    /// Messages in the folder.
    pub(super) exists: u32,
    /// How often messages went while the command ran: counts from before say nothing any more.
    pub(super) went: usize,
    /// Kept only for [`Wanted::Vanished`].
    pub(super) vanished: Vec<RangeInclusive<u32>>,
}

impl Rows {
    /// Nothing told yet of a folder with `exists` messages.
    pub(super) fn new(wanted: Wanted, exists: u32) -> Self {
        Self {
            wanted,
            rows: Vec::new(),
            exists,
            went: 0,
            vanished: Vec::new(),
        }
    }

    /// Notes one untagged response, whatever it is.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] where it contradicts what was told before, [`Error::Protocol`] where an answer cannot be read,
    /// [`Error::TooLong`] where more vanished than is kept.
    pub(super) fn note(&mut self, response: &[u8]) -> Result<(), Error> {
        if set::is_fetch(response) {
            if let Some(row) = row(response, self.wanted)? {
                self.push(row)?;
            }
        } else if let Some(count) = set::exists(response) {
            if count < self.exists {
                return Err(Error::Inconsistent("EXISTS fell without an EXPUNGE"));
            }
            self.exists = count;
        } else if let Some(position) = set::expunge(response) {
            self.expunge(position)?;
        } else if set::is(response, b"VANISHED") {
            self.vanish(response)?;
        }
        Ok(())
    }

    fn push(&mut self, row: Row) -> Result<(), Error> {
        let most = 2 * self.exists as usize + SURPLUS;
        if self.rows.len() >= most.min(MOST_ROWS) {
            return Err(Error::Inconsistent("many more rows than messages"));
        }
        self.rows.push(row);
        Ok(())
    }

    fn expunge(&mut self, position: u32) -> Result<(), Error> {
        if position == 0 || position > self.exists {
            return Err(Error::Inconsistent(
                "EXPUNGE of a message that is not there",
            ));
        }
        self.exists -= 1;
        self.went += 1;
        if self.went > EXPUNGES {
            return Err(Error::Inconsistent(
                "too many messages went while they were listed",
            ));
        }
        // What was told without its position (UIDONLY) stays: the count shows that it is one too many.
        self.rows.retain(|row| row.position != Some(position));
        for at in self.rows.iter_mut().filter_map(|row| row.position.as_mut()) {
            *at -= u32::from(*at > position);
        }
        Ok(())
    }

    /// Notes what vanished; EXISTS counts fewer messages from now on (RFC 7162, 3.2.10), but not for EARLIER.
    fn vanish(&mut self, response: &[u8]) -> Result<(), Error> {
        if self.wanted != Wanted::Vanished && set::is_earlier(response) {
            // Nobody asked for it and it changes nothing, so that it is not worth the reading.
            return Ok(());
        }
        let Some(Parsed::Vanished { earlier, mut uids }) = grammar::read(response) else {
            return Err(Error::Protocol("a VANISHED response"));
        };
        for range in &mut uids {
            if range.start() > range.end() {
                *range = *range.end()..=*range.start();
            }
        }
        if !earlier {
            let count: u64 = uids
                .iter()
                .map(|range| u64::from(range.end() - range.start()) + 1)
                .sum();
            let count = u32::try_from(count).ok().filter(|n| *n <= self.exists);
            self.exists -= count.ok_or(Error::Inconsistent("more vanished than there was"))?;
            self.went += 1;
            uids.sort_unstable_by_key(|range| *range.start());
            self.rows.retain(|row| !within(&uids, row.message.uid));
        }
        if self.wanted == Wanted::Vanished {
            if self.vanished.len() + uids.len() > MOST_RANGES {
                return Err(Error::TooLong("the list of what vanished"));
            }
            self.vanished.extend(uids);
        }
        Ok(())
    }
}

/// Whether one of the ranges, sorted by their starts, contains the UID. Ranges of one response do not overlap; where they do, a message
/// may be taken to be still there, and the count will not add up.
fn within(ranges: &[RangeInclusive<u32>], uid: Uid) -> bool {
    let behind = ranges.partition_point(|range| *range.start() <= uid.get());
    behind
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|range| range.contains(&uid.get()))
}

#[cfg(test)]
mod tests {
    use super::super::row::Asked;
    use super::*;

    const ALL: Wanted = Wanted::Messages(Asked {
        gm_msgids: false,
        email_ids: false,
    });

    fn told(exists: u32, responses: &[&str]) -> Result<Rows, Error> {
        let mut rows = Rows::new(ALL, exists);
        for response in responses {
            rows.note(format!("* {response}\r\n").as_bytes())?;
        }
        Ok(rows)
    }

    fn uids(rows: &Rows) -> Vec<u32> {
        rows.rows.iter().map(|row| row.message.uid.get()).collect()
    }

    fn full(position: u32, uid: u32) -> String {
        format!(
            "{position} FETCH (INTERNALDATE \" 1-Jan-1970 00:00:01 +0000\" UID {uid} RFC822.SIZE 5)"
        )
    }

    #[test]
    fn positions_are_kept_true_to_what_is_expunged() {
        let (a, b, c) = (full(1, 11), full(2, 12), full(3, 13));
        let rows = told(4, &[&a, &b, &c, "2 EXPUNGE", &full(3, 14), "1 EXPUNGE"]).unwrap();
        assert_eq!(uids(&rows), [13, 14]);
        assert_eq!((rows.exists, rows.went), (2, 2));
        let rows = told(3, &["1 EXPUNGE", &full(1, 12), "5 EXISTS", &full(2, 13)]).unwrap();
        assert_eq!((uids(&rows), rows.exists), (vec![12, 13], 5));
    }

    #[test]
    fn what_vanishes_is_counted_unless_it_vanished_earlier() {
        let (a, b, c) = (full(1, 11), full(2, 12), full(3, 19));
        let rows = told(3, &[&a, &b, &c, "VANISHED 12:11"]).unwrap();
        assert_eq!((uids(&rows), rows.exists, rows.went), (vec![19], 1, 1));
        let rows = told(3, &[&a, &b, &c, "VANISHED (EARLIER) 1:10,20:4294967295"]).unwrap();
        assert_eq!((rows.rows.len(), rows.exists, rows.went), (3, 3, 0));
    }

    #[test]
    fn what_vanished_is_kept_for_who_asked_and_not_without_end() {
        let response = b"* VANISHED (EARLIER) 1:10,20:4294967295\r\n";
        for (wanted, kept) in [(Wanted::Vanished, 2), (Wanted::Uids, 0), (ALL, 0)] {
            let mut rows = Rows::new(wanted, 3);
            rows.note(response).unwrap();
            assert_eq!(rows.vanished.len(), kept, "{wanted:?}");
        }
        let many = format!("* VANISHED (EARLIER) 1{}\r\n", ",3".repeat(99_999));
        let mut rows = Rows::new(Wanted::Vanished, 3);
        for _ in 0..MOST_RANGES / 100_000 {
            rows.note(many.as_bytes()).unwrap();
        }
        assert_eq!(rows.vanished.len(), MOST_RANGES);
        assert!(matches!(rows.note(response), Err(Error::TooLong(_))));
    }

    #[test]
    fn contradictions_are_errors() {
        for responses in [
            &["2 EXISTS"][..],
            &["0 EXPUNGE"],
            &["4 EXPUNGE"],
            &["VANISHED 1:4"],
            &["VANISHED 0:4294967295,0:4294967295"],
        ] {
            let outcome = told(3, responses);
            assert!(
                matches!(outcome, Err(Error::Inconsistent(_))),
                "{responses:?}: {outcome:?}"
            );
        }
    }

    #[test]
    fn rows_without_end_are_not_kept() {
        let row = full(1, 1);
        let many = vec![row.as_str(); 2 * 3 + SURPLUS + 1];
        assert!(matches!(told(3, &many), Err(Error::Inconsistent(_))));
        // Nor are a message's flags, however often somebody changes them.
        let rows = told(3, &["1 FETCH (UID 1 FLAGS (\\Seen))"; 5000]).unwrap();
        assert!(rows.rows.is_empty());
    }

    #[test]
    fn news_may_be_in_any_grammar_and_answers_may_not() {
        for news in [
            "1 FETCH (FLAGS (Gel\u{f6}scht))",
            "1 FETCH (ANNOTATION (/comment (value.priv \"x\")))",
            "1 FETCH (\u{1})",
            "1 FETCH (INTERNALDATE NIL)",
            "NAMESPACE ((\"\" \"/\")) NIL NIL",
        ] {
            assert!(told(3, &[news]).unwrap().rows.is_empty(), "{news}");
        }
        let broken = "1 FETCH (UID 1 RFC822.SIZE -5 INTERNALDATE (()))";
        assert!(matches!(told(3, &[broken]), Err(Error::Protocol(_))));
        let half = "1 FETCH (UID 1 RFC822.SIZE 5)";
        assert!(matches!(told(3, &[half]), Err(Error::Inconsistent(_))));
        let odd = "1 FETCH (UID 1 RFC822.SIZE 5 INTERNALDATE \"yesterday\")";
        assert_eq!(told(3, &[odd]).unwrap().rows[0].message.internal_date, 0);
    }

    #[test]
    fn with_uids_only_a_row_names_its_message_and_no_position() {
        let row = "7 UIDFETCH (RFC822.SIZE 5 INTERNALDATE \" 1-Jan-1970 00:00:01 +0000\")";
        let odd = row.replace("RFC822.SIZE", "FLAGS () RFC822.SIZE");
        for row in [row, &odd] {
            let told = told(3, &[row, "VANISHED 8"]).unwrap();
            assert_eq!((uids(&told), told.exists, told.went), (vec![7], 2, 1));
            assert_eq!(told.rows[0].position, None);
        }
        // Told twice and not alike, it is nobody's.
        let other = row.replace("RFC822.SIZE", "UID 8 RFC822.SIZE");
        assert!(matches!(told(3, &[&other]), Err(Error::Protocol(_))));
    }
}
