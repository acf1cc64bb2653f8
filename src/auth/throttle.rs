//! How fast passwords can be guessed: by source and by mailbox, and not at all slower for a client that has been let in from where it
//! comes.
//!
//! A try that follows wrong ones waits for its turn before its password is looked at, so that nothing is gained by hanging up early or by
//! many connections. One that would wait for long is refused without a look. A wrong password that is shown again and again counts once, and
//! waits in a row of its own: it is a device whose password was changed, and teaches nobody anything. Of those who were wrong one at a time
//! stands in a mailbox's row, so that they cannot keep its owner out, wherever he comes from. Whoever has been let in is known by source and mailbox together, and waits for nobody
//! else's wrong tries; only where somebody guesses at the same mailbox behind the same address the two cannot be told apart.
//!
//! What is kept is bounded, in memory only, and of this instance. Must not know: POP3, how a password is checked.

mod pace;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::pace::{FORGOTTEN, Growth, Pace};
use super::{Origin, Sealed};

/// So many tries of a source may be looked at at once before the first one turns out to be wrong: an office that comes back after a restart.
const AT_ONCE: usize = 8;
/// So many at a mailbox that is known at the source: all of its clients may be behind one address.
const FAMILIAR_AT_ONCE: usize = 32;
/// How often those who wait for others of their source look whether their mailbox is known there by now.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// So long a try waits for its turn; one whose turn is later is refused. POP3 programs give up after ten seconds and more.
const PATIENCE: Duration = Duration::from_secs(8);
/// The time between two tries grows up to eight times the first for a source, and up to twice for a mailbox: there others may be
/// guessing while its owner comes from a new place.
const OF_ORIGIN: u32 = 3;
const OF_MAILBOX: u32 = 1;
/// A mailbox that is known at a source is a stranger's after so many wrong tries, until they are forgotten.
const FAMILIAR_MISSES: u32 = 3;
/// How many of each are remembered, the most recent ones.
const CAPACITY: u64 = 20_000;
/// How long a source and a mailbox are known to belong together.
const FAMILIAR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A mailbox under a key of this process.
type Name = u64;

/// See the module.
pub struct Throttle {
    origins: Cache<Origin, Arc<Door>>,
    mailboxes: Cache<Name, Arc<Mutex<Pace>>>,
    /// Who has been let in, and how often it was wrong since.
    familiar: Cache<(Origin, Name), Arc<Door>>,
    /// What was wrong a while ago.
    wrong: Cache<Sealed, ()>,
    names: RandomState,
}

/// What is known of a source.
struct Door {
    pace: Mutex<Pace>,
    /// Before this nothing is looked at that was wrong before.
    repeats: Mutex<Option<Instant>>,
    /// How many more may be looked at at once.
    turns: Arc<Semaphore>,
}

/// Why a try is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Too many were wrong before; so long its turn is away.
    TooSoon(Duration),
    /// Too many of the same source are being looked at.
    Crowded,
}

/// The right to have a password looked at. Dropped, nothing is known about the try.
pub struct Turn {
    booked: Option<Booked>,
    /// Whether somebody waited for it.
    pub waited: bool,
}

struct Booked {
    pair: (Origin, Name),
    door: Arc<Door>,
    mailbox: Arc<Mutex<Pace>>,
    first: Duration,
    /// Given back with this.
    _turn: Option<OwnedSemaphorePermit>,
}

/// A cache of the most recent ones; each is forgotten when nobody has asked for it for so long.
fn recent<K, V>(idle: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(CAPACITY)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(idle)
        .build()
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            origins: recent(4 * FORGOTTEN),
            mailboxes: recent(4 * FORGOTTEN),
            familiar: recent(FAMILIAR),
            wrong: Cache::builder()
                .max_capacity(CAPACITY)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(FORGOTTEN)
                .build(),
            names: RandomState::new(),
        }
    }
}

impl Throttle {
    /// Waits for the turn of a try from `origin` at `mailbox`, where `shown` is what is shown, with the mailbox. `first` is the time behind the
    /// first wrong try; zero: nobody ever waits.
    ///
    /// # Errors
    /// [`Denied`]: the try is not to be looked at.
    pub async fn turn(
        &self,
        origin: Origin,
        mailbox: &str,
        shown: &Sealed,
        first: Duration,
    ) -> Result<Turn, Denied> {
        if first.is_zero() {
            return Ok(Turn {
                booked: None,
                waited: false,
            });
        }
        let pair = (origin, self.names.hash_one(mailbox));
        let mut booked = Booked {
            pair,
            door: self
                .origins
                .get_with(origin, || Arc::new(Door::new(AT_ONCE))),
            mailbox: self.mailboxes.get_with(pair.1, Arc::default),
            first,
            _turn: None,
        };
        let until = Instant::now() + PATIENCE;
        if let Some(turn) = self.familiar_turn(pair, until).await? {
            booked._turn = Some(turn);
            return Ok(Turn {
                booked: Some(booked),
                waited: false,
            });
        }
        let now = Instant::now();
        if self.wrong.contains_key(shown) {
            let at = booked.door.repeat(now, until, first)?;
            sleep_until(at).await;
            booked._turn = Some(booked.door.turn(until).await?);
            return Ok(Turn {
                booked: Some(booked),
                waited: at > now,
            });
        }
        let door = Arc::clone(&booked.door);
        let mut of_origin = std::pin::pin!(door.turn(until));
        booked._turn = Some(loop {
            tokio::select! {
                turn = &mut of_origin => break turn?,
                () = sleep(LOOK_AGAIN) => {}
            }
            // Another client of the mailbox was let in meanwhile.
            if let Some(turn) = self.familiar_turn(pair, until).await? {
                booked._turn = Some(turn);
                return Ok(Turn {
                    booked: Some(booked),
                    waited: false,
                });
            }
        });
        let now = Instant::now();
        // Until the source's own turn it is in nobody's way at the mailbox.
        sleep_until(booked.at_origin(now, until)?).await;
        let at = booked.at_mailbox(Instant::now(), until)?;
        sleep_until(at).await;
        Ok(Turn {
            booked: Some(booked),
            waited: at > now,
        })
    }

