//! What clients lose because somebody else takes messages out of the mailbox: noticed, logged, and not forgotten with the messages.
//!
//! Must not know: who took them, how figures are shown.

use std::fmt::Write as _;

use tracing::{info, warn};

use super::account::Account;
use super::accounts::Accounts;
use super::clock;
use super::known::Known;
use super::readers::{Owned, Readers};
use super::trouble::Trouble;
use crate::maildrop::{Gone, Item};
use crate::policy::lacks;
use crate::store::ClientId;

/// What somebody else took away and is in no folder of the mailbox any more.
fn lost(known: &Known) -> impl Iterator<Item = (Item, &Gone)> {
    let registers = known
        .folders
        .iter()
        .filter_map(|folder| folder.register.as_ref());
    registers.flat_map(|register| {
        let gone = register.gone.iter().filter(|gone| !gone.disposed);
        gone.filter(|gone| known.contents.position_of(gone.seq).is_none())
            .map(|gone| {
                (
                    as_item(gone, gone.first_seen <= register.first_listed),
                    gone,
                )
            })
    })
}

/// What was taken away before this client had it. What was gone before the client was made known, or before it began anew, is no loss of
/// its: it would never have got that.
pub(super) fn lost_by<'a>(known: &'a Known, owned: &'a Owned) -> impl Iterator<Item = &'a Gone> {
    let client = &owned.client;
    let since = client.enrolled_at.max(client.reset_at.unwrap_or(i64::MIN));
    let reader = owned.as_policy();
    lost(known)
        .filter(move |(item, gone)| gone.gone_at >= since && lacks(item, &reader))
        .map(|(_, gone)| gone)
}

/// How much each client has lost of what was gone before this time.
pub(super) fn losses_before(known: &Known, readers: &Readers, time: i64) -> Vec<(ClientId, i64)> {
    let count = |owned: &Owned| {
        let old = lost_by(known, owned).filter(|gone| gone.gone_at < time);
        (
            owned.client.id,
            i64::try_from(old.count()).unwrap_or(i64::MAX),
        )
    };
    let each = readers.all.iter().map(count);
    each.filter(|(_, lost)| *lost > 0).collect()
}

/// Tells the operator who has not had what disappeared between `known` and `newer`.
pub(super) async fn tell(
    accounts: &Accounts,
    account: &Account,
    known: &Known,
    newer: &Known,
) -> Result<(), Trouble> {
    if known.version == newer.version {
        return Ok(());
    }
    let items = known.contents.items.iter();
    let items: Vec<&Item> = items
        .filter(|item| newer.contents.position_of(item.seq).is_none())
        .collect();
    if items.is_empty() {
        return Ok(());
    }
    let (store, rules) = (&accounts.store, &account.terms.rules);
    let readers =
        Readers::load(store, &accounts.marks, account.mailbox, rules, clock::now()).await?;
    let mut who = String::new();
    for owned in &readers.all {
        let reader = owned.as_policy();
        let lost = items.iter().filter(|item| lacks(item, &reader)).count();
        if lost > 0 {
            let comma = if who.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(who, "{comma}{} ({lost})", owned.client.login.escape_debug());
        }
    }
    let upstream = &account.upstream.name;
    const WORDS: &str = "messages are gone from the mailbox that these clients have not had";
    match account.is_configured() {
        _ if who.is_empty() => {}
        true => warn!(upstream, clients = who, "{WORDS}"),
        // With a plain log-in this is what every POP3 server does.
        false => info!(upstream, clients = who, "{WORDS}"),
    }
    Ok(())
}

fn as_item(gone: &Gone, was_there: bool) -> Item {
    Item {
        seq: gone.seq,
        uid: gone.uid,
        size: gone.size,
        octets: gone.size,
        first_seen: gone.first_seen,
        internal_date: gone.internal_date,
        place: 0,
        was_there,
    }
}
