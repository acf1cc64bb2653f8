//! Puts a configuration to work: binds everything, serves, takes up another one at SIGHUP, and ends on SIGTERM or SIGINT.
//!
//! Must not know: flags, the configuration file, protocols.

mod error;
mod reload;
pub mod secrets;
mod setup;
mod signals;
mod systemd;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::admin::{self, Admin, Desk, Gate, Logins, Readiness};
use crate::bridge::tokens::SETTLING;
use crate::bridge::{clock, told};
use crate::config::{Access, Config, ConfigError};
use crate::metrics::Metrics;
use crate::server::tls::{self, Identity};
use crate::server::{Inherited, Server};
use crate::store::{Purpose, Store, StoreError};
pub use error::StartError;
use reload::Reload;
pub use setup::{bridge, keeper, oauth_client, token_owners, upstreams};
use signals::{Signals, Told};
use systemd::Manager;

/// What is still to be written when the sessions have ended takes less.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// A certificate that ends within so many seconds is warned about.
const SOON: i64 = 7 * 24 * 60 * 60;

/// Serves until SIGTERM or SIGINT. At SIGHUP what `load` gives is taken up, if it can be.
///
/// # Errors
/// [`StartError`]; nothing was served then.
pub async fn serve(
    config: Config,
    load: impl Fn() -> Result<Config, ConfigError>,
) -> Result<(), StartError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    let manager = Arc::new(Manager::of_this_process());
    info!(version = crate::VERSION, "popbridge starts");
    for upstream in &config.upstreams {
        info!(upstream = upstream.name, url = %upstream.url, "upstream");
    }
    allow_many_descriptors();
    warn_of(&config);
    let mut sockets = Inherited::of_this_process()?;
    let metrics = Arc::new(Metrics::new());
    let identity = tls::identity(&config.tls, &config.state.folder).map_err(StartError::Tls)?;
    note_end(&identity, &metrics);
    let tls = Arc::new(ArcSwap::new(identity.config));
    let store = open_store(&config, Purpose::Serve).await?;
    if !store.is_shared() {
        // A bridge that was killed in the middle of something has left its mark.
        store.end_all_turns().await?;
        store.end_all_token_claims().await?;
    }
    let (ground, bridge) = setup::grounded(&config, &metrics, store.clone()).await?;
    let server = Server::bind(
        &config.listen,
        Arc::clone(&bridge),
        Arc::clone(&tls),
        &mut sockets,
    );
    let server = server.await?;
    let (tell, ends) = watch::channel(false);
    // The admin listener ends last: it tells of the draining.
    let (tell_admin, mut admin_ends) = watch::channel(false);
    let readiness = Readiness::default();
    // From here on the system takes connections for us.
    readiness.set(true);
    let desk = Arc::new(Desk {
        bridge: Arc::clone(&bridge),
        logins: Logins::new(Arc::new(config.clone()), store.clone()),
    });
    let admin = match &config.admin {
        Some(admin) => {
            let listener = sockets.bind(admin.address).await?;
            info!(address = %listener.local_addr()?, kind = "admin", "listening");
            let access = Gate::new(admin.token.clone());
            access.check_token().map_err(StartError::Secret)?;
            let admin = Admin {
                metrics: {
                    let bridge = Arc::clone(&bridge);
                    Arc::new(move || bridge.render_metrics())
                },
                readiness: readiness.clone(),
                access: Arc::new(access),
                desk: Some(Arc::clone(&desk)),
            };
            Some(tokio::spawn(admin::serve(listener, admin, async move {
                told(&mut admin_ends).await
            })))
        }
        None => None,
    };
    sockets.all_taken()?;
    metrics.configured(clock::now());
    let (tell_over, over) = watch::channel(false);
    let tending = tokio::spawn(Arc::clone(&bridge).tend(ends.clone(), over));
    let serving = tokio::spawn(server.run(ends));
    let watchdog = manager.watchdog(store.clone());
    manager.ready("serving");
    let mut reload = Reload::new(load, ground, Arc::clone(&bridge), tls, config);
    let signal = loop {
        match signals.next().await {
            Told::End(signal) => break signal,
            Told::Reload => {
                manager.reloading();
                // A store that hangs keeps nobody from ending the bridge. What is not taken up whole is not taken up at all.
                let took = tokio::select! {
                    took = reload.again() => took,
                    signal = signals.end() => break signal,
                };
                if took {
                    desk.logins.set_config(Arc::new(reload.in_use()));
                }
                manager.ready(match took {
                    true => "serving",
                    false => {
                        "serving by the configuration before; the new one was refused, see the log"
                    }
                });
            }
        }
    };
    let drain = bridge.limits().drain;
    info!(
        patience = ?drain,
        "{signal}: ending when the answers under way are finished; a second signal ends at once"
    );
    manager.stopping(drain + SETTLING + 4 * LAST_WRITES);
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
    watchdog.abort();
    info!("ended");
    Ok(())
}

/// What is allowed but probably not meant, and what is needed and not there.
fn warn_of(config: &Config) {
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
}

/// Tells when the clients' certificate ends.
fn note_end(identity: &Identity, metrics: &Metrics) {
    metrics.certificate_ends(identity.ends);
    let left = identity.ends.map(|ends| ends - clock::now());
    match left {
        Some(left) if left <= 0 => {
            warn!(
                "the certificate for clients has ended: they refuse it, or ask their users about it"
            );
        }
        Some(left) if left <= SOON => {
            warn!(hours = left / 3600, "the certificate for clients ends soon");
        }
        _ => {}
    }
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

/// A session takes two descriptors, and the usual soft limit of 1024 is there for programs that use select(2).
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files cannot be raised");
    }
}
