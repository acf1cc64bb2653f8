//! Using a connection that is kept, and waiting for one that somebody else has where no further one may be opened.
//!
//! Must not know: why none may be opened.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::{Beside, Credential, Idle, Lease, Permits, Shelf, Use};

/// So long somebody waits for it, beside what was waited for the turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that would do.
#[derive(Clone, Copy)]
pub(in super::super) struct Wanted<'a> {
    pub(in super::super) credential: Credential,
    /// The form of messages that it gives, if somebody has settled on one.
    pub(in super::super) utf8: bool,
    /// One that has it open is the best.
    pub(in super::super) folder: Option<&'a str>,
}

impl Shelf {
    /// A connection that is kept; without one the permits come back.
    pub(in super::super) fn reuse(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        permits: Permits,
    ) -> Result<Lease, Permits> {
        match self.pick(wanted) {
            Some(idle) => {
                let used = Use {
                    credential: idle.credential,
                    accepted: idle.accepted,
                    lasts: Beside::of(&permits).lasts(),
                };
                Ok(self.lease(idle.connection, used, permits, false))
            }
            None => Err(permits),
        }
    }

    /// The connection that was used last, of those that have the folder open if there are any. Those whose time is over are closed.
    fn pick(&self, wanted: Wanted<'_>) -> Option<Idle> {
        let Wanted {
            credential,
            utf8,
            folder,
        } = wanted;
        let mut stock = self.stock();
        for over in stock.retired() {
            tokio::spawn(over.connection.logout().in_current_span());
        }
        let is_mine = |idle: &Idle| idle.credential == credential && idle.connection.suits(utf8);
        let has_it_open = |idle: &Idle| {
            let open = idle.connection.selected().map(|(name, _)| name);
            folder.is_some() && open == folder
        };
        let at = stock
            .idle
            .iter()
            .rposition(|idle| is_mine(idle) && has_it_open(idle));
        let at = at.or_else(|| stock.idle.iter().rposition(is_mine))?;
        Some(stock.idle.remove(at))
    }

    /// A connection that is kept or is given back within 30 seconds; without one the permits come back, at once where none is in use.
    pub(in super::super) async fn reuse_later(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        mut permits: Permits,
    ) -> Result<Lease, Permits> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut freed = pin!(self.freed.notified());
            // What is given back from here on is heard of.
            freed.as_mut().enable();
            permits = match self.reuse(wanted, permits) {
                Ok(lease) => return Ok(lease),
                Err(permits) => permits,
            };
            if !self.is_in_use(wanted.credential) || timeout_at(until, freed).await.is_err() {
                return Err(permits);
            }
        }
    }

    /// Whether there is a connection that the credential has opened, and that somebody will give back.
    fn is_in_use(&self, credential: Credential) -> bool {
        let stock = self.stock();
        let mine = stock
            .used
            .iter()
            .filter(|used| used.credential == credential);
        // Those who keep theirs for good have the configured one.
        let staying = match credential {
            Credential::Configured => stock.staying,
            Credential::Presented(_) => 0,
        };
        mine.count() > staying
    }
}

impl Lease {
    /// It is never given back: nobody need wait for it.
    pub(in super::super) fn stays_in_use(&mut self) {
        if !std::mem::replace(&mut self.seat.stays, true) {
            self.seat.shelf.stock().staying += 1;
        }
    }
}
