//! A small, strict POP3 client: it checks every reply's form (RFC 1939 sections 3 and 5) and gives bodies as exact bytes.
//! What a server may not do fails the test here, with the transcript.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use super::net::{Stream, loopback};

/// The name that the certificates of the tests are made for.
const HOST: &str = "localhost";

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Stls,
    Tls,
}

/// A status line: `+OK ...` or `-ERR ...`, without its CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub ok: bool,
    pub text: String,
}

impl Status {
    /// The response code between brackets, e.g. `SYS/TEMP` (RFC 2449 section 8).
    pub fn code(&self) -> Option<&str> {
        self.text
            .strip_prefix('[')?
            .split_once(']')
            .map(|(code, _)| code)
    }
}

/// Why no reply could be read.
#[derive(Debug)]
pub enum Broken {
    /// The server closed or reset the connection; what it had sent of the unfinished reply.
    Ended(Vec<u8>),
    /// Nothing came within [`super::net::READ_LIMIT`].
    Silent,
    Other(io::Error),
}

pub struct Pop3 {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    transcript: Vec<String>,
}

impl Pop3 {
    /// Connects in plain text and reads the greeting, which must be `+OK`.
    pub fn connect(port: u16) -> Self {
        let mut this = Self::connect_silently(loopback(port));
        this.expect_ok();
        this
    }

    /// Connects in plain text; the greeting is not read.
    pub fn connect_silently(address: SocketAddr) -> Self {
        Self::on(Stream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}")))
    }

    /// Connects in plain text from another address of this machine, such as 127.0.0.2; the greeting is not read.
    pub fn connect_from(address: Ipv4Addr, port: u16) -> Self {
        let stream = Stream::connect_from(address, loopback(port));
        Self::on(stream.unwrap_or_else(|e| panic!("{address} to {port}: {e}")))
    }

