use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

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
