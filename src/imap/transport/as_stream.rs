//! What the IMAP crate takes the transport for: a stream, on which it finds nothing but digests of the log-in's answers.
//!
//! Must not know: commands.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroize as _;

use super::Transport;
use crate::imap::error::Error;

impl Transport {
    /// During the log-in: reads lines until there is something that the IMAP crate is to see.
    fn poll_login_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let Some(line) = self.buffered_line()? else {
                ready!(self.poll_fill(cx))?;
                continue;
            };
            if line.literal.is_some() {
                return Poll::Ready(Err(Error::Protocol("a literal before the log-in")));
            }
            if self.login.digest(&line.content)? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.login.done {
            return Poll::Ready(Err(io::Error::other(
                "responses are read from the transport after the log-in",
            )));
        }
        if this.login.is_read()
            && let Err(error) = ready!(this.poll_login_line(cx))
        {
            let shown = io::Error::other(error.to_string());
            this.login.trouble = Some(error);
            return Poll::Ready(Err(shown));
        }
        this.login.read(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.corked {
            return Poll::Ready(Ok(()));
        }
        if this.written == 0 && !this.login.done {
            this.login.note_command(&this.output);
        }
        while this.written < this.output.len() {
            let n =
                ready!(Pin::new(&mut this.socket).poll_write(cx, &this.output[this.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.written += n;
            this.observer.sent(n as u64);
        }
        ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        // The log-in's password has been here.
        if !this.login.done {
            this.output.zeroize();
        }
        this.output.clear();
        this.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
