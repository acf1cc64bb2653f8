//! The client's connection with TLS or without, and what is sent through it piece by piece.
//!
//! Must not know: what is sent, how long that may take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::counted::Counted;

/// See the module.
pub(super) enum Io {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
    /// In the middle of a handshake, or after one that failed.
    None,
}

impl Io {
    fn counted(&self) -> Option<&Counted> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::None => None,
        }
    }

    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        self.counted().map(|stream| &stream.tcp)
    }

    /// Octets that went into the system's buffers so far.
    pub(super) fn written(&self) -> u64 {
        self.counted().map_or(0, |stream| stream.written)
    }

    /// Sends of `out` what lies behind the first `taken` octets, which it counts on; true when all of it is in the system's buffers, and
    /// false when some of it went there. TLS takes more than the system does, and keeps it until it is asked again.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        out: &[u8],
        taken: &mut usize,
    ) -> Poll<io::Result<bool>> {
        let before = self.written();
        let mut stream: Pin<&mut (dyn AsyncWrite + Unpin)> = match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
            Self::None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        let sent = loop {
            match out.get(*taken..).filter(|rest| !rest.is_empty()) {
                None => break stream.poll_flush(cx)?,
                Some(rest) => match stream.as_mut().poll_write(cx, rest)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(n) => *taken += n,
                    Poll::Pending => break Poll::Pending,
                },
            }
        };
        match sent {
            Poll::Ready(()) => Poll::Ready(Ok(true)),
            Poll::Pending if self.written() > before => Poll::Ready(Ok(false)),
            Poll::Pending => Poll::Pending,
        }
    }
}
