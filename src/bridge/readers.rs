//! All clients of a mailbox with what they have done: whom a disposal has to wait for.
//!
//! Must not know: what follows from it (see `policy`), IMAP.

use std::sync::Arc;

use moka::future::Cache;

use super::trouble::Trouble;
use crate::config::ClientSettings;
use crate::policy::{Enrolment, Marks, Reader, ReaderState, Rules};
use crate::store::{Client, ClientId, MailboxId, Store};

/// For so long after a removal or an expiry nothing becomes due by it, in seconds: time to notice a mistake.
pub(super) const GRACE: i64 = 7 * 24 * 60 * 60;
/// Clients whose marks are kept in memory.
const MARKS: u64 = 10_000;

/// The client that a plain log-in to the mailbox itself is.
pub(super) const DEFAULT: &str = "default";

/// One client.
pub(super) struct Owned {
    pub(super) client: Client,
    pub(super) settings: ClientSettings,
    pub(super) marks: Arc<Marks>,
    state: ReaderState,
    /// When it expires, in seconds since 1970, if it has been silent for half of the time that leads there.
    pub(super) expires_at: Option<i64>,
}

/// Clients' marks as they were read last, each good for one version of its client.
pub(super) struct MarksCache(Cache<ClientId, (i64, Arc<Marks>)>);

impl Default for MarksCache {
    fn default() -> Self {
        Self(Cache::new(MARKS))
    }
}

impl MarksCache {
    /// The marks of a client that was just read.
    pub(super) async fn of(&self, store: &Store, client: &Client) -> Result<Arc<Marks>, Trouble> {
        if let Some((version, marks)) = self.0.get(&client.id).await
            && version == client.version
        {
            return Ok(marks);
        }
        let (version, marks) = store.marks(client.id).await?;
        let marks = Arc::new(marks);
        self.0
            .insert(client.id, (version, Arc::clone(&marks)))
            .await;
        Ok(marks)
    }

    /// What they are after a QUIT that was committed.
    pub(super) async fn put(&self, client: ClientId, version: i64, marks: Arc<Marks>) {
        self.0.insert(client, (version, marks)).await;
    }
}

/// All clients that count, and whether one of them is live.
pub(super) struct Readers {
    pub(super) all: Vec<Owned>,
    /// Whether anybody is there at all: with no live client nothing is ever due.
    pub(super) any_live: bool,
    /// Whether the mailbox has a client beside the plain log-in.
    pub(super) has_named: bool,
}

impl Readers {
    /// Reads all clients of a mailbox.
    pub(super) async fn load(
        store: &Store,
        cache: &MarksCache,
        mailbox: MailboxId,
        rules: &Rules,
        now: i64,
    ) -> Result<Self, Trouble> {
        let mut readers = Self {
            all: Vec::new(),
            any_live: false,
            has_named: false,
        };
        for client in store.clients(Some(mailbox)).await? {
            if client.removed_at.is_some_and(|at| at + GRACE <= now) {
                continue;
            }
            let settings = settings(&client)?;
            let marks = cache.of(store, &client).await?;
            let expires = settings.rules(rules).client_expires;
            let expires_at = expires.map(|after| heard_of(&client) + after + GRACE);
            let state = match expires_at {
                Some(at) if at <= now => ReaderState::Expired,
                _ => ReaderState::Live,
            };
            let is_overdue = expires.is_some_and(|after| heard_of(&client) + after / 2 <= now);
            readers.any_live |= client.removed_at.is_none() && state == ReaderState::Live;
            readers.has_named |= client.name != DEFAULT;
            readers.all.push(Owned {
                client,
                settings,
                marks,
                state,
                expires_at: expires_at.filter(|_| is_overdue),
            });
        }
        Ok(readers)
    }

    /// In the form in which rules are asked.
    pub(super) fn as_policy(&self) -> Vec<Reader<'_>> {
        self.all.iter().map(Owned::as_policy).collect()
    }

    /// Whether the mailbox has not been looked at since one of them was made known.
    pub(super) fn has_newcomer(&self) -> bool {
        self.all.iter().any(|r| r.client.found_below.is_none())
    }

    /// Gives one client the marks that it is about to have.
    pub(super) fn replace(&mut self, client: ClientId, marks: &Arc<Marks>) {
        for reader in self.all.iter_mut().filter(|r| r.client.id == client) {
            reader.marks = Arc::clone(marks);
        }
    }
}

impl Owned {
    /// In the form in which rules are asked.
    pub(super) fn as_policy(&self) -> Reader<'_> {
        Reader {
            client: self.client.id.get(),
            name: &self.client.login,
            marks: &self.marks,
            view: &self.settings.view,
            enrolment: enrolment(&self.client),
            state: self.state,
        }
    }

    /// Whether it has not been seen for longer than the rules allow.
    pub(super) fn is_expired(&self) -> bool {
        self.state == ReaderState::Expired
    }
}

/// A client's own settings.
pub(super) fn settings(client: &Client) -> Result<ClientSettings, Trouble> {
    ClientSettings::from_json(&client.login, &client.settings).map_err(Trouble::Settings)
}

/// When a client was made known, in the form in which rules are asked.
pub(super) fn enrolment(client: &Client) -> Enrolment {
    Enrolment {
        at: client.enrolled_at,
        found_below: client.found_below,
    }
}

/// When a client was last heard of, in seconds since 1970.
fn heard_of(client: &Client) -> i64 {
    let seen = client.last_seen.unwrap_or(0);
    seen.max(client.enrolled_at)
        .max(client.reset_at.unwrap_or(0))
}
