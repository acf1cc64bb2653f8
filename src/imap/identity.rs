//! Who a message is, whatever its UID: its date, size and X-GM-MSGID, and a hash of its header where these are not enough.
//!
//! Nothing is marked as read by it (`BODY.PEEK`), and headers are hashed as they come: none is kept.
//! Must not know: what the answers are compared with, or why.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use aws_lc_rs::digest::{Context, SHA256};

use super::body::{Head, Part, closed};
use super::connection::{Connection, Response, Untagged};
use super::error::Error;
use super::reply::Reply;
use super::row::{Asked, Wanted, row};
use super::set::is_fetch;
use super::transport::Line;
use crate::maildrop::Uid;

/// A longer header, in octets, has no hash.
const MOST_HEADER: usize = 256 * 1024;

/// What a message is known by when its UID says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// RFC822.SIZE in octets, as the upstream claims it.
    pub size: u32,
    /// INTERNALDATE in seconds since 1970.
    pub internal_date: i64,
    /// X-GM-MSGID, where the upstream has it.
    pub gm_msgid: Option<u64>,
}

impl Connection {
    /// Who these messages of the open folder are. What is not there is not in the map.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] where a message is told half, or twice and not alike; what any command can give.
    pub async fn identities(&mut self, uids: &[Uid]) -> Result<HashMap<Uid, Identity>, Error> {
        let uids = ascending(uids);
        let gm_msgids = self.has_gm_msgids();
        let asked = Asked {
            gm_msgids,
            email_ids: false,
        };
        let id = if gm_msgids { " X-GM-MSGID" } else { "" };
        let mut told = HashMap::with_capacity(uids.len());
        for set in self.sets(&uids) {
            let command = format!("UID FETCH {set} (UID RFC822.SIZE INTERNALDATE{id})");
            self.command("FETCH identities", &command, |untagged| {
                let Untagged::Data(response) = untagged else {
                    return Ok(());
                };
                if !is_fetch(response) {
                    return Ok(());
                }
                let Some(row) = row(response, Wanted::Messages(asked))? else {
                    return Ok(());
                };
                let identity = Identity {
                    size: row.message.size,
                    internal_date: row.message.internal_date,
                    gm_msgid: gm_msgids.then_some(row.ids.gm_msgid),
                };
                note(&mut told, &uids, row.message.uid, identity)
            })
            .await?;
        }
        Ok(told)
    }

    /// A hash of each of these messages' headers: the first eight octets of SHA-256, as the upstream gives the header. Not in the
    /// map: what is not there, what has no header, and headers of more than 256 KiB.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] where a header is told twice and not alike; what any command can give.
    pub async fn header_hashes(&mut self, uids: &[Uid]) -> Result<HashMap<Uid, i64>, Error> {
        let uids = ascending(uids);
        let mut hashes = HashMap::new();
        for set in self.sets(&uids) {
            let command = format!("UID FETCH {set} (UID BODY.PEEK[HEADER])");
            let pending = self.begin("FETCH headers", &command).await?;
            let outcome = self.read_headers(&pending.tag, &uids, &mut hashes).await;
            self.settle_demanding(&pending, outcome)?;
        }
        Ok(hashes)
    }

    /// Reads up to the tagged answer.
    async fn read_headers(
        &mut self,
        tag: &str,
        uids: &[Uid],
        hashes: &mut HashMap<Uid, i64>,
    ) -> Result<Reply, Error> {
        loop {
            match self.response(tag).await? {
                Response::Tagged(reply) => return Ok(reply),
                Response::Status(_) => {}
                Response::Data(line) if is_fetch(&line.content) => {
                    if let Some((uid, hash)) = self.header_hash(line).await? {
                        note(hashes, uids, uid, hash)?;
                    }
                }
                Response::Data(line) => drop(self.transport().whole(line).await?),
            }
        }
    }

    /// The hash in one FETCH response, which is read to its end; `None` where it has none.
    async fn header_hash(&mut self, line: Line) -> Result<Option<(Uid, i64)>, Error> {
        let Some(head) = Head::read(&closed(&line), Part::Header) else {
            let is_answer = memchr::memmem::find(&line.content, b"BODY").is_some();
            return if line.literal.is_some() || is_answer {
                Err(Error::Protocol("a FETCH response"))
            } else {
                // News in a grammar of its own is nothing to us.
                Ok(None)
            };
        };
        let (head, hash) = match (head.bodies, line.literal) {
            (0, _) => {
                self.transport().whole(line).await?;
                return Ok(None);
            }
            (1, Some(_)) if head.ends_in_body => {
                let mut text = line.content[..line.before_literal].to_vec();
                let hash = self.literal_hash().await?;
                text.extend_from_slice(b"{0}\r\n");
                let rest = self.transport().line().await?;
                text.extend_from_slice(&self.transport().whole(rest).await?);
                let head = Head::read(&text, Part::Header)
                    .filter(|head| head.bodies == 1)
                    .ok_or(Error::Protocol("what follows a header"))?;
                (head, hash)
            }
            (1, None) => {
                let mut hasher = Hasher::new();
                hasher.update(head.quoted.as_deref().unwrap_or_default());
                let hash = hasher.finish();
                (head, hash)
            }
            _ => return Err(Error::Protocol("more strings than were asked for")),
        };
        let uid = head.uid.ok_or(Error::Protocol("a header without a UID"))?;
        Ok(hash.map(|hash| (uid, hash)))
    }

    async fn literal_hash(&mut self) -> Result<Option<i64>, Error> {
        let mut hasher = Hasher::new();
        while let Some(piece) = self.transport().literal().await? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    }
}

/// Hashes what is neither empty (an upstream that gives nothing for a message it lists) nor too long.
struct Hasher {
    context: Context,
    octets: usize,
}

impl Hasher {
    fn new() -> Self {
        Self {
            context: Context::new(&SHA256),
            octets: 0,
        }
    }

    fn update(&mut self, octets: &[u8]) {
        self.octets = self.octets.saturating_add(octets.len());
        if self.octets <= MOST_HEADER {
            self.context.update(octets);
        }
    }

    fn finish(self) -> Option<i64> {
        if self.octets == 0 || self.octets > MOST_HEADER {
            return None;
        }
        let digest = self.context.finish();
        digest
            .as_ref()
            .first_chunk()
            .copied()
            .map(i64::from_be_bytes)
    }
}

/// Keeps what was asked for; what is told again must be told alike.
fn note<T: PartialEq>(
    told: &mut HashMap<Uid, T>,
    asked: &[Uid],
    uid: Uid,
    value: T,
) -> Result<(), Error> {
    if asked.binary_search(&uid).is_err() {
        return Ok(());
    }
    match told.entry(uid) {
        Entry::Vacant(entry) => drop(entry.insert(value)),
        Entry::Occupied(entry) if *entry.get() == value => {}
        Entry::Occupied(_) => {
            return Err(Error::Inconsistent("a message was told twice, not alike"));
        }
    }
    Ok(())
}

/// The UIDs in order, each once.
pub(super) fn ascending(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}

#[cfg(test)]
mod tests;
