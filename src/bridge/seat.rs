//! One client's place at its mailbox: what it is shown, and what is written down at its QUIT.
//!
//! Must not know: sockets, IMAP commands.

use std::sync::Arc;

use tracing::warn;

use super::account::Account;
use super::accounts::Accounts;
use super::clock;
use super::due::{Due, after_retrieve, due};
use super::known::Known;
use super::locks::Lock;
use super::readers::{Readers, enrolment};
use super::trouble::Trouble;
use crate::config::ClientSettings;
use crate::maildrop::{Item, Maildrop, Seq, SeqSet};
use crate::policy::{self, Listed, Marks, OnDelete, Rules};
use crate::pop3::workarounds::Workarounds;
use crate::store::{Client, Quit};

/// See the module.
pub(super) struct Seat {
    pub(super) client: Client,
    settings: ClientSettings,
    /// The account's rules with the client's own ones over them.
    rules: Rules,
    marks: Arc<Marks>,
    /// Logged in as `recent:`, which shows the last 30 days and deletes nothing.
    recent: bool,
    /// None once the session's last word is written down.
    lock: Option<Lock>,
}

/// What a QUIT is about to write down.
pub(super) struct Farewell {
    quit: Quit,
    marks: Marks,
    /// Whether the client's own DELE removes something upstream, now.
    pub(super) disposes: bool,
}

impl Farewell {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        let quit = &self.quit;
        quit.delivered.is_empty() && quit.deleted.is_empty() && quit.intents.is_empty()
    }

    /// Whether something is to be done upstream.
    pub(super) fn has_intents(&self) -> bool {
        !self.quit.intents.is_empty()
    }
}

impl Seat {
    pub(super) fn new(
        client: Client,
        settings: ClientSettings,
        rules: &Rules,
        marks: Arc<Marks>,
        recent: bool,
        lock: Lock,
    ) -> Self {
        Self {
            rules: settings.rules(rules),
            client,
            settings,
            marks,
            recent,
            lock: Some(lock),
        }
    }

    /// Whether messages that cannot be read are left out for it.
    pub(super) fn withholds(&self) -> bool {
        self.settings.view.list == Listed::Undelivered
    }

    /// What is done because its program cannot take messages as they are.
    pub(super) fn workarounds(&self) -> Workarounds {
        self.settings.workarounds
    }

    /// Whether something is listed still that the client has asked to have removed: what was written down of it was cancelled, because the
    /// folder's UIDs changed their meaning or the message was not there at that moment, or others still lack it.
    pub(super) fn waits_for_removal(&self, known: &Known) -> bool {
        let items = &known.contents.items;
        self.marks.disposing.ranges().any(|(first, last)| {
            let next = items.partition_point(|item| item.seq < first);
            items.get(next).is_some_and(|item| item.seq <= last)
        })
    }

    /// The client's view of the mailbox.
    pub(super) fn maildrop(&self, known: &Known, withheld: &SeqSet) -> Maildrop {
        let seat = policy::Seat {
            view: &self.settings.view,
            marks: &self.marks,
            enrolment: enrolment(&self.client),
        };
        let now = clock::now();
        let shown = policy::show(&known.contents, &seat, withheld, self.recent, now);
        Maildrop::new(Arc::clone(&known.contents), shown)
    }

