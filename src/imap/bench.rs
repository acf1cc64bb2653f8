//! Doors for the micro benchmarks (benches/) and for tests, which reach only what is public: nothing else comes through here, and nothing
//! here is part of the module's interface.
//!
//! Must not know: more than its siblings.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::Framer;
use super::row::{Asked, Wanted};
use super::rows::Rows;
use super::transport::Transport;
use super::{Error, Observer};

const PATIENCE: Duration = Duration::from_secs(60);

/// Wants to know nothing.
pub struct Nobody;

impl Observer for Nobody {
    fn received(&self, _: u64) {}
    fn sent(&self, _: u64) {}
    fn connected(&self, _: Result<(), &Error>) {}
    fn open(&self) -> Box<dyn Send> {
        Box::new(())
    }
    fn command(&self, _: &'static str, _: Result<(), &Error>, _: Duration) {}
}

/// How many lines there are in what a server has said; literals are passed over.
///
/// # Errors
/// [`Error::TooLong`] where a literal is longer than any.
pub fn lines(mut said: &[u8]) -> Result<usize, Error> {
    let (mut framer, mut lines) = (Framer::default(), 0);
    let too_long = |_| Error::TooLong("a literal");
    while let Some(end) = framer.line(said, usize::MAX).map_err(too_long)? {
        let next = end.total + end.literal.unwrap_or(0) as usize;
        said = said.get(next..).unwrap_or_default();
        lines += 1;
    }
    Ok(lines)
}

/// Reads a logged-in connection to its end, literals piece by piece; gives their octets.
pub async fn read(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    observer: Arc<dyn Observer>,
) -> u64 {
    let mut transport = Transport::new(Box::new(socket), observer, PATIENCE);
    transport.login_done();
    let mut octets = 0;
    while transport.line().await.is_ok() {
        while let Ok(Some(piece)) = transport.literal().await {
            octets += piece.len() as u64;
        }
    }
    octets
}

/// Reads the list of a folder with `exists` messages from a logged-in connection that ends behind it; gives how many were listed.
///
/// # Errors
/// What a list can be wrong in.
pub async fn messages(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    observer: Arc<dyn Observer>,
    exists: u32,
) -> Result<usize, Error> {
    let mut transport = Transport::new(Box::new(socket), observer, PATIENCE);
    transport.login_done();
    let mut rows = Rows::new(Wanted::Messages(Asked::default()), exists);
    while let Ok(line) = transport.line().await {
        rows.note(&transport.whole(line).await?)?;
    }
    Ok(rows.rows.len())
}
