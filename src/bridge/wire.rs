//! The client's side of a session as bytes: TCP or TLS, lines in, answers out, each wait with its end.
//!
//! A connection that ends inside an answer, for whatever reason, is reset: some clients take an orderly end for the end of the
//! answer.
//! Must not know: what lines mean, upstreams.

mod counted;
mod flow;
mod stream;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::info;
use zeroize::Zeroize as _;

use self::counted::Counted;
use self::flow::Flow;
use self::stream::Io;
use super::pulse::Pulse;
use super::unacknowledged::unacknowledged;
use crate::metrics::{BadInput, Direction, Metrics};
use crate::pop3::LineBuffer;

/// Answers are sent when this much is waiting, or when there is nothing left to answer.
pub(super) const SEND_AT: usize = 32 * 1024;
/// Octets taken from the client at a time.
const READ_SIZE: usize = 2048;
/// How long a client may take to see the end of the connection, and how many octets it may send until it has.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_OCTETS: usize = 1 << 20;
/// How often the system is asked what the client has acknowledged: it gives no sign of its own. Short beside a round trip across the
/// internet, long beside the question, which is one system call.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// How often a connection with something to read is looked at for its end.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// See the module.
pub struct Wire {
    io: Io,
    /// Lines that the client has sent.
    pub(super) input: LineBuffer,
    /// Answers that were not sent yet.
    pub(super) out: Vec<u8>,
    /// An answer was begun whose end is not in [`Self::out`] yet.
    pub(super) unfinished: bool,
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
    /// The longest wait for the client to take what is sent to it.
    patience: Duration,
    /// When the client has to have taken everything, however much patience is left.
    pub(super) send_by: Option<Instant>,
    flow: Flow,
    too_slow: bool,
}

impl Wire {
    /// Stands on an accepted connection, whose client has to take all that is sent at once within `patience`, and within two minutes
    /// that are spent on waiting for it at least `slowest` octets.
    pub fn new(stream: TcpStream, metrics: Arc<Metrics>, patience: Duration, slowest: u64) -> Self {
        // Answers are gathered here; holding them back once more only delays them. Where it fails the connection is dead anyway.
        let _ = stream.set_nodelay(true);
        Self {
            io: Io::Plain(Counted::new(stream)),
            input: LineBuffer::new(),
            out: Vec::new(),
            unfinished: false,
            metrics,
            pulse: Arc::default(),
            patience,
            send_by: None,
            flow: Flow::new(slowest),
            too_slow: false,
        }
    }

    /// Beats with every octet that goes either way, for other sessions to see.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// The TCP connection, unless a handshake has it.
    fn tcp(&self) -> Option<&TcpStream> {
        self.io.tcp()
    }

    /// Whether TLS is active.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// Whether it broke off because the client took too little of what was sent.
    pub(super) fn is_too_slow(&self) -> bool {
        self.too_slow
    }

