//! The client's side of a session as bytes: TCP or TLS, lines in, answers out, each wait with its end.
//!
//! Must not know: what lines mean, upstreams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::metrics::{Direction, Metrics};
use crate::pop3::LineBuffer;

/// Answers are sent when this much is waiting, or when there is nothing left to answer.
pub(super) const SEND_AT: usize = 32 * 1024;
/// Octets taken from the client at a time.
const READ_SIZE: usize = 2048;
/// The longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// In the middle of a handshake, or after one that failed.
    None,
}

/// See the module.
pub struct Wire {
    io: Io,
    /// Lines that the client has sent.
    pub(super) input: LineBuffer,
    /// Answers that were not sent yet.
    pub(super) out: Vec<u8>,
    metrics: Arc<Metrics>,
    /// The longest wait for the client to take what is sent to it.
    patience: Duration,
}

impl Wire {
    /// Stands on an accepted connection.
    pub fn new(stream: TcpStream, metrics: Arc<Metrics>, patience: Duration) -> Self {
        // Answers are gathered here; holding them back once more only delays them. Where it fails the connection is dead anyway.
        let _ = stream.set_nodelay(true);
        Self {
            io: Io::Plain(stream),
            input: LineBuffer::new(),
            out: Vec::new(),
            metrics,
            patience,
        }
    }

    /// The address on this side.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match &self.io {
            Io::Plain(stream) => stream.local_addr().ok(),
            Io::Tls(stream) => stream.get_ref().0.local_addr().ok(),
            Io::None => None,
        }
    }

    /// Takes the part of the server in a TLS handshake.
    ///
    /// # Errors
    /// The handshake's own; `TimedOut` after half a minute. The connection is of no use then.
    pub async fn start_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let Io::Plain(stream) = std::mem::replace(&mut self.io, Io::None) else {
            return Err(io::Error::other("TLS is active already"));
        };
        let stream = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.io = Io::Tls(Box::new(stream));
        Ok(())
    }

    /// Waits until `deadline` for octets of the client; false at the end of its stream.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; the connection's own.
    pub(super) async fn read(&mut self, deadline: Instant) -> io::Result<bool> {
        let mut buffer = [0; READ_SIZE];
        let read = async {
            match &mut self.io {
                Io::Plain(stream) => stream.read(&mut buffer).await,
                Io::Tls(stream) => stream.read(&mut buffer).await,
                Io::None => Ok(0),
            }
        };
        let n = timeout_at(deadline, read)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.metrics.client_bytes(Direction::Received, n as u64);
        self.input.push(&buffer[..n]);
        Ok(n > 0)
    }

    /// Sends what is waiting if it is much.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn send_if_much(&mut self) -> io::Result<()> {
        if self.out.len() >= SEND_AT {
            self.send().await
        } else {
            Ok(())
        }
    }

    /// Sends what is waiting.
    ///
    /// # Errors
    /// `TimedOut` where the client does not take it; the connection's own.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            match &mut self.io {
                Io::Plain(stream) => stream.write_all(&self.out).await,
                Io::Tls(stream) => {
                    stream.write_all(&self.out).await?;
                    stream.flush().await
                }
                Io::None => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        timeout(self.patience, write)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.metrics
            .client_bytes(Direction::Sent, self.out.len() as u64);
        if self.out.capacity() > 2 * SEND_AT {
            self.out = Vec::new()
        } else {
            self.out.clear()
        }
        Ok(())
    }

    /// Gives memory back before a wait that may be long.
    pub(super) fn rest(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Ends the connection in order: the client has seen everything.
    pub(super) async fn close(mut self) {
        let shutdown = async {
            match &mut self.io {
                Io::Plain(stream) => stream.shutdown().await,
                Io::Tls(stream) => stream.shutdown().await,
                Io::None => Ok(()),
            }
        };
        // A client that hung up first makes this fail, and that is no trouble.
        let _ = timeout(self.patience, shutdown).await;
    }

    /// Ends the connection with a reset, so that no client takes what it has for a whole answer (curl does after an orderly end).
    pub(super) fn reset(self) {
        let stream = match &self.io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => stream.get_ref().0,
            Io::None => return,
        };
        let _ = stream.set_zero_linger();
    }
}
