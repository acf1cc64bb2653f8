//! What the operator sees of the bridge at a glance: mailboxes and who has what, sessions, upstreams, tokens.
//!
//! It asks the store and this process only, never an upstream, and the store not more often than it can afford: those who look at the same
//! time share one look. Must not know: how it is shown, who may see it.

mod clients;
mod mailboxes;

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::backoff::LeftAlone;
use super::present::SessionView;
use super::standing::Standing;
use super::tokens::TokenStanding;
use super::trouble::Trouble;
use super::{Bridge, Upstream, clock};
use crate::store::SweepStop;
use clients::Remembered;

/// A look into the store is shared by those who come within this time, or within ten times what it took.
const FRESH: Duration = Duration::from_secs(1);
const SHARE: u32 = 10;
/// So long the store may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More mailboxes that nobody has configured are not shown, nor more sessions, nor more of what an upstream has asked for.
const MOST_MAILBOXES: usize = 50;
const MOST_SESSIONS: usize = 200;
const MOST_LEFT_ALONE: usize = 20;

/// See the module.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When it was looked, in seconds since 1970.
    pub time: i64,
    /// Since when the bridge is there, in seconds since 1970.
    pub since: i64,
    /// Configured accounts by name, then the mailboxes that are passed through, those first that were used last. The error: what is wrong
    /// with the store.
    pub mailboxes: Result<Vec<MailboxView>, String>,
    /// How many more mailboxes there are.
    pub more_mailboxes: usize,
    /// Sessions of this process, those that came first first.
    pub sessions: Vec<SessionView>,
    /// How many more sessions there are.
    pub more_sessions: usize,
    /// In the order of the configuration.
    pub upstreams: Vec<UpstreamView>,
}

/// A mailbox.
#[derive(Clone, Debug)]
pub struct MailboxView {
    /// The account's name in the configuration, if it is there.
    pub account: Option<String>,
    /// The log-in name at the upstream.
    pub login: String,
    /// The upstream's host and port.
    pub upstream: String,
    /// Messages that are in it.
    pub messages: usize,
    /// Its clients.
    pub clients: Vec<Standing>,
    /// What is to be done upstream and is not done yet.
    pub pending: Vec<Actions>,
    /// Messages that could not be read lately.
    pub unreadable: usize,
    /// A sweep that waits for the operator's word.
    pub stopped: Option<SweepStop>,
    /// How its tokens stand, if it has some.
    pub token: Option<TokenView>,
    /// What was received for it, if there is a limit.
    pub received: Option<Received>,
    /// Connections of this process that are in use, and that are kept for the next session.
    pub connections: (usize, usize),
    /// Why it cannot be told how it stands.
    pub trouble: Option<String>,
}

/// What is written down to be done upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    /// What, in a word or two.
    pub action: String,
    /// To how many messages.
    pub messages: usize,
    /// What the last try ended with.
    pub last_error: Option<String>,
}

/// How an account's tokens stand.
#[derive(Clone, Debug)]
pub struct TokenView {
    /// As the store has it.
    pub standing: TokenStanding,
    /// Whether a person has to log in for them.
    pub needs_a_person: bool,
}

/// Octets that a mailbox has received in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many may be.
    pub allowed: u64,
    /// How many were.
    pub received: u64,
}

/// An upstream.
#[derive(Clone, Debug)]
pub struct UpstreamView {
    /// Its name in the configuration.
    pub name: String,
    /// Its host and port.
    pub address: String,
    /// Connections of this process that are in use, and that are kept for the next session.
    pub connections: (usize, usize),
    /// What is left alone because it asked for it.
    pub left_alone: Vec<LeftAlone>,
    /// When a connection was last opened, in seconds since 1970; none: not since the start.
    pub connected_at: Option<i64>,
    /// When opening one failed last, and why.
    pub failed: Option<(i64, String)>,
}

/// What is kept between two looks into the store.
pub(super) struct Desk {
    since: i64,
    last: Mutex<Option<Look>>,
}

