//! Who is there: every POP3 session of this process, with what the operator wants to know of it, and a way to end it.
//!
//! A session says where it stands as it goes on; that costs it no lock. Must not know: what sessions do, who asks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::clock;
use super::pulse::Pulse;
use crate::metrics::{Metrics, SessionState};
use crate::pop3::StateName;

/// See the module.
pub(super) struct Present {
    guests: Mutex<HashMap<Box<str>, Arc<Guest>>>,
    metrics: Arc<Metrics>,
}

/// One session.
struct Guest {
    id: Box<str>,
    peer: SocketAddr,
    /// In seconds since 1970.
    since: i64,
    /// A [`SessionState`].
    state: AtomicU8,
    encrypted: AtomicBool,
    client: OnceLock<Named>,
    ended: AtomicBool,
    pulse: Arc<Pulse>,
}

/// Who it is, once that is known.
struct Named {
    client: Box<str>,
    account: Option<Box<str>>,
}

/// A session is there for as long as this lives.
pub(super) struct Stay {
    present: Arc<Present>,
    guest: Arc<Guest>,
}

/// One session, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// What names it in the log, and for [`Bridge::end_session`](super::Bridge::end_session).
    pub id: String,
    /// Where its client is.
    pub peer: SocketAddr,
    /// Since when it is there, in seconds since 1970.
    pub since: i64,
    /// How long no octet has gone either way.
    pub still_for: Duration,
    /// Where it stands.
    pub state: SessionState,
    /// Whether its connection is encrypted.
    pub encrypted: bool,
    /// The client's whole log-in name, once it is in.
    pub client: Option<String>,
    /// The account that it reads, if that is a configured one.
    pub account: Option<String>,
}

