//! One session's way to its mailbox: its place as a client, a connection that is opened again when it was lost, and the bodies that
//! come over it.
//!
//! Must not know: POP3's words, sockets of clients.

mod ahead;
mod source;
mod suspects;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Upstream;
use super::account::Account;
use super::accounts::Accounts;
use super::budget::{Allowance, Short};
use super::clock;
use super::known::Known;
use super::pool::{Lease, Purpose, Visit};
use super::reading;
use super::seat::Seat;
use super::tend::Care;
use super::trouble::Trouble;
use crate::imap::{Body, BodyStart, Error, Part};
use crate::maildrop::{Item, Maildrop, Measured, Place, SeqSet};
use crate::pop3::workarounds::Workarounds;

use ahead::{Ahead, Found};
pub(super) use source::Source;
use suspects::Suspects;

/// The longest wait for a body to begin.
const FIRST_OCTET: Duration = Duration::from_secs(300);
/// So long a QUIT waits for what is to be done upstream; the rest goes on behind it.
const AT_QUIT: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Mailbox {
    accounts: Arc<Accounts>,
    account: Account,
    /// The same for a client that takes headers in UTF-8 (RFC 6856): where the upstream has that form, it reads messages by
    /// connections of this kind, and none from memory.
    reads_as: Option<Account>,
    seat: Seat,
    /// Keeps connections at hand.
    visit: Visit,
    /// The connection that a message is read from. None between messages.
    connection: Option<Lease>,
    /// What this session's maildrop was made of.
    known: Option<Arc<Known>>,
    /// When it was listed: what is in it was there by then.
    listed_at: Instant,
    /// Messages that are fetched before they are asked for.
    ahead: Ahead,
    /// The message that is asked for has been waited for.
    is_late: bool,
    /// Something that was there at the session's beginning should be gone.
    overdue: bool,
    /// Messages that could not be read lately.
    troubled: SeqSet,
    /// Messages that could not be read in this session, for reasons that may lie with them or with the upstream.
    suspects: Suspects,
    /// Messages that the client has had whole in this session.
    delivered: SeqSet,
    /// Those of them that its system has acknowledged to the last octet, where that counts without QUIT.
    acknowledged: SeqSet,
    /// Whether QUIT has written something down.
    changed: bool,
}

impl Mailbox {
    pub(super) fn new(accounts: Arc<Accounts>, account: Account, seat: Seat, visit: Visit) -> Self {
        Self {
            visit,
            accounts,
            account,
            reads_as: None,
            seat,
            connection: None,
            known: None,
            listed_at: Instant::now(),
            ahead: Ahead::default(),
            is_late: false,
            overdue: false,
            troubled: SeqSet::new(),
            suspects: Suspects::default(),
            delivered: SeqSet::new(),
            acknowledged: SeqSet::new(),
            changed: false,
        }
    }

    /// The client takes headers in UTF-8.
    pub(super) fn speak_utf8(&mut self) {
        let utf8 = true;
        self.reads_as = Some(Account {
            utf8,
            ..self.account.clone()
        });
    }

    /// How messages are read, where that is another way than for most.
    fn reads_apart(&self) -> Option<&Account> {
        let forms = &self.account.upstream.forms;
        self.reads_as.as_ref().filter(|_| forms.may_be_two())
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.account.upstream
    }

    /// The client's whole log-in name, as it is known to the bridge.
    pub(super) fn client(&self) -> &str {
        &self.seat.client.login
    }

    /// The account's name in the configuration, if it is there.
    pub(super) fn account_name(&self) -> Option<&str> {
        self.account.terms.account.as_deref()
    }

    /// What the client sees of its mailbox now. The listing goes on should this future be dropped.
    pub(super) async fn list(&mut self) -> Result<Maildrop, Trouble> {
        let known = self.accounts.shown(self.account.clone()).await?;
        self.listed_at = Instant::now();
        if self.seat.client.found_below.is_none() {
            let found = self
                .accounts
                .store
                .found(self.account.mailbox, known.next_seq);
            found.await?;
            self.seat.client.found_below = Some(known.next_seq);
        }
        let store = &self.accounts.store;
        let troubles = store.troubles_to_show(self.account.mailbox).await?;
        self.troubled = troubles.iter().map(|trouble| trouble.seq).collect();
        let withheld = match self.seat.withholds() && !troubles.is_empty() {
            true => self.accounts.withheld(&self.account, clock::now()).await?,
            false => SeqSet::new(),
        };
        let maildrop = self.seat.maildrop(&known, &withheld);
        self.overdue = self.seat.waits_for_removal(&known);
        self.known = Some(known);
        Ok(maildrop)
    }

