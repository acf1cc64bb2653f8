//! Opening connections within what the upstream allows: whoever comes when it allows no more waits for a while.
//!
//! Must not know: how connections are kept and used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::shelf::Shelf;
use super::{Entrance, Lease, Permits, Pool, Purpose, Turn};
use crate::bridge::Upstream;
use crate::bridge::account::{Account, access, open};
use crate::bridge::budget::{Allowance, Metered, Pass, Place, Short};
use crate::bridge::trouble::Trouble;
use crate::imap::Connection;
use crate::metrics::Awaited;
use crate::store::{Caps, Claimed};

/// So long somebody waits for a connection and for the turn to log in together: POP3 clients give up after ten seconds and more.
const PATIENCE: Duration = Duration::from_secs(8);
/// So long a message waits of that, for others of all instances that are read: then there are more connections than allowed for a while.
const BODY_PATIENCE: Duration = Duration::from_secs(4);
/// The pause before it is tried again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// In the background this is the longest wait, so that clients do not stand behind a row of such; then it is tried again after the pause.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(1);
const BACKGROUND_PAUSE: Duration = Duration::from_secs(10);

/// Behind the name of a mailbox: who watches it, and connections that do not count among its own.
const WATCHED: &str = " (watched)";
const BESIDE: &str = " (beside)";

/// A connection that watches a mailbox.
pub(in super::super) struct Watch {
    pub(in super::super) connection: Lease,
    /// No other instance watches it meanwhile.
    _right: Option<Pass>,
}

/// How a new connection stands to the most that the mailbox may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// It is one of them, and ends by itself: those that do not are not in its way.
    Within,
    /// It is one of them, for as long as a client likes. It leaves one to the rest.
    Reading,
    /// It is counted and is one too many if need be.
    Beyond,
    /// It takes the place of one that was lost.
    Instead,
    /// It watches the mailbox, for ever.
    Watching {
        /// Whether it is one of them. With few it is not, so that it leaves some to others.
        within: bool,
    },
}

