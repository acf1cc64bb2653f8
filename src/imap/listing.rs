//! The list of a folder: from nothing, by difference, or not at all, and believed only when it adds up.
//!
//! A known list is kept only if EXISTS minus the new messages equals the old count; anything else is listed again. UIDNEXT or
//! HIGHESTMODSEQ going back, a changed UIDVALIDITY, or a known UID with another date or size throw the known list away.
//! Listing uses `UID FETCH`, never SEARCH (which 100,000 messages make one line).
//! Must not know: where lists are kept, POP3, or UIDLs.

use std::ops::RangeInclusive;
use std::sync::Arc;

use imap_proto::{AttributeValue, Response as Parsed};

use super::connection::{Connection, Selected, Untagged};
use super::date::internal_date;
use super::error::Error;
use super::set;
use super::table::{Put, Table};
use crate::maildrop::{Index, Message, Uid};

/// How often a list is asked for again because messages came or went meanwhile.
const ROUNDS: usize = 5;
/// Positions that may be expunged during one command before it is asked for again from the start.
const EXPUNGES: usize = 1000;

/// How a list came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Nothing was known before.
    Cold,
    /// What was known is still true; no list was transferred.
    Hit,
    /// Only what changed was transferred.
    Delta,
    /// What was known was not believed, for this reason.
    Distrusted(&'static str),
}

/// Opens `folder` read-only and brings `known` up to date; `gm_msgids` asks for X-GM-MSGID with each message.
///
/// # Errors
/// [`Error::Inconsistent`] where the upstream's figures do not add up, and what any command can give. Never a shorter list instead.
pub async fn refresh(
    connection: &mut Connection,
    folder: &str,
    known: Option<Arc<Index>>,
    gm_msgids: bool,
) -> Result<(Arc<Index>, Listed), Error> {
    let selected = connection.examine(folder, known.is_some()).await?;
    let mut view = View {
        connection,
        exists: selected.exists,
        gm_msgids,
    };
    let Some(known) = known else {
        return Ok((Arc::new(view.all(&selected).await?), Listed::Cold));
    };
    let distrust = match doubt(&known, &selected, gm_msgids) {
        Some(reason) => reason,
        None if known.uid_next.is_some()
            && known.uid_next == selected.uid_next
            && known.messages.len() == selected.exists as usize =>
        {
            return Ok((known, Listed::Hit));
        }
        None => match view.difference(&known, &selected).await? {
            Ok(index) => return Ok((Arc::new(index), Listed::Delta)),
            Err(reason) => reason,
        },
    };
    Ok((
        Arc::new(view.all(&selected).await?),
        Listed::Distrusted(distrust),
    ))
}

/// Why the known list says nothing about the folder as it is now.
fn doubt(known: &Index, selected: &Selected, gm_msgids: bool) -> Option<&'static str> {
    if known.uid_validity != selected.uid_validity {
        Some("UIDVALIDITY changed")
    } else if known.uid_next > selected.uid_next && selected.uid_next.is_some() {
        Some("UIDNEXT went back")
    } else if known.highest_modseq > selected.highest_modseq && selected.highest_modseq.is_some() {
        Some("HIGHESTMODSEQ went back")
    } else if gm_msgids && known.gm_msgids.is_none() {
        Some("X-GM-MSGID was not asked for before")
    } else {
        None
    }
}

/// The selected folder while it is being listed.
struct View<'a> {
    connection: &'a mut Connection,
    /// EXISTS, kept up with what the upstream says meanwhile.
    exists: u32,
    gm_msgids: bool,
}

/// One message as FETCH told it.
#[derive(Clone, Copy, Debug)]
struct Row {
    position: u32,
    uid: Uid,
    size: Option<u32>,
    date: Option<i64>,
    gm_msgid: Option<u64>,
}

/// What one FETCH command told.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// Messages that went while the command ran: positions and counts from before say nothing any more.
    went: usize,
    vanished: Vec<RangeInclusive<u32>>,
}

