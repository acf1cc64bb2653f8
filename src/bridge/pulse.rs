//! The sign of life of a session, for others: when an octet last went between it and its client, and the word that it is to end.
//!
//! Must not know: whose session it is, or why somebody wants its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Pulse {
    since: Instant,
    /// Milliseconds from `since`.
    last: AtomicU64,
    hung_up: AtomicBool,
    end: watch::Sender<bool>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            last: AtomicU64::new(0),
            hung_up: AtomicBool::new(false),
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

    /// Its client will say nothing more.
    pub(super) fn hung_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Whether nobody needs this session any more: its client has hung up, or nothing has gone either way for so long.
    pub(super) fn gives_way(&self, limit: Duration) -> bool {
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