impl Pool {
    /// A new connection, once the upstream's limits let it be opened.
    ///
    /// # Errors
    /// [`Trouble::Budget`] where that takes too long, and what opening a connection can give.
    pub(super) async fn connect(
        &self,
        shelf: &Shelf,
        entrance: Entrance<'_>,
        beside: Beside,
    ) -> Result<Box<Connection>, Trouble> {
        // Before the wait for a place.
        entrance.upstream.backoff.may_open(entrance.login)?;
        let Some(place) = &shelf.place else {
            return open(entrance, None, None).await;
        };
        loop {
            match self.within_limits(shelf, place, entrance, beside).await {
                Err(Trouble::Budget(_)) if matches!(beside, Beside::Watching { .. }) => {
                    sleep(BACKGROUND_PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    async fn within_limits(
        &self,
        shelf: &Shelf,
        place: &Place,
        entrance: Entrance<'_>,
        beside: Beside,
    ) -> Result<Box<Connection>, Trouble> {
        let upstream = entrance.upstream;
        // Before the place and the turn: who waits for an authorization server keeps both from others.
        let access = access(entrance).await?;
        let mut mailbox = place.mailbox.clone();
        let mut caps = Caps {
            mailbox: None,
            host: upstream.host_connections,
            lasting: None,
        };
        match beside {
            Beside::Within | Beside::Watching { within: true } => {
                caps.mailbox = Some(upstream.connections);
            }
            Beside::Reading => caps.mailbox = Some(shelf.place_for_bodies()),
            Beside::Watching { within: false } => mailbox.push_str(BESIDE),
            Beside::Beyond => {}
            Beside::Instead => caps.host = None,
        }
        let patience = match beside {
            Beside::Watching { .. } => BACKGROUND_PATIENCE,
            _ => PATIENCE,
        };
        let began = Instant::now();
        let until = began + patience;
        let mut pause = FIRST_PAUSE;
        // The one that was let go: until it does not count any more no other one is.
        let mut leaving: Option<JoinHandle<()>> = None;
        let mut waiter = self.budgets.connections.waiter();
        let mut pass = loop {
            // Before it is tried: an end in between is seen at the next try.
            let is_gone = leaving.as_ref().is_none_or(JoinHandle::is_finished);
            let claimed = self
                .budgets
                .connections
                .claim(&mailbox, &place.host, caps, &mut waiter)
                .await?;
            let full = match claimed {
                Ok(pass) => break pass,
                Err(full) => full,
            };
            if is_gone {
                leaving = self.make_way(full, place);
            }
            match beside {
                // Those that nobody uses make room first.
                Beside::Within if leaving.is_none() => {
                    caps.lasting = self.lasting(&place.mailbox).map(|(_, lasting)| lasting);
                }
                // Rather too many connections than clients that starve.
                Beside::Reading
                    if full == Claimed::FullMailbox && began.elapsed() >= BODY_PATIENCE =>
                {
                    caps.mailbox = None;
                }
                Beside::Reading if caps.mailbox.is_some() => {
                    caps.mailbox = Some(shelf.place_for_bodies());
                }
                _ => {}
            }
            if Instant::now() + pause > until {
                let waited = began.elapsed();
                self.budgets
                    .waited_in_vain(upstream, Awaited::Connection, waited);
                return Err(Trouble::Budget(Short::Connections));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        drop(waiter);
        pass.is_beyond |= beside == Beside::Reading && caps.mailbox.is_none();
        if pause > FIRST_PAUSE {
            self.budgets
                .waited(upstream, Awaited::Connection, began.elapsed());
        }
        if let Err(short) = self.budgets.log_in_turn(upstream, until).await? {
            self.budgets
                .waited_in_vain(upstream, Awaited::Login, began.elapsed());
            return Err(Trouble::Budget(short));
        }
        // One that is too many ends with what it is opened for.
        let is_kept = !pass.is_beyond;
        let observer = Arc::clone(&upstream.endpoint.observer);
        let metered = Metered::new(observer, place.meter.clone(), pass);
        let mut connection = open(entrance, access, Some(Arc::new(metered))).await?;
        if !is_kept {
            connection.retire_at(std::time::Instant::now());
        }
        Ok(connection)
    }

    /// Lets go of a connection that nobody uses, for another one in its place. What it gives has ended when it does not count any more.
    fn make_way(&self, full: Claimed, place: &Place) -> Option<JoinHandle<()>> {
        let idle = match full {
            Claimed::Yes | Claimed::Beyond => None,
            Claimed::FullMailbox => self.let_go_to(&place.mailbox),
            Claimed::FullHost => self.let_go_to(&place.host),
        }?;
        let connections = Arc::clone(&self.budgets.connections);
        let leaving = async move {
            idle.logout().await;
            connections.tell().await;
        };
        Some(tokio::spawn(leaving.in_current_span()))
    }

    /// Other instances wait for connections: those that nobody uses end.
    pub(in super::super) async fn give_way(&self) {
        let wanted = self.budgets.connections.wanted().await;
        let mut lasting = Vec::new();
        for (place, waiting) in wanted {
            lasting.extend(self.lasting(&place));
            for _ in 0..waiting {
                let Some(idle) = self.let_go_to(&place) else {
                    break;
                };
                tokio::spawn(idle.logout());
            }
        }
        self.budgets.connections.lasting(&lasting).await;
    }

    /// The connection to this mailbox or host that nobody has used for longest.
    fn let_go_to(&self, place: &str) -> Option<Box<Connection>> {
        let shelves = self.shelves();
        let suits = |shelf: &&Arc<Shelf>| {
            let its = shelf.place.as_ref();
            its.is_some_and(|its| its.mailbox == place || its.host == place)
        };
        let here = shelves.values().filter(suits);
        let oldest = here.filter_map(|shelf| Some((shelf.idle_since()?, shelf)));
        let (_, shelf) = oldest.min_by_key(|(since, _)| *since)?;
        shelf.let_go()
    }

    /// How many connections to the mailbox at this place last for as long as clients like.
    fn lasting(&self, place: &str) -> Option<(String, usize)> {
        let shelves = self.shelves();
        let is_its = |shelf: &&Arc<Shelf>| {
            let its = shelf.place.as_ref();
            its.is_some_and(|its| its.mailbox == place)
        };
        let its: Vec<usize> = shelves
            .values()
            .filter(is_its)
            .map(|its| its.lasting())
            .collect();
        (!its.is_empty()).then(|| (place.to_owned(), its.iter().sum()))
    }

    /// A new connection beside one that the caller has already, to ask a second time.
    ///
    /// # Errors
    /// What opening a connection can give.
    pub(in super::super) async fn second(&self, account: &Account) -> Result<Lease, Trouble> {
        let Turn { shelf, permits } = self.turn(account, Purpose::SecondLook).await;
        let beside = Beside::of(&permits);
        self.open(&shelf, account.entrance(), permits, beside).await
    }

    /// A new connection to watch the mailbox with. Of the instances that share a database one watches it, as long as it lives; this
    /// waits until it is this one.
    ///
    /// # Errors
    /// What opening a connection can give.
    pub(in super::super) async fn watch(&self, account: &Account) -> Result<Watch, Trouble> {
        let entrance = account.entrance();
        let right = match &self.shelf(entrance).place {
            Some(place) => Some(self.right_to_watch(place).await?),
            None => None,
        };
        let Turn { shelf, permits } = self.turn(account, Purpose::Watching).await;
        shelf.belongs_to(account);
        let within = permits.1.is_some();
        let beside = Beside::Watching { within };
        let mut connection = self.open(&shelf, entrance, permits, beside).await?;
        connection.stays_in_use();
        Ok(Watch {
            connection,
            _right: right,
        })
    }

    async fn right_to_watch(&self, place: &Place) -> Result<Pass, Trouble> {
        let watched = format!("{}{WATCHED}", place.mailbox);
        let one = Caps {
            mailbox: Some(1),
            ..Caps::default()
        };
        loop {
            // No connection yet, and so at no host.
            let connections = &self.budgets.connections;
            let mut waiter = connections.waiter();
            let claimed = connections.claim(&watched, "", one, &mut waiter);
            if let Ok(right) = claimed.await? {
                return Ok(right);
            }
            sleep(BACKGROUND_PAUSE).await;
        }
    }

    /// What may be asked for of the mailbox.
    ///
    /// # Errors
    /// The store's.
    pub(in super::super) async fn allowance(
        &self,
        account: &Account,
    ) -> Result<Allowance, Trouble> {
        let unlimited = Allowance::Messages { ahead: u64::MAX };
        if account.upstream.bytes_per_day.is_none() {
            return Ok(unlimited);
        }
        let shelf = self.shelf(account.entrance());
        shelf.belongs_to(account);
        match shelf.place.as_ref().and_then(|place| place.meter.as_ref()) {
            Some(meter) => Ok(self.budgets.allowance(meter).await?),
            None => Ok(unlimited),
        }
    }

    /// Adds up what was received, and tells other instances of connections; call it every few seconds.
    pub(in super::super) async fn reckon(&self) {
        self.budgets.reckon(false).await;
        self.give_way().await;
    }

    /// The process ends: what is to be known of it later is written.
    pub(in super::super) async fn settle(&self) {
        self.budgets.reckon(true).await;
        self.budgets.connections.leave().await;
    }

    /// How many connections there are, in use and kept, by the upstream's name and the normalized log-in there.
    pub(in super::super) fn counts(&self) -> HashMap<(String, String), (usize, usize)> {
        let mut counts: HashMap<(String, String), (usize, usize)> = HashMap::new();
        for ((upstream, _, login), shelf) in self.shelves().iter() {
            let (used, kept) = shelf.counts();
            let name = (upstream.clone(), login.clone());
            let sum = counts.entry(name).or_default();
            *sum = (sum.0 + used, sum.1 + kept);
        }
        counts
    }

    /// What may be received for a mailbox in a day, and what was; none where there is no limit.
    pub(in super::super) fn received(
        &self,
        upstream: &Upstream,
        login: &str,
    ) -> Option<(u64, u64)> {
        self.budgets.received(upstream, login)
    }

    /// Sets the gauges of a configured account.
    pub(in super::super) fn gauge(&self, account: &str, upstream: &Upstream, login: &str) {
        let name = super::name(upstream, login);
        let connections = self.shelves().get(&name).map_or(0, |shelf| shelf.len());
        self.budgets.gauge(account, upstream, login, connections);
    }
}

impl Beside {
    /// Where somebody has waited long enough there is no permit.
    pub(super) fn of(permits: &Permits) -> Self {
        match permits {
            (Some(_), Some(_)) => Self::Reading,
            (None, Some(_)) => Self::Within,
            (_, None) => Self::Beyond,
        }
    }

    /// Whether it is among the mailbox's connections for as long as somebody likes.
    pub(super) fn lasts(self) -> bool {
        match self {
            Self::Within | Self::Instead => false,
            Self::Reading | Self::Beyond => true,
            Self::Watching { within } => within,
        }
    }
}
