//! What one FETCH told of a folder's messages, with EXISTS and the positions kept true to what came and went meanwhile.
//!
//! Pure. Must not know: connections, or what was known of the folder before.

use std::ops::RangeInclusive;

use imap_proto::{AttributeValue, Response as Parsed};

use super::date::internal_date;
use super::error::Error;
use super::plain_row::{PlainRow, plain_row};
use super::{grammar, set};
use crate::maildrop::{Message, Uid};

/// Positions that may be expunged during one command before it is asked for again from the start.
const EXPUNGES: usize = 1000;
/// Rows beyond two for each message that one command may tell: somebody's flags change, and messages arrive.
const SURPLUS: usize = 1000;
/// The most rows of one command, whatever EXISTS claims.
const MOST_ROWS: usize = 10_000_000;
/// The most ranges of vanished messages that one command may tell.
const MOST_RANGES: usize = 1_000_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Size and date of each message, and the upstream's own ids.
    Messages(Asked),
    /// UIDs only: size, date and id of the rows are 0.
    Uids,
    /// Nothing but what vanished.
    Vanished,
}

/// Which of the upstream's own ids of messages are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// X-GM-MSGID: whoever has it has it for each message.
    pub(super) gm_msgids: bool,
    /// EMAILID (RFC 8474).
    pub(super) email_ids: bool,
}

/// An upstream's own ids of a message, 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// X-GM-MSGID.
    pub(super) gm_msgid: u64,
    /// A digest of EMAILID: eight octets, while that may have 255.
    pub(super) email_id: u64,
}

/// One message as FETCH told it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// None where UIDONLY is enabled.
    pub(super) position: Option<u32>,
    pub(super) message: Message,
    pub(super) ids: Ids,
}

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

/// The row that a FETCH response is; `None` where it is not an answer but news of somebody's flags.
///
/// # Errors
/// [`Error::Protocol`] where an answer cannot be read, [`Error::Inconsistent`] where it is half of one.
pub(super) fn row(response: &[u8], wanted: Wanted) -> Result<Option<Row>, Error> {
    let told = match plain_row(response) {
        Some(plain) => plain.into(),
        None => match by_grammar(response) {
            Some(told) => told,
            // News in a grammar of its own is nothing to us; an answer that cannot be read is.
            None if memchr::memmem::find(response, b"RFC822.SIZE").is_some() => {
                return Err(Error::Protocol("a FETCH response"));
            }
            None => return Ok(None),
        },
    };
    let Told {
        position,
        uid,
        size,
        date,
        gm_msgid,
        email_id,
    } = told;
    let row = |uid, size, internal_date, ids| Row {
        position,
        message: Message {
            uid,
            size,
            internal_date,
        },
        ids,
    };
    match wanted {
        Wanted::Vanished => Ok(None),
        Wanted::Uids => Ok(uid.map(|uid| row(uid, 0, 0, Ids::default()))),
        Wanted::Messages(_) if size.is_none() && date.is_none() => Ok(None),
        Wanted::Messages(asked) => {
            let gm_msgid = if asked.gm_msgids { gm_msgid } else { Some(0) };
            let email_id = email_id.filter(|_| asked.email_ids).unwrap_or(0);
            match (uid, size, date, gm_msgid) {
                (Some(uid), Some(size), Some(date), Some(gm_msgid)) => {
                    let ids = Ids { gm_msgid, email_id };
                    Ok(Some(row(uid, size, date, ids)))
                }
                // Half an answer must not be passed over: a message would be missing without a trace.
                _ => Err(Error::Inconsistent(
                    "a message without UID, size, date or id",
                )),
            }
        }
    }
}

/// What a FETCH response tells of its message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    position: Option<u32>,
    uid: Option<Uid>,
    size: Option<u32>,
    /// In seconds since 1970. A date in no known notation is the same each time, which is all that it is for.
    date: Option<i64>,
    gm_msgid: Option<u64>,
    email_id: Option<u64>,
}

impl From<PlainRow<'_>> for Told {
    fn from(row: PlainRow<'_>) -> Self {
        Self {
            position: row.position,
            uid: row.uid.and_then(Uid::new),
            size: row.size,
            date: row.date.map(|text| internal_date(text).unwrap_or(0)),
            gm_msgid: row.gm_msgid,
            email_id: row.email_id.map(|id| digest(id.as_bytes())),
        }
    }
}

fn by_grammar(response: &[u8]) -> Option<Told> {
    let fetch = grammar::fetch(response)?;
    let mut told = Told {
        position: fetch.position,
        ..Told::default()
    };
    for attribute in fetch.items {
        match attribute {
            AttributeValue::Uid(value) => told.uid = Uid::new(value),
            AttributeValue::Rfc822Size(value) => told.size = Some(value),
            AttributeValue::InternalDate(text) => {
                told.date = Some(internal_date(&text).unwrap_or(0));
            }
            AttributeValue::GmailMsgId(value) => told.gm_msgid = Some(value),
            AttributeValue::EmailId(id) => told.email_id = Some(digest(id.as_bytes())),
            _ => {}
        }
    }
    Some(told)
}

/// The first eight octets of SHA-256, never 0, which stands for none.
fn digest(id: &[u8]) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id);
    let first = digest.as_ref().first_chunk().copied();
    first.map_or(1, |octets| u64::from_be_bytes(octets).max(1))
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
    use proptest::prelude::*;

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
    fn the_usual_rows_are_read_without_the_grammar() {
        for response in [
            "* 1 FETCH (UID 7 RFC822.SIZE 5 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
            "* 1 FETCH (X-GM-MSGID 18446744073709551615 INTERNALDATE \" 1-Jan-1970 00:00:01 +0000\" UID 7)\r\n",
            "* 7 UIDFETCH (RFC822.SIZE 5 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
            "* 7 UIDFETCH (UID 7 RFC822.SIZE 5)\r\n",
            "* 1 FETCH (EMAILID (M6d99ac3275bb4e) UID 7)\r\n",
        ] {
            let row = plain_row(response.as_bytes());
            assert_eq!(row.and_then(|row| row.uid), Some(7), "{response}");
        }
        assert_eq!(plain_row(b"* 7 UIDFETCH (UID 8 RFC822.SIZE 5)\r\n"), None);
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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_row_read_without_the_grammar_is_what_the_grammar_reads(
            position in "[0-9]{1,11}",
            word in "(FETCH|UIDFETCH|Uidfetch)",
            items in proptest::collection::vec(
                prop_oneof![
                    "(UID|RFC822.SIZE|X-GM-MSGID) [0-9]{0,21}",
                    "EMAILID [(]?[-A-Za-z0-9_.+ ]{0,3}[)]?",
                    "INTERNALDATE \"[ 0-3][0-9]-(Jul|jul|x)-1996 02:44:25 [+-]0700\"",
                    "INTERNALDATE \"[ -~\u{e9}]{0,4}\"",
                    "(FLAGS \\(\\)|UID|UID =|uid 4|INTERNALDATE NIL|)",
                ],
                1..5,
            ),
            end in "(\\)\r\n|\\)|\\)\n| \\)\r\n|\\)\r\nx)",
        ) {
            let items = items.join(" ").replace("UID =", &format!("UID {position}"));
            let response = format!("* {position} {word} ({items}{end}");
            let response = response.as_bytes();
            if let Some(row) = plain_row(response) {
                prop_assert_eq!(by_grammar(response), Some(Told::from(row)));
            }
        }
    }
}
