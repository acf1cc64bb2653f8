//! The framing transport that the IMAP crate talks through, and that everything after the log-in reads from directly.
//!
//! It hands the IMAP crate never a byte beyond the current response, and before and during the log-in nothing but `+` and the tagged
//! line, in a form that cannot be misread. So the crate's own buffer is empty at every response boundary, a log-in that it cannot do is
//! done from here (`by_hand`), literals can be read straight from here in constant memory, an end of file is an error and never an empty
//! result, and response codes are kept as they were said.
//! Must not know: what commands mean, or the IMAP crate (it is only an `AsyncRead + AsyncWrite` to it, in `as_stream`).

mod as_stream;
mod by_hand;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::Observer;
use super::digest::{Digest, Secrets};
use super::error::Error;
use super::frame::{FrameError, Framer};
use super::reply::{Capabilities, Reply};

pub(super) use by_hand::Heard;

/// The longest line before the log-in. A greeting or a capability list is a few hundred bytes.
const LINE_LIMIT_BEFORE_LOGIN: usize = 16 * 1024;
/// The longest line afterwards. `VANISHED` of a large folder is the longest there is.
const LINE_LIMIT: usize = 1024 * 1024;
/// Literals inside a response that is taken as a whole (folder names, flags); bodies are streamed and have no limit.
const INLINE_LITERAL_LIMIT: usize = 64 * 1024;
/// Bytes asked for in one read: the least, for a connection that says little, and the most, for bodies.
const READ_LEAST: usize = 4 * 1024;
// Larger ones made one RETR of a large message take more than half a mebibyte now and then: a piece that is still held makes the
// buffer grow beside it. With this a session stays near 100 KiB.
const READ_MOST: usize = 16 * 1024;

/// What a transport stands on: TCP, TLS, or a pipe in tests.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One line of a response.
#[derive(Debug)]
pub(super) struct Line {
    /// The line with its line end.
    raw: Bytes,
    /// The content without its line end.
    pub content: Bytes,
    /// The length of the literal that follows; it must be read with [`Transport::literal`] before the next line.
    pub literal: Option<u32>,
    /// How much of the content comes before the announcement of the literal.
    pub before_literal: usize,
}

/// See the module.
pub(super) struct Transport {
    socket: Box<dyn Socket>,
    observer: Arc<dyn Observer>,
    patience: Duration,
    /// Read and not yet given out.
    input: BytesMut,
    framer: Framer,
    read_size: usize,
    /// Bytes of the announced literal that were not given out yet.
    literal_left: usize,
    /// Written and not flushed: a command goes out in one piece.
    output: Vec<u8>,
    written: usize,
    /// Flushes are put off, so that several commands leave together.
    corked: bool,
    login: Digest,
}

impl fmt::Debug for Transport {
    // The IMAP crate demands Debug of its stream; buffers hold passwords and mail, so they are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("buffered", &self.input.len())
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Stands on `socket`; any wait for the upstream's bytes ends after `patience` without one.
    pub(super) fn new(
        socket: Box<dyn Socket>,
        observer: Arc<dyn Observer>,
        patience: Duration,
    ) -> Self {
        Self {
            socket,
            observer,
            patience,
            input: BytesMut::new(),
            framer: Framer::default(),
            read_size: READ_LEAST,
            literal_left: 0,
            output: Vec::new(),
            written: 0,
            corked: false,
            login: Digest::default(),
        }
    }

    /// One that leads nowhere, for whoever has to put something in the place of this.
    pub(super) fn nobody(&self) -> Self {
        let observer = Arc::clone(&self.observer);
        Self::new(Box::new(tokio::io::empty()), observer, Duration::ZERO)
    }

    /// Changes how long a wait for the upstream's bytes may be; gives what it was.
    pub(super) fn set_patience(&mut self, patience: Duration) -> Duration {
        std::mem::replace(&mut self.patience, patience)
    }

