//! A socket that is read in large pieces, for TLS on top of it: rustls asks for 4 KiB at a time, which is a system call each.
//!
//! The buffer is there only while octets come. Must not know: what the octets are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Socket;

/// Octets read at a time: two records of TLS.
const SIZE: usize = 32 * 1024;

/// See the module.
pub(super) struct Buffered {
    socket: Box<dyn Socket>,
    /// Empty while nothing comes.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffered {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// Reads what there is; the end of the stream leaves the buffer empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; SIZE];
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = Pin::new(&mut self.socket).poll_read(cx, &mut buffer);
        let end = buffer.filled().len();
        if read.is_pending() {
            self.buffer = Vec::new();
        }
        ready!(read)?;
        (self.start, self.end) = (0, end);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.start == this.end {
            ready!(this.poll_fill(cx))?;
        }
        let rest = this.buffer.get(this.start..this.end).unwrap_or_default();
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        this.start += n;
        // A read that did not fill it has most likely emptied the socket.
        if this.start == this.end && this.end < SIZE {
            this.buffer = Vec::new();
            (this.start, this.end) = (0, 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn octets_come_unchanged_whatever_the_sizes_of_reads_and_writes() {
        let (mut theirs, ours) = tokio::io::duplex(SIZE * 2);
        let mut ours = Buffered::new(Box::new(ours));
        let all: Vec<u8> = (0..SIZE * 5 + 7).map(|n| (n % 251) as u8).collect();
        let expected = all.clone();
        let writer = tokio::spawn(async move {
            for piece in all.chunks(10_007) {
                theirs.write_all(piece).await.unwrap();
            }
        });
        let mut got = Vec::new();
        for size in [1, 4096, 5, SIZE, SIZE * 2].into_iter().cycle() {
            let mut piece = vec![0; size];
            match ours.read(&mut piece).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&piece[..n]),
            }
        }
        writer.await.unwrap();
        assert_eq!(got, expected);
        assert_eq!(
            ours.read(&mut [0]).await.unwrap(),
            0,
            "the end stays the end"
        );
    }

    #[tokio::test]
    async fn nothing_is_held_while_nothing_comes() {
        let (mut theirs, ours) = tokio::io::duplex(64);
        let mut ours = Buffered::new(Box::new(ours));
        theirs.write_all(b"abc").await.unwrap();
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 3);
        assert_eq!(ours.buffer.capacity(), 0);
        let mut buffer = [0; 8];
        let waiting = std::future::poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut buffer);
            Poll::Ready(Pin::new(&mut ours).poll_read(cx, &mut buf).is_pending())
        });
        assert!(waiting.await);
        assert_eq!(ours.buffer.capacity(), 0);
    }
}
