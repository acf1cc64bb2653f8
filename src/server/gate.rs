//! How many clients may be connected, in all and from one source, and whether there is memory for another one.
//!
//! Must not know: what they say, how they are told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::memory::Memory;
use crate::auth::Origin;
use crate::config::Limits;
use crate::metrics::{Metrics, Refused};

/// So many of those that are not served are told so at a time; all others are only closed.
const TOLD_AT_ONCE: usize = 32;
/// How often the log says that clients are refused for the same reason.
const WARN_AGAIN: Duration = Duration::from_secs(60);
/// With fewer clients than this nobody is refused for want of memory: hardly anything would come free by waiting.
const FEW: usize = 8;

/// See the module.
pub(super) struct Gate {
    inside: Mutex<Inside>,
    memory: Memory,
    told: Arc<Semaphore>,
    warned: Mutex<Vec<(Refused, Instant)>>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Inside {
    all: usize,
    /// No longer than there are connections.
    by_origin: HashMap<Origin, usize>,
}

/// What becomes of a connection that has just come.
pub(super) enum Entry {
    /// There is room.
    Place(Place),
    /// There is none; it may be told so.
    Turned(Turned),
}

/// A client that is counted; dropped, it is gone.
pub(super) struct Place {
    gate: Arc<Gate>,
    origin: Option<Origin>,
}

/// A client that is not served.
pub(super) struct Turned {
    /// Why.
    pub(super) why: Refused,
    /// Given back with this.
    _told: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            inside: Mutex::default(),
            memory: Memory::default(),
            told: Arc::new(Semaphore::new(TOLD_AT_ONCE)),
            warned: Mutex::default(),
            metrics,
        })
    }

    /// Looks at a connection that has just come. None: it is to be closed without a word.
    pub(super) fn enter(self: &Arc<Self>, limits: &Limits) -> Option<Entry> {
        let inside = self.inside().all;
        let is_full = limits.connections.is_some_and(|most| inside >= most);
        let lacks_memory = limits
            .memory
            .is_some_and(|most| inside >= FEW && self.memory.resident() > most);
        let why = match (is_full, lacks_memory) {
            (true, _) => Refused::Full,
            (false, true) => Refused::Memory,
            (false, false) => {
                self.inside().all += 1;
                let gate = Arc::clone(self);
                return Some(Entry::Place(Place { gate, origin: None }));
            }
        };
        self.turned(why).map(Entry::Turned)
    }

    /// Counts a refusal; gives the right to tell the client, if not too many others are being told.
    fn turned(&self, why: Refused) -> Option<Turned> {
        self.refused(why);
        let told = Arc::clone(&self.told).try_acquire_owned().ok()?;
        Some(Turned { why, _told: told })
    }

    /// Counts a connection that is refused.
    pub(super) fn refused(&self, why: Refused) {
        self.metrics.refused_connection(why);
        debug!(?why, "a connection is refused");
        let advice = match why {
            Refused::Full => "there are as many as limits.connections allows",
            Refused::SourceFull => {
                "there are as many from one address as limits.source_connections allows"
            }
            Refused::Memory => "there is more in memory than limits.memory allows",
            // Of those each one is told of, or none is worth it.
            Refused::Proxy | Refused::Deadline => return,
        };
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        warned.retain(|(_, at)| now.saturating_duration_since(*at) < WARN_AGAIN);
        if !warned.iter().any(|(which, _)| *which == why) {
            warned.push((why, now));
            warn!("connections are refused: {advice}");
        }
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Counts it among those from this address, too. Those of this machine are not: one program in front of the bridge may bring all
    /// of its clients. None: it is to be closed without a word.
    pub(super) fn from(self, address: IpAddr, limits: &Limits) -> Option<Self> {
        let mut place = match self {
            Self::Place(place) if !address.to_canonical().is_loopback() => place,
            other => return Some(other),
        };
        let origin = Origin::of(address);
        let gate = Arc::clone(&place.gate);
        let mut inside = gate.inside();
        let count = inside.by_origin.entry(origin).or_default();
        if limits.source_connections.is_none_or(|most| *count < most) {
            *count += 1;
            place.origin = Some(origin);
            drop(inside);
            return Some(Self::Place(place));
        }
        drop(inside);
        gate.turned(Refused::SourceFull).map(Self::Turned)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.all = inside.all.saturating_sub(1);
        let Some(origin) = self.origin else { return };
        if let Some(count) = inside.by_origin.get_mut(&origin) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inside.by_origin.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
        let overrides = Overrides {
            upstream: Some("imap://127.0.0.1:1".to_owned()),
            ..Overrides::default()
        };
        let mut limits = load(&overrides).unwrap().limits;
        change(&mut limits);
        limits
    }

    fn gate() -> Arc<Gate> {
        Gate::new(Arc::new(Metrics::new()))
    }

    /// Whether a connection from there gets in, and why not.
    fn enter(gate: &Arc<Gate>, limits: &Limits, address: &str) -> Result<Place, Refused> {
        let entry = gate.enter(limits).unwrap();
        match entry.from(address.parse().unwrap(), limits).unwrap() {
            Entry::Place(place) => Ok(place),
            Entry::Turned(turned) => Err(turned.why),
        }
    }

    #[tokio::test]
    async fn who_comes_when_it_is_full_is_refused_until_somebody_leaves() {
        let gate = gate();
        let limits = limits(|limits| limits.connections = Some(2));
        let first = enter(&gate, &limits, "127.0.0.1").unwrap();
        let _second = enter(&gate, &limits, "192.0.2.1").unwrap();
        assert_eq!(
            enter(&gate, &limits, "192.0.2.2").err(),
            Some(Refused::Full)
        );
        drop(first);
        let _third = enter(&gate, &limits, "192.0.2.2").unwrap();
        assert_eq!(
            enter(&gate, &limits, "192.0.2.3").err(),
            Some(Refused::Full)
        );
    }

    #[tokio::test]
    async fn each_source_has_its_own_number_and_this_machine_any() {
        let gate = gate();
        let limits = limits(|limits| limits.source_connections = Some(2));
        let mut inside = Vec::new();
        for address in [
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:0:1::1",
            "192.0.2.1",
            "::ffff:192.0.2.1",
        ] {
            inside.push(enter(&gate, &limits, address).unwrap());
        }
        for address in ["2001:db8::3", "192.0.2.1"] {
            assert_eq!(
                enter(&gate, &limits, address).err(),
                Some(Refused::SourceFull)
            );
        }
        for address in ["127.0.0.1", "::1", "127.0.0.1", "::ffff:127.0.0.1"] {
            inside.push(enter(&gate, &limits, address).unwrap());
        }
        drop(inside);
        assert_eq!(gate.inside().all, 0);
        assert!(gate.inside().by_origin.is_empty());
    }

    #[tokio::test]
    async fn nobody_is_refused_for_want_of_memory_while_few_are_there() {
        let gate = gate();
        let limits = limits(|limits| limits.memory = Some(1));
        let mut inside: Vec<Place> = (0..FEW)
            .map(|_| enter(&gate, &limits, "127.0.0.1").unwrap())
            .collect();
        assert_eq!(
            enter(&gate, &limits, "127.0.0.1").err(),
            Some(Refused::Memory)
        );
        inside.pop();
        assert!(enter(&gate, &limits, "127.0.0.1").is_ok());
    }

    #[tokio::test]
    async fn only_so_many_are_told_and_all_are_counted() {
        let gate = gate();
        let limits = limits(|limits| limits.connections = Some(0));
        let told: Vec<_> = (0..100).filter_map(|_| gate.enter(&limits)).collect();
        assert_eq!(told.len(), TOLD_AT_ONCE);
        let text = gate.metrics.render();
        assert!(
            text.contains("popbridge_refused_connections_total{reason=\"full\"} 100\n"),
            "{text}"
        );
        drop(told);
        assert!(gate.enter(&limits).is_some());
    }
}
