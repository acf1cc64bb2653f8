//! Tokens are refreshed before they end, whether or not anybody polls: refresh tokens stay alive, and trouble is known early.
//!
//! Must not know: how a token is refreshed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tracing::{error, info};

use super::super::clock;
use super::{Tokens, Want};

/// How many accounts of a provider are looked after at a time: after a pause of all of them, they do not all come to the authorization
/// server at once. One that is silent keeps nobody else's waiting.
const AT_ONCE: usize = 4;

/// The tokens of all configured accounts.
pub(in super::super) struct Watched(Mutex<All>);

#[derive(Default)]
struct All {
    watched: Arc<[One]>,
    /// Of accounts that are configured no more, or in another way: what was on its way for them is kept all the same.
    former: Vec<Arc<Tokens>>,
}

/// Those of one account.
#[derive(Clone)]
struct One {
    tokens: Arc<Tokens>,
    /// Of all accounts with the same provider.
    places: Arc<Semaphore>,
    /// Of this account: taken by the one task that waits for a place or has one.
    turn: Arc<Semaphore>,
}

impl Watched {
    pub(in super::super) fn new(all: Vec<Arc<Tokens>>) -> Self {
        let this = Self(Mutex::default());
        this.exchange(all);
        this
    }

    /// From now on it is these that are looked after.
    pub(in super::super) fn exchange(&self, all: Vec<Arc<Tokens>>) {
        let mut now = self.all();
        let same = |one: &&One, tokens: &Arc<Tokens>| Arc::ptr_eq(&one.tokens, tokens);
        let mut places: HashMap<String, Arc<Semaphore>> = HashMap::new();
        for one in now.watched.iter() {
            let of_it = places.entry(one.tokens.owner.provider.clone());
            of_it.or_insert_with(|| Arc::clone(&one.places));
        }
        let watched = all.iter().map(|tokens| {
            if let Some(one) = now.watched.iter().find(|one| same(one, tokens)) {
                return one.clone();
            }
            let places = places.entry(tokens.owner.provider.clone());
            One {
                places: Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)))),
                turn: Arc::new(Semaphore::new(1)),
                tokens: Arc::clone(tokens),
            }
        });
        let watched: Arc<[One]> = watched.collect();
        let gone = now.watched.iter().map(|one| Arc::clone(&one.tokens));
        let gone: Vec<Arc<Tokens>> = gone
            .filter(|tokens| !all.iter().any(|stays| Arc::ptr_eq(stays, tokens)))
            .collect();
        now.former.extend(gone);
        now.watched = watched;
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nobody waits any more for an authorization server, and what it gave is kept, or cannot be. Nobody asks one from then on.
    pub(in super::super) async fn settled(&self) {
        let all: Vec<Arc<Tokens>> = {
            let all = self.all();
            let watched = all.watched.iter().map(|one| &one.tokens);
            watched.chain(&all.former).map(Arc::clone).collect()
        };
        for tokens in &all {
            let ends = &tokens.keeper.ends;
            if ends.try_write().is_err() {
                info!(
                    "an authorization server is being asked for a token; its answer is waited for"
                );
            }
            *ends.write().await = true;
        }
        for tokens in &all {
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
        let watched = Arc::clone(&self.all().watched);
        for One {
            tokens,
            places,
            turn,
        } in watched.iter()
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