    /// The turn of a try at a mailbox that is known at its source.
    async fn familiar_turn(
        &self,
        pair: (Origin, Name),
        until: Instant,
    ) -> Result<Option<OwnedSemaphorePermit>, Denied> {
        let Some(door) = self.familiar.get(&pair).filter(|door| door.is_familiar()) else {
            return Ok(None);
        };
        let turn = door.turn(until).await?;
        // Those before may have been wrong meanwhile.
        Ok(door.is_familiar().then_some(turn))
    }

    /// The try was right.
    pub fn succeeded(&self, turn: Turn) {
        if let Some(booked) = turn.booked {
            // What was wrong before counts on: somebody may be guessing behind the same address, and have a mailbox here, too.
            let new = || Arc::new(Door::new(FAMILIAR_AT_ONCE));
            self.familiar.get_with(booked.pair, new);
        }
    }

    /// The try was wrong; `shown` is what was shown, with the mailbox.
    pub fn failed(&self, turn: Turn, shown: Sealed) {
        let Some(booked) = turn.booked else { return };
        if self.wrong.contains_key(&shown) {
            return;
        }
        self.wrong.insert(shown, ());
        let now = Instant::now();
        if let Some(familiar) = self.familiar.get(&booked.pair) {
            locked(&familiar.pace).missed(now, booked.of_origin());
        }
        locked(&booked.door.pace).missed(now, booked.of_origin());
        locked(&booked.mailbox).missed(now, booked.of_mailbox());
    }
}

impl Door {
    fn new(at_once: usize) -> Self {
        Self {
            pace: Mutex::default(),
            repeats: Mutex::default(),
            turns: Arc::new(Semaphore::new(at_once)),
        }
    }

    fn is_familiar(&self) -> bool {
        locked(&self.pace).misses(Instant::now()) < FAMILIAR_MISSES
    }

    /// Takes the next place in the row of what was wrong before, one every `gap`.
    fn repeat(&self, now: Instant, until: Instant, gap: Duration) -> Result<Instant, Denied> {
        let next = self.repeats.lock();
        let mut next = next.unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        if at > until {
            return Err(Denied::TooSoon(at - now));
        }
        *next = Some(at + gap);
        Ok(at)
    }

    async fn turn(&self, until: Instant) -> Result<OwnedSemaphorePermit, Denied> {
        let turn = timeout_at(until, Arc::clone(&self.turns).acquire_owned()).await;
        // The semaphore is closed by nobody.
        turn.map_err(|_| Denied::Crowded)?
            .map_err(|_| Denied::Crowded)
    }
}

impl Booked {
    /// Takes the source's next turn, if there can be one at the mailbox by `until`, too.
    fn at_origin(&self, now: Instant, until: Instant) -> Result<Instant, Denied> {
        let mut origin = locked(&self.door.pace);
        let at = origin.turn(now);
        let both = at.max(locked(&self.mailbox).turn(now));
        if both > until {
            return Err(Denied::TooSoon(both - now));
        }
        origin.take(at, self.of_origin());
        Ok(at)
    }

    /// Takes the mailbox's next turn, if that comes by `until`. Who was wrong does not stand in line behind another one: else a few of them
    /// would keep the owner out.
    fn at_mailbox(&self, now: Instant, until: Instant) -> Result<Instant, Denied> {
        let was_wrong = locked(&self.door.pace).misses(now) > 0;
        let mut mailbox = locked(&self.mailbox);
        let at = mailbox.turn(now);
        if at > until || (was_wrong && mailbox.is_waited_for(now)) {
            return Err(Denied::TooSoon(at - now));
        }
        mailbox.take(at, self.of_mailbox());
        Ok(at)
    }

    fn of_origin(&self) -> Growth {
        Growth {
            first: self.first,
            doublings: OF_ORIGIN,
        }
    }

    fn of_mailbox(&self) -> Growth {
        Growth {
            first: self.first,
            doublings: OF_MAILBOX,
        }
    }
}

fn locked(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    // A panic inside leaves a pace that is still one.
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}
