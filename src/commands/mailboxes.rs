//! The mailboxes of the store beside what is configured for them: which rules hold for which.
//!
//! Must not know: what is asked about them.

use crate::auth::name::normalized;
use crate::bridge::{Terms, key};
use crate::config::Config;
use crate::store::{Mailbox, Store, StoreError};

/// A mailbox and the terms that hold for it; none where its upstream is not configured any more.
pub(super) struct Found {
    pub(super) mailbox: Mailbox,
    pub(super) terms: Option<Terms>,
}

/// All mailboxes of the store, or those of one configured account.
///
/// # Errors
/// The store's.
pub(super) async fn mailboxes(
    config: &Config,
    store: &Store,
    account: Option<&str>,
) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    for mailbox in store.mailboxes().await? {
        let terms = terms(config, &mailbox);
        let wanted = account.is_none_or(|account| {
            let terms = terms.as_ref();
            terms.and_then(|terms| terms.account.as_deref()) == Some(account)
        });
        if wanted {
            found.push(Found { mailbox, terms });
        }
    }
    found.sort_by(|a, b| a.mailbox.login.cmp(&b.mailbox.login));
    Ok(found)
}

fn terms(config: &Config, mailbox: &Mailbox) -> Option<Terms> {
    let upstream = |name: &str| config.upstreams.iter().find(|one| one.name == name);
    let account = config.accounts.iter().find(|account| {
        let at = upstream(&account.upstream).map(|one| key(&one.url.host, one.url.port));
        at.as_ref() == Some(&mailbox.upstream) && normalized(&account.login) == mailbox.login
    });
    if let Some(account) = account {
        return Some(Terms::of_account(account));
    }
    let passed = config
        .upstreams
        .iter()
        .find(|one| key(&one.url.host, one.url.port) == mailbox.upstream);
    passed.map(Terms::of_upstream)
}