impl View<'_> {
    /// Lists everything.
    async fn all(&mut self, selected: &Selected) -> Result<Index, Error> {
        let mut table = Table::default();
        for _ in 0..ROUNDS {
            if table.len() == self.exists as usize {
                return Ok(self.index(table, selected));
            }
            // From the start, or where messages arrived while the last round ran, from the last one listed.
            let from = table.last_uid().map_or(1, Uid::get);
            let told = self.fetch(from).await?;
            let before = table.len();
            if before > 0 && told.went > 0 {
                table = Table::default();
                continue;
            }
            for row in told.rows.iter().filter_map(|row| self.message(row)) {
                table.put(row.0, row.1);
            }
            if table.len() == before || table.len() > self.exists as usize {
                table = Table::default();
            }
        }
        if table.len() == self.exists as usize && self.exists > 0 {
            return Ok(self.index(table, selected));
        }
        Err(Error::Inconsistent(
            "the messages listed are not as many as EXISTS says",
        ))
    }

    /// Lists what is new and drops what is gone; the inner error is the reason not to believe what was known.
    async fn difference(
        &mut self,
        known: &Index,
        selected: &Selected,
    ) -> Result<Result<Index, &'static str>, Error> {
        let mut table = Table::of(known);
        let last = table.last_uid().map_or(0, Uid::get);
        let mut went = 0;
        if self.exists > 0 {
            // From the last known message on: its date and size say whether it is still the same one. `*` is always among them.
            let told = self.fetch(last.max(1)).await?;
            went = told.went;
            for (message, gm_msgid) in told.rows.iter().filter_map(|row| self.message(row)) {
                match table.put(message, gm_msgid) {
                    Put::Changed => return Ok(Err("a known UID has another date or size")),
                    Put::New if message.uid.get() < last => {
                        return Ok(Err("an unknown UID below the last known one"));
                    }
                    Put::New | Put::Same => {}
                }
            }
        }
        let exists = self.exists as usize;
        if exists == table.len() && went == 0 {
            return Ok(Ok(self.index(table, selected)));
        }
        if exists > table.len() {
            return Ok(Err("there are more messages than were told"));
        }
        self.drop_gone(table, known, selected).await
    }

    /// Messages are gone: asks which, by QRESYNC or by listing the UIDs.
    async fn drop_gone(
        &mut self,
        mut table: Table,
        known: &Index,
        selected: &Selected,
    ) -> Result<Result<Index, &'static str>, Error> {
        if let (Some(modseq), true) = (known.highest_modseq, self.connection.has_qresync()) {
            let command = format!("UID FETCH 1:* (UID) (CHANGEDSINCE {modseq} VANISHED)");
            let mut gone = self.run("FETCH vanished", &command).await?.vanished;
            let mut left = table.clone();
            left.drop_ranges(&mut gone);
            if left.len() == self.exists as usize {
                return Ok(Ok(self.index(left, selected)));
            }
        }
        let mut uids = Vec::new();
        if self.exists > 0 {
            uids.extend(
                self.run("FETCH uids", "UID FETCH 1:* (UID)")
                    .await?
                    .rows
                    .iter()
                    .map(|row| row.uid),
            );
            uids.sort_unstable();
            uids.dedup();
        }
        if !table.keep(&uids) {
            return Ok(Err("an unknown UID among the known ones"));
        }
        if table.len() == self.exists as usize {
            Ok(Ok(self.index(table, selected)))
        } else {
            Ok(Err("the UIDs are not as many as EXISTS says"))
        }
    }

    async fn fetch(&mut self, from: u32) -> Result<Rows, Error> {
        let items = if self.gm_msgids {
            "UID RFC822.SIZE INTERNALDATE X-GM-MSGID"
        } else {
            "UID RFC822.SIZE INTERNALDATE"
        };
        self.run("FETCH list", &format!("UID FETCH {from}:* ({items})"))
            .await
    }

    /// Runs a FETCH, keeping EXISTS and positions true to what is expunged and what arrives meanwhile.
    async fn run(&mut self, name: &'static str, command: &str) -> Result<Rows, Error> {
        let mut told = Rows::default();
        let exists = &mut self.exists;
        self.connection
            .command(name, command, |untagged| {
                let Untagged::Data(response) = untagged else {
                    return Ok(());
                };
                if set::is_fetch(response) {
                    // Without a UID it is news of somebody's flags.
                    told.rows.extend(row(response)?);
                } else if let Some(count) = set::exists(response) {
                    *exists = count;
                } else if let Some(position) = set::expunge(response) {
                    *exists = exists.saturating_sub(1);
                    told.expunge(position)?;
                } else if set::is(response, b"VANISHED") {
                    *exists = exists.saturating_sub(told.vanish(response)?);
                }
                Ok(())
            })
            .await?;
        Ok(told)
    }

    /// The message of a row. A row without size and date is news of somebody's flags and not what was asked for; should it be the
    /// upstream's idea of an answer, the count will not add up.
    fn message(&self, row: &Row) -> Option<(Message, u64)> {
        let message = Message {
            uid: row.uid,
            size: row.size?,
            internal_date: row.date?,
        };
        let gm_msgid = if self.gm_msgids { row.gm_msgid? } else { 0 };
        Some((message, gm_msgid))
    }

    fn index(&self, table: Table, selected: &Selected) -> Index {
        let behind = table
            .last_uid()
            .map_or(0, |last| last.get().saturating_add(1));
        let (messages, gm_msgids) = table.into_lists(self.gm_msgids);
        Index {
            uid_validity: selected.uid_validity,
            // What arrived after EXAMINE is listed already.
            uid_next: selected.uid_next.map(|next| next.max(behind)),
            // As of EXAMINE: whatever changed since is told again next time.
            highest_modseq: selected.highest_modseq,
            messages,
            gm_msgids,
        }
    }
}

