//! What one FETCH response tells of a message of the list.
//!
//! Pure. Must not know: connections, other messages.

use imap_proto::AttributeValue;

use super::date::internal_date;
use super::error::Error;
use super::grammar;
use super::plain_row::{PlainRow, plain_row};
use crate::maildrop::{Message, Uid};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
