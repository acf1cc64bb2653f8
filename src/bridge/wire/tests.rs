use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

async fn wire() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let metrics = Arc::new(Metrics::new());
    (Wire::new(stream, metrics, PATIENCE), client.unwrap())
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
    stream.writable().await.unwrap();
    let mut written = 0;
    while let Ok(n) = stream.try_write(&[b'x'; 65_536]) {
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
