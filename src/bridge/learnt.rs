//! Folders whose messages were asked for their EMAILIDs (RFC 8474): once in a process is enough.
//!
//! A list without EMAILIDs is made anew where an upstream offers them, as they may say later which message is which. One that offers them
//! and tells none, or not on every connection, would be listed whole each time that what is known was read from the store.
//! Must not know: what ids are for, how lists are had.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::imap::Connection;
use crate::maildrop::Index;
use crate::store::FolderId;

/// See the module.
#[derive(Default)]
pub(super) struct Learnt(Mutex<HashSet<FolderId>>);

impl Learnt {
    /// A folder was listed on this connection.
    pub(super) fn note(&self, folder: FolderId, connection: &Connection) {
        if connection.offers_email_ids() {
            self.asked().insert(folder);
        }
    }

    /// The known list; where ids were asked for in vain, with none for each message.
    pub(super) fn complete(&self, folder: FolderId, known: Arc<Index>) -> Arc<Index> {
        if known.email_ids.is_some() || !self.asked().contains(&folder) {
            return known;
        }
        let mut index = Index::clone(&known);
        index.email_ids = Some(vec![0; index.messages.len()]);
        Arc::new(index)
    }

    fn asked(&self) -> MutexGuard<'_, HashSet<FolderId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