    /// What is done because the client's program cannot take messages as they are.
    pub(super) fn workarounds(&self) -> Workarounds {
        self.seat.workarounds()
    }

    /// The header line that the bridge puts before this message, if it does.
    pub(super) fn header_of(&self, item: &Item) -> Option<&str> {
        let contents = &self.known.as_ref()?.contents;
        contents.place(item)?.header.as_deref()
    }

    /// A part of a message: from memory, with those that follow it in the maildrop on their way, or else from the upstream.
    ///
    /// # Errors
    /// As [`Self::direct`].
    pub(super) async fn body(
        &mut self,
        item: &Item,
        part: Part,
        following: impl Iterator<Item = Item>,
    ) -> Result<Source<'_>, Trouble> {
        // Who has a connection already needs no other, and is not stopped in the middle of a message.
        if self.connection.is_some() {
            return self.direct(item, part).await.map(Source::Stream);
        }
        let ahead = match self.accounts.pool.allowance(&self.account).await? {
            Allowance::Messages { ahead } => ahead,
            Allowance::Lists { seconds } => {
                let short = Trouble::Budget(Short::Octets { seconds });
                if self.reads_apart().is_some() {
                    return Err(short);
                }
                let at_hand = self.at_hand(item, part).await;
                return at_hand.map(Source::InMemory).ok_or(short);
            }
        };
        if self.reads_apart().is_some() {
            return self.direct(item, part).await.map(Source::Stream);
        }
        match self.in_memory(item, part, following, ahead).await? {
            Found::Here(octets) => Ok(Source::InMemory(octets)),
            Found::Nowhere => self.direct(item, part).await.map(Source::Stream),
            Found::Late => {
                self.is_late = true;
                self.direct(item, part).await.map(Source::Stream)
            }
        }
    }

    /// A part of a message, straight from the upstream. A connection that turns out to be lost is replaced once.
    ///
    /// # Errors
    /// [`Error::Timeout`] where its first octet does not come in five minutes, whatever else the upstream says meanwhile; what
    /// opening a connection and a command can give.
    async fn direct(&mut self, item: &Item, part: Part) -> Result<Body<'_>, Trouble> {
        let begun = tokio::time::timeout(FIRST_OCTET, self.begin(item, part));
        let begun = begun.await;
        let (lease, start) = begun.unwrap_or(Err(Error::Timeout("fetch a message").into()))?;
        Ok(self.connection.insert(lease).body(start))
    }

    async fn begin(&mut self, item: &Item, part: Part) -> Result<(Lease, BodyStart), Trouble> {
        let known = self.known.as_deref();
        let (place, target) = known
            .and_then(|known| reading::whereabouts(known, item))
            .ok_or(Error::Protocol("a body before a list"))?;
        let account = self.reads_as.as_ref().unwrap_or(&self.account);
        let pool = &self.accounts.pool;
        let mut lease = match self.connection.take().filter(Lease::is_clean) {
            Some(lease) => lease,
            None => {
                let purpose = match std::mem::take(&mut self.is_late) {
                    true => Purpose::LateBodies,
                    false => Purpose::Bodies,
                };
                pool.take(account, purpose, Some(&place.folder)).await?
            }
        };
        loop {
            let started = async {
                let missing = reading::open(&mut lease, place, &[target], self.listed_at).await?;
                if !missing.is_empty() {
                    return Err(Error::MessageGone.into());
                }
                Ok(lease.begin_body(item.uid, part).await?)
            };
            match started.await {
                Ok(start) => return Ok((lease, start)),
                Err(trouble) if Trouble::is_lost_connection(&trouble) && !lease.is_fresh => {
                    pool.renew(account, &mut lease).await?;
                }
                Err(trouble) => {
                    pool.give_back(lease);
                    return Err(account.own(trouble));
                }
            }
        }
    }

    /// Nothing is read for the moment: others may have the connection.
    pub(super) fn rest(&mut self) {
        if let Some(lease) = self.connection.take() {
            self.accounts.pool.give_back(lease);
        }
    }

    /// The client has had this message whole, so many octets as LIST counts them.
    pub(super) async fn had(&mut self, item: &Item, octets: u64) {
        self.delivered.insert(item.seq);
        self.measured(item, octets);
        self.suspects.clear_of(item);
        if self.troubled.contains(item.seq) {
            let forgotten = self
                .accounts
                .store
                .no_trouble(self.account.mailbox, item.seq);
            if let Err(error) = Box::pin(forgotten).await {
                warn!(%error, "that a message can be read again is not noted");
            }
        }
    }

    /// Where LIST does not say so, the next session's shall. In UTF-8 the message is another one.
    fn measured(&self, item: &Item, octets: u64) {
        if octets == u64::from(item.octets) || self.reads_as.is_some() {
            return;
        }
        let place = self
            .known
            .as_ref()
            .and_then(|known| known.contents.place(item));
        let extra = place.map_or(0, Place::extra_octets);
        let octets = u32::try_from(octets).ok();
        let octets = octets.and_then(|octets| octets.checked_sub(extra));
        if let (Some(listed), Some(octets)) = (item.size.checked_sub(extra), octets) {
            let seq = item.seq;
            let measured = Measured {
                seq,
                listed,
                octets,
            };
            self.accounts.unwritten.note(self.account.mailbox, measured);
        }
    }

    /// Whether the client has had something whole in this session.
    pub(super) fn has_delivered(&self) -> bool {
        !self.delivered.is_empty()
    }

    /// Whether the client has had something that counts, in its view, although it may never say QUIT.
    pub(super) fn counts_without_quit(&self) -> bool {
        self.seat.counts_without_quit() && self.has_delivered()
    }

    /// Its system has acknowledged everything that was sent to it.
    pub(super) fn acknowledged(&mut self) {
        self.acknowledged.union_with(&self.delivered);
    }

    /// QUIT: writes down what the client has had (where its system has acknowledged that) and deleted, durably, and does what is due
    /// upstream for as long as that is short. Gives the number of deletions.
    ///
    /// # Errors
    /// Nothing was changed then, neither here nor upstream.
    pub(super) async fn quit(
        &mut self,
        deleted: Vec<Item>,
        acknowledged: bool,
    ) -> Result<usize, Trouble> {
        self.pause();
        let Some(known) = self.known.clone() else {
            return Ok(0);
        };
        let delivered = match acknowledged {
            true => std::mem::take(&mut self.delivered),
            false => {
                info!(
                    "the client's system has not acknowledged what was sent: nothing counts as delivered"
                );
                SeqSet::new()
            }
        };
        let farewell = self
            .seat
            .farewell(&self.accounts, &self.account, &known, &delivered, &deleted)
            .await?;
        let Some(farewell) = farewell.filter(|farewell| !farewell.is_empty()) else {
            self.seat.unlock().await;
            return Ok(0);
        };
        if farewell.disposes {
            self.check_that_it_can_be_done().await?;
        }
        let (has_intents, count) = (farewell.has_intents(), deleted.len());
        self.seat.commit(&self.accounts, farewell).await?;
        self.changed = true;
        self.seat.unlock().await;
        if has_intents {
            let work = self.accounts.tend(self.account.clone(), Care::Pending);
            // It goes on behind; what went wrong was logged and is tried again later.
            let _ = tokio::time::timeout(AT_QUIT, work).await;
        }
        Ok(count)
    }

    /// An upstream that can never remove single messages is no reason to take a deletion for done.
    async fn check_that_it_can_be_done(&mut self) -> Result<(), Trouble> {
        let Some(action) = self.account.terms.dispose.action() else {
            return Ok(());
        };
        let check = async {
            let pool = &self.accounts.pool;
            let mut lease = pool.take(&self.account, Purpose::Care, None).await?;
            let plan = lease
                .plan(&action, &(&self.account.terms.dispose).into())
                .await;
            pool.give_back(lease);
            plan.map(|_| ()).map_err(Trouble::from)
        };
        match tokio::time::timeout(AT_QUIT, check).await {
            Ok(Err(Trouble::Upstream(error @ (Error::NoSafeRemoval | Error::NoSuchFolder(_))))) => {
                Err(error.into())
            }
            // What may pass is no reason to refuse: it is written down and done later.
            _ => Ok(()),
        }
    }

    /// The maildrop is free for the client's next session, which may come before this one's connection is closed.
    pub(super) async fn unlock(&mut self) {
        self.seat.unlock().await;
    }

    /// The session ends: what its client's mailbox needs is done in the background, and the upstream is told good-bye.
    pub(super) async fn close(mut self) {
        self.pause();
        self.seat
            .leave_without_quit(&self.accounts, &self.acknowledged)
            .await;
        self.seat.unlock().await;
        self.clear_up().await;
        self.rest();
        Box::pin(self.accounts.look_at_quota_again(&self.account)).await;
        let care = self
            .accounts
            .care_after_session(&self.account, self.changed, self.overdue);
        let Some(care) = care.await else {
            if self.changed
                && let Err(trouble) = self.accounts.report(&self.account).await
            {
                warn!(%trouble, "the metrics of an account are not up to date");
            }
            return;
        };
        // What went wrong was logged there.
        let _ = self.accounts.tend(self.account, care).await;
        drop(self.visit);
    }
}
