//! Watching mailboxes that hold arrivals: each new message is copied as soon as the upstream tells of it.
//!
//! Must not know: how it is copied (see `hold`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::account::{Account, Password};
use super::trouble::Trouble;
use super::{Bridge, Configured};
use crate::imap::Error;

/// How long one IDLE lasts: some routers forget a connection that is silent for half an hour, and RFC 2177 wants less than 29 minutes.
const IDLE: Duration = Duration::from_secs(14 * 60);
/// The first pause after trouble; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The shortest pause where the upstream wants to be left alone.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after trouble.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// How a pause ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rested {
    /// It was long enough.
    Long,
    /// What was in the way is not any more.
    UntilGood,
}

/// Pauses after trouble. Where the account has no token it ends as soon as there is one again: a person has logged in.
pub(super) async fn rest(password: &Password, trouble: &Trouble, pause: Duration) -> Rested {
    let good_again = async {
        match (password, trouble) {
            (Password::Tokens(tokens), Trouble::Token(_)) => tokens.good_again().await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sleep(pause) => Rested::Long,
        () = good_again => Rested::UntilGood,
    }
}

impl Bridge {
    /// Watches one account for ever, or until its upstream turns out to have no IDLE.
    pub(super) async fn watch(self: Arc<Self>, configured: Arc<Configured>) {
        let name = &configured.name;
        let mut pause = FIRST_PAUSE;
        loop {
            let trouble = match self.watch_once(&configured, &mut pause).await {
                Ok(never) => match never {},
                Err(trouble) => trouble,
            };
            if matches!(&trouble, Trouble::Upstream(Error::Lacks(_))) {
                info!(
                    account = name,
                    %trouble,
                    "arrivals are held at each look at the mailbox only, not at once"
                );
                return;
            }
            if let Trouble::BackOff { left, .. } = trouble {
                sleep(left).await;
                continue;
            }
            if !trouble.is_logged() {
                warn!(account = name, %trouble, ?pause, "the mailbox is not watched; it will be tried again");
            }
            pause = match rest(&configured.password, &trouble, pause).await {
                Rested::Long => (pause * 2).min(LONGEST_PAUSE),
                Rested::UntilGood => FIRST_PAUSE,
            };
        }
    }

    async fn watch_once(
        &self,
        configured: &Configured,
        pause: &mut Duration,
    ) -> Result<std::convert::Infallible, Trouble> {
        let account = self.account_of(configured).await?;
        let upstream = &account.upstream;
        loop {
            let mut watch = self.accounts.pool.watch(&account).await?;
            let connection = &mut watch.connection;
            let names = self.accounts.folder_names(&account, connection).await?;
            let first = names.served.first().map_or("INBOX", String::as_str);
            connection.examine(first, false).await?;
            // Until the upstream is about to end it.
            while {
                // What arrives meanwhile is told at the beginning of the next IDLE.
                self.list_once_it_may(&account).await?;
                *pause = FIRST_PAUSE;
                loop {
                    let idle = connection.idle(IDLE).await;
                    if let Err(error) = &idle {
                        upstream.backoff.failed(&account.login, error);
                    }
                    if idle? || connection.is_retired() {
                        break;
                    }
                }
                !connection.is_retired()
            } {}
            watch.connection.close();
        }
    }

    /// Lists the mailbox, which holds what has arrived; where the upstream wants to be left alone, once that is over.
    async fn list_once_it_may(&self, account: &Account) -> Result<(), Trouble> {
        loop {
            match self.accounts.list(account.clone()).await {
                Err(trouble) if trouble.is_pressure() => {
                    let left = match trouble {
                        Trouble::BackOff { left, .. } => left,
                        // The next attempt tells for how long.
                        _ => Duration::ZERO,
                    };
                    sleep(left.max(SHORTEST_PAUSE)).await;
                }
                listed => return listed.map(drop),
            }
        }
    }
}