impl Rows {
    fn expunge(&mut self, position: u32) -> Result<(), Error> {
        self.went += 1;
        if self.went > EXPUNGES {
            return Err(Error::Inconsistent(
                "too many messages went while they were listed",
            ));
        }
        self.rows.retain(|row| row.position != position);
        for row in self.rows.iter_mut().filter(|row| row.position > position) {
            row.position -= 1;
        }
        Ok(())
    }

    /// Notes what vanished; gives how many fewer messages EXISTS counts from now on (RFC 7162, 3.2.10: none for EARLIER).
    fn vanish(&mut self, response: &[u8]) -> Result<u32, Error> {
        let Ok((_, Parsed::Vanished { earlier, uids })) = Parsed::parse(response) else {
            return Err(Error::Protocol("a VANISHED response"));
        };
        let count = uids
            .iter()
            .map(|range| u64::from(range.end().abs_diff(*range.start())) + 1)
            .sum::<u64>();
        self.rows
            .retain(|row| !uids.iter().any(|range| range.contains(&row.uid.get())));
        self.vanished.extend(uids);
        if earlier {
            return Ok(0);
        }
        self.went += 1;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn row(response: &[u8]) -> Result<Option<Row>, Error> {
    let Ok((_, Parsed::Fetch(position, attributes))) = Parsed::parse(response) else {
        return Err(Error::Protocol("a FETCH response"));
    };
    let (mut uid, mut size, mut date, mut gm_msgid) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(value) => uid = Uid::new(value),
            AttributeValue::Rfc822Size(value) => size = Some(value),
            AttributeValue::InternalDate(text) => date = internal_date(&text),
            AttributeValue::GmailMsgId(value) => gm_msgid = Some(value),
            _ => {}
        }
    }
    Ok(uid.map(|uid| Row {
        position,
        uid,
        size,
        date,
        gm_msgid,
    }))
}
