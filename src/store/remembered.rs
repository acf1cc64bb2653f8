//! What every log-in asks for, kept in memory while it is what the database holds: a poll without news reads nothing.
//!
//! Only where one bridge serves from an SQLite file; the command line and bridges on PostgreSQL always read. What the bridge writes itself
//! is forgotten here when it is committed, before its caller hears of it. That somebody else has committed (the command line, beside the
//! bridge) shows in `PRAGMA data_version`, asked four times a second on the connection that writes, whose own commits do not show there:
//! then everything is forgotten. Nothing is believed for longer than half a second after that was asked the last time with success, so
//! that a bridge that cannot ask reads as if nothing were remembered.
//!
//! Which clients there are, what they have had and what is withheld is never asked here where something is disposed of. Must not know: SQL.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Client, ClientId, MailboxId, NewIntent, Store, StoreError};

/// How often it is asked whether somebody else has committed something.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// For how long after that what is remembered is believed. A command that changes a client waits for so long before it says that it is
/// done, so that a password that was taken away is of no use from then on.
pub(super) const BELIEVED: Duration = Duration::from_millis(500);

/// How many clients, and how many mailboxes, are remembered: some 10 MB.
const ROWS: usize = 20_000;

/// What a change touches of what may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Whatever there is: for changes that are rare.
    All,
    /// A client.
    Client(ClientId),
    /// Only when the client was seen last: at this time, unless that was later.
    Seen(ClientId, i64),
    /// Which messages of a mailbox there are, what is to be done with them, what cannot be read, how many clients there are.
    Mailbox(MailboxId),
    /// The clients of a mailbox.
    ClientsOf(MailboxId),
}

