//! Carries out what was written down: disposals and flags, each on the very message that was meant.
//!
//! Everything here may be done again after a crash at any point: the identity of each message is asked for at the moment of acting, and what is
//! gone already is done. Must not know: why messages are to go, POP3.

use std::collections::{HashMap, HashSet};

use tracing::{error, info, warn};

use super::account::Account;
use super::accounts::Accounts;
use super::clock;
use super::due::{is_retrieved, still_holds};
use super::known::Known;
use super::pool::{Lease, Purpose};
use super::readers::Readers;
use super::tend::TURN;
use super::trouble::Trouble;
use crate::imap::{Acted, Destinations, Error, Nature, Removal, Target};
use crate::maildrop::{Item, Seq, SeqSet, Uid, UidValidity};
use crate::metrics::DisposalOutcome;
use crate::policy::Action;
use crate::store::{ClientId, FolderId, Intent};

/// The first pause after a failure, in seconds; each further one is twice as long.
const FIRST_PAUSE: i64 = 60;
/// The longest pause, in seconds.
const LONGEST_PAUSE: i64 = 6 * 60 * 60;

/// So many messages are dealt with at a time: a client that is added meanwhile is waited for from the next portion on.
const PORTION: usize = 600;

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Messages that are not in their folder any more.
    pub(super) disposed: usize,
    /// Messages that got a flag.
    pub(super) flagged: usize,
    /// Messages that could not be dealt with and will be tried again.
    pub(super) failed: usize,
}

/// Whose mailbox is dealt with, and for whom that was found to be right.
struct Scene<'a> {
    accounts: &'a Accounts,
    account: &'a Account,
    /// The clients and their versions when the rules were asked.
    clients: HashSet<(ClientId, i64)>,
}

impl Scene<'_> {
    /// Whether the clients are the same and have done nothing since. Asked again after each wait for a connection: a client that was added
    /// meanwhile has had nothing.
    async fn is_as_it_was(&self) -> Result<bool, Trouble> {
        let now = self
            .accounts
            .store
            .clients(Some(self.account.mailbox))
            .await?;
        let mut live = now.iter().filter(|client| client.removed_at.is_none());
        Ok(live.all(|client| self.clients.contains(&(client.id, client.version))))
    }
}

/// What belongs together: one action on one folder under one UIDVALIDITY.
type Group = (FolderId, UidValidity, Action);

/// Carries out what is pending for the mailbox. The caller holds its gate and, between instances, its turn.
///
/// # Errors
/// The store's, and an upstream that cannot be reached. What only concerns some of the messages is written down with them.
pub(super) async fn act(
    accounts: &Accounts,
    account: &Account,
    connection: &mut Option<Lease>,
    known: &Known,
    readers: &Readers,
    withheld: &SeqSet,
) -> Result<Done, Trouble> {
    let now = clock::now();
    let mut groups: HashMap<Group, Vec<Intent>> = HashMap::new();
    let intents = accounts.store.intents(account.mailbox).await?;
    if intents.is_empty() {
        return Ok(Done::default());
    }
    let mut nowhere = Vec::new();
    let places = Places::of(known);
    for mut intent in intents {
        if is_resting(&intent, now) {
            continue;
        }
        let Some(item) = places
            .item(&intent)
            .filter(|_| !places.is_last_copy(&intent, account))
        else {
            nowhere.push(intent.id);
            continue;
        };
        if intent.new.action.takes_away()
            && !still_holds(&intent.new, item, readers, &account.terms, withheld, now)
        {
            continue;
        }
        places.follow(&mut intent);
        let new = &intent.new;
        let group = (new.folder, new.uid_validity, new.action.clone());
        groups.entry(group).or_default().push(intent);
    }
    // Should it be there again (a folder that blinked), the rules find it due again; what a client's retrieval asked for stays undone.
    let why = "the message is in none of the folders";
    accounts.store.intents_cancelled(&nowhere, why, now).await?;
    let clients = readers.all.iter().map(|reader| &reader.client);
    let scene = Scene {
        accounts,
        account,
        clients: clients.map(|client| (client.id, client.version)).collect(),
    };
    let mut done = Done::default();
    for ((folder, uid_validity, action), intents) in portions(groups, known) {
        if done.failed > 0 && known.hold().is_some_and(|hold| hold.id == folder) {
            // A copy does not go before the message itself has gone where it was to go.
            continue;
        }
        // What is left is as it was, and may be done at once when the upstream may be asked again.
        account.upstream.backoff.may_ask(&account.login)?;
        // Prolonged, so that no other instance begins with the same.
        if !accounts
            .store
            .turn(account.mailbox, &accounts.holder, TURN)
            .await?
        {
            break;
        }
        let name = known.folders.iter().find(|known| known.id == folder);
        let Some(name) = name.map(|folder| folder.name.as_str()) else {
            continue; // the folder is not served at the moment
        };
        // Opened only where there is something to do.
        let lease = match connection.take().filter(Lease::is_clean) {
            Some(lease) => lease,
            None => accounts.pool.take(account, Purpose::Care, None).await?,
        };
        let lease = connection.insert(lease);
        if !scene.is_as_it_was().await? {
            // Looked at anew the next time.
            break;
        }
        let group = one_group(&scene, lease, name, uid_validity, &action, &intents).await?;
        done.disposed += group.disposed;
        done.flagged += group.flagged;
        done.failed += group.failed;
    }
    Ok(done)
}

