//! The accounts' own tasks: listing and removing outlive the session that asked for them.
//!
//! A client that gives up after ten seconds finds the list ready when it comes back, and a removal that has begun is not cut in two
//! by a client that hangs up. Indexes are kept in moka, weighed by their bytes; one task at a time refreshes an account's index.
//! Must not know: POP3, sockets of clients.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Mutex;
use tracing::{Instrument as _, info, warn};

use super::Upstream;
use crate::imap::{Connection, Credentials, Error, Listed, refresh};
use crate::maildrop::{Index, Message, Uid, UidValidity};
use crate::metrics::{IndexLookup, Metrics};

/// The folder that is served.
const FOLDER: &str = "INBOX";
/// What an index costs besides its messages: keys, counters, the cache's own bookkeeping.
const INDEX_OVERHEAD: usize = 512;
/// A gate that nobody has passed for so long is forgotten.
const GATE_IDLE: Duration = Duration::from_secs(3600);

/// The longest that listing or removing may take, with the wait for the account's other sessions. A first list of a million messages
/// across the internet takes a few minutes.
const TURN: Duration = Duration::from_secs(15 * 60);

/// An account's name inside the bridge: upstream, log-in and folder.
type Key = Arc<str>;

/// See the module.
pub(super) struct Accounts {
    indexes: Cache<Key, Arc<Index>>,
    gates: Cache<Key, Arc<Mutex<()>>>,
    metrics: Arc<Metrics>,
}

/// A connection with the folder open, and what is in the folder.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) index: Arc<Index>,
}

/// One account as a session knows it.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) upstream: Arc<Upstream>,
    pub(super) credentials: Credentials,
    key: Key,
}

impl Account {
    pub(super) fn new(upstream: Arc<Upstream>, credentials: Credentials) -> Self {
        let endpoint = &upstream.endpoint;
        let key = format!(
            "{}:{}\0{}\0{FOLDER}",
            endpoint.host, endpoint.port, credentials.user
        )
        .into();
        Self {
            upstream,
            credentials,
            key,
        }
    }

    /// Opens a connection with the folder read-only, and makes sure that its UIDs still mean what they meant.
    pub(super) async fn reopen(&self, uid_validity: UidValidity) -> Result<Connection, Error> {
        let mut connection = self.upstream.endpoint.open(&self.credentials).await?;
        if connection.examine(FOLDER, false).await?.uid_validity == uid_validity {
            Ok(connection)
        } else {
            Err(Error::Inconsistent(
                "UIDVALIDITY changed during the session",
            ))
        }
    }
}

impl Accounts {
    /// Keeps indexes of at most `index_bytes` in all.
    pub(super) fn new(index_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let indexes = Cache::builder()
            .max_capacity(index_bytes)
            .weigher(|key: &Key, index: &Arc<Index>| weight(key, index))
            .build();
        Self {
            indexes,
            gates: Cache::builder().time_to_idle(GATE_IDLE).build(),
            metrics,
        }
    }

    /// Sets the gauges of the cache to what it holds now.
    pub(super) fn gauge(&self) {
        self.metrics
            .index_cache(self.indexes.weighted_size(), self.indexes.entry_count());
    }

    /// Lists the account's folder on `connection` or a new one. The listing goes on should this future be dropped.
    pub(super) async fn list(
        self: &Arc<Self>,
        account: Account,
        connection: Option<Connection>,
    ) -> Result<Opened, Error> {
        let this = Arc::clone(self);
        let task = async move {
            let listed = in_time("list the folder", this.refresh(&account, connection)).await;
            if let Err(error) = &listed {
                warn!(upstream = account.upstream.name, %error, "listing failed");
            }
            listed
        };
        self.apart(task).await
    }

    /// Removes messages; `Ok` means that the upstream has confirmed it. The removal goes on should this future be dropped.
    pub(super) async fn remove(
        self: &Arc<Self>,
        account: Account,
        connection: Option<Connection>,
        uid_validity: UidValidity,
        uids: Vec<Uid>,
    ) -> Result<(), Error> {
        let this = Arc::clone(self);
        let task = async move {
            let removal = this.remove_now(&account, connection, uid_validity, &uids);
            let removed = in_time("remove messages", removal).await;
            let upstream = &account.upstream.name;
            match &removed {
                Ok(()) => info!(upstream, messages = uids.len(), "removed"),
                Err(error) => {
                    warn!(upstream, messages = uids.len(), %error, "removing failed");
                }
            }
            removed
        };
        self.apart(task).await
    }

