//! One connection of the scriptable IMAP peer: read a command, send any bytes, change to TLS, close, reset or fall silent.
//! Methods that wait give `None` when the client is gone, so that scripts end by `?`.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use super::imap_peer::Recorder;
use super::net::Stream;
use tokio_rustls::rustls::ServerConfig;

/// A command line of the client, literals put in where they stood.
#[derive(Clone, Debug)]
pub struct Cmd {
    pub tag: String,
    /// The line without the tag, e.g. `UID FETCH 1:* (UID)`.
    pub line: String,
}

impl Cmd {
    /// Case-insensitive: does the command start with these words?
    pub fn is(&self, words: &str) -> bool {
        self.line
            .get(..words.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(words))
            && self.line[words.len()..]
                .chars()
                .next()
                .is_none_or(|c| c == ' ')
    }

    /// Case-insensitive: does the line contain this?
    pub fn has(&self, part: &str) -> bool {
        self.line
            .to_ascii_uppercase()
            .contains(&part.to_ascii_uppercase())
    }

    /// The messages that it names, where it is of such a kind: its third word.
    pub fn set(&self) -> &str {
        self.line.split(' ').nth(2).unwrap_or_default()
    }
}

pub struct Conn {
    /// 0 for the first connection to this peer, 1 for the next...
    pub number: usize,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    tls: Arc<ServerConfig>,
    recorder: Arc<Recorder>,
}

impl Conn {
    pub fn new(
        number: usize,
        stream: Stream,
        tls: Arc<ServerConfig>,
        recorder: Arc<Recorder>,
    ) -> Self {
        Self {
            number,
            stream: Some(stream),
            buffer: Vec::new(),
            tls,
            recorder,
        }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has gone away is found out at the next read.
        if let Some(stream) = &mut self.stream {
            let _ = stream
                .write_all(bytes.as_ref())
                .and_then(|()| stream.flush());
        }
    }

    /// Sends bytes as they are; false when the client is known to be gone.
    pub fn try_raw(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let stream = self.stream.as_mut();
        stream.is_some_and(|s| s.write_all(bytes.as_ref()).and_then(|()| s.flush()).is_ok())
    }

    /// Sends one line with its CRLF.
    pub fn line(&mut self, line: &str) {
        self.raw(format!("{line}\r\n"));
    }

    /// Sends lines in which `{tag}` stands for the command's tag.
    pub fn answer(&mut self, cmd: &Cmd, lines: &str) {
        for line in lines.lines() {
            self.line(&line.replace("{tag}", &cmd.tag));
        }
    }

    /// Sends lines that belong to no command.
    pub fn answer_untagged(&mut self, lines: &str) {
        for line in lines.lines() {
            self.line(line);
        }
    }

    /// The tagged line: `tag OK ...`, `tag NO ...`, `tag BAD ...`.
    pub fn tagged(&mut self, cmd: &Cmd, rest: &str) {
        self.line(&format!("{} {rest}", cmd.tag));
    }

    pub fn ok(&mut self, cmd: &Cmd) {
        self.tagged(cmd, "OK done");
    }

    /// The next command; synchronizing literals are asked for, LITERAL+ taken. `None` when the client is gone.
    pub fn next(&mut self) -> Option<Cmd> {
        let mut text = self.read_line()?;
        while let Some((length, wait)) = literal(&text) {
            if wait {
                self.line("+ go ahead");
            }
            text.push_str("\r\n");
            text.push_str(&self.read_octets(length)?);
            text.push_str(&self.read_line()?);
        }
        let (tag, line) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        Some(Cmd {
            tag: tag.to_owned(),
            line: line.to_owned(),
        })
    }

    /// The next command, which must start with `words`; another one fails the test.
    pub fn expect(&mut self, words: &str) -> Option<Cmd> {
        let cmd = self.next()?;
        assert!(
            cmd.is(words),
            "the client should say {words:?} now, and says {:?}",
            cmd.line
        );
        Some(cmd)
    }

    /// Waits for one octet of the client, whatever it is.
    pub fn read_octet(&mut self) -> Option<()> {
        self.read_octets(1).map(drop)
    }

    /// One line of the client without its line end (SASL answers, IDLE's DONE).
    pub fn read_line(&mut self) -> Option<String> {
        let at = loop {
            if let Some(at) = self.buffer.iter().position(|&b| b == b'\n') {
                break at;
            }
            self.fill()?;
        };
        let line: Vec<u8> = self.buffer.drain(..=at).collect();
        Some(
            String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
        )
    }

    /// What the client says to AUTHENTICATE, in base64: given with it, or asked for.
    pub fn sasl_response(&mut self, cmd: &Cmd) -> Option<String> {
        match cmd.line.split(' ').nth(2) {
            Some(response) => Some(response.to_owned()),
            None => {
                self.line("+ ");
                self.read_line()
            }
        }
    }

    fn read_octets(&mut self, count: usize) -> Option<String> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        let octets: Vec<u8> = self.buffer.drain(..count).collect();
        Some(String::from_utf8_lossy(&octets).into_owned())
    }

    fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 16_384];
        let stream = self.stream.as_mut()?;
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => {
                    self.recorder
                        .heard(self.number, stream.is_tls(), &chunk[..n]);
                    self.buffer.extend(&chunk[..n]);
                    return Some(());
                }
                // Idle connections of a pool are no failure: the peer waits as long as the test lasts.
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
        }
    }

    /// The server's side of a TLS handshake, from here on. `None` when the client does not take part.
    pub fn start_tls(&mut self) -> Option<()> {
        let mut stream = self.stream.take()?;
        // The handshake's first bytes may already lie in our buffer: only if the client sent them before our OK.
        assert!(
            self.buffer.is_empty(),
            "the client sends TLS before the server's OK"
        );
        stream.start_tls_server(self.tls.clone()).ok()?;
        self.stream = Some(stream);
        Some(())
    }

    pub fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_tls)
    }

    /// Closes in order; the client reads an end of file.
    pub fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.close();
        }
    }

    /// Closes with a RST.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.reset();
        }
    }

    /// Says nothing more and reads on until the client gives up.
    pub fn stall(&mut self) {
        while self.fill().is_some() {
            self.buffer.clear();
        }
    }
}

/// The length of the literal that a line announces at its end, and whether the client waits for a `+`.
fn literal(line: &str) -> Option<(usize, bool)> {
    let line = line.strip_suffix('}')?;
    let number = &line[line.rfind('{')? + 1..];
    match number.strip_suffix('+') {
        Some(number) => Some((number.parse().ok()?, false)),
        None => Some((number.parse().ok()?, true)),
    }
}
