//! Looking after a mailbox between and behind the sessions: what is due is written down, what is written down is done.
//!
//! Must not know: when it is called (see `sweeper` and `session`), POP3.

use std::collections::HashSet;
use std::sync::Arc;

use tracing::{info, warn};

use super::account::Account;
use super::accounts::{Accounts, Opened, in_time};
use super::act::{Done, act};
use super::clock;
use super::due::{due, is_retrieved};
use super::hold::Turn;
use super::known::Known;
use super::readers::Readers;
use super::standing;
use super::trouble::Trouble;
use crate::maildrop::{Seq, SeqSet};
use crate::store::{Intent, Trouble as Unreadable};

/// After so many seconds without a word another instance may look after the mailbox. Should the first one be at it still, both find
/// out at each message that it is gone already.
pub(super) const TURN: i64 = 120;
/// A message that failed so often is withheld from clients that would stop at it for ever.
pub(super) const FAILURES: i64 = 3;
/// Then it is tried again after so many seconds: whatever was wrong upstream may be mended.
const RETRY: i64 = 24 * 60 * 60;

/// How much is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// What is written down.
    Pending,
    /// The same, after the whole mailbox was looked through for what is due.
    Sweep,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was done upstream.
    pub(super) done: Done,
    /// So many were due and it stopped because of that: of so many messages in all.
    pub stopped: Option<(usize, usize)>,
    /// Another instance is at it.
    pub elsewhere: bool,
}

impl Swept {
    /// Messages that are not in their folder any more.
    pub fn disposed(&self) -> usize {
        self.done.disposed
    }

    /// Messages that got a flag and stay where they are.
    pub fn flagged(&self) -> usize {
        self.done.flagged
    }

    /// Messages that could not be dealt with.
    pub fn failed(&self) -> usize {
        self.done.failed
    }
}

impl Accounts {
    /// Looks after the mailbox; goes on should this future be dropped.
    pub(super) async fn tend(
        self: &Arc<Self>,
        account: Account,
        care: Care,
    ) -> Result<Swept, Trouble> {
        let this = Arc::clone(self);
        self.apart(async move {
            let work = Box::pin(this.tend_now(&account, care));
            let tended = in_time("look after the mailbox", work);
            let tended = tended.await;
            if let Err(trouble) = &tended
                && !trouble.is_logged()
            {
                let upstream = &account.upstream.name;
                warn!(upstream, %trouble, "the mailbox could not be looked after; it will be tried again");
            }
            tended
        })
        .await
    }

    async fn tend_now(&self, account: &Account, care: Care) -> Result<Swept, Trouble> {
        // Before others are kept from it.
        account.upstream.backoff.pause(&account.login).await;
        let _gate = self.gate(account.mailbox).await;
        if !self.store.turn(account.mailbox, &self.holder, TURN).await? {
            return Ok(Swept {
                elsewhere: true,
                ..Swept::default()
            });
        }
        let tended = self.tend_in_turn(account, care).await;
        // A turn that cannot be given back ends by itself.
        if let Err(error) = self.store.end_turn(account.mailbox, &self.holder).await {
            warn!(%error, "the turn at the mailbox was not given back");
        }
        tended
    }

    async fn tend_in_turn(&self, account: &Account, care: Care) -> Result<Swept, Trouble> {
        let (mut connection, known) = match care {
            Care::Sweep => {
                let Opened { connection, known } = self.refresh_now(account, Turn::Taken).await?;
                (Some(connection), known)
            }
            Care::Pending => {
                let names = self.known_names(account).await?;
                (None, self.known(account, &names).await?)
            }
        };
        let now = clock::now();
        let rules = &account.terms.rules;
        let readers = Readers::load(&self.store, &self.marks, account.mailbox, rules, now).await?;
        let withheld = self.unreadable(account).await?;
        let mut swept = Swept::default();
        if care == Care::Sweep {
            if readers.has_newcomer() {
                self.store.found(account.mailbox, known.next_seq).await?;
            }
            swept.stopped = self
                .write_down(account, &known, &readers, &withheld, now)
                .await?;
            if let Some(name) = &account.terms.account {
                self.metrics.sweep_stopped(name, swept.stopped.is_some());
            }
        }
        let acted = act(self, account, &mut connection, &known, &readers, &withheld).await;
        if let Some(mut connection) = connection {
            if care == Care::Sweep {
                // As it is after what was due is done.
                self.look_at_quota(account, &mut connection).await;
            }
            // A folder that stays open for changing would take from others what is recent (RFC 3501, 2.3.2).
            match connection.leave_changed_folder().await {
                Ok(()) => self.pool.give_back(connection),
                Err(_) => connection.close(),
            }
        }
        swept.done = acted?;
        self.report(account).await?;
        Ok(swept)
    }

