//! The operator's listener: the status page (`/`, and `/status.json` for programs), `/metrics` for Prometheus, `/healthz` and `/readyz` for
//! whoever starts and stops the bridge.
//!
//! A client of it can neither wait nor keep waiting: one request a connection, a connection ends after [`PATIENCE`] whatever it
//! does, and there are at most [`MAX_CONNECTIONS`]. It must not know POP3 or upstreams, nor what is measured.

mod access;
mod answers;
mod attention;
mod desk;
mod json;
mod logins;
mod page;

#[cfg(test)]
mod tests;

pub use access::Gate;
pub use desk::Desk;
pub use logins::Logins;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// For a whole connection. Prometheus gives up after 10 s by default.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// More than a few scrapers and probes ever need at once. Further ones wait in the system's queue.
pub const MAX_CONNECTIONS: usize = 32;

/// How long answers that are on their way when the listener ends may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// After an accept that failed because the system has run out of something.
const BREATH: Duration = Duration::from_millis(100);

/// Whether POP3 clients are welcome, as `/readyz` tells it. Not at first. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// `true` once the listeners are bound, `false` again when they drain.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the listener tells of.
#[derive(Clone)]
pub struct Admin {
    /// Renders the metrics in Prometheus' text format, called for each request.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The answer of `/readyz`.
    pub readiness: Readiness,
    /// Who may read and act.
    pub access: Arc<Gate>,
    /// The status page, if there is one.
    pub desk: Option<Arc<Desk>>,
}

/// Whose request it is.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

/// Serves until `shutdown` is done. Never fails: what goes wrong with one connection ends that connection.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: impl Future<Output = ()>) {
    let routes = routes(admin);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let answering = answer(stream, peer.ip(), routes.clone());
                    connections.spawn(async move {
                        let _permit = permit;
                        // What is wrong with such a connection is its client's business.
                        let _ = tokio::time::timeout(PATIENCE, answering).await;
                    });
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    let last_words = async { while connections.join_next().await.is_some() {} };
    // Those that go on are cut when the set is dropped.
    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
}

fn routes(admin: Admin) -> Router {
    let page = admin.desk.as_ref().map(|desk| {
        let access = Arc::clone(&admin.access);
        desk::routes(access, Arc::clone(desk))
    });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(admin)
        .merge(page.unwrap_or_default())
}

async fn metrics(
    State(admin): State<Admin>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
) -> Response {
    match admin.access.may_measure(peer, &fields) {
        Ok(true) => {
            let format = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], (admin.metrics)()).into_response()
        }
        Ok(false) => answers::kept_from_metrics(None),
        Err(barred) => answers::kept_from_metrics(Some(barred)),
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.readiness.is_ready() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

async fn answer(stream: TcpStream, peer: IpAddr, routes: Router) -> hyper::Result<()> {
    let routes = routes.layer(Extension(Peer(peer)));
    http1::Builder::new()
        // One request a connection: an idle one would take a place.
        .keep_alive(false)
        // The time-out for the whole connection covers the header, too.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "the admin listener cannot accept a connection");
    tokio::time::sleep(BREATH).await;
}
