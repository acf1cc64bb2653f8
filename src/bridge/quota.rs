//! How full mailboxes are: upstreams that tell (RFC 9208) are asked when a mailbox is looked through and, for one that is passed through,
//! once in a while after a session. Nobody waits for it, nothing is opened for it, and nothing fails because of it.
//!
//! Must not know: what the rules would free (see `freeable`), who wants to know.

mod freeable;

use std::time::Duration;

use tracing::{debug, warn};

pub use freeable::Freeable;
pub(super) use freeable::freeable;

use super::account::Account;
use super::accounts::Accounts;
use super::clock;
use super::pool::Lease;
use crate::imap;
use crate::store::{MailboxId, Quota, StoreError};

/// After so long the upstream of a mailbox that is passed through is asked again.
pub(super) const EVERY: Duration = Duration::from_secs(60 * 60);
/// What has not changed is written anew after so many seconds, so that it is seen to be true still.
const REWRITTEN: i64 = 60 * 60;

impl Accounts {
    /// Asks over this connection how full the mailbox is, and notes it.
    pub(super) async fn look_at_quota(&self, account: &Account, connection: &mut Lease) {
        let backoff = &account.upstream.backoff;
        if !connection.is_clean() || backoff.may_ask(&account.login).is_err() {
            return;
        }
        self.quota_asked.insert(account.mailbox, ()).await;
        let told = if connection.offers_quota() {
            let names = self.known_names(account).await.ok();
            let first = names.as_ref().and_then(|names| names.served.first());
            let told = connection.quota(first.map_or("INBOX", String::as_str));
            match told.await {
                Ok(told) => told,
                Err(error) => {
                    // What it said last may still be true.
                    debug!(upstream = account.upstream.name, %error, "the upstream does not say how full the mailbox is");
                    return;
                }
            }
        } else {
            None
        };
        if let Err(error) = self.note_quota(account.mailbox, told).await {
            warn!(%error, "how full the mailbox is was not noted");
        }
    }

    /// The same after a session on a mailbox that is passed through, over a connection that nobody uses, if it was not asked lately. A
    /// configured account is looked through by the sweeper.
    pub(super) async fn look_at_quota_again(&self, account: &Account) {
        if account.is_configured() || self.quota_asked.contains_key(&account.mailbox) {
            return;
        }
        let offers = |connection: &imap::Connection| connection.offers_quota();
        if let Some(mut connection) = self.pool.take_kept(account, offers) {
            self.look_at_quota(account, &mut connection).await;
            self.pool.give_back(connection);
        }
    }

    async fn note_quota(
        &self,
        mailbox: MailboxId,
        told: Option<imap::Quota>,
    ) -> Result<(), StoreError> {
        let now = clock::now();
        let told = told.map(|told| Quota {
            used: told.used,
            limit: told.limit,
            at: now,
        });
        let noted = self.store.quota(mailbox).await?;
        if is_news(noted, told) {
            self.store.note_quota(mailbox, told).await?;
        }
        Ok(())
    }
}

/// Whether what was told now is to be written: a sweep without news writes nothing.
fn is_news(noted: Option<Quota>, told: Option<Quota>) -> bool {
    match (noted, told) {
        (None, None) => false,
        (Some(noted), Some(told)) => {
            let is_fresh = (0..REWRITTEN).contains(&(told.at - noted.at));
            (noted.used, noted.limit) != (told.used, told.limit) || !is_fresh
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_written_once_an_hour() {
        let at = |at| {
            Some(Quota {
                used: 1,
                limit: 2,
                at,
            })
        };
        assert!(!is_news(None, None));
        assert!(is_news(None, at(0)) && is_news(at(0), None));
        assert!(!is_news(at(0), at(REWRITTEN - 1)));
        assert!(is_news(at(0), at(REWRITTEN)));
        // The clock was set back.
        assert!(is_news(at(REWRITTEN), at(0)));
        let less = at(1).map(|quota| Quota { used: 0, ..quota });
        assert!(is_news(at(0), less));
    }
}