impl Present {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            guests: Mutex::default(),
            metrics,
        }
    }

    /// A session begins.
    pub(super) fn arrive(
        self: &Arc<Self>,
        id: &str,
        peer: SocketAddr,
        encrypted: bool,
        pulse: Arc<Pulse>,
    ) -> Stay {
        let guest = Arc::new(Guest {
            id: id.into(),
            peer,
            since: clock::now(),
            state: AtomicU8::new(number(SessionState::Authorization)),
            encrypted: AtomicBool::new(encrypted),
            client: OnceLock::new(),
            ended: AtomicBool::new(false),
            pulse,
        });
        self.guests().insert(id.into(), Arc::clone(&guest));
        let begins = Some(SessionState::Authorization);
        self.metrics.session_state(None, begins);
        Stay {
            present: Arc::clone(self),
            guest,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.guests().len()
    }

    /// At most so many of them, those that came first first.
    pub(super) fn first(&self, most: usize) -> Vec<SessionView> {
        let mut guests: Vec<Arc<Guest>> = self.guests().values().map(Arc::clone).collect();
        guests.sort_unstable_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        guests.truncate(most);
        guests.iter().map(|guest| guest.view()).collect()
    }

    /// Asks the session with this name to end, at once unless its QUIT is being carried out; false: there is none.
    pub(super) fn end(&self, id: &str) -> bool {
        let guests = self.guests();
        let Some(guest) = guests.get(id) else {
            return false;
        };
        // It is about to end by itself, and its client would have to ask for the same once more.
        if guest.state.load(Ordering::Relaxed) != number(SessionState::Update) {
            guest.ended.store(true, Ordering::Relaxed);
            guest.pulse.end();
        }
        true
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stay {
    /// Where the session stands now.
    pub(super) fn is_at(&self, state: StateName) {
        let state = match state {
            StateName::Authorization => SessionState::Authorization,
            StateName::Transaction => SessionState::Transaction,
            StateName::Update => SessionState::Update,
            // It is about to leave.
            StateName::Closed => return,
        };
        let before = self.guest.state.swap(number(state), Ordering::Relaxed);
        if before != number(state) {
            let metrics = &self.present.metrics;
            metrics.session_state(Some(of_number(before)), Some(state));
        }
    }

    /// Its connection is encrypted from now on.
    pub(super) fn is_encrypted(&self) {
        self.guest.encrypted.store(true, Ordering::Relaxed);
    }

    /// It is this client's, of this account. Only the first word counts: nobody logs in twice.
    pub(super) fn belongs_to(&self, client: &str, account: Option<&str>) {
        let named = Named {
            client: client.into(),
            account: account.map(Into::into),
        };
        let _ = self.guest.client.set(named);
    }

    /// Whether the operator has asked for its end.
    pub(super) fn was_ended(&self) -> bool {
        self.guest.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.present.guests().remove(&self.guest.id);
        let last = of_number(self.guest.state.load(Ordering::Relaxed));
        self.present.metrics.session_state(Some(last), None);
    }
}

impl Guest {
    fn view(&self) -> SessionView {
        let named = self.client.get();
        SessionView {
            id: self.id.to_string(),
            peer: self.peer,
            since: self.since,
            still_for: self.pulse.still_for(),
            state: of_number(self.state.load(Ordering::Relaxed)),
            encrypted: self.encrypted.load(Ordering::Relaxed),
            client: named.map(|named| named.client.to_string()),
            account: named.and_then(|named| named.account.as_deref().map(str::to_owned)),
        }
    }
}

fn number(state: SessionState) -> u8 {
    match state {
        SessionState::Authorization => 0,
        SessionState::Transaction => 1,
        SessionState::Update => 2,
    }
}

fn of_number(number: u8) -> SessionState {
    match number {
        0 => SessionState::Authorization,
        1 => SessionState::Transaction,
        _ => SessionState::Update,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    fn states(metrics: &Metrics) -> [i64; 3] {
        let text = metrics.render();
        ["authorization", "transaction", "update"].map(|state| {
            let name = format!("popbridge_session_states{{state=\"{state}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.unwrap().parse().unwrap()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_told_as_they_stand_and_forgotten_when_they_end() {
        let metrics = Arc::new(Metrics::new());
        let present = Arc::new(Present::new(Arc::clone(&metrics)));
        let pulse: Arc<Pulse> = Arc::default();
        let one = present.arrive("a.1", peer(1), false, Arc::clone(&pulse));
        let two = present.arrive("a.2", peer(2), true, Arc::default());
        assert_eq!(states(&metrics), [2, 0, 0]);
        one.is_at(StateName::Transaction);
        one.belongs_to("desk1", Some("info"));
        one.is_encrypted();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(states(&metrics), [1, 1, 0]);
        let told = present.first(10);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].id, "a.1");
        assert_eq!(told[0].client.as_deref(), Some("desk1"));
        assert_eq!(told[0].account.as_deref(), Some("info"));
        assert!(told[0].encrypted && told[1].encrypted);
        assert_eq!(told[0].still_for, Duration::from_secs(7));
        assert_eq!((told[1].peer, told[1].client.as_ref()), (peer(2), None));
        assert_eq!(present.first(1).len(), 1);
        one.is_at(StateName::Update);
        one.is_at(StateName::Closed);
        assert_eq!(states(&metrics), [1, 0, 1]);
        drop(one);
        assert_eq!(states(&metrics), [1, 0, 0]);
        drop(two);
        assert_eq!((states(&metrics), present.len()), ([0, 0, 0], 0));
    }

    #[tokio::test]
    async fn the_one_session_that_is_named_is_asked_to_end() {
        let present = Arc::new(Present::new(Arc::new(Metrics::new())));
        let pulses: [Arc<Pulse>; 2] = Default::default();
        let one = present.arrive("a.1", peer(1), false, Arc::clone(&pulses[0]));
        let two = present.arrive("a.2", peer(2), false, Arc::clone(&pulses[1]));
        assert!(!present.end("a.3"));
        one.is_at(StateName::Update);
        assert!(present.end("a.1"), "it is there, and left to its QUIT");
        assert!(present.end("a.2"));
        pulses[1].ended().await;
        assert!(two.was_ended() && !one.was_ended());
        let still = tokio::time::timeout(Duration::from_millis(5), pulses[0].ended());
        assert!(still.await.is_err(), "the other one goes on");
    }
}