    /// On a connection that is there.
    pub fn on(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            start: 0,
            transcript: Vec::new(),
        }
    }

    /// Connects with implicit TLS and reads the greeting.
    pub fn connect_tls(port: u16, config: Arc<ClientConfig>) -> Self {
        let mut this = Self::connect_silently(loopback(port));
        this.start_tls(config);
        this.expect_ok();
        this
    }

    /// Connects in one of three ways; `port` is the implicit-TLS one for [`Mode::Tls`].
    pub fn connect_as(mode: Mode, port: u16, config: &Arc<ClientConfig>) -> Self {
        match mode {
            Mode::Plain => Self::connect(port),
            Mode::Stls => {
                let mut this = Self::connect(port);
                this.ok("STLS");
                this.start_tls(config.clone());
                this
            }
            Mode::Tls => Self::connect_tls(port, config.clone()),
        }
    }

    /// The TLS handshake, after STLS was answered or on a port of implicit TLS. Plain bytes must not be left over.
    pub fn start_tls(&mut self, config: Arc<ClientConfig>) {
        assert!(
            self.unread().is_empty(),
            "plain bytes behind the reply to STLS: {:?}",
            show(self.unread())
        );
        self.stream
            .start_tls_client(config, HOST)
            .unwrap_or_else(|e| panic!("TLS: {e}\n{}", self.transcript()));
    }

    /// USER and PASS, which must succeed.
    pub fn log_in(mut self, user: &str, password: &str) -> Self {
        self.ok(&format!("USER {user}"));
        self.ok(&format!("PASS {password}"));
        self
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.note("C", bytes);
        self.stream
            .write_all(bytes)
            .unwrap_or_else(|e| panic!("sending {:?}: {e}\n{}", show(bytes), self.transcript()));
        self.stream.flush().unwrap_or_else(|e| panic!("{e}"));
    }

    /// Sends lines where the server may be gone; false when it is known to be.
    pub fn try_send(&mut self, lines: &str) -> bool {
        self.note("C", lines.as_bytes());
        let sent = self.stream.write_all(lines.as_bytes());
        sent.and_then(|()| self.stream.flush()).is_ok()
    }

    /// Sends a line with its CRLF.
    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\r\n").as_bytes());
    }

    /// One command, one status line.
    pub fn command(&mut self, line: &str) -> Status {
        self.send(line);
        self.status()
    }

    /// A command that must be answered `+OK`; gives the text behind it.
    pub fn ok(&mut self, line: &str) -> String {
        self.send(line);
        self.expect_ok()
    }

    /// A command that must be answered `-ERR`; gives the whole status.
    pub fn err(&mut self, line: &str) -> Status {
        let status = self.command(line);
        assert!(!status.ok, "{line:?} was accepted\n{}", self.transcript());
        status
    }

    /// A command that must be answered `+OK` and a text up to the final dot, of which the exact bytes are given.
    pub fn multi(&mut self, line: &str) -> Vec<u8> {
        self.ok(line);
        self.body()
    }

    /// The lines of a multi-line answer.
    pub fn lines(&mut self, line: &str) -> Vec<String> {
        let body = String::from_utf8(self.multi(line)).expect("a listing is ASCII");
        body.lines().map(str::to_owned).collect()
    }

    /// STAT: count and octets.
    pub fn stat(&mut self) -> (u64, u64) {
        let text = self.ok("STAT");
        let mut words = text.split(' ').map(|w| {
            w.parse::<u64>()
                .unwrap_or_else(|_| panic!("STAT says {text:?}"))
        });
        (
            words.next().expect("a count"),
            words.next().expect("a size"),
        )
    }

    pub fn retr(&mut self, number: usize) -> Vec<u8> {
        self.multi(&format!("RETR {number}"))
    }

    /// QUIT, its `+OK`, and the end of the connection.
    pub fn quit(mut self) {
        self.ok("QUIT");
        self.expect_end();
    }

    /// Reads a status line that must be `+OK`.
    pub fn expect_ok(&mut self) -> String {
        let status = self.status();
        assert!(status.ok, "refused: {}\n{}", status.text, self.transcript());
        status.text
    }

    pub fn status(&mut self) -> Status {
        self.try_status()
            .unwrap_or_else(|e| panic!("no status line: {e:?}\n{}", self.transcript()))
    }

    pub fn try_status(&mut self) -> Result<Status, Broken> {
        let line = self.try_line()?;
        // RFC 2449 section 4: at most 512 octets with the CRLF; RFC 1939 section 3: printable.
        assert!(
            line.len() <= 510,
            "a status line of {} octets\n{}",
            line.len(),
            self.transcript()
        );
        assert!(
            line.iter().all(|b| (b' '..=b'~').contains(b)),
            "unprintable: {:?}",
            show(&line)
        );
        let line = String::from_utf8(line).expect("ASCII");
        let (ok, rest) = match (line.strip_prefix("+OK"), line.strip_prefix("-ERR")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => panic!("neither +OK nor -ERR: {line:?}\n{}", self.transcript()),
        };
        assert!(
            rest.is_empty() || rest.starts_with(' '),
            "{line:?}\n{}",
            self.transcript()
        );
        Ok(Status {
            ok,
            text: rest.trim_start().to_owned(),
        })
    }

    pub fn body(&mut self) -> Vec<u8> {
        self.try_body()
            .unwrap_or_else(|e| panic!("no end of the text: {e:?}\n{}", self.transcript()))
    }

    /// The text up to the line with the single dot, dots unstuffed, CRLF line ends included.
    pub fn try_body(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.try_line_of_body()?;
            match line.as_slice() {
                b".\r\n" => return Ok(body),
                stuffed if stuffed.starts_with(b".") => {
                    assert!(
                        stuffed.starts_with(b".."),
                        "an unstuffed dot: {:?}",
                        show(stuffed)
                    );
                    body.extend(&stuffed[1..]);
                }
                other => body.extend(other),
            }
        }
    }

    /// Fails unless the server closes the connection now without another byte.
    pub fn expect_end(&mut self) {
        match self.try_line() {
            Err(Broken::Ended(rest)) if rest.is_empty() => {}
            other => panic!(
                "expected the end of the connection: {other:?}\n{}",
                self.transcript()
            ),
        }
    }

    /// Raw bytes up to `limit`, fewer only at the end of the connection.
    pub fn read_raw(&mut self, limit: usize) -> Vec<u8> {
        while self.unread().len() < limit && self.fill().is_ok() {}
        let end = self.buffer.len().min(self.start + limit);
        let bytes = self.buffer[self.start..end].to_vec();
        self.start = end;
        bytes
    }

    /// The socket, for half-closes, resets and tiny windows.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// What was said so far, shortened.
    pub fn transcript(&self) -> String {
        let from = self.transcript.len().saturating_sub(40);
        self.transcript[from..].join("\n")
    }

    /// One line of a reply without its CRLF, whatever it says (continuations of AUTH begin with `+ `).
    pub fn try_line(&mut self) -> Result<Vec<u8>, Broken> {
        let mut line = self.line_with_end()?;
        assert!(
            line.ends_with(b"\r\n"),
            "a line that does not end in CRLF: {:?}\n{}",
            show(&line),
            self.transcript()
        );
        line.truncate(line.len() - 2);
        self.note("S", &line);
        Ok(line)
    }

    /// A line of a text, where a lone LF inside would be the server's failure to repair it.
    fn try_line_of_body(&mut self) -> Result<Vec<u8>, Broken> {
        let line = self.line_with_end()?;
        assert!(
            line.ends_with(b"\r\n"),
            "a bare LF in a text: {:?}",
            show(&line)
        );
        Ok(line)
    }

    fn line_with_end(&mut self) -> Result<Vec<u8>, Broken> {
        let mut searched = self.start;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|&b| b == b'\n') {
                let end = searched + at + 1;
                let line = self.buffer[self.start..end].to_vec();
                self.start = end;
                return Ok(line);
            }
            let unread = self.unread().len();
            self.fill()?;
            searched = self.start + unread;
        }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn fill(&mut self) -> Result<(), Broken> {
        self.buffer.drain(..std::mem::take(&mut self.start));
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Broken::Ended(self.buffer.clone())),
            Ok(n) => {
                self.buffer.extend(&chunk[..n]);
                Ok(())
            }
            Err(e) => Err(match e.kind() {
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe => Broken::Ended(self.buffer.clone()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Broken::Silent,
                _ => Broken::Other(e),
            }),
        }
    }

    fn note(&mut self, who: &str, bytes: &[u8]) {
        if self.transcript.len() > 400 {
            self.transcript.drain(..200);
        }
        self.transcript.push(format!("{who}: {}", show(bytes)));
    }
}

/// Bytes as a person can read them, at most 200 of them.
pub fn show(bytes: &[u8]) -> String {
    let more = if bytes.len() > 200 {
        format!("... ({} octets)", bytes.len())
    } else {
        String::new()
    };
    format!("{}{more}", bytes[..bytes.len().min(200)].escape_ascii())
}