    /// Sets the gauges of an account to how its clients stand now, as the store knows it.
    pub(super) async fn report(&self, account: &Account) -> Result<(), Trouble> {
        if account.terms.account.is_none() {
            return Ok(());
        }
        let now = clock::now();
        let names = self.known_names(account).await?;
        let known = self.known(account, &names).await?;
        let rules = &account.terms.rules;
        let readers = Readers::load(&self.store, &self.marks, account.mailbox, rules, now).await?;
        let troubles = self.store.troubles(account.mailbox).await?;
        standing::report(self, account, &known, &readers, &troubles, now).await
    }

    /// Writes down what is due in the whole mailbox. Gives the figures where it is so much that a person has to say yes.
    async fn write_down(
        &self,
        account: &Account,
        known: &Known,
        readers: &Readers,
        withheld: &SeqSet,
        now: i64,
    ) -> Result<Option<(usize, usize)>, Trouble> {
        let items = &known.contents.items;
        let written = self.store.intents(account.mailbox).await?;
        let rule = account.terms.dispose.action();
        // What waits because somebody has had a message is not what the rules say of it.
        let by_rule = |intent: &&Intent| {
            !is_retrieved(&intent.new) || rule.as_ref() == Some(&intent.new.action)
        };
        let mut written: HashSet<Seq> = written
            .iter()
            .filter(by_rule)
            .map(|intent| intent.new.seq)
            .collect();
        if let Some(action) = rule.as_ref().filter(|action| !action.takes_away()) {
            // It stays in the mailbox, and is dealt with all the same.
            written.extend(self.store.done(account.mailbox, action).await?);
        }
        let open = items.iter().filter(|item| !written.contains(&item.seq));
        let mut due = due(open, known, readers, account, withheld, now);
        let mut stopped = None;
        if due.needs_confirmation(items.len()) {
            let (would_take, of) = (due.by_retention, items.len());
            if self.store.take_confirmation(account.mailbox).await? {
                info!(
                    messages = would_take,
                    of, "a large sweep that was confirmed"
                );
            } else {
                warn!(
                    upstream = account.upstream.name,
                    account = account.login,
                    messages = would_take,
                    of,
                    "the rules would take so many messages at once that a mistake is likely; look with `popbridge sweep --dry-run`, \
                     agree with `popbridge sweep --confirm`"
                );
                let figures = (count(would_take), count(of));
                self.store
                    .stop_sweep(account.mailbox, figures.0, figures.1, now)
                    .await?;
                due.without_retention();
                stopped = Some((would_take, of));
            }
        } else {
            self.store.clear_stop(account.mailbox).await?;
        }
        if !due.intents.is_empty() {
            self.store.add_intents(&due.intents, now).await?;
        }
        Ok(stopped)
    }

    /// Messages that could not be read three times, and not since: nobody has had them, and they are never disposed of.
    pub(super) async fn unreadable(&self, account: &Account) -> Result<SeqSet, Trouble> {
        Ok(withheld(&self.store.troubles(account.mailbox).await?, None))
    }

    /// Messages that could not be read three times: a client that takes one after the other would stop at them for ever.
    pub(super) async fn withheld(&self, account: &Account, now: i64) -> Result<SeqSet, Trouble> {
        Ok(withheld(
            &self.store.troubles(account.mailbox).await?,
            Some(now),
        ))
    }
}

/// Those of the messages in trouble that are withheld at this time; without a time all that could not be read, which are never disposed of.
pub(super) fn withheld(troubles: &[Unreadable], now: Option<i64>) -> SeqSet {
    let withheld = troubles
        .iter()
        .filter(|trouble| trouble.failures >= FAILURES);
    withheld
        .filter(|trouble| now.is_none_or(|now| now < trouble.at + RETRY))
        .map(|trouble| trouble.seq)
        .collect()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