    /// The next line of a response.
    ///
    /// # Errors
    /// [`Error::Lost`] at the end of the stream, [`Error::Timeout`], [`Error::TooLong`].
    pub(super) async fn line(&mut self) -> Result<Line, Error> {
        debug_assert_eq!(
            self.literal_left, 0,
            "a literal is read before the next line"
        );
        loop {
            if let Some(line) = self.buffered_line()? {
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    /// The next piece of the literal that the last line announced; `None` at its end. At most [`READ_MOST`] bytes at a time.
    ///
    /// # Errors
    /// [`Error::Lost`] where the stream ends inside the literal, [`Error::Timeout`].
    pub(super) async fn literal(&mut self) -> Result<Option<Bytes>, Error> {
        if self.literal_left == 0 {
            return Ok(None);
        }
        while self.input.is_empty() {
            self.fill().await?;
        }
        let n = self.literal_left.min(self.input.len());
        self.literal_left -= n;
        Ok(Some(self.input.split_to(n).freeze()))
    }

    /// Appends the literal that the last line announced to `all`, which has room for it: it is read from the socket into its place.
    ///
    /// # Errors
    /// As [`Self::literal`].
    pub(super) async fn literal_into(&mut self, all: &mut BytesMut) -> Result<(), Error> {
        let n = self.literal_left.min(self.input.len());
        all.extend_from_slice(&self.input[..n]);
        self.input.advance(n);
        self.literal_left -= n;
        while self.literal_left > 0 {
            let patience = self.patience;
            let left = self.literal_left;
            let mut room = all.limit(left);
            let read = tokio::time::timeout(patience, self.socket.read_buf(&mut room));
            let n = read
                .await
                .map_err(|_| Error::Timeout("the last command"))??;
            if n == 0 {
                return Err(ended().into());
            }
            self.observer.received(n as u64);
            self.literal_left = left.saturating_sub(n);
        }
        Ok(())
    }

    /// A response as a whole, ending in CRLF, with its literals inside, given its first line.
    ///
    /// # Errors
    /// As [`Self::line`]; [`Error::TooLong`] where the literals together pass 64 KiB.
    pub(super) async fn whole(&mut self, first: Line) -> Result<Bytes, Error> {
        // Nearly all: a list of 100,000 messages is copied nowhere.
        if first.literal.is_none() && first.raw.ends_with(b"\r\n") {
            return Ok(first.raw);
        }
        let mut whole = BytesMut::with_capacity(first.content.len() + 2);
        let mut line = first;
        loop {
            whole.extend_from_slice(&line.content);
            whole.extend_from_slice(b"\r\n");
            let Some(length) = line.literal else {
                return Ok(whole.freeze());
            };
            if whole.len() + length as usize > LINE_LIMIT + INLINE_LITERAL_LIMIT
                || length as usize > INLINE_LITERAL_LIMIT
            {
                return Err(Error::TooLong("a literal that was not asked for"));
            }
            while let Some(piece) = self.literal().await? {
                whole.extend_from_slice(&piece);
            }
            line = self.line().await?;
        }
    }

    /// Gives back what memory is not needed while nothing is read.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.read_size = READ_LEAST;
        }
        self.output = Vec::new();
        self.written = 0;
    }

    /// Bytes that have arrived and that nobody has asked for yet.
    pub(super) fn unread(&self) -> usize {
        self.input.len()
    }

    /// Puts flushes off until [`Self::uncork`], so that several commands leave in one piece.
    pub(super) fn cork(&mut self) {
        self.corked = true;
    }

    /// Sends what was held back.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Timeout`].
    pub(super) async fn uncork(&mut self) -> Result<(), Error> {
        self.corked = false;
        let patience = self.patience;
        let flush = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx));
        tokio::time::timeout(patience, flush)
            .await
            .map_err(|_| Error::Timeout("send"))??;
        Ok(())
    }

    /// Ends the log-in: from now on lines are read from here.
    pub(super) fn login_done(&mut self) {
        self.login.finish();
    }

    /// What the log-in sends and no reply may show; call it before.
    pub(super) fn keep_secret(&mut self, secrets: Secrets) {
        self.login.keep_secret(secrets);
    }

    /// The tagged line that the IMAP crate was last given a digest of.
    pub(super) fn take_tagged(&mut self) -> Option<Reply> {
        self.login.tagged.take()
    }

    /// The last capabilities that the upstream told of its own accord or when asked.
    pub(super) fn take_capabilities(&mut self) -> Option<Capabilities> {
        self.login.capabilities.take()
    }

    /// The typed error behind an `io::Error` that the IMAP crate was given.
    pub(super) fn take_trouble(&mut self) -> Option<Error> {
        self.login.trouble.take()
    }

    /// Gives the socket back, for STARTTLS. What was buffered is dropped: check [`Self::unread`] first.
    pub(super) fn into_socket(self) -> Box<dyn Socket> {
        self.socket
    }

    fn buffered_line(&mut self) -> Result<Option<Line>, Error> {
        let limit = if self.login.done {
            LINE_LIMIT
        } else {
            LINE_LIMIT_BEFORE_LOGIN
        };
        let end = match self.framer.line(&self.input, limit) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(None),
            Err(FrameError::LineTooLong) => return Err(Error::TooLong("a line of the upstream")),
            Err(FrameError::LiteralTooLong) => {
                return Err(Error::TooLong("a literal of the upstream"));
            }
        };
        let raw = self.input.split_to(end.total).freeze();
        let content = raw.slice(..end.content);
        self.literal_left = end.literal.unwrap_or(0) as usize;
        Ok(Some(Line {
            raw,
            content,
            literal: end.literal,
            before_literal: end.before_literal,
        }))
    }

    async fn fill(&mut self) -> Result<(), Error> {
        let patience = self.patience;
        let fill = std::future::poll_fn(|cx| self.poll_fill(cx));
        tokio::time::timeout(patience, fill)
            .await
            .map_err(|_| Error::Timeout("the last command"))??;
        Ok(())
    }

    /// Reads at least one byte; the end of the stream is an error.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.reserve(self.read_size);
        let room = self.input.capacity() - self.input.len();
        // `read_buf` keeps no state between polls, so a future of its own for each poll loses nothing.
        let n = ready!(pin!(self.socket.read_buf(&mut self.input)).poll(cx))?;
        if n == 0 {
            return Poll::Ready(Err(ended()));
        }
        self.observer.received(n as u64);
        self.read_size = if n == room {
            (self.read_size * 2).min(READ_MOST)
        } else {
            self.read_size
        };
        Poll::Ready(Ok(()))
    }
}

fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the upstream closed the connection",
    )
}

#[cfg(test)]
mod tests;
