//! Listeners: accepts clients, gives each a task of its own, and ends them in order.
//!
//! A session that panics is caught and counted here and ends alone. Must not know: POP3, upstreams, mail.

pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::bridge::{Bridge, Visitor, Wire, serve};
use crate::config::{Listen, ListenTls};
use crate::metrics::SessionTls;
use crate::pop3::{Profile, TlsState};

/// How long sessions may go on with the command they are at when the bridge is told to end.
const GRACE: Duration = Duration::from_secs(10);
/// The pause after an accept that failed, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Refused log-ins before a connection is closed.
const MAX_LOGIN_ATTEMPTS: u32 = 3;
/// Bad commands in a row before a connection is closed.
const MAX_BAD_COMMANDS: u32 = 20;

/// Bound listeners that do not accept yet.
pub struct Server {
    listeners: Vec<(TcpListener, Listen)>,
    shared: Arc<Shared>,
}

struct Shared {
    bridge: Arc<Bridge>,
    tls: Arc<ServerConfig>,
    sessions: SessionIds,
}

impl Server {
    /// Binds all addresses, or none.
    ///
    /// # Errors
    /// The first address that cannot be bound, with what to do.
    pub async fn bind(
        listen: &[Listen],
        bridge: Arc<Bridge>,
        tls: Arc<ServerConfig>,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for listen in listen {
            let listener = bind(listen.address).await?;
            let kind = match listen.tls {
                ListenTls::Implicit => "pop3s",
                ListenTls::StartTls | ListenTls::Off => "pop3",
            };
            info!(address = %listener.local_addr()?, kind, "listening");
            listeners.push((listener, listen.clone()));
        }
        Ok(Self {
            listeners,
            shared: Arc::new(Shared {
                bridge,
                tls,
                sessions: SessionIds::default(),
            }),
        })
    }

    /// Serves clients until `shutdown` turns true; then accepts no more, lets commands under way finish for ten seconds, and ends.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for (listener, listen) in self.listeners {
            tasks.spawn(accept(
                listener,
                Arc::new(listen),
                Arc::clone(&self.shared),
                shutdown.clone(),
            ));
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// Binds one address; the error names it.
///
/// # Errors
/// The system's, with the address and, for ports below 1024, what they need.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
            }
            io::ErrorKind::AddrInUse => " (another program listens there)",
            _ => "",
        };
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {error}{hint}"),
        )
    })
}

async fn accept(
    listener: TcpListener,
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    let ends = shutdown.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let id = shared.sessions.next();
                    let span = info_span!("session", id, %peer);
                    sessions.spawn(session(stream, peer, Arc::clone(&listen), Arc::clone(&shared), id, ends.clone()).instrument(span));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = sessions.join_next() => note_end(ended, &shared),
            () = told(&mut shutdown) => break,
        }
    }
    drop(listener);
    let drain = async {
        while let Some(ended) = sessions.join_next().await {
            note_end(ended, &shared);
        }
    };
    if tokio::time::timeout(GRACE, drain).await.is_err() {
        warn!(
            sessions = sessions.len(),
            "sessions were cut because they did not end in time"
        );
        sessions.abort_all();
    }
}

/// Waits until the bridge is told to end. The one who tells being gone comes to the same.
async fn told(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|ends| *ends).await;
}

fn note_end(ended: Result<(), JoinError>, shared: &Shared) {
    if let Err(failure) = ended
        && failure.is_panic()
    {
        shared.bridge.metrics().session_panicked();
        error!(
            "a session ended in a panic; this is a defect of the bridge, please report it with the lines above"
        );
    }
}

async fn session(
    stream: TcpStream,
    peer: SocketAddr,
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    id: String,
    shutdown: watch::Receiver<bool>,
) {
    let metrics = Arc::clone(shared.bridge.metrics());
    // An IPv4 client of an IPv6 listener is an IPv4 client.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let (state, count) = match listen.tls {
        ListenTls::Implicit => (TlsState::Active, SessionTls::Implicit),
        ListenTls::StartTls => (TlsState::Offered, SessionTls::None),
        ListenTls::Off => (TlsState::Absent, SessionTls::None),
    };
    let count = metrics.session_started(count);
    let mut wire = Wire::new(
        stream,
        Arc::clone(&metrics),
        shared.bridge.limits().inactivity,
    );
    if listen.tls == ListenTls::Implicit
        && let Err(error) = wire.start_tls(Arc::clone(&shared.tls)).await
    {
        metrics.bad_input("tls_handshake");
        debug!(%error, "the TLS handshake failed");
        return;
    }
    let profile = Profile {
        tls: state,
        plaintext_login: listen.allows_plaintext_from(peer.ip()),
        implementation: concat!("popbridge ", env!("CARGO_PKG_VERSION")).to_owned(),
        max_login_attempts: MAX_LOGIN_ATTEMPTS,
        max_bad_commands: MAX_BAD_COMMANDS,
    };
    let tls = Arc::clone(&shared.tls);
    let visitor = Visitor {
        wire,
        peer,
        profile,
        tls,
        id,
        count,
        shutdown,
    };
    serve(Arc::clone(&shared.bridge), visitor).await;
}

/// Names for sessions in the log: unique in this process and, by its start, most likely between two.
struct SessionIds {
    start: u64,
    next: AtomicU64,
}

impl Default for SessionIds {
    fn default() -> Self {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: since.as_secs(),
            next: AtomicU64::new(1),
        }
    }
}

impl SessionIds {
    fn next(&self) -> String {
        format!(
            "{:x}.{}",
            self.start,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