/// Groups cut into portions, each of which is looked at once more before it is done; the messages themselves before copies of them that are
/// held.
fn portions(
    groups: HashMap<Group, Vec<Intent>>,
    known: &Known,
) -> impl Iterator<Item = (Group, Vec<Intent>)> {
    let held = known.hold().map(|hold| hold.id);
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((folder, ..), _)| Some(*folder) == held);
    groups.into_iter().flat_map(|(group, intents)| {
        let portions: Vec<_> = intents.chunks(PORTION).map(<[Intent]>::to_vec).collect();
        portions
            .into_iter()
            .map(move |intents| (group.clone(), intents))
    })
}

async fn one_group(
    scene: &Scene<'_>,
    lease: &mut Lease,
    folder: &str,
    uid_validity: UidValidity,
    action: &Action,
    intents: &[Intent],
) -> Result<Done, Trouble> {
    let Scene {
        accounts, account, ..
    } = scene;
    let store = &accounts.store;
    let (acted, failure) =
        until_done_or_failed(scene, lease, folder, uid_validity, action, intents).await;
    let ids = |uids: &[Uid]| -> Vec<i64> {
        let uids: HashSet<&Uid> = uids.iter().collect();
        let chosen = intents
            .iter()
            .filter(|intent| uids.contains(&intent.new.uid));
        chosen.map(|intent| intent.id).collect()
    };
    let now = clock::now();
    let finished = ids(&acted.done);
    let gone: Vec<(FolderId, Seq)> = match action.takes_away() {
        true => {
            let finished: HashSet<&i64> = finished.iter().collect();
            let chosen = intents
                .iter()
                .filter(|intent| finished.contains(&intent.id));
            chosen
                .map(|intent| (intent.new.folder, intent.new.seq))
                .collect()
        }
        false => Vec::new(),
    };
    if !finished.is_empty() {
        let version = store
            .intents_done(account.mailbox, &finished, &gone, now)
            .await?;
        if let Some(version) = version {
            accounts.took_away(account, &gone, version, now).await;
        }
    }
    let metrics = &accounts.metrics;
    let upstream = &account.upstream.name;
    metrics.disposals(DisposalOutcome::Done, acted.done.len() as u64);
    if !acted.done.is_empty() {
        info!(upstream, folder, %action, messages = acted.done.len(), "done upstream");
    }
    if !acted.mismatched.is_empty() {
        error!(
            upstream, folder, %action, messages = acted.mismatched.len(),
            "not touched: these UIDs name other messages than the ones that were meant"
        );
        metrics.disposals(DisposalOutcome::Cancelled, acted.mismatched.len() as u64);
        let why = "another message has this UID now";
        store
            .intents_cancelled(&ids(&acted.mismatched), why, now)
            .await?;
    }
    // Done before a crash that kept it from being written down, or taken away by somebody else. Should it be there again (a folder that
    // blinked), the rules find it due again.
    let absent = ids(&acted.absent);
    store
        .intents_cancelled(&absent, "the message was not there", now)
        .await?;
    let mut done = Done::default();
    match action.takes_away() {
        true => done.disposed = acted.done.len(),
        false => done.flagged = acted.done.len(),
    }
    let Some(failure) = failure else {
        return Ok(done);
    };
    if failure.pressure().is_some() {
        // It has nothing against these messages: no attempt is counted. The next portion would fare no better.
        return Err(failure.into());
    }
    let left = intents.iter().map(|intent| intent.id);
    let cancelled = ids(&acted.mismatched);
    let over: HashSet<&i64> = finished.iter().chain(&cancelled).chain(&absent).collect();
    let left: Vec<i64> = left.filter(|id| !over.contains(id)).collect();
    warn!(upstream, folder, %action, messages = left.len(), error = %failure, "not done upstream; it will be tried again");
    metrics.disposals(DisposalOutcome::Failed, left.len() as u64);
    store
        .intents_failed(&left, &failure.to_string(), now)
        .await?;
    done.failed = left.len();
    match failure.nature() {
        // The next group would fare no better.
        _ if failure.is_lost_connection() => Err(failure.into()),
        Nature::Temporary if matches!(failure, Error::Timeout(_)) => Err(failure.into()),
        _ => Ok(done),
    }
}