    /// What is to be written down at QUIT: deliveries, deletions, and what becomes due by them.
    pub(super) async fn farewell(
        &self,
        accounts: &Accounts,
        account: &Account,
        known: &Known,
        delivered: &SeqSet,
        deleted: &[Item],
    ) -> Result<Option<Farewell>, Trouble> {
        let Some(lock) = &self.lock else {
            return Ok(None);
        };
        let now = clock::now();
        let mut quit = Quit {
            client: self.client.id,
            lease: lock.lease().clone(),
            delivered: match self.recent {
                // As with Gmail: another device of the same client shall not miss what this one has looked at.
                true => SeqSet::new(),
                false => delivered.difference(&self.marks.delivered),
            },
            deleted: SeqSet::new(),
            disposing: SeqSet::new(),
            without_quit: SeqSet::new(),
            intents: Vec::new(),
            at: now,
        };
        let deleted: SeqSet = match self.recent {
            true => SeqSet::new(),
            false => deleted.iter().map(|item| item.seq).collect(),
        };
        let mut farewell = Farewell {
            marks: Marks::default(),
            quit: quit.clone(),
            disposes: false,
        };
        if quit.delivered.is_empty() && deleted.is_empty() {
            return Ok(Some(farewell));
        }
        farewell.marks = Marks::clone(&self.marks);
        let mut readers = Readers::load(
            &accounts.store,
            &accounts.marks,
            account.mailbox,
            &account.terms.rules,
            now,
        )
        .await?;
        match self.on_delete(&readers) {
            OnDelete::Ignore => {}
            OnDelete::Hide => quit.deleted = deleted,
            OnDelete::Dispose => {
                quit.disposing = deleted.clone();
                quit.deleted = deleted;
            }
        }
        let marks = &mut farewell.marks;
        marks.delivered.union_with(&quit.delivered);
        marks.deleted.union_with(&quit.deleted);
        marks.disposing.union_with(&quit.disposing);
        readers.replace(self.client.id, &Arc::new(marks.clone()));

        let withheld = accounts.unreadable(account).await?;
        let touched = |set: &SeqSet| -> Vec<Item> {
            let numbers = set
                .ranges()
                .flat_map(|(first, last)| first.get()..=last.get());
            let positions = numbers
                .filter_map(Seq::new)
                .filter_map(|seq| known.contents.position_of(seq));
            positions
                .filter_map(|position| known.contents.items.get(position).copied())
                .collect()
        };
        let had = touched(&quit.delivered);
        let mut changed = quit.delivered.clone();
        changed.union_with(&quit.deleted);
        let changed = touched(&changed);
        let mut due = due(changed.iter(), known, &readers, account, &withheld, now);
        // The rule about large sweeps is the sweeper's to apply; here only so much is taken as raises no question.
        if due.needs_confirmation(known.contents.items.len()) {
            due.without_retention();
        }
        farewell.disposes = !quit.disposing.is_empty() && due.asked;
        let Due { mut intents, .. } = due;
        let after = &self.rules.after_retrieve;
        intents.extend(after_retrieve(
            had.iter(),
            after,
            &self.client.login,
            known,
            account,
        ));
        quit.intents = intents;
        farewell.quit = quit;
        Ok(Some(farewell))
    }

    /// Writes it down, durably and all or nothing, and gives the maildrop up.
    pub(super) async fn commit(
        &mut self,
        accounts: &Accounts,
        farewell: Farewell,
    ) -> Result<(), Trouble> {
        accounts.store.quit(&farewell.quit).await?;
        let version = self.client.version + 1;
        let marks = Arc::new(farewell.marks);
        accounts
            .marks
            .put(self.client.id, version, Arc::clone(&marks))
            .await;
        self.client.version = version;
        self.marks = marks;
        Ok(())
    }

    /// Whether what its client has had counts, in its view, without QUIT.
    pub(super) fn counts_without_quit(&self) -> bool {
        self.rules.delivered_without_quit
    }

    /// A session that ends without QUIT: what its client has had is noted for its view, where the rules say so.
    pub(super) async fn leave_without_quit(&self, accounts: &Accounts, delivered: &SeqSet) {
        let new = delivered.difference(&self.marks.without_quit);
        let Some(lock) = self
            .lock
            .as_ref()
            .filter(|_| self.rules.delivered_without_quit && !self.recent)
        else {
            return;
        };
        if new.is_empty() {
            return;
        }
        let quit = Quit {
            client: self.client.id,
            lease: lock.lease().clone(),
            delivered: SeqSet::new(),
            deleted: SeqSet::new(),
            disposing: SeqSet::new(),
            without_quit: new,
            intents: Vec::new(),
            at: clock::now(),
        };
        if let Err(error) = accounts.store.quit(&quit).await {
            warn!(%error, "what a client had without QUIT is not noted");
        }
    }

    /// The maildrop is free for the client's next session.
    pub(super) async fn unlock(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock.release().await;
        }
    }

    fn on_delete(&self, readers: &Readers) -> OnDelete {
        self.rules.on_delete.unwrap_or(match readers.has_named {
            true => OnDelete::Hide,
            false => OnDelete::Dispose,
        })
    }
}
