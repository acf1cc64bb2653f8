//! Whether a client takes what is sent to it, or only holds on to the bridge's memory and its upstream's connections.
//!
//! Only the time that is spent on waiting for the client counts, so that a slow upstream is not held against it; and what counts as taken
//! is what its system has acknowledged, not what has gone into this system's buffers.
//! Must not know: sockets, what is sent.

use std::time::Duration;

/// It is looked at whenever somebody has waited for the client for so long in all: longer than the shadow of a tunnel.
const WINDOW: Duration = Duration::from_secs(2 * 60);

/// See the module.
#[derive(Debug)]
pub(super) struct Flow {
    /// What a client has to take in each [`WINDOW`], in octets.
    least: u64,
    waited: Duration,
    written: u64,
    /// What was in the system's buffers when the window began.
    queued: u64,
}

impl Flow {
    /// A client has to take `least` octets in two minutes; 0: nothing.
    pub(super) fn new(least: u64) -> Self {
        Self {
            least,
            waited: Duration::ZERO,
            written: 0,
            queued: 0,
        }
    }

    /// Somebody may wait for so long before [`Self::is_too_slow`] is to be asked.
    pub(super) fn patience(&self) -> Duration {
        WINDOW.saturating_sub(self.waited)
    }

    /// So many octets went into the system's buffers after such a wait.
    pub(super) fn wrote(&mut self, octets: u64, waited: Duration) {
        self.waited += waited;
        self.written += octets;
    }

    /// Whether the client has taken too little. `queued` is what is in the system's buffers, asked for when a window is over.
    pub(super) fn is_too_slow(&mut self, queued: impl FnOnce() -> u64) -> bool {
        if self.waited < WINDOW {
            return false;
        }
        let queued = match self.least {
            0 => 0,
            _ => queued(),
        };
        let taken = (self.queued + self.written).saturating_sub(queued);
        let is_too_slow = taken < self.least;
        *self = Self {
            queued,
            ..Self::new(self.least)
        };
        is_too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_lies_in_buffers_was_not_taken() {
        let mut flow = Flow::new(8192);
        flow.wrote(1 << 20, SECOND);
        flow.wrote(0, WINDOW);
        assert!(flow.is_too_slow(|| 1 << 20));
        // Buffers that grow empty are progress although nothing is written.
        flow.wrote(0, WINDOW);
        assert!(!flow.is_too_slow(|| (1 << 20) - 8192));
        flow.wrote(0, WINDOW);
        assert!(flow.is_too_slow(|| (1 << 20) - 2 * 8192 + 1));
    }

    #[test]
    fn only_the_time_that_is_waited_counts() {
        let mut flow = Flow::new(8192);
        for _ in 0..119 {
            flow.wrote(1, SECOND);
            assert!(!flow.is_too_slow(|| unreachable!()));
        }
        assert_eq!(flow.patience(), SECOND);
        flow.wrote(1, SECOND);
        assert!(flow.is_too_slow(|| 0));
        assert_eq!(flow.patience(), WINDOW);
    }

    #[test]
    fn nobody_is_too_slow_where_nothing_has_to_be_taken() {
        let mut flow = Flow::new(0);
        flow.wrote(0, 100 * WINDOW);
        assert!(!flow.is_too_slow(|| unreachable!()));
        assert_eq!(flow.patience(), WINDOW);
    }
}
