//! Tokens are refreshed before they end, whether or not anybody polls: refresh tokens stay alive, and trouble is known early.
//!
//! Must not know: how a token is refreshed.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::clock;
use super::{Tokens, Want};

/// How many accounts are looked after at a time: after a pause of all of them, they do not all come to the authorization server at once.
const AT_ONCE: usize = 4;

/// The tokens of all configured accounts.
pub(in super::super) struct Watched {
    all: Vec<Arc<Tokens>>,
    places: Arc<Semaphore>,
}

impl Watched {
    pub(in super::super) fn new(all: Vec<Arc<Tokens>>) -> Self {
        Self {
            all,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Ends when nobody waits any more for an authorization server, or for what it gave to be kept.
    pub(in super::super) async fn settled(&self) {
        for tokens in &self.all {
            drop(tokens.keeper.busy.write().await);
        }
    }

    /// Begins to look after those whose time has come. Call it every second: it looks at nothing but memory.
    pub(in super::super) fn look(&self) {
        let now = clock::now();
        for tokens in self.all.iter().filter(|tokens| tokens.is_due(now)) {
            let (tokens, places) = (Arc::clone(tokens), Arc::clone(&self.places));
            tokio::spawn(async move {
                // Closed by nobody.
                let Ok(_place) = places.acquire_owned().await else {
                    return;
                };
                // What is wrong was noted and logged.
                let _ = tokens.fly(Want::Ahead).await;
            });
        }
    }
}

impl Tokens {
    fn is_due(&self, now: i64) -> bool {
        /// Longer than a look takes, which says itself when the next one is.
        const MEANWHILE: i64 = 120;
        let mut memory = self.memory();
        let is_due = now >= memory.look_at;
        if is_due {
            memory.look_at = now + MEANWHILE;
        }
        is_due
    }
}
