//! What the operator asks about mailboxes from the command line: how their clients stand, what is due, and to see to it now.
//!
//! Works beside a running bridge: everything goes through the store, and only one of both acts on a mailbox at a time.
//! Must not know: how it is asked and shown.

use std::collections::HashSet;
use std::sync::Arc;

use super::account::Terms;
use super::due::verdicts;
use super::known::{Known, Names};
use super::quota::{Freeable, freeable};
use super::readers::{MarksCache, Readers};
use super::standing::{Standing, standings};
use super::tend::{Care, Swept, withheld};
use super::trouble::Trouble;
use super::{Bridge, clock};
use crate::maildrop::Seq;
use crate::policy::{Action, AfterRetrieve};
use crate::store::{Intent, Mailbox, MailboxId, Quota, Store, Trouble as Unreadable};

/// A mailbox as it stands in the store.
pub struct MailboxReport {
    /// Where it is kept.
    pub mailbox: Mailbox,
    /// The account's name in the configuration, if it is there.
    pub account: Option<String>,
    /// Messages that are in it.
    pub messages: usize,
    /// Its clients.
    pub clients: Vec<Standing>,
    /// What is to be done upstream and is not done yet.
    pub pending: Vec<Intent>,
    /// Messages that could not be read lately.
    pub unreadable: Vec<Unreadable>,
    /// How full it is, where its upstream has said.
    pub quota: Option<Quota>,
    /// What its rules would free.
    pub freeable: Freeable,
    /// Whether its rules move messages to the trash, where they take room until it is emptied.
    pub goes_to_trash: bool,
}

/// One message that a sweep would deal with, or would leave.
pub struct Plan {
    /// Its unique-id.
    pub uidl: String,
    /// Its folder.
    pub folder: String,
    /// Its size in octets.
    pub size: u32,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// Why it goes or stays.
    pub why: String,
    /// Whether it goes.
    pub goes: bool,
}

/// How the clients of a mailbox stand, as the store knows it: the upstream is not asked.
///
/// # Errors
/// The store's; a client's settings that cannot be read.
pub async fn report(
    store: &Store,
    mailbox: Mailbox,
    terms: &Terms,
) -> Result<MailboxReport, Trouble> {
    let (known, readers) = stored(store, mailbox.id, terms).await?;
    let pending = store.intents(mailbox.id).await?;
    let unreadable = store.troubles(mailbox.id).await?;
    let never = withheld(&unreadable, None);
    Ok(MailboxReport {
        freeable: freeable(&known, &readers, terms, &pending, &never, clock::now()),
        quota: store.quota(mailbox.id).await?,
        goes_to_trash: terms.dispose.action() == Some(Action::Trash)
            || terms.rules.after_retrieve == AfterRetrieve::Trash,
        account: terms.account.clone(),
        messages: known.contents.items.len(),
        clients: standings(&known, &readers),
        pending,
        unreadable,
        mailbox,
    })
}

/// What a sweep would do to each message of a mailbox, by what the store knows of it. None where nothing is ever disposed of.
///
/// # Errors
/// As [`report`].
pub async fn plan(
    store: &Store,
    mailbox: &Mailbox,
    terms: &Terms,
) -> Result<Option<(Action, Vec<Plan>)>, Trouble> {
    let Some(action) = terms.dispose.action() else {
        return Ok(None);
    };
    let now = clock::now();
    let (known, readers) = stored(store, mailbox.id, terms).await?;
    let withheld = withheld(&store.troubles(mailbox.id).await?, None);
    let contents = &known.contents;
    let mut verdicts = verdicts(contents.items.iter(), &readers, terms, &withheld, now);
    if !action.takes_away() {
        // It is in the mailbox still, and is not dealt with again.
        let done: HashSet<Seq> = store.done(mailbox.id, &action).await?.into_iter().collect();
        for (_, why, goes) in verdicts.iter_mut().filter(|one| done.contains(&one.0.seq)) {
            (*why, *goes) = ("it has that flag by now".to_owned(), false);
        }
    }
    let plans = verdicts.into_iter().map(|(item, why, goes)| Plan {
        uidl: contents
            .position_of(item.seq)
            .and_then(|at| contents.uidl(at))
            .map_or_else(String::new, |uidl| uidl.as_str().to_owned()),
        folder: contents
            .place(item)
            .map_or_else(String::new, |place| place.folder.clone()),
        size: item.size,
        arrived: item.arrived(),
        why,
        goes,
    });
    Ok(Some((action, plans.collect())))
}

impl Bridge {
    /// Looks through a configured account's mailbox and does what is due, now.
    ///
    /// # Errors
    /// The upstream's and the store's.
    pub async fn sweep_account(self: &Arc<Self>, name: &str) -> Result<Swept, Trouble> {
        let configured = self.configured(name);
        let configured =
            configured.ok_or_else(|| Trouble::Settings(format!("there is no [account.{name}]")))?;
        let account = self.account_of(&configured).await?;
        let swept = self.accounts.tend(account, Care::Sweep).await;
        // Nobody comes after this.
        self.accounts.pool.close().await;
        swept
    }
}

/// A mailbox and its clients as they are in the store.
pub(super) async fn stored(
    store: &Store,
    mailbox: MailboxId,
    terms: &Terms,
) -> Result<(Known, Readers), Trouble> {
    let names = Names::of(store.folders(mailbox).await?);
    let known = Known::load(store, mailbox, terms, &names).await?;
    let cache = MarksCache::default();
    let readers = Readers::load(store, &cache, mailbox, &terms.rules, clock::now()).await?;
    Ok((known, readers))
}
