//! Folders that an upstream shows in part: Yahoo shows the newest 10,000 messages to who has not enabled UIDONLY (RFC 9586), Gmail so many as
//! its user has chosen.
//!
//! Must not know: how lists are had.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::account::Account;
use crate::imap::{Connection, Error};
use crate::maildrop::Index;
use crate::store::MailboxId;

/// Yahoo's limit.
const YAHOO: &[usize] = &[10_000];
/// What Gmail's users choose from ("Limit IMAP folders to contain no more than this many messages").
const GMAIL: &[usize] = &[1000, 2000, 5000, 10_000];

/// Refuses a list that has become shorter because the upstream shows less to this connection than to another before: what it
/// does not show is not gone.
///
/// # Errors
/// [`Error::Inconsistent`].
pub(super) fn believe(
    connection: &Connection,
    was: Option<&Index>,
    index: &Index,
) -> Result<(), Error> {
    let now = index.messages.len();
    let is_shorter = was.is_some_and(|was| was.messages.len() > now);
    if is_shorter && connection.lacks_uidonly() && YAHOO.contains(&now) {
        return Err(Error::Inconsistent(
            "UIDONLY was refused, and no more messages are shown than to who has not enabled it",
        ));
    }
    Ok(())
}

/// Folders of which it was said that they may be shown in part.
#[derive(Default)]
pub(super) struct Limited(Mutex<HashSet<(MailboxId, String)>>);

impl Limited {
    /// Says, once for each folder, that it has exactly as many messages as upstreams show at most.
    pub(super) fn tell(
        &self,
        account: &Account,
        connection: &Connection,
        folder: &str,
        index: &Index,
    ) {
        let limits = if connection.has_gm_msgids() {
            GMAIL
        } else {
            YAHOO
        };
        let shown = index.messages.len();
        if connection.is_uidonly() || !limits.contains(&shown) {
            return;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert((account.mailbox, folder.to_owned())) {
            warn!(
                upstream = account.upstream.name,
                folder,
                messages = shown,
                "the upstream may show no more than its newest messages of this folder; older ones cannot be listed then, and those that \
                 are not shown any more count as gone (Gmail: a setting under \"Forwarding and POP/IMAP\"; Yahoo: uidonly = true)"
            );
        }
    }
}
