//! Holding: arrivals are copied into a folder of the bridge's own and served from there, under the same unique-id, so that nothing that
//! others do to them in INBOX matters any more.
//!
//! A copy is known to be one because COPYUID said so, or, after a crash in between, because date and size fit one message only. What
//! cannot be told apart is a message of its own: a client gets it twice rather than never. What the upstream does not let it copy is served
//! from where it is, as if nothing were held.
//! Must not know: sessions, rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tracing::{info, warn};

use super::account::Account;
use super::accounts::Accounts;
use super::known::{Folder, Known};
use super::pool::Lease;
use super::refresh::{ATTEMPTS, Links};
use super::tend::TURN;
use super::trouble::Trouble;
use crate::imap::{Connection, Copied, Error};
use crate::maildrop::{Index, Seq, Uid};
use crate::store::StoreError;

/// The position of the hold folder among a mailbox's folders.
const HOLD: usize = 0;

/// Date and size.
type Traits = (i64, u32);
/// UID, number and unique-id.
type Missing = (Uid, Seq, Box<str>);

/// The hold folder is listed and added to by one instance at a time: is this one having its turn already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has to be taken.
    ToTake,
    /// Whoever asks has it.
    Taken,
}

impl Accounts {
    /// Copies what is not held yet. `known` is from after the served folders were listed.
    pub(super) async fn hold(
        &self,
        account: &Account,
        connection: &mut Lease,
        known: Arc<Known>,
        turn: Turn,
    ) -> Result<Arc<Known>, Trouble> {
        if known.hold().is_none() {
            return Ok(known);
        }
        if turn == Turn::Taken {
            return self.hold_in_turn(account, connection, known).await;
        }
        if self.is_held(account, connection, &known).await? {
            return Ok(known);
        }
        let (mailbox, holder) = (account.mailbox, self.holder.as_str());
        if !self.store.turn(mailbox, holder, TURN).await? {
            // Another instance has it, and may be copying: it alone knows whose the new messages in the hold folder are.
            return Ok(known);
        }
        let held = match self.store.version(mailbox).await {
            Ok(version) if version == known.version => {
                self.hold_in_turn(account, connection, known).await
            }
            // Another instance has had the turn before: it may have copied the same.
            Ok(_) => Err(StoreError::Conflict.into()),
            Err(error) => Err(error.into()),
        };
        let ended = self.store.end_turn(mailbox, holder).await;
        let known = held?;
        ended?;
        Ok(known)
    }