    /// Runs work of the account in a task of its own; a panic there is counted and is trouble like any other.
    async fn apart<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        // Boxed, so that the session's own future stays small.
        match tokio::spawn(Box::pin(task.in_current_span())).await {
            Ok(done) => done,
            Err(_) => {
                self.metrics.session_panicked();
                Err(Error::Protocol("what led to a panic; please report it"))
            }
        }
    }

    async fn refresh(
        &self,
        account: &Account,
        connection: Option<Connection>,
    ) -> Result<Opened, Error> {
        let gate = self.gate(account).await;
        let _turn = gate.lock().await;
        let known = self.indexes.get(&account.key).await;
        let (mut connection, fresh) = self.connected(account, connection).await?;
        let gm_msgids = account.upstream.uidl.needs_gm_msgid();
        let mut listed = refresh(&mut connection, FOLDER, known.clone(), gm_msgids).await;
        if !fresh && listed.as_ref().is_err_and(Error::is_lost_connection) {
            connection = account.upstream.endpoint.open(&account.credentials).await?;
            listed = refresh(&mut connection, FOLDER, known.clone(), gm_msgids).await;
        }
        if known.is_some() && listed.as_ref().is_err_and(is_unreadable) {
            // Should the difference itself be what cannot be read, a whole list may be.
            connection = account.upstream.endpoint.open(&account.credentials).await?;
            listed = refresh(&mut connection, FOLDER, None, gm_msgids).await;
        }
        let (index, how) = listed?;
        if let Listed::Distrusted(reason) = how {
            warn!(
                upstream = account.upstream.name,
                reason, "what was known of the folder is not believed; listed it again"
            );
        }
        self.metrics.index_lookup(match how {
            Listed::Cold => IndexLookup::Cold,
            Listed::Hit => IndexLookup::Hit,
            Listed::Delta => IndexLookup::Delta,
            Listed::Distrusted(_) => IndexLookup::Relist,
        });
        if known.is_some_and(|known| has_collapsed(&known, &index)) {
            self.confirm(account, &index, gm_msgids).await?;
        }
        self.indexes
            .insert(Arc::clone(&account.key), Arc::clone(&index))
            .await;
        Ok(Opened { connection, index })
    }

    /// A folder that lost more than half of its messages without a word is asked again on a connection of its own.
    async fn confirm(
        &self,
        account: &Account,
        index: &Index,
        gm_msgids: bool,
    ) -> Result<(), Error> {
        let mut second = account.upstream.endpoint.open(&account.credentials).await?;
        let (again, _) = refresh(&mut second, FOLDER, None, gm_msgids).await?;
        tokio::spawn(second.logout().in_current_span());
        if is_confirmed_by(index, &again) {
            return Ok(());
        }
        Err(Error::Inconsistent(
            "more than half of the folder was gone, but not on a second connection",
        ))
    }

    async fn remove_now(
        &self,
        account: &Account,
        connection: Option<Connection>,
        uid_validity: UidValidity,
        uids: &[Uid],
    ) -> Result<(), Error> {
        let gate = self.gate(account).await;
        let _turn = gate.lock().await;
        let rule = &account.upstream.rule;
        let (mut connection, mut fresh) = self.connected(account, connection).await?;
        let mut plan = connection.plan_removal(rule).await;
        if !fresh && plan.as_ref().is_err_and(Error::is_lost_connection) {
            connection = account.upstream.endpoint.open(&account.credentials).await?;
            fresh = true;
            plan = connection.plan_removal(rule).await;
        }
        let removal = plan?;
        let mut removed = connection
            .remove(FOLDER, uid_validity, uids, &removal)
            .await;
        let lost = removed.as_ref().is_err_and(Error::is_lost_connection);
        if !fresh && lost && removal.may_be_repeated() {
            connection = account.upstream.endpoint.open(&account.credentials).await?;
            removed = connection
                .remove(FOLDER, uid_validity, uids, &removal)
                .await;
        }
        removed?;
        if let Some(index) = self
            .indexes
            .get(&account.key)
            .await
            .filter(|index| index.uid_validity == uid_validity)
        {
            self.indexes
                .insert(Arc::clone(&account.key), Arc::new(without(&index, uids)))
                .await;
        }
        tokio::spawn(connection.logout().in_current_span());
        Ok(())
    }

    /// The connection that was given, unless it is of no use; the flag says whether it is a new one.
    async fn connected(
        &self,
        account: &Account,
        connection: Option<Connection>,
    ) -> Result<(Connection, bool), Error> {
        match connection.filter(Connection::is_clean) {
            Some(connection) => Ok((connection, false)),
            None => Ok((
                account.upstream.endpoint.open(&account.credentials).await?,
                true,
            )),
        }
    }

    async fn gate(&self, account: &Account) -> Arc<Mutex<()>> {
        self.gates
            .get_with(Arc::clone(&account.key), async { Arc::default() })
            .await
    }
}

