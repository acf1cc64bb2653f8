//! Puts a configuration to work: binds everything, serves, and ends on SIGTERM or SIGINT.
//!
//! Must not know: flags, the configuration file, protocols.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::admin::{self, Admin, Readiness};
use crate::auth::Router;
use crate::bridge::{Bridge, Upstream, told};
use crate::config::Config;
use crate::imap::tls::ClientTlsError;
use crate::metrics::Metrics;
use crate::server::tls::{TlsError, server_config};
use crate::server::{Server, bind};

/// Why the bridge could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound, or the system refused something else.
    Io(io::Error),
    /// TLS for clients.
    Tls(TlsError),
    /// TLS to an upstream.
    Upstream {
        /// The upstream's name.
        name: String,
        /// What is wrong.
        error: ClientTlsError,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Upstream { name, error } => write!(f, "upstream {name}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

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
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let metrics = Arc::new(Metrics::new());
    let router = upstreams(config, &metrics)?;
    let tls = server_config(&config.tls, &config.state).map_err(StartError::Tls)?;
    let bridge = Arc::new(Bridge::new(
        router,
        config.limits.clone(),
        Arc::clone(&metrics),
    ));
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
    let serving = tokio::spawn(server.run(ends));
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: ending"),
        _ = interrupt.recv() => info!("SIGINT: ending"),
    }
    readiness.set(false);
    // Fails only if nobody listens any more, which is what is wanted.
    let _ = tell.send(true);
    let _ = serving.await;
    let _ = tell_admin.send(true);
    if let Some(admin) = admin {
        let _ = admin.await;
    }
    info!("ended");
    Ok(())
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