    /// Whether all is held, and the hold folder is as it is known.
    async fn is_held(
        &self,
        account: &Account,
        connection: &mut Lease,
        known: &Known,
    ) -> Result<bool, Trouble> {
        let Some(hold) = known.hold().filter(|hold| hold.register.is_some()) else {
            return Ok(false);
        };
        if !all_missing(known).is_empty() {
            return Ok(false);
        }
        match self.index(account, connection, known, HOLD).await {
            Ok(index) => Ok(hold
                .index
                .as_ref()
                .is_some_and(|was| Arc::ptr_eq(was, &index))),
            // Somebody has removed the odd folder.
            Err(Trouble::Upstream(Error::Refused { .. })) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// The same where the caller has its turn: no other instance is about to write down whose new messages in the hold folder are.
    async fn hold_in_turn(
        &self,
        account: &Account,
        connection: &mut Lease,
        mut known: Arc<Known>,
    ) -> Result<Arc<Known>, Trouble> {
        let Some(hold) = known.hold().map(|folder| folder.name.clone()) else {
            return Ok(known);
        };
        if known.hold().is_none_or(|folder| folder.register.is_none()) {
            connection.create(&hold).await?;
        }
        let listed = self.refresh_folder(account, connection, &known, HOLD, &Links::Traits);
        known = match listed.await {
            // Somebody has removed the odd folder: it is made again.
            Err(Trouble::Upstream(Error::Refused { .. })) => {
                connection.create(&hold).await?;
                self.refresh_folder(account, connection, &known, HOLD, &Links::Traits)
                    .await?
            }
            listed => listed?,
        };
        let missing = all_missing(&known);
        if missing.is_empty() {
            return Ok(known);
        }
        let mut copies = HashMap::new();
        for (at, missing) in &missing {
            if let Some(folder) = known.folders.get(*at) {
                copy(connection, folder, &hold, missing, &mut copies).await?;
            }
        }
        let (upstream, messages) = (&account.upstream.name, copies.len());
        if messages > 0 {
            info!(upstream, messages, "arrivals are held");
        }
        let links = Links::These(copies);
        for _ in 0..ATTEMPTS {
            let listed = self.refresh_folder(account, connection, &known, HOLD, &links);
            match listed.await {
                // Another instance has listed INBOX meanwhile. Whose the copies are is as true as before, and nobody else knows it.
                Err(Trouble::Store(StoreError::Conflict)) => {
                    self.known.invalidate(&account.mailbox).await;
                    let names = self.known_names(account).await?;
                    known = self.known(account, &names).await?;
                }
                listed => return listed,
            }
        }
        Err(StoreError::Conflict.into())
    }
}

/// Copies these messages; adds to `copies` which UID there is which message.
async fn copy(
    connection: &mut Connection,
    folder: &Folder,
    hold: &str,
    missing: &[Missing],
    copies: &mut HashMap<Uid, (Seq, Box<str>)>,
) -> Result<(), Trouble> {
    let examined = connection.examine(&folder.name, false).await?;
    let expected = folder.index.as_ref().map(|index| index.uid_validity);
    if Some(examined.uid_validity) != expected {
        return Err(Error::Inconsistent("UIDVALIDITY changed while arrivals were held").into());
    }
    let uids: Vec<Uid> = missing.iter().map(|(uid, ..)| *uid).collect();
    let mut copied = Copied::default();
    let outcome = connection.copy(&uids, hold, &mut copied).await;
    let of: HashMap<Uid, (Seq, &Box<str>)> = missing
        .iter()
        .map(|(uid, seq, uidl)| (*uid, (*seq, uidl)))
        .collect();
    for (uid, copy) in &copied.pairs {
        if let Some((seq, uidl)) = of.get(uid) {
            copies.insert(*copy, (*seq, Box::clone(uidl)));
        }
    }
    let Err(error) = outcome else {
        return Ok(());
    };
    warn!(%error, folder = folder.name, "not all arrivals could be held; it is tried again at each look at the mailbox");
    match error {
        // A full mailbox, most likely. What is not held is served from where it is.
        Error::Refused { .. } => Ok(()),
        // What was copied is found by its date and size at the next attempt.
        error => Err(error.into()),
    }
}

/// The messages of the served folders that have no copy, by folder.
fn all_missing(known: &Known) -> Vec<(usize, Vec<Missing>)> {
    let folders = known.served();
    let each = folders.filter_map(|at| Some((at, missing(known, known.folders.get(at)?))));
    each.filter(|(_, missing)| !missing.is_empty()).collect()
}

/// The messages of a folder that have no copy.
fn missing(known: &Known, folder: &Folder) -> Vec<Missing> {
    let (Some(register), Some(held)) = (
        folder.register.as_ref(),
        known.hold().and_then(|hold| hold.register.as_ref()),
    ) else {
        return Vec::new();
    };
    let mut held: HashSet<Seq> = held.entries.iter().map(|entry| entry.seq).collect();
    // A copy that the bridge has disposed of is not made again; the message itself is about to go, too.
    let disposed = known.hold().and_then(|hold| hold.register.as_ref());
    let disposed = disposed.iter().flat_map(|register| &register.gone);
    held.extend(disposed.filter(|gone| gone.disposed).map(|gone| gone.seq));
    let messages = register.index.messages.iter().zip(&register.entries);
    messages
        .enumerate()
        .filter(|(_, (_, entry))| !held.contains(&entry.seq))
        .filter_map(|(at, (message, entry))| {
            Some((message.uid, entry.seq, register.uidl(at)?.as_str().into()))
        })
        .collect()
}

/// New messages of the hold folder that can only be copies of one message that has none.
pub(super) fn linked_by_traits(known: &Known, fresh: &Index) -> HashMap<Uid, (Seq, Box<str>)> {
    let register = known.hold().and_then(|hold| hold.register.as_ref());
    let known_uids: HashSet<Uid> = register
        .iter()
        .flat_map(|register| register.index.messages.iter().map(|message| message.uid))
        .collect();
    let held: HashSet<Seq> = register
        .iter()
        .flat_map(|register| register.entries.iter().map(|entry| entry.seq))
        .collect();
    let new = fresh
        .messages
        .iter()
        .filter(|message| !known_uids.contains(&message.uid));
    let new = unique(new.map(|message| ((message.internal_date, message.size), message.uid)));
    if new.is_empty() {
        return HashMap::new();
    }
    let mut candidates: HashMap<Seq, (Traits, Box<str>)> = HashMap::new();
    for folder in known.folders.get(known.served()).unwrap_or_default() {
        let Some(register) = &folder.register else {
            continue;
        };
        for gone in register.gone.iter().filter(|gone| !gone.disposed) {
            let traits = (gone.internal_date, gone.size);
            candidates.insert(gone.seq, (traits, gone.uidl.clone()));
        }
        let messages = register.index.messages.iter().zip(&register.entries);
        for (at, (message, entry)) in messages.enumerate() {
            if let Some(uidl) = register.uidl(at) {
                let traits = (message.internal_date, message.size);
                candidates.insert(entry.seq, (traits, uidl.as_str().into()));
            }
        }
    }
    candidates.retain(|seq, _| !held.contains(seq));
    let by_traits = unique(candidates.iter().map(|(seq, (traits, _))| (*traits, *seq)));
    let pairs = new.into_iter().filter_map(|(traits, uid)| {
        let seq = by_traits.get(&traits)?;
        let (_, uidl) = candidates.get(seq)?;
        Some((uid, (*seq, uidl.clone())))
    });
    pairs.collect()
}

/// Those whose traits nobody else among them has.
fn unique<T>(all: impl Iterator<Item = (Traits, T)>) -> HashMap<Traits, T> {
    let mut found: HashMap<Traits, Option<T>> = HashMap::new();
    for (traits, one) in all {
        found
            .entry(traits)
            .and_modify(|other| *other = None)
            .or_insert(Some(one));
    }
    let single = found.into_iter();
    single
        .filter_map(|(traits, one)| Some((traits, one?)))
        .collect()
}