impl Touched {
    /// What is written down with these.
    pub(super) fn by(intents: &[NewIntent]) -> impl Iterator<Item = Self> + '_ {
        let of_one = intents.chunk_by(|a, b| a.mailbox == b.mailbox);
        let firsts = of_one.filter_map(|intents| intents.first());
        firsts.map(|intent| Self::Mailbox(intent.mailbox))
    }

    /// Whether a bridge lets somebody in, or keeps somebody out, by what it remembers of this.
    pub(super) fn is_of_clients(self) -> bool {
        matches!(self, Self::All | Self::Client(_) | Self::ClientsOf(_))
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Remembered {
    memory: Mutex<Memory>,
    #[cfg(test)]
    looks: tokio::sync::watch::Sender<u64>,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory {
    /// When it was asked last whether somebody else has committed something; none where nothing can be believed.
    looked: Option<Instant>,
    /// What the answer was.
    data_version: Option<i64>,
    /// Grows whenever something is forgotten.
    forgotten: u64,
    clients: HashMap<ClientId, Client>,
    /// Whose log-in names these are. A client that is not remembered itself may have been removed.
    logins: HashMap<String, ClientId>,
    /// By upstream and log-in; neither ever changes.
    ids: HashMap<(String, String), MailboxId>,
    mailboxes: HashMap<MailboxId, OfMailbox>,
    /// Added to the time for which it is believed.
    #[cfg(test)]
    longer: Duration,
}

/// What is remembered of a mailbox; none: not known.
#[derive(Default)]
pub(super) struct OfMailbox {
    pub(super) version: Option<i64>,
    pub(super) has_troubles: Option<bool>,
    pub(super) has_intents: Option<bool>,
    pub(super) is_shared: Option<bool>,
}

/// How much had been forgotten before something was read: what was read is remembered only if that is all still.
pub(super) struct Before(u64);

impl Remembered {
    /// Gives what is remembered. If it is not, the answer is to be taken before reading.
    pub(super) fn find<T>(&self, find: impl FnOnce(&mut Memory) -> Option<T>) -> Result<T, Before> {
        let mut memory = self.memory();
        let is_believed = memory.is_believed();
        let found = is_believed.then(|| find(&mut memory)).flatten();
        found.ok_or(Before(memory.forgotten))
    }

    /// Remembers what was read, unless something was forgotten since it was begun: it may have been this.
    pub(super) fn keep(&self, before: &Before, keep: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory();
        if memory.forgotten == before.0 && memory.is_believed() {
            keep(&mut memory);
        }
    }

    /// Forgets what changes may have made untrue.
    pub(super) fn forget<'a>(&self, touched: impl Iterator<Item = &'a Touched>) {
        let mut memory = self.memory();
        for touched in touched {
            memory.forget(*touched);
        }
    }

    /// What the answer was to the question asked at this time; none where there was no answer, or where it is another connection that
    /// will be asked from now on.
    pub(super) fn looked(&self, at: Instant, data_version: Option<i64>) {
        let mut memory = self.memory();
        if data_version.is_none() || memory.data_version != data_version {
            memory.forget(Touched::All);
        }
        memory.data_version = data_version;
        memory.looked = data_version.map(|_| at);
        #[cfg(test)]
        self.looks.send_modify(|looks| *looks += 1);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Remembered {
    /// Tells of each look.
    pub(super) fn looks(&self) -> tokio::sync::watch::Receiver<u64> {
        self.looks.subscribe()
    }

    /// From now on what is remembered is believed for longer: on a busy machine a look may come late.
    pub(super) fn believe_longer(&self) {
        self.memory().longer = Duration::from_secs(60);
    }

    /// How many clients and log-in names are remembered.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.clients.len(), memory.logins.len())
    }
}

impl Memory {
    fn is_believed(&self) -> bool {
        let believed = BELIEVED;
        #[cfg(test)]
        let believed = believed + self.longer;
        self.looked.is_some_and(|at| at.elapsed() < believed)
    }

    fn forget(&mut self, touched: Touched) {
        self.forgotten += 1;
        match touched {
            Touched::All => {
                self.clients.clear();
                self.logins.clear();
                self.ids.clear();
                self.mailboxes.clear();
            }
            Touched::Client(client) => {
                self.clients.remove(&client);
            }
            Touched::Seen(client, at) => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.last_seen = client.last_seen.max(Some(at));
                }
            }
            Touched::Mailbox(mailbox) => {
                self.mailboxes.remove(&mailbox);
            }
            Touched::ClientsOf(mailbox) => self.clients.retain(|_, of| of.mailbox != mailbox),
        }
    }

    pub(super) fn client(&self, login: &str) -> Option<Client> {
        self.clients.get(self.logins.get(login)?).cloned()
    }

    /// Nobody is not remembered: anybody can ask for names that are nobody's.
    pub(super) fn keep_client(&mut self, client: &Client) {
        if self.logins.len() >= ROWS {
            // Whoever comes back is read once more.
            self.logins.clear();
            self.clients.clear();
        }
        self.logins.insert(client.login.clone(), client.id);
        self.clients.insert(client.id, client.clone());
    }

    pub(super) fn id(&self, upstream: &str, login: &str) -> Option<MailboxId> {
        let name = (upstream.to_owned(), login.to_owned());
        self.ids.get(&name).copied()
    }

    pub(super) fn keep_id(&mut self, upstream: &str, login: &str, id: MailboxId) {
        if self.ids.len() >= ROWS {
            self.ids.clear();
        }
        self.ids.insert((upstream.to_owned(), login.to_owned()), id);
    }

    fn mailbox(&mut self, mailbox: MailboxId) -> &mut OfMailbox {
        if self.mailboxes.len() >= ROWS && !self.mailboxes.contains_key(&mailbox) {
            self.mailboxes.clear();
        }
        self.mailboxes.entry(mailbox).or_default()
    }
}

impl Store {
    /// Something about a mailbox, from memory or as it is read now.
    pub(super) async fn of_mailbox<T: Copy>(
        &self,
        mailbox: MailboxId,
        part: fn(&mut OfMailbox) -> &mut Option<T>,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let remembered = &self.0.remembered;
        let found = remembered.find(|memory| *part(memory.mailboxes.get_mut(&mailbox)?));
        let before = match found {
            Ok(known) => return Ok(known),
            Err(before) => before,
        };
        let read = reading.await?;
        remembered.keep(&before, |memory| {
            *part(memory.mailbox(mailbox)) = Some(read);
        });
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
