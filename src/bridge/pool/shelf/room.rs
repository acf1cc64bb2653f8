//! What the upstream allows a mailbox: where it is reckoned, and which connections end to make room for others.
//!
//! Must not know: how much is allowed.

use std::sync::Arc;

use tokio::time::Instant;

use super::Shelf;
use crate::bridge::account::Account;
use crate::bridge::budget::Place;
use crate::imap::Connection;

impl Shelf {
    /// The same, there.
    pub(in super::super) fn at(self, place: Option<Arc<Place>>) -> Self {
        Self { place, ..self }
    }

    /// What was received belongs to this mailbox.
    pub(in super::super) fn belongs_to(&self, account: &Account) {
        if let Some(meter) = self.place.as_ref().and_then(|place| place.meter.as_ref()) {
            let name = account.terms.account.as_ref().unwrap_or(&account.login);
            meter.belongs_to(account.mailbox, name);
        }
    }

    /// Before another one is opened: the one that nobody has used for longest, if there would be too many.
    pub(in super::super) fn make_room(&self) -> Option<Box<Connection>> {
        let mut stock = self.stock();
        // The one to be opened is not among those in use yet.
        let full = stock.idle.len() + stock.used.len() >= self.most;
        (full && !stock.idle.is_empty()).then(|| stock.idle.remove(0).connection)
    }

    /// How many connections are in use, and how many are kept.
    pub(in super::super) fn counts(&self) -> (usize, usize) {
        let stock = self.stock();
        (stock.used.len(), stock.idle.len())
    }

    /// Takes out the one that nobody has used for longest.
    pub(in super::super) fn let_go(&self) -> Option<Box<Connection>> {
        let mut stock = self.stock();
        (!stock.idle.is_empty()).then(|| stock.idle.remove(0).connection)
    }

    /// Since when nobody has used those that are kept, where there is no session on the mailbox.
    pub(in super::super) fn unvisited(&self) -> Vec<Instant> {
        let stock = self.stock();
        match stock.visits {
            0 => stock.idle.iter().map(|idle| idle.since).collect(),
            _ => Vec::new(),
        }
    }

    /// Since when nobody has used that one.
    pub(in super::super) fn idle_since(&self) -> Option<Instant> {
        self.stock().idle.first().map(|idle| idle.since)
    }

    /// How many connections are used for as long as a client likes.
    pub(in super::super) fn lasting(&self) -> usize {
        let stock = self.stock();
        stock.used.iter().filter(|used| used.lasts).count()
    }

    /// How many connections there may be beside which one more is opened for bodies, which leave one to the rest. Those here that the rest
    /// uses at this moment are no less than that one.
    pub(in super::super) fn place_for_bodies(&self) -> usize {
        let stock = self.stock();
        let passing = stock.used.iter().filter(|used| !used.lasts).count();
        let for_bodies = self.most.saturating_sub(1).max(1);
        self.most.min(for_bodies + passing)
    }

    /// Whether one that nobody uses is like this.
    pub(in super::super) fn keeps(&self, suits: impl Fn(&Connection) -> bool) -> bool {
        let stock = self.stock();
        stock.idle.iter().any(|idle| suits(&idle.connection))
    }

    /// How many connections nobody uses.
    pub(in super::super) fn kept(&self) -> usize {
        self.stock().idle.len()
    }

    /// How many connections there are.
    pub(in super::super) fn len(&self) -> usize {
        let stock = self.stock();
        stock.idle.len() + stock.used.len()
    }
}
