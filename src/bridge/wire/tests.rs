use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncRead;
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsConnector, client};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 8 * 1024;

async fn wire() -> (Wire, TcpStream) {
    wire_of(PATIENCE).await
}

async fn wire_of(patience: Duration) -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let metrics = Arc::new(Metrics::new());
    let wire = Wire::new(stream, metrics, patience, SLOWEST);
    (wire, client.unwrap())
}

/// The same with TLS active.
async fn encrypted(patience: Duration) -> (Wire, client::TlsStream<TcpStream>) {
    let (mut wire, client) = wire_of(patience).await;
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key);
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let (started, client) = tokio::join!(
        wire.start_tls(Arc::new(server.unwrap()), soon()),
        connector.connect(name, client),
    );
    started.unwrap();
    (wire, client.unwrap())
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test]
async fn what_the_client_has_is_acknowledged_and_what_was_not_sent_is_not() {
    let (mut wire, mut client) = wire().await;
    assert!(wire.acknowledged(soon()).await);
    wire.out.extend_from_slice(b"+OK\r\n");
    assert!(!wire.acknowledged(soon()).await);
    wire.send().await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    assert!(wire.acknowledged(soon()).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_client_does_not_take_is_not_acknowledged_until_it_does() {
    let (mut wire, mut client) = wire().await;
    let Io::Plain(stream) = &wire.io else {
        panic!("it is not encrypted");
    };
    stream.tcp.writable().await.unwrap();
    let mut written = 0;
    while let Ok(n) = stream.tcp.try_write(&[b'x'; 65_536]) {
        written += n;
    }
    // The deadline has come: it is asked once.
    assert!(!wire.acknowledged(Instant::now()).await);
    let reader = async {
        client.read_exact(&mut vec![0; written]).await.unwrap();
    };
    let (acknowledged, ()) = tokio::join!(wire.acknowledged(soon()), reader);
    assert!(acknowledged);
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(wire.read(soon()).await.is_err());
    assert!(!wire.acknowledged(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn octets_of_either_way_are_progress_and_waiting_is_none() {
    let (mut wire, client) = wire().await;
    let pulse = wire.pulse();
    let minute = Duration::from_secs(60);
    tokio::time::advance(minute).await;
    assert!(pulse.still_for() >= minute);
    wire.out.extend_from_slice(b"+OK\r\n");
    wire.send().await.unwrap();
    assert!(pulse.still_for() < minute);
    tokio::time::advance(minute).await;
    client.try_write(b"NOOP\r\n").unwrap();
    let deadline = Instant::now() + 1000 * minute;
    assert!(wire.read(deadline).await.unwrap());
    assert!(pulse.still_for() < minute);
    drop(client);
    tokio::time::advance(minute).await;
    assert!(!wire.read(deadline + 1000 * minute).await.unwrap_or(false));
    assert!(pulse.still_for() >= minute);
}

/// Sends until the connection breaks, which is after so long.
async fn sent_in_vain(wire: &mut Wire) -> Duration {
    let began = Instant::now();
    loop {
        wire.out.extend_from_slice(&[b'x'; SEND_AT]);
        if let Err(error) = wire.send().await {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            return began.elapsed();
        }
    }
}

/// It does so with more patience for what is sent at once than for a client that is slow.
async fn assert_it_is_cut(mut wire: Wire) {
    let lasted = sent_in_vain(&mut wire).await;
    // In the first two minutes its system took what fits into its buffers.
    assert!(
        lasted.abs_diff(4 * PATIENCE) < Duration::from_secs(1),
        "{lasted:?}"
    );
    assert!(wire.is_too_slow() && wire.is_inside_an_answer());
    let text = wire.metrics.render();
    assert!(text.contains("popbridge_slow_readers_total 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_taking_what_is_sent_is_cut() {
    let (wire, _client) = wire_of(10 * PATIENCE).await;
    assert_it_is_cut(wire).await;
    // With less patience for what is sent at once that comes first, and is another thing.
    let (mut wire, _client) = wire_of(PATIENCE).await;
    let lasted = sent_in_vain(&mut wire).await;
    assert!(
        lasted.abs_diff(PATIENCE) < Duration::from_secs(1),
        "{lasted:?}"
    );
    assert!(!wire.is_too_slow());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_taking_what_is_sent_by_tls_is_cut() {
    let (wire, _client) = encrypted(10 * PATIENCE).await;
    assert_it_is_cut(wire).await;
}

#[tokio::test(start_paused = true)]
async fn what_tls_holds_back_is_no_progress() {
    let (mut wire, _client) = encrypted(10 * PATIENCE).await;
    let pulse = wire.pulse();
    tokio::select! {
        _ = sent_in_vain(&mut wire) => panic!("it was cut too soon"),
        () = sleep(PATIENCE) => {}
    }
    // The buffers are full since the start.
    assert!(pulse.still_for() >= PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_client_has_no_longer_than_somebody_allows_to_take_what_is_sent() {
    let (mut wire, _client) = wire().await;
    wire.send_by = Some(Instant::now() + PATIENCE / 2);
    let lasted = sent_in_vain(&mut wire).await;
    assert!(
        lasted.abs_diff(PATIENCE / 2) < Duration::from_secs(1),
        "{lasted:?}"
    );
    assert!(!wire.is_too_slow() && wire.is_inside_an_answer());
    // What there is room for goes even when it is late.
    let (mut wire, mut client) = wire_of(PATIENCE).await;
    wire.send_by = Some(Instant::now());
    sleep(PATIENCE).await;
    wire.out.extend_from_slice(b"+OK\r\n");
    wire.send().await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
}

/// Reads as much as its system acknowledges at a time, each half minute, for ten minutes.
async fn assert_it_is_served(mut wire: Wire, mut client: impl AsyncRead + Unpin) {
    let reading = async {
        let end = Instant::now() + 10 * PATIENCE;
        let mut buffer = vec![0; 1 << 20];
        while Instant::now() < end {
            client.read_exact(&mut buffer).await.unwrap();
            sleep(PATIENCE / 2).await;
        }
    };
    tokio::select! {
        lasted = sent_in_vain(&mut wire) => panic!("it was cut after {lasted:?}"),
        () = reading => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_and_steadily_is_served() {
    let (wire, client) = wire_of(10 * PATIENCE).await;
    assert_it_is_served(wire, client).await;
    let (wire, client) = encrypted(10 * PATIENCE).await;
    assert_it_is_served(wire, client).await;
}
