//! Puts a configuration to work: binds everything, serves, and ends on SIGTERM or SIGINT.
//!
//! Must not know: flags, the configuration file, protocols.

pub mod secrets;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::admin::{self, Admin, Readiness};
use crate::auth::name::normalized;
use crate::auth::{Router, TokenKey, Verifier};
use crate::bridge::tokens::{Keeper, Owner, SETTLING, Tokens};
use crate::bridge::{Bridge, Configured, Password, Terms, Upstream, clock, told};
use crate::config::{self, Access, Config};
use crate::metrics::Metrics;
use crate::oauth::{Client, Renewal};
use crate::server::tls::{TlsError, server_config};
use crate::server::{Server, bind};
use crate::store::{Purpose, Store, StoreError};
use crate::trust::ClientTlsError;

/// What is still to be written when the sessions have ended takes less.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Why the bridge could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound, or the system refused something else.
    Io(io::Error),
    /// The state.
    Store(StoreError),
    /// A secret that the configuration names cannot be had.
    Secret(String),
    /// TLS for clients.
    Tls(TlsError),
    /// TLS to an upstream.
    Upstream {
        /// The upstream's name.
        name: String,
        /// What is wrong.
        error: ClientTlsError,
    },
    /// TLS to an authorization server.
    OAuth {
        /// The name of its table.
        name: String,
        /// What is wrong.
        error: ClientTlsError,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Secret(words) => f.write_str(words),
            Self::Tls(error) => error.fmt(f),
            Self::Upstream { name, error } => write!(f, "upstream {name}: {error}"),
            Self::OAuth { name, error } => write!(f, "[oauth.{name}]: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`]; nothing was served then.
pub async fn serve(config: &Config) -> Result<(), StartError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    info!(version = env!("CARGO_PKG_VERSION"), "popbridge starts");
    for upstream in &config.upstreams {
        info!(upstream = upstream.name, url = %upstream.url, "upstream");
    }
    allow_many_descriptors();
    for warning in &config.warnings {
        warn!("{warning}");
    }
    if let Some(warning) = config.state.warning() {
        warn!("{warning}");
    }
    for account in &config.accounts {
        if let Access::Password(source) = &account.access
            && let Some(warning) = source.warning()
        {
            warn!(account = account.name, "{warning}");
        }
    }
    for warning in config.oauth_warnings() {
        warn!("{warning}");
    }
    // What refuses the start says so by itself.
    for fault in secrets::faults(config) {
        if fault.needed && !fault.refuses {
            warn!("{}", fault.why);
        }
    }
    let metrics = Arc::new(Metrics::new());
    let tls = server_config(&config.tls, &config.state.folder).map_err(StartError::Tls)?;
    let store = open_store(config, Purpose::Serve).await?;
    if !store.is_shared() {
        // A bridge that was killed in the middle of something has left its mark.
        store.end_all_turns().await?;
        store.end_all_token_claims().await?;
    }
    let bridge = bridge(config, &metrics, store.clone()).await?;
    let server = Server::bind(&config.listen, Arc::clone(&bridge), tls).await?;
    let (tell, ends) = watch::channel(false);
    // The admin listener ends last: it tells of the draining.
    let (tell_admin, mut admin_ends) = watch::channel(false);
    let readiness = Readiness::default();
    // From here on the system takes connections for us.
    readiness.set(true);
    let admin = match &config.admin {
        Some(admin) => {
            let listener = bind(admin.address).await?;
            info!(address = %listener.local_addr()?, kind = "admin", "listening");
            let admin = Admin {
                metrics: {
                    let bridge = Arc::clone(&bridge);
                    Arc::new(move || bridge.render_metrics())
                },
                readiness: readiness.clone(),
            };
            Some(tokio::spawn(admin::serve(listener, admin, async move {
                told(&mut admin_ends).await
            })))
        }
        None => None,
    };
    let (tell_over, over) = watch::channel(false);
    let tending = tokio::spawn(Arc::clone(&bridge).tend(ends.clone(), over));
    let serving = tokio::spawn(server.run(ends));
    let signal = signals.end().await;
    info!(
        patience = ?config.limits.drain,
        "{signal}: ending when the answers under way are finished; a second signal ends at once"
    );
    readiness.set(false);
    // Fails only if nobody listens any more, which is what is wanted.
    let _ = tell.send(true);
    let mut patience = SETTLING;
    tokio::select! {
        _ = serving => {}
        signal = signals.end() => {
            warn!("{signal} again: ending at once");
            patience = LAST_WRITES;
        }
    }
    let _ = tell_over.send(true);
    // It writes what it has to write, and is done soon.
    let _ = tokio::time::timeout(LAST_WRITES, tending).await;
    // A refresh token that is rotated now is known to this process alone.
    tokio::select! {
        settled = tokio::time::timeout(patience, bridge.tokens_settled()) => if settled.is_err() {
            warn!("no answer of an authorization server, or of the store that is to keep it, in time; an account may need a log-in again");
        },
        signal = signals.end() => warn!("{signal} again: ending at once"),
    }
    let _ = tokio::time::timeout(LAST_WRITES, bridge.settle()).await;
    if tokio::time::timeout(LAST_WRITES, store.close())
        .await
        .is_err()
    {
        warn!("the state was not closed in time; what was committed is safe");
    }
    let _ = tell_admin.send(true);
    if let Some(admin) = admin {
        let _ = admin.await;
    }
    info!("ended");
    Ok(())
}

/// The store as it is configured.
///
/// # Errors
/// [`StartError::Store`], [`StartError::Secret`].
pub async fn open_store(config: &Config, purpose: Purpose) -> Result<Store, StartError> {
    let url = config.state.store_url().map_err(StartError::Secret)?;
    Ok(Store::open(url.expose(), purpose).await?)
}

/// The same for who makes nothing there. `None`: nobody has made one yet.
///
/// # Errors
/// [`StartError::Store`], also where its schema is an older one; [`StartError::Secret`].
pub async fn look_at_store(config: &Config) -> Result<Option<Store>, StartError> {
    match open_store(config, Purpose::Look).await {
        Err(StartError::Store(StoreError::NoSuch(_))) => Ok(None),
        opened => opened.map(Some),
    }
}

/// A bridge as it is configured.
///
/// # Errors
/// [`StartError::Upstream`], [`StartError::OAuth`], [`StartError::Store`], [`StartError::Secret`].
pub async fn bridge(
    config: &Config,
    metrics: &Arc<Metrics>,
    store: Store,
) -> Result<Arc<Bridge>, StartError> {
    let router = upstreams(config, metrics)?;
    let by_name: HashMap<&str, &Arc<Upstream>> = router
        .upstreams()
        .map(|upstream| (upstream.name.as_str(), upstream))
        .collect();
    let owners = token_owners(config);
    let keeper = Arc::new(keeper(config, store.clone()));
    if !owners.is_empty() {
        // What the bridge gets by itself it gets again.
        let of_people = owners.iter().filter(|owner| {
            let mut all = config.oauth.iter();
            all.any(|oauth| oauth.name == owner.provider && oauth.grant.needs_a_person())
        });
        let of_people: Vec<Owner> = of_people.cloned().collect();
        let checked = keeper.check(&of_people).await;
        checked.map_err(|trouble| StartError::Secret(trouble.to_string()))?;
    }
    let clients = oauth_clients(config)?;
    let holder = instance()?;
    let mut configured = Vec::with_capacity(config.accounts.len());
    for account in &config.accounts {
        let Some(upstream) = by_name.get(account.upstream.as_str()) else {
            continue;
        };
        let password = match &account.access {
            Access::Password(source) => Password::Configured(Arc::new(source.clone())),
            Access::OAuth { provider, user } => {
                let Some(client) = clients.get(provider.as_str()) else {
                    continue;
                };
                let renew = Arc::new(Renewal::new(Arc::clone(client), user.clone()));
                let owner = owners.iter().find(|owner| owner.account == account.name);
                let Some(owner) = owner.cloned() else {
                    continue;
                };
                let keeper = Arc::clone(&keeper);
                let tokens = Tokens::new(owner, renew, keeper, holder.clone(), Arc::clone(metrics));
                Password::Tokens(Arc::new(tokens))
            }
        };
        configured.push(Configured {
            name: account.name.clone(),
            upstream: Arc::clone(upstream),
            login: account.login.clone(),
            normalized: normalized(&account.login),
            password,
            terms: Arc::new(Terms::of_account(account)),
        });
    }
    let verifier = Verifier::new(store.secret_key().await?)
        .map_err(|error| StartError::Secret(error.to_string()))?;
    Ok(Arc::new(Bridge::new(
        router,
        configured,
        config.limits.clone(),
        Arc::clone(metrics),
        store,
        verifier,
        holder,
    )))
}

/// What keeps tokens as it is configured.
pub fn keeper(config: &Config, store: Store) -> Keeper {
    let key = TokenKey::new(config.token_key.clone(), &config.state.folder);
    Keeper::new(store, key)
}

/// Whose tokens there may be: those of all accounts that have no password.
pub fn token_owners(config: &Config) -> Vec<Owner> {
    let owner = |account: &config::Account| {
        let mut upstreams = config.upstreams.iter();
        let upstream = upstreams.find(|upstream| upstream.name == account.upstream)?;
        Owner::of(account, upstream)
    };
    config.accounts.iter().filter_map(owner).collect()
}

/// What asks the authorization servers that accounts need, by the names of their tables.
///
/// # Errors
/// [`StartError::OAuth`]
fn oauth_clients(config: &Config) -> Result<HashMap<&str, Arc<Client>>, StartError> {
    let mut clients = HashMap::new();
    for oauth in &config.oauth {
        if config.needs(oauth) {
            clients.insert(oauth.name.as_str(), Arc::new(oauth_client(oauth)?));
        }
    }
    Ok(clients)
}

/// What asks this authorization server.
///
/// # Errors
/// [`StartError::OAuth`]
pub fn oauth_client(oauth: &config::OAuth) -> Result<Client, StartError> {
    Client::new(oauth, clock::now).map_err(|error| StartError::OAuth {
        name: oauth.name.clone(),
        error,
    })
}

/// Names this process among those that share a store: host, process, when it started, and 64 random bits. In containers that start together
/// all but the last may be the same.
///
/// # Errors
/// [`StartError::Secret`]
fn instance() -> Result<String, StartError> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| StartError::Secret("there are no random numbers".to_owned()))?;
    let (process, random) = (std::process::id(), u64::from_ne_bytes(random));
    Ok(format!("{host}:{process}:{:x}:{random:016x}", clock::now()))
}

/// The signals that the bridge listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that ends the bridge; gives its name.
    async fn end(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                // Whoever sends it expects a new certificate or configuration to be read; ending would be a surprise.
                _ = self.hangup.recv() => {
                    warn!("SIGHUP reloads nothing in this version; restart for a new certificate or configuration");
                }
            }
        }
    }
}

/// A session takes two descriptors, and the usual soft limit of 1024 is there for programs that use select(2).
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Makes the configured upstreams ready.
///
/// # Errors
/// [`StartError::Upstream`].
pub fn upstreams(config: &Config, metrics: &Metrics) -> Result<Router<Upstream>, StartError> {
    let mut ready = Vec::new();
    for upstream in &config.upstreams {
        let made = Upstream::new(upstream, metrics).map_err(|error| StartError::Upstream {
            name: upstream.name.clone(),
            error,
        })?;
        ready.push((upstream.domains.clone(), Arc::new(made)));
    }
    Ok(Router::new(ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_instances_that_start_in_one_second_have_two_names() {
        assert_ne!(instance().unwrap(), instance().unwrap());
    }
}
