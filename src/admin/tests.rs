use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::bridge::{MailboxView, Overview, Standing, UpstreamView};

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn started() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let readiness = Readiness::default();
    let admin = Admin {
        metrics: Arc::new(|| "popbridge_up 1\n".to_owned()),
        readiness: readiness.clone(),
        access: Arc::new(Gate::new(None)),
        desk: None,
    };
    let (shutdown, told) = oneshot::channel();
    let server = tokio::spawn(serve(listener, admin, async {
        let _ = told.await;
    }));
    Running {
        address,
        readiness,
        shutdown,
        server,
    }
}

/// Sends `request` and reads to the end of the connection.
async fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn got(address: SocketAddr, path: &str) -> String {
    asked(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
}

#[tokio::test]
async fn metrics_and_health_are_told_and_nothing_else() {
    let running = started().await;
    let metrics = got(running.address, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(
        metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{metrics}"
    );
    assert!(metrics.ends_with("\r\n\r\npopbridge_up 1\n"), "{metrics}");

    let health = got(running.address, "/healthz").await;
    assert!(
        health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok\n"),
        "{health}"
    );

    for path in ["/", "/metrics/", "/../etc/passwd", "/admin"] {
        assert!(
            got(running.address, path)
                .await
                .starts_with("HTTP/1.1 404 "),
            "{path}"
        );
    }
    let posted = asked(
        running.address,
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    let garbage = asked(running.address, "USER bob\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
}

#[tokio::test]
async fn readiness_follows_the_listeners() {
    let running = started().await;
    assert!(
        got(running.address, "/readyz")
            .await
            .starts_with("HTTP/1.1 503 ")
    );
    running.readiness.set(true);
    assert!(
        got(running.address, "/readyz")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    running.readiness.set(false);
    assert!(
        got(running.address, "/readyz")
            .await
            .starts_with("HTTP/1.1 503 ")
    );
    assert!(
        got(running.address, "/healthz")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn silent_clients_are_cut_and_do_not_keep_others_out() {
    let running = started().await;
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    // Half a request is no better than none.
    silent[0]
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .unwrap();
    // From here the clock jumps whenever everything waits.
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert!(
        got(running.address, "/healthz")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
    for mut stream in silent {
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing).await;
        assert!(nothing.is_empty());
    }
}

#[tokio::test]
async fn the_end_is_not_held_up_by_a_silent_client() {
    let running = started().await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    // The next one is accepted behind it.
    assert!(
        got(running.address, "/healthz")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    running.shutdown.send(()).unwrap();
    running.server.await.unwrap();
    assert!(
        start.elapsed() <= LAST_WORDS + BREATH,
        "{:?}",
        start.elapsed()
    );
    let mut nothing = Vec::new();
    let _ = silent.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
}

/// Somebody far away who asks with these fields.
async fn asked_from(peer: &str, access: Gate, fields: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Admin {
        metrics: Arc::new(|| "popbridge_up 1\n".to_owned()),
        readiness: Readiness::default(),
        access: Arc::new(access),
        desk: None,
    };
    let peer = peer.parse().unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = answer(stream, peer, routes(admin)).await;
    };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    tokio::join!(serving, asked(address, &request)).1
}

#[tokio::test]
async fn metrics_beyond_this_machine_take_the_token_once_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let access = || Gate::new(Some(access::tests::token(folder.path())));
    let far = "192.0.2.9";
    let open = asked_from(far, Gate::new(None), "").await;
    assert!(open.starts_with("HTTP/1.1 200 "), "{open}");
    let near = asked_from("127.0.0.1", access(), "").await;
    assert!(near.starts_with("HTTP/1.1 200 "), "{near}");
    let closed = asked_from(far, access(), "").await;
    assert!(closed.starts_with("HTTP/1.1 401 "), "{closed}");
    assert!(
        closed.contains("www-authenticate: Bearer") && !closed.contains("popbridge_up"),
        "{closed}"
    );
    let forwarded = asked_from("127.0.0.1", access(), "X-Forwarded-For: 192.0.2.9\r\n").await;
    assert!(forwarded.starts_with("HTTP/1.1 401 "), "{forwarded}");
    let shown = format!("Authorization: Bearer {}\r\n", access::tests::TOKEN);
    let let_in = asked_from(far, access(), &shown).await;
    assert!(let_in.starts_with("HTTP/1.1 200 "), "{let_in}");
}

/// A bridge where all is well, for the tests of the page.
pub(super) fn overview() -> Overview {
    Overview {
        time: 1_769_860_799,
        since: 1_769_800_000,
        mailboxes: Ok(vec![mailbox("info")]),
        more_mailboxes: 0,
        sessions: Vec::new(),
        more_sessions: 0,
        upstreams: vec![upstream("office")],
    }
}

pub(super) fn mailbox(account: &str) -> MailboxView {
    MailboxView {
        account: Some(account.to_owned()),
        login: format!("{account}@example.com"),
        upstream: "imap.example.com:993".to_owned(),
        messages: 12,
        clients: vec![client("desk1", 0)],
        pending: Vec::new(),
        unreadable: 0,
        stopped: None,
        token: None,
        received: None,
        connections: (1, 2),
        trouble: None,
    }
}

/// It was here ten seconds before [`overview`].
pub(super) fn client(login: &str, waiting: u64) -> Standing {
    Standing {
        login: login.to_owned(),
        name: login.to_owned(),
        named: true,
        waiting,
        oldest_waiting: (waiting > 0).then_some(1_769_860_000),
        delivered: 12,
        deleted: 3,
        losses: 0,
        last_seen: Some(1_769_860_789),
        enrolled_at: 1_769_000_000,
        removed_at: None,
        expired: false,
        expires_at: None,
    }
}

pub(super) fn upstream(name: &str) -> UpstreamView {
    UpstreamView {
        name: name.to_owned(),
        address: "imap.example.com:993".to_owned(),
        connections: (1, 2),
        left_alone: Vec::new(),
        connected_at: Some(1_769_860_700),
        failed: None,
    }
}
