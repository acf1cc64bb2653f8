//! A client as the listener hands it over, and the ways in which its session ends.
//!
//! Must not know: what happens in between.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;

use super::wire::Wire;
use crate::metrics::SessionGuard;
use crate::pop3::Profile;

/// A client that has just connected.
pub struct Visitor {
    /// Its connection, with TLS active where the listener starts with it.
    pub wire: Wire,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// When it came.
    pub since: Instant,
    /// When it has to have been greeted, at the latest.
    pub greeted_by: Instant,
    /// What the listener does for it.
    pub profile: Profile,
    /// For STLS.
    pub tls: Arc<ServerConfig>,
    /// Names the session in the log.
    pub id: String,
    /// Counts the session while it lives.
    pub count: SessionGuard,
    /// Turns true when the bridge is about to end.
    pub shutdown: watch::Receiver<bool>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// QUIT was answered.
    Quit,
    /// Too many refused log-ins or bad commands.
    Refused,
    /// The client hung up without QUIT.
    HungUp,
    /// The same client came back, and this session had made no progress; or another instance has taken it over.
    GaveWay,
    /// The operator has ended it.
    Operator,
    /// The client said nothing for too long.
    Idle,
    /// The client took too little of what was sent to it.
    Slow,
    /// A body broke off, so that the connection was reset.
    Cut,
    /// Clear-text octets came behind STLS.
    Injected,
    /// The bridge ends.
    Shutdown,
    /// The connection broke.
    Broken,
}

impl End {
    /// A constant word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Refused => "refused",
            Self::HungUp => "hung_up",
            Self::GaveWay => "gave_way",
            Self::Operator => "operator",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::Injected => "injected",
            Self::Shutdown => "shutdown",
            Self::Broken => "broken",
        }
    }
}

/// Waits until the bridge is told to end. The one who tells being gone comes to the same.
pub async fn told(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|ends| *ends).await;
}
