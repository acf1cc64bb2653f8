//! Tokens are refreshed before they end, whether or not anybody polls: refresh tokens stay alive, and trouble is known early.
//!
//! Must not know: how a token is refreshed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::{error, info};

use super::super::clock;
use super::{Tokens, Want};

/// How many accounts of a provider are looked after at a time: after a pause of all of them, they do not all come to the authorization
/// server at once. One that is silent keeps nobody else's waiting.
const AT_ONCE: usize = 4;

/// The tokens of all configured accounts.
pub(in super::super) struct Watched(Vec<One>);

/// Those of one account.
struct One {
    tokens: Arc<Tokens>,
    /// Of all accounts with the same provider.
    places: Arc<Semaphore>,
    /// Of this account: taken by the one task that waits for a place or has one.
    turn: Arc<Semaphore>,
}

impl Watched {
    pub(in super::super) fn new(all: Vec<Arc<Tokens>>) -> Self {
        let mut places: HashMap<String, Arc<Semaphore>> = HashMap::new();
        let all = all.into_iter().map(|tokens| {
            let places = places.entry(tokens.owner.provider.clone());
            One {
                places: Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)))),
                turn: Arc::new(Semaphore::new(1)),
                tokens,
            }
        });
        Self(all.collect())
    }

    /// Ends when nobody waits any more for an authorization server, and what it gave is kept, or cannot be. Nobody asks one from then on.
    pub(in super::super) async fn settled(&self) {
        for One { tokens, .. } in &self.0 {
            let ends = &tokens.keeper.ends;
            if ends.try_write().is_err() {
                info!(
                    "an authorization server is being asked for a token; its answer is waited for"
                );
            }
            *ends.write().await = true;
        }
        for One { tokens, .. } in &self.0 {
            if let Err(trouble) = tokens.keep_last().await {
                let account = &tokens.owner.account;
                error!(
                    account,
                    %trouble,
                    "a new token was got and cannot be kept; if none is given for the old one a person has to log in again"
                );
            }
        }
    }

    /// Begins to look after those whose time has come. Call it every second: it looks at nothing but memory.
    pub(in super::super) fn look(&self) {
        let now = clock::now();
        for One {
            tokens,
            places,
            turn,
        } in &self.0
        {
            let Ok(turn) = Arc::clone(turn).try_acquire_owned() else {
                continue;
            };
            if !tokens.is_due(now) {
                continue;
            }
            let (tokens, places) = (Arc::clone(tokens), Arc::clone(places));
            tokio::spawn(async move {
                let _turn = turn;
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
