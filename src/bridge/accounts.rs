//! The accounts' own tasks: listing outlives the session that asked for it.
//!
//! A client that gives up after ten seconds finds the list ready when it comes back. What is known of a mailbox is kept in moka, weighed by
//! its bytes; one task at a time refreshes it. The store has the last word: what is kept here is used only while its version is the
//! store's. Must not know: POP3, sockets of clients.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::notification::RemovalCause;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::{Instrument as _, warn};

use super::account::Account;
use super::bodies::Bodies;
use super::clock;
use super::known::{Known, Names};
use super::learnt::Learnt;
use super::measured::Unwritten;
use super::pool::{Credential, Lease, Pool};
use super::quota;
use super::readers::MarksCache;
use super::rounds::{Lead, Part, Rounds};
use super::store_figures::StoreFigures;
use super::tend::Care;
use super::trouble::Trouble;
use super::visible::Limited;
use crate::config::Limits;
use crate::imap::{Connection, Error, to_wire};
use crate::maildrop::Seq;
use crate::metrics::Metrics;
use crate::policy::OnDelete;
use crate::store::{FolderId, MailboxId, Store};

/// A gate that nobody has passed for so long is forgotten.
const GATE_IDLE: Duration = Duration::from_secs(3600);

/// The longest that listing or disposing may take, with the wait for the account's other tasks. A first list of a million messages
/// across the internet takes a few minutes.
const TURN: Duration = Duration::from_secs(15 * 60);

/// So long a list that the upstream has confirmed may be shown while it wants to be left alone: as old as what a program has that polls every
/// minute.
const FRESH: Duration = Duration::from_secs(60);

/// What sessions share the list of: a mailbox with its upstream's name and, if it is a configured account, that one's, because two names for
/// one upstream may have different rules; and of one shape, as rules may change. And only by the same credential: the list of a session whose
/// password is none any more is refused, whoever else lists.
type Listed = (MailboxId, String, Option<String>, u64, Credential);

/// What came of listing.
type Listing = Result<Arc<Known>, Trouble>;

/// See the module.
pub(super) struct Accounts {
    pub(super) known: Cache<MailboxId, Arc<Known>>,
    gates: Cache<MailboxId, Arc<Mutex<()>>>,
    rounds: Rounds<Listed, Listing>,
    /// Folder names that special uses stand for, as they were when the mailbox was first listed.
    /// By the [shape](super::Terms::shape) of the terms, too.
    pub(super) names: Cache<(MailboxId, u64), Arc<Names>>,
    /// Mailboxes that were looked through lately.
    swept: Cache<MailboxId, ()>,
    /// Mailboxes whose upstream was asked lately how full they are.
    pub(super) quota_asked: Cache<MailboxId, ()>,
    /// When the upstream has confirmed a mailbox's list, in seconds since 1970; forgotten after [`FRESH`].
    pub(super) confirmed: Cache<MailboxId, i64>,
    /// Names this process among the instances.
    pub(super) holder: String,
    /// Folders of which it was said that they may be shown in part.
    pub(super) limited: Limited,
    /// Folders whose messages were asked for their EMAILIDs.
    pub(super) learnt: Learnt,
    pub(super) pool: Pool,
    pub(super) bodies: Bodies,
    /// True sizes that are not in the store yet.
    pub(super) unwritten: Unwritten,
    pub(super) marks: MarksCache,
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
}

/// A connection to the mailbox, and what is in it.
pub(super) struct Opened {
    pub(super) connection: Lease,
    pub(super) known: Arc<Known>,
}