fn weight(key: &Key, index: &Index) -> u32 {
    let ids = index.gm_msgids.as_ref().map_or(0, Vec::len) * size_of::<u64>();
    let bytes = index.messages.len() * size_of::<Message>() + ids + key.len() + INDEX_OVERHEAD;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Whether a list from a second connection has nothing that this one lacks, but for what arrived in between.
fn is_confirmed_by(index: &Index, again: &Index) -> bool {
    let known = |uid| index.messages.binary_search_by_key(&uid, |m| m.uid).is_ok();
    let next = match (index.uid_next, index.messages.last()) {
        (Some(next), _) => next,
        (None, Some(last)) => last.uid.get().saturating_add(1),
        (None, None) => 0,
    };
    let arrived = |uid: Uid| next > 0 && uid.get() >= next;
    index.uid_validity == again.uid_validity
        && again
            .messages
            .iter()
            .all(|m| known(m.uid) || arrived(m.uid))
}

/// Whether the trouble is in what the upstream said rather than in its being there.
fn is_unreadable(error: &Error) -> bool {
    matches!(error, Error::Protocol(_) | Error::TooLong(_))
}

/// Ends what an upstream draws out for ever, a byte at a time, so that the account's other sessions get their turn.
async fn in_time<T>(
    what: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(TURN, work)
        .await
        .unwrap_or(Err(Error::Timeout(what)))
}

fn has_collapsed(known: &Index, now: &Index) -> bool {
    now.messages.len() < known.messages.len() / 2 + known.messages.len() % 2
}

/// The index as it is after these messages (ascending) went.
fn without(index: &Index, uids: &[Uid]) -> Index {
    let stays = |message: &Message| uids.binary_search(&message.uid).is_err();
    let gm_msgids = index.gm_msgids.as_ref().map(|ids| {
        let pairs = index.messages.iter().zip(ids);
        pairs
            .filter(|(message, _)| stays(message))
            .map(|(_, id)| *id)
            .collect()
    });
    Index {
        gm_msgids,
        messages: index.messages.iter().copied().filter(stays).collect(),
        ..*index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(uids: &[u32], uid_next: Option<u32>) -> Index {
        let message = |uid: &u32| Message {
            uid: Uid::new(*uid).unwrap(),
            size: 1,
            internal_date: 0,
        };
        Index {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next,
            highest_modseq: None,
            messages: uids.iter().map(message).collect(),
            gm_msgids: None,
        }
    }

    #[test]
    fn a_second_list_confirms_the_first_although_mail_has_arrived_or_gone_in_between() {
        for next in [Some(10), None] {
            let first = index(&[8, 9], next);
            assert!(is_confirmed_by(&first, &index(&[8, 9], next)));
            assert!(is_confirmed_by(&first, &index(&[8, 9, 10], Some(11))));
            assert!(is_confirmed_by(&first, &index(&[9], next)));
            assert!(!is_confirmed_by(&first, &index(&[3, 8, 9], next)));
        }
    }

    #[test]
    fn an_empty_list_is_confirmed_only_by_one_without_old_messages() {
        let empty = index(&[], Some(10));
        assert!(is_confirmed_by(&empty, &index(&[], Some(10))));
        assert!(is_confirmed_by(&empty, &index(&[10], Some(11))));
        assert!(!is_confirmed_by(&empty, &index(&[9], Some(10))));
        assert!(!is_confirmed_by(&index(&[], None), &index(&[9], None)));
    }

    #[test]
    fn losing_more_than_half_is_a_collapse_and_losing_half_is_none() {
        assert!(has_collapsed(&index(&[1], None), &index(&[], None)));
        assert!(has_collapsed(&index(&[1, 2, 3], None), &index(&[3], None)));
        assert!(!has_collapsed(&index(&[1, 2], None), &index(&[2], None)));
        assert!(!has_collapsed(&index(&[], None), &index(&[], None)));
    }
}
