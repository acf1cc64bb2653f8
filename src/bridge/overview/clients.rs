//! How the clients of a mailbox stand, remembered from look to look: whoever looks at a page every few seconds shall not have all messages
//! counted each time.
//!
//! Must not know: which mailboxes are shown.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::accounts::Accounts;
use super::super::known::{Known, Names};
use super::super::readers::Readers;
use super::super::standing::{Standing, standings};
use super::super::trouble::Trouble;
use super::super::{Terms, clock};
use crate::store::{Client, ClientId, Mailbox, MailboxId};

/// What depends on the time of day, such as a view of the last 30 days, is at most so old.
const KEPT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(super) struct Remembered(HashMap<MailboxId, Counted>);

struct Counted {
    at: Instant,
    /// Of the mailbox, and of each client: what was counted is right as long as these are the same.
    version: i64,
    versions: Vec<(ClientId, i64)>,
    messages: usize,
    clients: Vec<Standing>,
}

impl Remembered {
    /// The number of messages, and how these clients stand, which are all of the mailbox and were just read.
    pub(super) async fn of(
        &mut self,
        accounts: &Accounts,
        row: &Mailbox,
        terms: &Terms,
        clients: &[Client],
    ) -> Result<(usize, Vec<Standing>), Trouble> {
        let versions: Vec<(ClientId, i64)> =
            clients.iter().map(|one| (one.id, one.version)).collect();
        let is_good = |counted: &&Counted| {
            counted.version == row.version
                && counted.versions == versions
                && counted.at.elapsed() < KEPT
        };
        if let Some(counted) = self.0.get(&row.id).filter(is_good) {
            let mut standings = counted.clients.clone();
            note_seen(&mut standings, clients);
            return Ok((counted.messages, standings));
        }
        let store = &accounts.store;
        let kept = accounts.known.get(&row.id).await;
        let known = match kept.filter(|known| known.version == row.version) {
            Some(known) => known,
            None => {
                let names = Names::of(store.folders(row.id).await?);
                Arc::new(Known::load(store, row.id, terms, &names).await?)
            }
        };
        let now = clock::now();
        let readers = Readers::load(store, &accounts.marks, row.id, &terms.rules, now).await?;
        let messages = known.contents.items.len();
        let mut standings = standings(&known, &readers);
        // Between the two reads somebody may have changed something: then it is counted again the next time.
        self.0.insert(
            row.id,
            Counted {
                at: Instant::now(),
                version: known.version,
                versions,
                messages,
                clients: standings.clone(),
            },
        );
        note_seen(&mut standings, clients);
        Ok((messages, standings))
    }

    /// Forgets all others.
    pub(super) fn keep_only(&mut self, mailboxes: &HashSet<MailboxId>) {
        self.0.retain(|mailbox, _| mailboxes.contains(mailbox));
    }
}

/// When a client was seen is no new version of it.
fn note_seen(standings: &mut [Standing], clients: &[Client]) {
    for standing in standings {
        let same = |client: &&Client| {
            client.login == standing.login && client.enrolled_at == standing.enrolled_at
        };
        if let Some(client) = clients.iter().find(same) {
            standing.last_seen = standing.last_seen.max(client.last_seen);
        }
    }
}
