//! The list of a folder: from nothing, by difference, or not at all, and believed only when it adds up.
//!
//! A known list is kept only if EXISTS minus the new messages equals the old count; anything else is listed again. UIDNEXT or
//! HIGHESTMODSEQ going back, a changed UIDVALIDITY, or a known UID with another date, size or id throw the known list away.
//! An upstream that ends a FETCH at its own limit (RFC 9738) is asked for the rest: what it has not told of yet is not gone.
//! Listing uses `UID FETCH`, never SEARCH (which 100,000 messages make one line).
//! Must not know: where lists are kept, POP3, or UIDLs.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::connection::{Connection, Selected, Untagged, cut_at};
use super::error::Error;
use super::row::{Asked, Wanted};
use super::rows::Rows;
use super::table::{Put, Table};
use crate::maildrop::{Index, Uid};

/// How often a list is asked for again because messages came or went meanwhile.
const ROUNDS: usize = 5;
/// The most commands that one round may take where the upstream tells of so many messages at a time only.
const PORTIONS: usize = 10_000;

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

/// Opens `folder` read-only, if it is not open, and brings `known` up to date. X-GM-MSGID, else EMAILID, is listed with each message wherever the
/// upstream has it: it is what a message is known by when its UID means nothing any more.
///
/// `known` may be old, or wrong: what the upstream contradicts is not believed, nor is what contradicts itself.
///
/// # Errors
/// [`Error::Inconsistent`] where the upstream's figures do not add up, and what any command can give. Never a shorter list instead.
pub async fn refresh(
    connection: &mut Connection,
    folder: &str,
    known: Option<Arc<Index>>,
) -> Result<(Arc<Index>, Listed), Error> {
    if let Some(known) = &known
        && connection.still_holds(folder, known).await? == Some(true)
    {
        return Ok((Arc::clone(known), Listed::Hit));
    }
    let (index, how) = list(connection, folder, known).await?;
    connection.put_in_step(&index);
    Ok((index, how))
}

