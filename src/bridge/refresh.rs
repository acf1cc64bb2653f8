//! Comparing what is known of a mailbox with what the upstream says, and writing down the difference.
//!
//! Must not know: sessions, who asked.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::warn;

use super::account::Account;
use super::accounts::{Accounts, Opened};
use super::clock;
use super::doubt::{is_confirmed_by, is_doubtful};
use super::hold::{Turn, linked_by_traits};
use super::known::{Known, Names};
use super::losses;
use super::pool::{Lease, Purpose};
use super::trouble::Trouble;
use super::visible;
use crate::imap::{Error, Listed, refresh};
use crate::maildrop::{Circumstances, Index, Reconciled, Seq, Uid, reconcile};
use crate::metrics::IndexLookup;
use crate::store::StoreError;

/// Other instances may list the same mailbox in the same second; each attempt starts from what the one before has written.
pub(super) const ATTEMPTS: usize = 8;

/// How new messages of a folder are known that the mailbox has in another folder already, beside Gmail's ids.
pub(super) enum Links {
    /// They are not.
    None,
    /// By date and size, where these fit one message only.
    Traits,
    /// As the upstream has said.
    These(HashMap<Uid, (Seq, Box<str>)>),
}

impl Accounts {
    /// What is in the mailbox now. The caller holds its gate.
    pub(super) async fn refresh_now(
        &self,
        account: &Account,
        turn: Turn,
    ) -> Result<Opened, Trouble> {
        let mut connection = self.pool.take(account, Purpose::Care, None).await?;
        let refreshed = self.refresh_all(account, &mut connection, turn).await;
        let refreshed = match refreshed {
            Err(trouble) if !connection.is_fresh && trouble.is_lost_connection() => {
                self.pool.renew(account, &mut connection).await?;
                self.refresh_all(account, &mut connection, turn).await
            }
            refreshed => refreshed,
        };
        match refreshed {
            Ok(known) => {
                let now = clock::now();
                self.confirmed.insert(account.mailbox, now).await;
                Ok(Opened { connection, known })
            }
            Err(trouble) => {
                match trouble.is_pressure() {
                    // It has nothing against this connection: who has opened it is still let in.
                    true => self.pool.give_back(connection),
                    // Whatever the upstream has against this connection, it may not have it against another.
                    false => connection.close(),
                }
                Err(account.own(trouble))
            }
        }
    }

    /// What is in the mailbox at some moment after `begin` was called.
    pub(super) async fn refresh(
        &self,
        account: &Account,
        begin: impl FnOnce(),
    ) -> Result<Arc<Known>, Trouble> {
        // Before others are kept from it; what is asked behind the gate waits no more then.
        account.upstream.backoff.pause(&account.login).await;
        let _turn = self.gate(account.mailbox).await;
        begin();
        let opened = self.refresh_now(account, Turn::ToTake).await?;
        self.pool.give_back(opened.connection);
        Ok(opened.known)
    }

