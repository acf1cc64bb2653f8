//! One POP3 connection from the client's side.

use std::io;

use ring::digest::{Context, SHA256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::arguments::{Server, Verify};
use crate::body::scan;
use crate::tls;

/// Room for sessions that say little: a thousand of them should not weigh much.
pub(crate) const SMALL: usize = 2 * 1024;
/// Room for sessions that fetch.
pub(crate) const LARGE: usize = 128 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to one server.
pub(crate) struct Dialer {
    pub(crate) server: Server,
    tls: Option<TlsConnector>,
}

impl Dialer {
    pub(crate) fn new(server: Server) -> io::Result<Self> {
        let tls = if server.tls {
            Some(tls::connector().map_err(io::Error::other)?)
        } else {
            None
        };
        Ok(Self { server, tls })
    }

    /// Connected and greeted; `room` is the size of the buffer to begin with.
    pub(crate) async fn connect(&self, room: usize) -> io::Result<Connection> {
        let socket = TcpStream::connect(&self.server.address).await?;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                Box::new(tls.connect(name, socket).await?)
            }
            None => Box::new(socket),
        };
        let mut connection = Connection {
            stream,
            buffer: vec![0; room],
            start: 0,
            end: 0,
        };
        connection.ok().await?;
        Ok(connection)
    }

    /// Connected and logged in.
    pub(crate) async fn log_in(&self, session: usize, room: usize) -> io::Result<Connection> {
        let mut connection = self.connect(room).await?;
        let name = self.server.name(session);
        connection.command(&format!("USER {name}\r\n")).await?;
        let pass = format!("PASS {}\r\n", self.server.password);
        connection.command(&pass).await?;
        Ok(connection)
    }
}

/// What a multi-line answer was, without its stuffed dots.
pub(crate) struct Body {
    /// Octets.
    pub(crate) size: u64,
    /// SHA-256 in hexadecimal; empty when it was not asked for.
    pub(crate) sha256: String,
}

/// A connection; `buffer[start..end]` has come and has not been looked at.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start == 0 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            } else {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
        }
        let length = self.stream.read(&mut self.buffer[self.end..]).await?;
        if length == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
        self.end += length;
        Ok(())
    }

    /// One line with its CRLF.
    async fn line(&mut self) -> io::Result<&[u8]> {
        let mut seen = 0;
        loop {
            let unseen = &self.buffer[self.start + seen..self.end];
            if let Some(length) = memchr::memchr(b'\n', unseen) {
                let begin = self.start;
                self.start += seen + length + 1;
                return Ok(&self.buffer[begin..self.start]);
            }
            seen = self.end - self.start;
            self.fill().await?;
        }
    }

    /// The first line of an answer, which must be a good one.
    pub(crate) async fn ok(&mut self) -> io::Result<String> {
        let line = self.line().await?;
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        if text.starts_with("+OK") {
            Ok(text)
        } else {
            Err(io::Error::other(text))
        }
    }

    pub(crate) async fn send(&mut self, commands: &str) -> io::Result<()> {
        self.stream.write_all(commands.as_bytes()).await?;
        self.stream.flush().await
    }

    /// A command and the first line of its answer.
    pub(crate) async fn command(&mut self, command: &str) -> io::Result<String> {
        self.send(command).await?;
        self.ok().await
    }

    /// STAT: how many messages there are.
    pub(crate) async fn stat(&mut self) -> io::Result<usize> {
        let answer = self.command("STAT\r\n").await?;
        let count = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        count.ok_or_else(|| io::Error::other(format!("STAT says {answer:?}")))
    }

    /// UIDL or LIST: how many lines come.
    pub(crate) async fn listing(&mut self, command: &str) -> io::Result<usize> {
        self.command(command).await?;
        let mut lines = 0;
        while self.line().await? != b".\r\n" {
            lines += 1;
        }
        Ok(lines)
    }

    /// What follows the first line of an answer to RETR or TOP.
    pub(crate) async fn body(&mut self, verify: Verify) -> io::Result<Body> {
        let mut size = 0;
        let mut digest = (verify == Verify::Sha256).then(|| Context::new(&SHA256));
        loop {
            let scanned = scan(&self.buffer[self.start..self.end], |run| {
                size += run.len() as u64;
                if let Some(digest) = &mut digest {
                    digest.update(run);
                }
            });
            self.start += scanned.consumed;
            if scanned.finished {
                let sha256 = digest.map(|digest| hexadecimal(digest.finish().as_ref()));
                return Ok(Body {
                    size,
                    sha256: sha256.unwrap_or_default(),
                });
            }
            self.fill().await?;
        }
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