struct Look {
    at: Instant,
    took: Duration,
    mailboxes: Result<Vec<MailboxView>, String>,
    more: usize,
    remembered: Remembered,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            since: clock::now(),
            last: Mutex::default(),
        }
    }
}

impl Bridge {
    /// How everything stands now; what the store says of it is a second old at most, or older where it took long to find out.
    pub async fn overview(&self) -> Overview {
        let counts = self.accounts.pool.counts();
        let (mailboxes, more_mailboxes) = self.shared_look(&counts).await;
        let setup = self.setup();
        let upstreams = setup.router.upstreams();
        let upstreams = upstreams.map(|one| of_upstream(one, &counts)).collect();
        let sessions = self.present.first(MOST_SESSIONS);
        Overview {
            time: clock::now(),
            since: self.desk.since,
            mailboxes,
            more_mailboxes,
            more_sessions: self.present.len().saturating_sub(sessions.len()),
            sessions,
            upstreams,
        }
    }

    async fn shared_look(&self, counts: &Counts) -> (Result<Vec<MailboxView>, String>, usize) {
        let mut last = self.desk.last.lock().await;
        if let Some(look) = &*last
            && look.at.elapsed() < FRESH.max(look.took * SHARE)
        {
            return (look.mailboxes.clone(), look.more);
        }
        let begun = Instant::now();
        let mut remembered = last.take().map(|look| look.remembered).unwrap_or_default();
        let looked = Box::pin(self.mailboxes(counts, &mut remembered));
        let (mailboxes, more) = match timeout(PATIENCE, looked).await {
            Ok(Ok((mailboxes, more))) => (Ok(mailboxes), more),
            Ok(Err(trouble)) => (Err(trouble.to_string()), 0),
            Err(_) => (Err("the state: no answer in time".to_owned()), 0),
        };
        *last = Some(Look {
            at: Instant::now(),
            took: begun.elapsed(),
            mailboxes: mailboxes.clone(),
            more,
            remembered,
        });
        (mailboxes, more)
    }

    /// What was looked at is old: something was changed just now.
    async fn look_again(&self) {
        if let Some(look) = &mut *self.desk.last.lock().await {
            look.took = Duration::ZERO;
            look.at = look.at.checked_sub(FRESH).unwrap_or(look.at);
        }
    }

    /// Ends a session; false: there is no such one.
    pub fn end_session(&self, id: &str) -> bool {
        self.present.end(id)
    }

    /// Forgets what a client has had and deleted, as `popbridge client reset` does; false: there is no such client.
    ///
    /// # Errors
    /// The store's.
    pub async fn reset_client(&self, login: &str) -> Result<bool, Trouble> {
        let Some(client) = self.store().client_by_login(login).await? else {
            return Ok(false);
        };
        self.store().reset_client(client.id, clock::now()).await?;
        info!(
            client = client.login,
            "a client was reset by the operator: it gets everything that is still there"
        );
        self.look_again().await;
        Ok(true)
    }
}

/// Connections, in use and kept, by the upstream's name and the normalized log-in there.
type Counts = HashMap<(String, String), (usize, usize)>;

impl MailboxView {
    fn empty(upstream: &str, login: &str) -> Self {
        Self {
            account: None,
            login: login.to_owned(),
            upstream: upstream.to_owned(),
            messages: 0,
            clients: Vec::new(),
            pending: Vec::new(),
            unreadable: 0,
            stopped: None,
            token: None,
            received: None,
            connections: (0, 0),
            trouble: None,
        }
    }
}

fn of_upstream(upstream: &Upstream, counts: &Counts) -> UpstreamView {
    let here = counts
        .iter()
        .filter(|((name, _), _)| *name == upstream.name);
    let sum =
        |(used, kept): (usize, usize), (_, one): (_, &(usize, usize))| (used + one.0, kept + one.1);
    UpstreamView {
        name: upstream.name.clone(),
        address: upstream.key(),
        connections: here.fold((0, 0), sum),
        left_alone: upstream.backoff.left_alone(MOST_LEFT_ALONE),
        connected_at: upstream.health.connected_at(),
        failed: upstream.health.failed(),
    }
}
