//! How each client of a mailbox stands: what waits for it, what it has had, what it has lost.
//!
//! Must not know: who asks (metrics, `popbridge status`).

use super::account::Account;
use super::accounts::Accounts;
use super::known::Known;
use super::losses::lost_by;
use super::quota::freeable;
use super::readers::Readers;
use super::tend::withheld;
use super::trouble::Trouble;
use crate::metrics::ClientFigures;
use crate::policy::lacks;
use crate::store::Trouble as Unreadable;

/// One client's figures, over the messages that are in the mailbox now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its whole log-in name.
    pub login: String,
    /// Its name within the mailbox.
    pub name: String,
    /// Whether it was made by the operator and has a password of its own.
    pub named: bool,
    /// Messages that are meant for it and that it has not had.
    pub waiting: u64,
    /// Since when the longest waiting of them is there, in seconds since 1970.
    pub oldest_waiting: Option<i64>,
    /// Messages that it has had.
    pub delivered: u64,
    /// Messages that it has deleted.
    pub deleted: u64,
    /// Messages that somebody else took out of the mailbox before it had them.
    pub losses: u64,
    /// Its last log-in, in seconds since 1970.
    pub last_seen: Option<i64>,
    /// When it was made known, in seconds since 1970.
    pub enrolled_at: i64,
    /// When it was removed, in seconds since 1970; disposals wait for it a few days more.
    pub removed_at: Option<i64>,
    /// Whether it was not seen for so long that nobody waits for it.
    pub expired: bool,
    /// When it expires, in seconds since 1970, if it has been silent for half of the time that leads there.
    pub expires_at: Option<i64>,
}

/// The figures of all clients of a mailbox.
pub(crate) fn standings(known: &Known, readers: &Readers) -> Vec<Standing> {
    let items = &known.contents.items;
    let each = readers.all.iter().map(|owned| {
        let reader = owned.as_policy();
        let mut standing = Standing {
            login: owned.client.login.clone(),
            name: owned.client.name.clone(),
            named: owned.client.named,
            waiting: 0,
            oldest_waiting: None,
            delivered: 0,
            deleted: 0,
            losses: u64::try_from(owned.client.losses_before).unwrap_or(0),
            last_seen: owned.client.last_seen,
            enrolled_at: owned.client.enrolled_at,
            removed_at: owned.client.removed_at,
            expired: owned.is_expired(),
            expires_at: owned.expires_at,
        };
        for item in items {
            if lacks(item, &reader) {
                standing.waiting += 1;
                let since = item.internal_date.max(i64::from(item.first_seen));
                let oldest = standing.oldest_waiting.unwrap_or(since);
                standing.oldest_waiting = Some(oldest.min(since));
            }
            standing.delivered += u64::from(owned.marks.delivered.contains(item.seq));
            standing.deleted += u64::from(owned.marks.deleted.contains(item.seq));
        }
        standing.losses += lost_by(known, owned).count() as u64;
        standing
    });
    each.collect()
}

/// Sets the gauges of an account. Only names from the configuration and from `popbridge client add` become labels.
pub(super) async fn report(
    accounts: &Accounts,
    account: &Account,
    known: &Known,
    readers: &Readers,
    troubles: &[Unreadable],
    now: i64,
) -> Result<(), Trouble> {
    let Some(name) = &account.terms.account else {
        return Ok(());
    };
    let intents = accounts.store.intents(account.mailbox).await?;
    let quota = accounts.store.quota(account.mailbox).await?;
    let standings = standings(known, readers).into_iter();
    let named = standings.filter(|one| one.named && one.removed_at.is_none());
    let clients: Vec<(String, ClientFigures)> = named
        .map(|one| {
            let oldest = one.oldest_waiting.map_or(0, |since| (now - since).max(0));
            let figures = ClientFigures {
                waiting: one.waiting,
                oldest_waiting_seconds: oldest,
                last_seen: one.last_seen.unwrap_or(0),
                losses: one.losses,
            };
            (one.login, figures)
        })
        .collect();
    let metrics = &accounts.metrics;
    let withheld_now = withheld(troubles, Some(now)).len();
    metrics.account(name, intents.len() as u64, withheld_now, &clients);
    metrics.account_quota(name, quota.map(|quota| (quota.limit, quota.used)));
    let unreadable = withheld(troubles, None);
    let freeable = freeable(known, readers, &account.terms, &intents, &unreadable, now);
    metrics.account_freeable(name, freeable.now);
    Ok(())
}