/// Acts; once more on a new connection where the old one was lost and no copy would be made twice by it. The error is why something
/// was left.
async fn until_done_or_failed(
    scene: &Scene<'_>,
    lease: &mut Lease,
    folder: &str,
    uid_validity: UidValidity,
    action: &Action,
    intents: &[Intent],
) -> (Acted, Option<Error>) {
    let to = Destinations::from(&scene.account.terms.dispose);
    let mut left: Vec<Target> = intents.iter().map(target).collect();
    let mut acted = Acted::default();
    loop {
        let mut plan = None;
        let outcome = async {
            let plan = plan.insert(lease.plan(action, &to).await?);
            lease
                .act(folder, uid_validity, &left, plan, &mut acted)
                .await
        };
        let Err(failure) = outcome.await else {
            return (acted, None);
        };
        let may_be_repeated = plan.as_ref().is_none_or(Removal::may_be_repeated);
        if lease.is_fresh || !may_be_repeated || !failure.is_lost_connection() {
            return (acted, Some(failure));
        }
        let pool = &scene.accounts.pool;
        if pool.renew(scene.account, lease).await.is_err()
            || !matches!(scene.is_as_it_was().await, Ok(true))
        {
            return (acted, Some(failure));
        }
        let over = [&acted.done, &acted.absent, &acted.mismatched].map(|uids| uids.iter());
        let over: HashSet<&Uid> = over.into_iter().flatten().collect();
        left.retain(|target| !over.contains(&target.uid));
    }
}

fn target(intent: &Intent) -> Target {
    Target {
        uid: intent.new.uid,
        size: intent.new.size,
        internal_date: intent.new.internal_date,
        gm_msgid: intent.new.gm_msgid,
    }
}

/// Whether it failed so recently that it is not tried yet.
fn is_resting(intent: &Intent, now: i64) -> bool {
    let Some(tried_at) = intent.tried_at.filter(|_| intent.attempts > 0) else {
        return false;
    };
    let doublings = u32::try_from(intent.attempts - 1).unwrap_or(0).min(10);
    let pause = (FIRST_PAUSE << doublings).min(LONGEST_PAUSE);
    now < tried_at + pause
}

/// Where messages are now.
struct Places<'a> {
    known: &'a Known,
    /// Where each number stands in each folder.
    positions: HashMap<(FolderId, Seq), (usize, usize)>,
}

impl<'a> Places<'a> {
    fn of(known: &'a Known) -> Self {
        let mut positions = HashMap::new();
        for (at, folder) in known.folders.iter().enumerate() {
            let entries = folder
                .register
                .iter()
                .flat_map(|register| &register.entries);
            for (position, entry) in entries.enumerate() {
                positions.insert((folder.id, entry.seq), (at, position));
            }
        }
        Self { known, positions }
    }

    /// The message, if it is in the folder that the intent speaks of.
    fn item(&self, intent: &Intent) -> Option<&'a Item> {
        self.positions.get(&(intent.new.folder, intent.new.seq))?;
        let contents = &self.known.contents;
        contents.items.get(contents.position_of(intent.new.seq)?)
    }

    /// Whether what is held was to go only because the message itself went to the trash or the archive, and that has been taken away: then
    /// it is the only one there is, and has to go there itself.
    fn is_last_copy(&self, intent: &Intent, account: &Account) -> bool {
        let new = &intent.new;
        let is_held = self.known.hold().is_some_and(|hold| hold.id == new.folder);
        let expunges = account.terms.dispose.action() == Some(Action::Expunge);
        let is_copy = is_held && new.action == Action::Expunge && (is_retrieved(new) || !expunges);
        let mut served = self
            .known
            .served()
            .filter_map(|at| self.known.folders.get(at));
        is_copy && !served.any(|folder| self.positions.contains_key(&(folder.id, new.seq)))
    }

    /// The message may have another UID than when the intent was written down, by a session whose list was made before a change of
    /// UIDVALIDITY.
    fn follow(&self, intent: &mut Intent) {
        let place = self.positions.get(&(intent.new.folder, intent.new.seq));
        let register = place.and_then(|(at, _)| self.known.folders.get(*at)?.register.as_ref());
        if let (Some((_, position)), Some(register)) = (place, register)
            && let Some(message) = register.index.messages.get(*position)
        {
            intent.new.uid = message.uid;
            intent.new.uid_validity = register.index.uid_validity;
        }
    }
}
