//! Copies of messages, and which is whose: UID COPY with COPYUID (RFC 4315).
//!
//! Must not know: what copies are for.

use super::connection::{Connection, Untagged, quoted};
use super::dispose::is_same;
use super::error::Error;
use super::identity::ascending;
use crate::maildrop::{Uid, UidValidity};

/// What the upstream has told of copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The generation of the copies' UIDs. None where nothing was copied.
    pub uid_validity: Option<UidValidity>,
    /// The UID in the open folder and that of its copy, by the former.
    pub pairs: Vec<(Uid, Uid)>,
}

impl Connection {
    /// Copies messages of the open folder into another one (its name as on the wire). What is not there is copied nowhere and not in
    /// the pairs. `copied` is added to as the upstream confirms, so that it tells what was done also after an error.
    ///
    /// # Errors
    /// Before anything is copied: [`Error::Lacks`] without UIDPLUS, [`Error::SameFolder`]. [`Error::Refused`], with the code TRYCREATE
    /// where there is no such folder; [`Error::Protocol`] where COPYUID cannot be read, names what was not asked for or does not pair
    /// (then copies have been made whose UIDs are not known); what any command can give.
    pub async fn copy(
        &mut self,
        uids: &[Uid],
        folder: &str,
        copied: &mut Copied,
    ) -> Result<(), Error> {
        if !self.capabilities().has("UIDPLUS") {
            return Err(Error::Lacks(
                "UIDPLUS, without which copies are not found again",
            ));
        }
        if self
            .selected()
            .is_some_and(|(open, _)| is_same(open, folder))
        {
            return Err(Error::SameFolder(folder.to_owned()));
        }
        let uids = ascending(uids);
        for set in self.sets_to_copy(&uids) {
            let mut untagged = None;
            let command = format!("UID COPY {set} {}", quoted(folder));
            let reply = self.command("UID COPY", &command, |told| {
                // It belongs into the tagged answer; MOVE has it before, and so have some servers here.
                if let Untagged::Status(reply) = told
                    && let Some(words) = reply.code_args("COPYUID")
                {
                    untagged = Some(words.to_owned());
                }
                Ok(())
            });
            let reply = reply.await?;
            let Some(words) = reply.code_args("COPYUID").or(untagged.as_deref()) else {
                continue;
            };
            let (uid_validity, mut pairs) =
                copyuid(words, &uids).ok_or(Error::Protocol("COPYUID"))?;
            if copied
                .uid_validity
                .is_some_and(|known| known != uid_validity)
            {
                return Err(Error::Inconsistent(
                    "UIDVALIDITY changed while copies were made",
                ));
            }
            copied.uid_validity = Some(uid_validity);
            copied.pairs.append(&mut pairs);
        }
        Ok(())
    }

    /// Makes a folder (its name as on the wire); one that is there is fine.
    ///
    /// # Errors
    /// [`Error::Refused`] where it is not there afterwards, and what any command can give.
    pub async fn create(&mut self, folder: &str) -> Result<(), Error> {
        let command = format!("CREATE {}", quoted(folder));
        match self.command("CREATE", &command, |_| Ok(())).await {
            Ok(_) => Ok(()),
            Err(Error::Refused { reply, .. }) if reply.code_name() == Some("ALREADYEXISTS") => {
                Ok(())
            }
            // Upstreams older than that code (RFC 5530) say NO as well.
            Err(error @ Error::Refused { .. }) => {
                if self.has_folder(folder).await? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// `UIDVALIDITY source-set copies-set`; sources are among `asked`, and there are as many copies, in the same order.
fn copyuid(words: &str, asked: &[Uid]) -> Option<(UidValidity, Vec<(Uid, Uid)>)> {
    let mut words = words.split_ascii_whitespace();
    let uid_validity = words.next()?.parse().ok().and_then(UidValidity::new)?;
    let sources = expanded(words.next()?, asked.len())?;
    let copies = expanded(words.next()?, asked.len())?;
    let is_asked = |uid: &Uid| asked.binary_search(uid).is_ok();
    if words.next().is_some() || sources.len() != copies.len() || !sources.iter().all(is_asked) {
        return None;
    }
    let mut pairs: Vec<_> = sources.into_iter().zip(copies).collect();
    pairs.sort_unstable();
    let twice = pairs.windows(2).any(|pair| pair[0].0 == pair[1].0);
    (!twice).then_some((uid_validity, pairs))
}

/// The UIDs of a set such as `3,7:9`, `most` of them at most. A range ascends whichever end is named first (RFC 4315, 4).
fn expanded(set: &str, most: usize) -> Option<Vec<Uid>> {
    let mut uids = Vec::new();
    for part in set.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let (first, last) = (first.min(last), first.max(last));
        if (last - first) as usize >= most.checked_sub(uids.len())? {
            return None;
        }
        for uid in first..=last {
            uids.push(Uid::new(uid)?);
        }
    }
    Some(uids)
}

#[cfg(test)]
mod tests;