async fn list(
    connection: &mut Connection,
    folder: &str,
    known: Option<Arc<Index>>,
) -> Result<(Arc<Index>, Listed), Error> {
    let asked = Asked {
        gm_msgids: connection.has_gm_msgids(),
        email_ids: connection.has_email_ids(),
    };
    let selected = connection.examine(folder, true).await?;
    let mut view = View {
        connection,
        exists: selected.exists,
        asked,
    };
    let Some(known) = known else {
        return Ok((Arc::new(view.all(&selected).await?), Listed::Cold));
    };
    let distrust = match doubt(&known, &selected, asked) {
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
fn doubt(known: &Index, selected: &Selected, asked: Asked) -> Option<&'static str> {
    if known.uid_validity != selected.uid_validity {
        Some("UIDVALIDITY changed")
    } else if known.uid_next > selected.uid_next && selected.uid_next.is_some() {
        Some("UIDNEXT went back")
    } else if known.highest_modseq > selected.highest_modseq && selected.highest_modseq.is_some() {
        Some("HIGHESTMODSEQ went back")
    } else if asked.gm_msgids && !has_ids(known) {
        Some("X-GM-MSGID was not asked for before")
    } else if asked.email_ids && known.email_ids.is_none() && !known.messages.is_empty() {
        Some("EMAILID was not asked for before")
    } else if !known.messages.is_sorted_by(|a, b| a.uid < b.uid) {
        Some("the UIDs known do not ascend")
    } else {
        None
    }
}

/// Whether the id of every message is known. None is 0: that is how one that nobody asked for is kept.
fn has_ids(known: &Index) -> bool {
    let ids = known.gm_msgids.as_ref();
    ids.is_some_and(|ids| ids.len() == known.messages.len() && !ids.contains(&0))
}

fn bound(bound: Bound<&u32>) -> Option<u32> {
    match bound {
        Bound::Included(uid) => Some(*uid),
        Bound::Excluded(_) | Bound::Unbounded => None,
    }
}

/// The selected folder while it is being listed.
struct View<'a> {
    connection: &'a mut Connection,
    /// EXISTS, kept up with what the upstream says meanwhile.
    exists: u32,
    asked: Asked,
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
            let told = self.fetch(from..).await?;
            let before = table.len();
            if before > 0 && told.went > 0 {
                table = Table::default();
                continue;
            }
            for row in told.rows {
                table.put(row.message, row.ids);
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
        let mut table = Table::of(known, self.asked);
        let (mut in_place, mut came) = (true, false);
        for _ in 0..ROUNDS {
            let before = self.exists;
            if before == 0 {
                break;
            }
            // From the last known message on: its date and size say whether it is still the same one. `*` is always among them.
            let last = table.last_uid().map_or(0, Uid::get);
            let told = self.fetch(last.max(1)..).await?;
            for row in &told.rows {
                match table.put(row.message, row.ids) {
                    Put::Changed => {
                        return Ok(Err("a known UID has another date, size or X-GM-MSGID"));
                    }
                    Put::New if row.message.uid.get() < last => {
                        return Ok(Err("an unknown UID below the last known one"));
                    }
                    Put::New | Put::Same => {}
                }
            }
            // As many messages as EXISTS says may still be others, should one have gone and another not have been told.
            in_place &= told.went == 0
                && (last == 0 || told.rows.iter().any(|row| row.message.uid.get() == last))
                && !told.rows.is_empty()
                && told.rows.iter().all(|row| {
                    let at = table.position(row.message.uid);
                    row.position.is_none_or(|told| at == Some(told as usize))
                });
            // What arrived behind the rows is told by the next round; what is missing otherwise is not. Without positions one that came
            // makes up for one that went before, so that the count says nothing until none comes any more.
            let is_told = self.exists as usize <= table.len() && !self.connection.is_uidonly();
            came = self.exists > before;
            if told.went > 0 || !came || is_told {
                break;
            }
        }
        // Without positions (UIDONLY) it counts that the last one to arrive was told.
        let is_last = |last: Uid| {
            selected
                .uid_next
                .is_some_and(|next| next <= last.get().saturating_add(1))
        };
        if self.connection.is_uidonly() {
            in_place &= !came && table.last_uid().is_some_and(is_last);
        }
        let exists = self.exists as usize;
        if exists == table.len() && in_place {
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
        if let (Some(modseq), true) = (known.highest_modseq, self.connection.has_qresync())
            && self.exists > 0
        {
            let items = format!("(UID) (CHANGEDSINCE {modseq} VANISHED)");
            let told = self.run("FETCH vanished", 1.., &items, Wanted::Vanished);
            match told.await {
                Ok(mut told) => {
                    let mut left = table.clone();
                    left.drop_ranges(&mut told.vanished);
                    if left.len() == self.exists as usize {
                        return self.survivors(left, known, selected).await;
                    }
                }
                // The UIDs tell the same.
                Err(Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut uids = Vec::new();
        if self.exists > 0 {
            let told = self.run("FETCH uids", 1.., "(UID)", Wanted::Uids).await?;
            uids.extend(told.rows.iter().map(|row| row.message.uid));
            uids.sort_unstable();
            uids.dedup();
        }
        if !table.keep(&uids) {
            return Ok(Err("an unknown UID among the known ones"));
        }
        if table.len() == self.exists as usize {
            self.survivors(table, known, selected).await
        } else {
            Ok(Err("the UIDs are not as many as EXISTS says"))
        }
    }

    /// Whether the last known message that is left is still the same: had UIDs been given a second time, its UID would be one of them.
    /// Nothing is asked where the difference has told of it already.
    async fn survivors(
        &mut self,
        mut table: Table,
        known: &Index,
        selected: &Selected,
    ) -> Result<Result<Index, &'static str>, Error> {
        let mut left = known.messages.iter().rev().map(|message| message.uid);
        let last = known.messages.last().map(|message| message.uid);
        let highest = left.find(|uid| table.position(*uid).is_some());
        if let Some(uid) = highest.filter(|_| highest != last) {
            let told = self.fetch(uid.get()..=uid.get()).await?;
            if told.went > 0 || self.exists as usize != table.len() {
                return Ok(Err("messages came or went while it was made"));
            }
            if !told.rows.iter().any(|row| row.message.uid == uid) {
                return Ok(Err("the last known message that is left was not told"));
            }
            for row in &told.rows {
                if table.put(row.message, row.ids) == Put::Changed {
                    return Ok(Err("a known UID has another date, size or X-GM-MSGID"));
                }
            }
        }
        Ok(Ok(self.index(table, selected)))
    }

    async fn fetch(&mut self, uids: impl RangeBounds<u32> + Clone) -> Result<Rows, Error> {
        let told = self.fetch_asked(uids.clone()).await;
        match told {
            // Some offer OBJECTID and cannot do it.
            Err(Error::Refused { reply, .. }) if reply.is_bad() && self.asked.email_ids => {
                self.connection.do_without_email_ids();
                self.asked.email_ids = false;
                self.fetch_asked(uids).await
            }
            told => told,
        }
    }

    async fn fetch_asked(&mut self, uids: impl RangeBounds<u32>) -> Result<Rows, Error> {
        let items = match self.asked {
            Asked {
                gm_msgids: true, ..
            } => "(UID RFC822.SIZE INTERNALDATE X-GM-MSGID)",
            Asked {
                email_ids: true, ..
            } => "(UID RFC822.SIZE INTERNALDATE EMAILID)",
            _ => "(UID RFC822.SIZE INTERNALDATE)",
        };
        let wanted = Wanted::Messages(self.asked);
        self.run("FETCH list", uids, items, wanted).await
    }

    /// Runs a FETCH, and as many more as it takes where the upstream stops at its limit, keeping EXISTS true to what is expunged and what
    /// arrives meanwhile. Rows ascend by their UIDs where more than one was needed.
    async fn run(
        &mut self,
        name: &'static str,
        uids: impl RangeBounds<u32>,
        items: &str,
        wanted: Wanted,
    ) -> Result<Rows, Error> {
        let from = bound(uids.start_bound()).unwrap_or(1);
        let mut to = bound(uids.end_bound());
        let mut told = Rows::new(wanted, self.exists);
        for portion in 0..PORTIONS {
            let command = match to {
                Some(to) if to == from => format!("UID FETCH {from} {items}"),
                Some(to) => format!("UID FETCH {from}:{to} {items}"),
                None => format!("UID FETCH {from}:{} {items}", self.connection.last()),
            };
            let reply = self
                .connection
                .command_in_part(name, &command, |untagged| match untagged {
                    Untagged::Data(response) => told.note(response),
                    Untagged::Status(_) => Ok(()),
                })
                .await;
            self.exists = told.exists;
            let reply = reply?;
            // Everything from there on was told.
            match cut_at(&reply).flatten() {
                Some(lowest) if to.is_some_and(|to| lowest > to) => break,
                Some(lowest) if lowest > from => to = Some(lowest - 1),
                _ => {
                    if portion > 0 {
                        told.rows.sort_by_key(|row| row.message.uid);
                    }
                    return Ok(told);
                }
            }
        }
        Err(Error::Inconsistent("a list in portions that do not end"))
    }

    fn index(&self, table: Table, selected: &Selected) -> Index {
        let behind = table
            .last_uid()
            .map_or(0, |last| last.get().saturating_add(1));
        let (messages, gm_msgids, email_ids) = table.into_lists(self.asked);
        Index {
            uid_validity: selected.uid_validity,
            // What arrived after EXAMINE is listed already.
            uid_next: selected.uid_next.map(|next| next.max(behind)),
            // As of EXAMINE: whatever changed since is told again next time.
            highest_modseq: selected.highest_modseq,
            messages,
            gm_msgids,
            email_ids,
        }
    }
}

#[cfg(test)]
mod tests;
