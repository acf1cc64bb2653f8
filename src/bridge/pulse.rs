//! The sign of life of a session, for others: when an octet last went between it and its client, and the word that it is to end.
//!
//! Must not know: whose session it is, or why somebody wants its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A client that has only ended its own sending is taken for gone after so long without progress: a script that has sent all that it had to
/// say may still read a message.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Pulse {
    since: Instant,
    /// Milliseconds from `since`.
    last: AtomicU64,
    hung_up: AtomicBool,
    half_closed: AtomicBool,
    end: watch::Sender<bool>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            last: AtomicU64::new(0),
            hung_up: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            end: watch::Sender::new(false),
        }
    }
}

impl Pulse {
    /// There was progress just now.
    pub(super) fn beat(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long there has been no progress.
    pub(super) fn still_for(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }

    /// Its client is gone, or says nothing more and waits for nothing that it could not ask for again.
    pub(super) fn hung_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Its client says nothing more and may still be reading.
    pub(super) fn half_closed(&self) {
        self.half_closed.store(true, Ordering::Relaxed);
    }

    /// It got what it waited for: that its client had hung up meanwhile is no reason any more.
    pub(super) fn goes_on(&self) {
        self.hung_up.store(false, Ordering::Relaxed);
    }

    /// Whether nobody needs this session any more: its client has hung up, or nothing has gone either way for so long, or for a few
    /// seconds since the client ended its side.
    pub(super) fn gives_way(&self, limit: Duration) -> bool {
        let limit = match self.half_closed.load(Ordering::Relaxed) {
            true => limit.min(HALF_CLOSED),
            false => limit,
        };
        self.hung_up.load(Ordering::Relaxed) || self.still_for() >= limit
    }

    /// Asks the session to end. It cannot be taken back.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    /// Waits until somebody asks for the end; at once if that was before.
    pub(super) async fn ended(&self) {
        // It cannot fail: the sender is here.
        let _ = self.end.subscribe().wait_for(|end| *end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_still_since_the_last_octet() {
        let pulse = Pulse::default();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(pulse.still_for(), Duration::from_secs(31));
        pulse.beat();
        assert_eq!(pulse.still_for(), Duration::ZERO);
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(pulse.still_for(), Duration::from_millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_gives_way_when_it_is_still_for_long_or_its_client_has_hung_up() {
        let pulse = Pulse::default();
        let limit = Duration::from_secs(30);
        assert!(!pulse.gives_way(limit));
        tokio::time::advance(limit).await;
        assert!(pulse.gives_way(limit));
        pulse.beat();
        assert!(!pulse.gives_way(limit));
        pulse.hung_up();
        assert!(pulse.gives_way(limit));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_ended_its_side_only_keeps_its_session_while_it_reads() {
        let pulse = Pulse::default();
        let limit = Duration::from_secs(30);
        pulse.hung_up();
        pulse.half_closed();
        pulse.goes_on();
        for _ in 0..3 {
            tokio::time::advance(HALF_CLOSED - Duration::from_millis(1)).await;
            assert!(!pulse.gives_way(limit));
            pulse.beat();
        }
        tokio::time::advance(HALF_CLOSED).await;
        assert!(pulse.gives_way(limit));
    }

    #[tokio::test(start_paused = true)]
    async fn the_word_to_end_is_heard_by_who_waits_and_by_who_comes_later() {
        let pulse = Pulse::default();
        let patience = Duration::from_secs(1);
        assert!(tokio::time::timeout(patience, pulse.ended()).await.is_err());
        let waiting = pulse.ended();
        pulse.end();
        waiting.await;
        pulse.ended().await;
    }
}