    /// The address on this side.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok()
    }

    /// Takes the part of the server in a TLS handshake, until `deadline`. What is wrong with the client's part is logged and counted here;
    /// a client that hangs up before it has said anything is only a visitor.
    ///
    /// # Errors
    /// The handshake's own; `TimedOut`. The connection is of no use then.
    pub async fn start_tls(
        &mut self,
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> io::Result<()> {
        let Io::Plain(stream) = std::mem::replace(&mut self.io, Io::None) else {
            return Err(io::Error::other("TLS is active already"));
        };
        let handshake = async {
            if stream.tcp.peek(&mut [0]).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let accepted = TlsAcceptor::from(config).accept(stream).await;
            accepted.inspect_err(|error| {
                self.metrics.bad_input(BadInput::TlsHandshake);
                info!(%error, "the TLS handshake failed");
            })
        };
        let stream = timeout_at(deadline, handshake)
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
        // The time-out below is not looked at while there is always something to read.
        if deadline <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let Self { io, input, .. } = self;
        let read = poll_fn(|cx| {
            // On the stack: this waits for as long as a client is connected.
            let mut buffer = [0; READ_SIZE];
            let mut read = ReadBuf::new(&mut buffer);
            match io {
                Io::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, &mut read))?,
                Io::Tls(stream) => ready!(Pin::new(stream).poll_read(cx, &mut read))?,
                Io::None => {}
            }
            let n = read.filled().len();
            input.push(read.filled());
            // There may have been a password in it.
            buffer[..n].zeroize();
            Poll::Ready(io::Result::Ok(n))
        });
        let n = timeout_at(deadline, read)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        if n > 0 {
            self.pulse.beat();
        }
        self.metrics.client_bytes(Direction::Received, n as u64);
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
    /// `TimedOut` where the client does not take it in time; the connection's own.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let until = Instant::now() + self.patience;
        let until = self.send_by.map_or(until, |by| until.min(by));
        let mut taken = 0;
        loop {
            let (began, before) = (Instant::now(), self.io.written());
            let look = until.min(began + self.flow.patience());
            let Self { io, out, .. } = self;
            let step = poll_fn(|cx| io.poll_send(cx, out, &mut taken));
            let is_done = match timeout_at(look, step).await {
                Ok(is_done) => is_done?,
                Err(_) if look == until => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => false,
            };
            let written = self.io.written() - before;
            if written > 0 {
                self.pulse.beat();
            }
            self.flow.wrote(written, began.elapsed());
            self.judge()?;
            if is_done {
                break;
            }
        }
        self.metrics
            .client_bytes(Direction::Sent, self.out.len() as u64);
        if self.out.capacity() > 2 * SEND_AT {
            self.out = Vec::new()
        } else {
            self.out.clear()
        }
        Ok(())
    }

    /// Breaks off where the client takes too little.
    fn judge(&mut self) -> io::Result<()> {
        let queued = || {
            let stream = self.io.tcp();
            let queued = stream.and_then(|stream| unacknowledged(stream).ok().flatten());
            queued.map_or(0, u64::from)
        };
        if !self.flow.is_too_slow(queued) {
            return Ok(());
        }
        self.too_slow = true;
        self.metrics.slow_reader();
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Waits for the end of the client's side of the connection without reading anything, and tells others: at once where the connection was
    /// reset. An end in order (it may have sent commands before that, and wait for their answers) is told as one where it `reads`.
    async fn watch_for_the_end(&self, reads: bool) -> std::convert::Infallible {
        let Some(stream) = self.tcp() else {
            return std::future::pending().await;
        };
        loop {
            match stream.ready(Interest::READABLE | Interest::ERROR).await {
                Ok(ready) if ready.is_error() => break,
                Ok(ready) if ready.is_read_closed() && reads => self.pulse.half_closed(),
                Ok(ready) if !ready.is_read_closed() => {}
                _ => break,
            }
            // What was sent before the end can be seen for as long as nobody reads it, and the end itself for ever.
            sleep(LOOK_AGAIN).await;
        }
        self.pulse.hung_up();
        std::future::pending().await
    }

    /// Waits for something else than the client, which nobody reads from meanwhile. That it has hung up is told to others: a client that gives
    /// up waiting and comes back shall not be kept out by this session.
    pub(super) fn while_waiting<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = T> {
        // No async function: `work` would be in it twice.
        self.while_watching(work, false)
    }

    /// The same while a message comes, which a client may read to its end although it has ended its own side: others are told of that, and
    /// of a reset at once.
    pub(super) fn while_reading<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = T> {
        self.while_watching(work, true)
    }

    async fn while_watching<T>(&self, work: impl Future<Output = T>, reads: bool) -> T {
        tokio::select! {
            biased;
            done = work => {
                self.pulse.goes_on();
                done
            }
            never = self.watch_for_the_end(reads) => match never {},
        }
    }

    /// Waits until `deadline` for the client's system to acknowledge everything that was sent; whether it has. What was not sent yet
    /// (see [`Self::send`]) is not acknowledged, and nobody sends it meanwhile: then this says no at once, as it does when the
    /// connection is over. Where the system cannot tell (only Linux can), yes.
    ///
    /// It says nothing of what the client's program has read; but a client that is gone acknowledges nothing.
    pub(super) async fn acknowledged(&self, deadline: Instant) -> bool {
        let waiting = match &self.io {
            Io::Tls(stream) => stream.get_ref().1.wants_write(),
            Io::Plain(_) | Io::None => false,
        };
        if waiting || !self.out.is_empty() {
            return false;
        }
        let Some(stream) = self.tcp() else {
            return false;
        };
        loop {
            match unacknowledged(stream) {
                Ok(Some(0) | None) => return true,
                Ok(Some(_)) => {}
                Err(_) => return false,
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            sleep_until(deadline.min(now + ASK_AGAIN)).await;
        }
    }

    /// Gives memory back before a wait that may be long.
    pub(super) fn rest(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Ends the connection in order. With `linger` the client has until then sent something that nobody will read: it is taken and
    /// dropped for a moment, as the system would else reset the connection and the last answer could be lost on its way.
    pub(super) async fn close(mut self, linger: bool) {
        if self.is_inside_an_answer() {
            return;
        }
        let farewell = async {
            match &mut self.io {
                Io::Plain(stream) => stream.shutdown().await?,
                Io::Tls(stream) => stream.shutdown().await?,
                Io::None => {}
            }
            let stream = match &mut self.io {
                Io::Plain(stream) => stream,
                Io::Tls(stream) => stream.get_mut().0,
                Io::None => return Ok(()),
            };
            let mut left = if linger { FAREWELL_OCTETS } else { 0 };
            let mut ignored = vec![0; READ_SIZE];
            while left > 0 {
                match stream.read(&mut ignored).await? {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
            Ok::<(), io::Error>(())
        };
        // A client that hung up first makes this fail, and that is no trouble.
        let _ = timeout(FAREWELL, farewell).await;
    }

    fn is_inside_an_answer(&self) -> bool {
        self.unfinished || !self.out.is_empty()
    }
}

impl Drop for Wire {
    /// Also after a panic and when the bridge ends: a reset, so that no client takes what it has for a whole answer (curl does after
    /// an orderly end).
    fn drop(&mut self) {
        if self.is_inside_an_answer()
            && let Some(stream) = self.tcp()
        {
            // Where it fails there is no connection any more.
            let _ = stream.set_zero_linger();
        }
    }
}

#[cfg(test)]
mod tests;