    async fn refresh_all(
        &self,
        account: &Account,
        connection: &mut Lease,
        turn: Turn,
    ) -> Result<Arc<Known>, Trouble> {
        let mut names = self.folder_names(account, connection).await?;
        for _ in 0..ATTEMPTS {
            match self.refresh_once(account, connection, &names, turn).await {
                // Another instance was faster: what it has written is compared anew.
                Err(Trouble::Store(StoreError::Conflict)) => {
                    self.known.invalidate(&account.mailbox).await;
                }
                Err(trouble @ Trouble::Upstream(Error::Refused { .. }))
                    if !trouble.is_pressure() && !trouble.is_lost_connection() =>
                {
                    // A folder may have been renamed: which ones there are is asked again.
                    self.names.invalidate(&account.place()).await;
                    self.known.invalidate(&account.mailbox).await;
                    let now = self.folder_names(account, connection).await?;
                    if now == names {
                        return Err(trouble);
                    }
                    names = now;
                }
                outcome => return outcome,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn refresh_once(
        &self,
        account: &Account,
        connection: &mut Lease,
        names: &Names,
        turn: Turn,
    ) -> Result<Arc<Known>, Trouble> {
        let before = self.known(account, names).await?;
        let mut known = Arc::clone(&before);
        let refreshed = self.refresh_folders(account, connection, &mut known, turn);
        let refreshed = Box::pin(refreshed).await;
        // Only now: what has left one folder may be in another one.
        if let Err(trouble) = losses::tell(self, account, &before, &known).await {
            warn!(%trouble, "who has lost messages could not be found out");
        }
        refreshed.map(|()| known)
    }

    /// Brings `known` up to date, as far as it gets.
    async fn refresh_folders(
        &self,
        account: &Account,
        connection: &mut Lease,
        known: &mut Arc<Known>,
        turn: Turn,
    ) -> Result<(), Trouble> {
        for at in known.served() {
            *known = self
                .refresh_folder(account, connection, known, at, &Links::None)
                .await?;
        }
        *known = self
            .hold(account, connection, Arc::clone(known), turn)
            .await?;
        Ok(())
    }

    pub(super) async fn refresh_folder(
        &self,
        account: &Account,
        connection: &mut Lease,
        known: &Arc<Known>,
        at: usize,
        links: &Links,
    ) -> Result<Arc<Known>, Trouble> {
        let Some(folder) = known.folders.get(at) else {
            return Ok(Arc::clone(known));
        };
        let index = self.index(account, connection, known, at).await?;
        if folder
            .index
            .as_ref()
            .is_some_and(|was| Arc::ptr_eq(was, &index))
        {
            return Ok(Arc::clone(known));
        }
        let mut linked = known.linked(at, &index);
        match links {
            Links::None => {}
            Links::Traits => linked.extend(linked_by_traits(known, &index)),
            Links::These(these) => linked.extend(these.clone()),
        }
        let mut headers = None;
        let newer = loop {
            let circumstances = Circumstances {
                now: clock::now(),
                next_seq: known.next_seq,
                format: &account.upstream.uidl,
                suffix: &folder.suffix,
                headers: headers.as_ref(),
                linked: &linked,
            };
            match reconcile(folder.register.as_deref(), &index, &circumstances) {
                Reconciled::Unchanged => {
                    let mut newer = Known::clone(known);
                    if let Some(folder) = newer.folders.get_mut(at) {
                        folder.index = Some(index);
                    }
                    break newer;
                }
                Reconciled::NeedHeaders(uids) => {
                    headers = Some(connection.header_hashes(&uids).await?);
                }
                Reconciled::Changed {
                    mut register,
                    delta,
                } => {
                    // One list in memory, and the connection is known to be in step with it.
                    register.index = Arc::clone(&index);
                    if delta.regenerated {
                        warn!(
                            upstream = account.upstream.name,
                            folder = folder.name,
                            known_again = delta.moved.len() + delta.back.len(),
                            new = delta.new.len(),
                            "the folder's UIDs mean other messages now; known ones keep their unique-ids"
                        );
                    }
                    let store = &self.store;
                    let version = store
                        .apply(
                            account.mailbox,
                            folder.id,
                            known.version,
                            &delta,
                            clock::now(),
                        )
                        .await?;
                    break known.with(&account.terms, at, Arc::new(*register), &delta, version);
                }
            }
        };
        let newer = Arc::new(newer);
        self.remember(account.mailbox, &newer).await;
        Ok(newer)
    }

    /// The folder's index as the upstream gives it now, believed.
    pub(super) async fn index(
        &self,
        account: &Account,
        connection: &mut Lease,
        known: &Known,
        at: usize,
    ) -> Result<Arc<Index>, Trouble> {
        let Some(folder) = known.folders.get(at) else {
            return Err(Error::Protocol("a folder that is not served").into());
        };
        let was = folder.index.clone();
        let was = was.map(|was| self.learnt.complete(folder.id, was));
        let mut listed = refresh(connection, &folder.name, was.clone())
            .await
            .map_err(Trouble::from);
        if was.is_some() && listed.as_ref().is_err_and(Trouble::is_unreadable) {
            // Should the difference itself be what cannot be read, a whole list may be.
            self.pool.renew(account, connection).await?;
            listed = refresh(connection, &folder.name, None)
                .await
                .map_err(Trouble::from);
        }
        let (index, how) = listed?;
        self.learnt.note(folder.id, connection);
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
        if account.upstream.uidl.needs_gm_msgid() && index.gm_msgids.is_none() {
            return Err(Trouble::NoGmMsgid);
        }
        visible::believe(connection, was.as_deref(), &index)?;
        self.limited.tell(account, connection, &folder.name, &index);
        if was.is_some_and(|was| is_doubtful(&was, &index)) {
            self.confirm(account, &folder.name, &index).await?;
        }
        Ok(index)
    }

    /// What one connection says and is hard to believe is asked again on another one.
    async fn confirm(&self, account: &Account, folder: &str, index: &Index) -> Result<(), Trouble> {
        let second = async {
            let mut second = self.pool.second(account).await?;
            let (again, _) = refresh(&mut second, folder, None).await?;
            second.close();
            Ok::<_, Trouble>(again)
        };
        let why = match second.await {
            Ok(again) if is_confirmed_by(index, &again) => return Ok(()),
            Ok(_) => "much of the folder was gone, but not on a second connection",
            Err(trouble) => {
                warn!(upstream = account.upstream.name, %trouble, "the second connection failed");
                // Nothing that another attempt on the first one would help.
                "much of the folder was gone, and a second connection could not confirm it"
            }
        };
        Err(Error::Inconsistent(why).into())
    }
}