impl Accounts {
    /// Keeps as much of lists in all, and looks a mailbox through as often, as the limits say.
    pub(super) fn new(
        limits: &Limits,
        pool: Pool,
        store: Store,
        holder: String,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counted = Arc::clone(&metrics);
        let known = Cache::builder()
            .max_capacity(limits.index_cache)
            .weigher(|_: &MailboxId, known: &Arc<Known>| {
                u32::try_from(known.heap_bytes()).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.index_evicted();
                }
            })
            .build();
        store.observed_by(Arc::new(StoreFigures(Arc::clone(&metrics))));
        Self {
            known,
            gates: Cache::builder().time_to_idle(GATE_IDLE).build(),
            rounds: Rounds::default(),
            names: Cache::builder().time_to_idle(GATE_IDLE).build(),
            swept: Cache::builder().time_to_live(limits.sweep_interval).build(),
            quota_asked: Cache::builder().time_to_live(quota::EVERY).build(),
            confirmed: Cache::builder().time_to_live(FRESH).build(),
            holder,
            limited: Limited::default(),
            learnt: Learnt::default(),
            pool,
            bodies: Bodies::new(limits.body_cache, limits.read_ahead, Arc::clone(&metrics)),
            unwritten: Unwritten::default(),
            marks: MarksCache::default(),
            store,
            metrics,
        }
    }

    /// Sets the gauges of the caches to what they hold now.
    pub(super) fn gauge(&self) {
        self.metrics
            .index_cache(self.known.weighted_size(), self.known.entry_count());
        self.bodies.gauge();
        self.pool.gauge_kept();
    }

    /// What a client is shown of the mailbox: a list, or where the upstream wants to be left alone what it has confirmed a moment ago.
    pub(super) async fn shown(self: &Arc<Self>, account: Account) -> Listing {
        let listed = self.list(account.clone()).await;
        if listed.as_ref().is_err_and(Trouble::is_pressure)
            && let Some(known) = self.lately(&account).await
        {
            return Ok(known);
        }
        listed
    }

    /// Lists the mailbox, together with others who ask for that before the upstream is asked. The listing goes on should this future be
    /// dropped.
    pub(super) async fn list(self: &Arc<Self>, account: Account) -> Listing {
        let credential = self.pool.credential(account.entrance());
        let upstream = account.upstream.name.clone();
        let terms = account.terms.account.clone();
        let shape = account.terms.shape();
        let listed: Listed = (account.mailbox, upstream, terms, shape, credential);
        match self.rounds.join(listed) {
            Part::Leads(lead) => self.list_now(account, Some(lead)).await,
            Part::Follows(follow) => match follow.outcome().await {
                Some(listing) => listing,
                // What led to a panic is not for everybody.
                None => self.list_now(account, None).await,
            },
        }
    }

    /// Lists the mailbox for oneself and for those whom one leads.
    async fn list_now(
        self: &Arc<Self>,
        account: Account,
        mut lead: Option<Lead<Listed, Listing>>,
    ) -> Listing {
        let this = Arc::clone(self);
        self.apart(async move {
            let begin = || {
                if let Some(lead) = &mut lead {
                    lead.begin();
                }
            };
            let listed = in_time("list the mailbox", this.refresh(&account, begin)).await;
            if let Err(trouble) = &listed
                && !trouble.is_logged()
            {
                warn!(upstream = account.upstream.name, %trouble, "listing failed");
            }
            if let Some(lead) = lead {
                lead.end(listed.clone());
            }
            listed
        })
        .await
    }

    /// What is in the mailbox as the upstream has confirmed it a moment ago, at the store's present version: nobody is shown less than
    /// somebody was shown already, and what was disposed of since is gone. None where that is too long ago, or where the store is in trouble.
    async fn lately(&self, account: &Account) -> Option<Arc<Known>> {
        let confirmed = self.confirmed.get(&account.mailbox).await?;
        // The cache's clock stands still while the machine sleeps.
        let age = u64::try_from(clock::now() - confirmed).ok()?;
        if age >= FRESH.as_secs() {
            return None;
        }
        let names = self.known_names(account).await.ok()?;
        self.known(account, &names).await.ok()
    }

    /// Runs work of the account in a task of its own; a panic there is counted and is trouble like any other.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, Trouble> {
        // Boxed, so that the session's own future stays small.
        match tokio::spawn(Box::pin(task.in_current_span())).await {
            Ok(done) => done,
            Err(_) => {
                self.metrics.session_panicked();
                Err(Error::Protocol("what led to a panic; please report it").into())
            }
        }
    }

    /// The turn of one task among those of the mailbox in this process.
    pub(super) async fn gate(&self, mailbox: MailboxId) -> OwnedMutexGuard<()> {
        let gate = self.gates.get_with(mailbox, async { Arc::default() }).await;
        gate.lock_owned().await
    }

    /// What is known of the mailbox at the store's present version, without asking the upstream.
    pub(super) async fn known(
        &self,
        account: &Account,
        names: &Names,
    ) -> Result<Arc<Known>, Trouble> {
        let (store, mailbox) = (&self.store, account.mailbox);
        let version = store.version(mailbox).await?;
        let not_read = self.not_read(mailbox);
        let kept = self.known.get(&mailbox).await;
        let kept = kept.filter(|known| known.version == version && known.is_by(&account.terms));
        let is_kept = kept.is_some();
        let known = match kept {
            Some(known) => known,
            None => Arc::new(Known::load(store, mailbox, &account.terms, names).await?),
        };
        not_read.add_to(&known.measures);
        let newer = known.measured(&account.terms).map(Arc::new);
        if is_kept && newer.is_none() {
            return Ok(known);
        }
        let known = newer.unwrap_or(known);
        self.remember(mailbox, &known).await;
        Ok(known)
    }

    /// The names of the mailbox's folders; special uses are looked up once.
    pub(super) async fn folder_names(
        &self,
        account: &Account,
        connection: &mut Connection,
    ) -> Result<Arc<Names>, Trouble> {
        if let Some(names) = self.names.get(&account.place()).await {
            return Ok(names);
        }
        let mut served = Vec::new();
        let mut folders = None;
        for wanted in &account.terms.folders {
            if !wanted.starts_with('\\') {
                served.push(to_wire(wanted));
                continue;
            }
            let all = match &mut folders {
                Some(all) => all,
                none => none.insert(connection.folders().await?),
            };
            let found = all.iter().find(|folder| folder.has(wanted));
            let found = found.ok_or_else(|| Error::NoSuchFolder(wanted.clone()))?;
            // One that was named as well is served once.
            if !served.contains(&found.name) {
                served.push(found.name.clone());
            }
        }
        let hold = account.terms.hold.as_deref().map(to_wire);
        let names = Arc::new(Names { served, hold });
        self.names.insert(account.place(), Arc::clone(&names)).await;
        Ok(names)
    }

    /// The names of the mailbox's folders, as far as they are known without asking the upstream.
    pub(super) async fn known_names(&self, account: &Account) -> Result<Arc<Names>, Trouble> {
        if let Some(names) = self.names.get(&account.place()).await {
            return Ok(names);
        }
        let rows = self.store.folders(account.mailbox).await?;
        Ok(Arc::new(Names::of(rows)))
    }

    /// What a mailbox needs after a session: what is written down is done, and once in a while it is looked through where the rules ask
    /// for it or something is `overdue`. A configured account is looked through by the sweeper.
    pub(super) async fn care_after_session(
        &self,
        account: &Account,
        changed: bool,
        overdue: bool,
    ) -> Option<Care> {
        if account.is_configured() {
            // Something may have waited for what this client has had just now.
            let pending = changed && self.store.has_intents(account.mailbox).await.ok()?;
            return pending.then_some(Care::Pending);
        }
        let rested = !self.swept.contains_key(&account.mailbox);
        let mut sweeps = rested && self.may_become_due(account).await?;
        if !sweeps {
            // A store in trouble is asked again after the next session.
            if self.store.has_intents(account.mailbox).await.ok()? {
                return Some(Care::Pending);
            }
            sweeps = rested && overdue;
        }
        if sweeps {
            // Of sessions that end at the same time one sees to it.
            let entry = self.swept.entry(account.mailbox).or_insert(()).await;
            if entry.is_fresh() {
                return Some(Care::Sweep);
            }
            // It may have been past this session's part of it.
            let pending = self.store.has_intents(account.mailbox).await.ok()?;
            return pending.then_some(Care::Pending);
        }
        None
    }

    /// Whether time alone, or somebody's removal, can make something due; none where the store cannot say.
    async fn may_become_due(&self, account: &Account) -> Option<bool> {
        let rules = &account.terms.rules;
        if rules.retention.may_dispose() {
            return Some(true);
        }
        // What one client has deleted for all waits for the others.
        let for_all = matches!(rules.on_delete, None | Some(OnDelete::Dispose));
        Some(for_all && self.store.has_several_clients(account.mailbox).await.ok()?)
    }

    /// What is known after the bridge itself has taken messages away, which the store has noted as this version.
    pub(super) async fn took_away(
        &self,
        account: &Account,
        gone: &[(FolderId, Seq)],
        version: i64,
        now: i64,
    ) {
        let known = self.known.get(&account.mailbox).await;
        let is_it =
            |known: &Arc<Known>| known.version + 1 == version && known.is_by(&account.terms);
        let Some(known) = known.filter(is_it) else {
            // Somebody else has written, too: all is read again.
            self.known.invalidate(&account.mailbox).await;
            return;
        };
        let newer = Arc::new(known.without(&account.terms, gone, version, now));
        self.remember(account.mailbox, &newer).await;
    }

    pub(super) async fn remember(&self, mailbox: MailboxId, known: &Arc<Known>) {
        self.known.insert(mailbox, Arc::clone(known)).await;
    }
}

/// Ends what an upstream draws out for ever, a byte at a time, so that the account's other sessions get their turn.
pub(super) async fn in_time<T>(
    what: &'static str,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout(TURN, work)
        .await
        .unwrap_or(Err(Error::Timeout(what).into()))
}
