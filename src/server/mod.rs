//! Listeners: accepts clients, gives each a task of its own, and ends them in order.
//!
//! Must not know: POP3, upstreams, mail.

mod gate;
mod inherited;
mod memory;
pub mod proxy;
mod sessions;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gate::{Entry, Gate};
use sessions::Sessions;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument as _, Span, debug, error_span, field, info, warn};

use crate::bridge::{Bridge, Visitor, Wire, serve, told, turn_away};
use crate::config::{Listen, ListenTls};
use crate::metrics::{Refused, SessionTls};
use crate::pop3::{Profile, TlsState};

pub use inherited::Inherited;

/// The pause after an accept that failed, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Refused log-ins before a connection is closed.
const MAX_LOGIN_ATTEMPTS: u32 = 3;
/// Bad commands in a row before a connection is closed.
const MAX_BAD_COMMANDS: u32 = 20;
/// So long it may take to tell a client that it is not served.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bound listeners that do not accept yet.
pub struct Server {
    listeners: Vec<(TcpListener, Listen)>,
    shared: Arc<Shared>,
}

struct Shared {
    bridge: Arc<Bridge>,
    /// For sessions that begin; it may be exchanged.
    tls: Arc<ArcSwap<ServerConfig>>,
    ids: SessionIds,
    gate: Arc<Gate>,
}

impl Server {
    /// Binds all addresses, or none; those that systemd has bound are taken over.
    ///
    /// # Errors
    /// The first address that cannot be bound, with what to do.
    pub async fn bind(
        listen: &[Listen],
        bridge: Arc<Bridge>,
        tls: Arc<ArcSwap<ServerConfig>>,
        sockets: &mut Inherited,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for listen in listen {
            let listener = sockets.bind(listen.address).await?;
            let kind = match listen.tls {
                ListenTls::Implicit => "pop3s",
                ListenTls::StartTls | ListenTls::Off => "pop3",
            };
            info!(address = %listener.local_addr()?, kind, "listening");
            listeners.push((listener, listen.clone()));
        }
        let gate = Gate::new(Arc::clone(bridge.metrics()));
        Ok(Self {
            listeners,
            shared: Arc::new(Shared {
                bridge,
                tls,
                ids: SessionIds::default(),
                gate,
            }),
        })
    }

    /// Serves clients until `shutdown` turns true; then accepts no more, lets commands under way finish for as long as
    /// `limits.drain` says, and ends.
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

async fn accept(
    listener: TcpListener,
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut sessions = Sessions::new(Arc::clone(shared.bridge.metrics()));
    let ends = shutdown.clone();
    loop {
        tokio::select! {
            // First: whoever is still in the system's queue then is there for the next process, where systemd keeps the socket.
            biased;
            () = told(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(entry) = shared.gate.enter(&shared.bridge.limits()) else {
                        continue;
                    };
                    let id = shared.ids.next();
                    // An IPv4 client of an IPv6 listener is an IPv4 client.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    // Of the highest level, so that at any filter a line says whose session it is of.
                    let span = match listen.proxy_protocol.is_empty() {
                        true => error_span!("session", id, %peer, account = field::Empty),
                        // Who is behind it is not known yet.
                        false => error_span!("session", id, proxy = %peer, peer = field::Empty, account = field::Empty),
                    };
                    sessions.start(session(stream, peer, entry, Arc::clone(&listen), Arc::clone(&shared), id, ends.clone()).instrument(span));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = sessions.one_ended() => {}
        }
    }
    drop(listener);
    sessions.drain(shared.bridge.limits().drain).await;
}

async fn session(
    mut stream: TcpStream,
    peer: SocketAddr,
    entry: Entry,
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    id: String,
    mut shutdown: watch::Receiver<bool>,
) {
    let metrics = Arc::clone(shared.bridge.metrics());
    let (state, count) = match listen.tls {
        ListenTls::Implicit => (TlsState::Active, SessionTls::Implicit),
        ListenTls::StartTls => (TlsState::Offered, SessionTls::None),
        ListenTls::Off => (TlsState::Absent, SessionTls::None),
    };
    let limits = shared.bridge.limits();
    // The same from the greeting to STLS.
    let tls = shared.tls.load_full();
    let since = Instant::now();
    let deadline = since + limits.handshake.min(limits.login);
    let peer = match listen.proxy_protocol.is_empty() {
        true => peer,
        false => {
            let behind = tokio::select! {
                behind = timeout_at(deadline, behind_proxy(&mut stream, peer, &listen)) => behind,
                () = told(&mut shutdown) => return,
            };
            match behind.unwrap_or(Err(Some(Refused::Deadline))) {
                Ok(peer) => peer,
                Err(why) => {
                    if let Some(why) = why {
                        shared.gate.refused(why);
                    }
                    return;
                }
            }
        }
    };
    let Some(entry) = entry.from(peer.ip(), &limits) else {
        return;
    };
    let (patience, slowest) = (limits.inactivity, limits.slow_reader);
    let mut wire = Wire::new(stream, Arc::clone(&metrics), patience, slowest);
    let place = match entry {
        Entry::Place(place) => place,
        Entry::Turned(turned) => {
            let tls = (listen.tls == ListenTls::Implicit).then(|| Arc::clone(&tls));
            let deadline = deadline.min(Instant::now() + FAREWELL);
            return Box::pin(turn_away(wire, tls, turned.why, deadline)).await;
        }
    };
    let count = metrics.session_started(count);
    if listen.tls == ListenTls::Implicit {
        let started = tokio::select! {
            started = wire.start_tls(Arc::clone(&tls), deadline) => started,
            () = told(&mut shutdown) => return,
        };
        if let Err(error) = started {
            if error.kind() == io::ErrorKind::TimedOut {
                shared.gate.refused(Refused::Deadline);
            }
            debug!(%error, "gone before TLS was active");
            return;
        }
    }
    let profile = Profile {
        tls: state,
        plaintext_login: listen.allows_plaintext_from(peer.ip()),
        implementation: concat!("popbridge ", env!("CARGO_PKG_VERSION")).to_owned(),
        max_login_attempts: MAX_LOGIN_ATTEMPTS,
        max_bad_commands: MAX_BAD_COMMANDS,
    };
    let visitor = Visitor {
        wire,
        peer,
        since,
        greeted_by: deadline,
        profile,
        tls,
        id,
        count,
        shutdown,
    };
    serve(Arc::clone(&shared.bridge), visitor).await;
    drop(place);
}

/// Where a connection comes from that a proxy has made; none where there is nothing wrong and nobody to serve.
async fn behind_proxy(
    stream: &mut TcpStream,
    proxy: SocketAddr,
    listen: &Listen,
) -> Result<SocketAddr, Option<Refused>> {
    if !listen.has_proxy_at(proxy.ip()) {
        info!(
            "a connection was refused, because it comes from none of the networks in proxy_protocol"
        );
        return Err(Some(Refused::Proxy));
    }
    let mut octets = Vec::new();
    let source = loop {
        let more = match proxy::header(&octets) {
            Ok(proxy::Step::Whole(source)) => break source,
            Ok(proxy::Step::Wants(more)) => more,
            Err(bad) => {
                info!("a connection was refused: {bad}");
                return Err(Some(Refused::Proxy));
            }
        };
        let have = octets.len();
        octets.resize(have + more, 0);
        if let Err(error) = stream
            .read_exact(octets.get_mut(have..).unwrap_or_default())
            .await
        {
            debug!(%error, "gone before the PROXY header was whole");
            // Proxies look whether somebody is there.
            return Err((have > 0).then_some(Refused::Proxy));
        }
    };
    let peer = match source {
        // Who is at the proxy's own machine is not at this one.
        proxy::Source::Client(client) if client.ip().is_loopback() && !proxy.ip().is_loopback() => {
            proxy
        }
        proxy::Source::Client(client) => client,
        proxy::Source::Proxy => proxy,
    };
    Span::current().record("peer", field::display(peer));
    Ok(peer)
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
