//! A minimal IMAP client for looking at an upstream behind the bridge's back: what is in a folder, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};

use super::net::{Stream, loopback};

pub struct Imap {
    stream: BufReader<Stream>,
    serial: u32,
}

/// A message as the server gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub uid: u32,
    pub flags: String,
    pub size: u64,
    pub body: Vec<u8>,
}

impl Imap {
    /// Connects in plain text and logs in.
    pub fn log_in(port: u16, user: &str, password: &str) -> Self {
        let mut this = Self::connect(port);
        this.command(&format!("LOGIN {user} {password}"));
        this
    }

    /// Connects in plain text.
    pub fn connect(port: u16) -> Self {
        let stream = Stream::connect(loopback(port)).expect("the IMAP port");
        let mut this = Self {
            stream: BufReader::new(stream),
            serial: 0,
        };
        let greeting = this.line();
        assert!(
            greeting.starts_with(b"* OK"),
            "greeting: {}",
            String::from_utf8_lossy(&greeting)
        );
        this
    }

    /// Runs a command that must be answered OK; gives the untagged responses, literals put in where they stood.
    pub fn command(&mut self, command: &str) -> Vec<Vec<u8>> {
        let (responses, tagged) = self.run(command);
        assert!(tagged.starts_with("OK"), "{command}: {tagged}");
        responses
    }

    /// Runs a command; gives the untagged responses and the tagged line without its tag.
    pub fn run(&mut self, command: &str) -> (Vec<Vec<u8>>, String) {
        self.serial += 1;
        let tag = format!("t{}", self.serial);
        self.stream
            .get_mut()
            .write_all(format!("{tag} {command}\r\n").as_bytes())
            .expect("write");
        let mut responses = Vec::new();
        loop {
            let response = self.response();
            if let Some(rest) = response.strip_prefix(format!("{tag} ").as_bytes()) {
                return (
                    responses,
                    String::from_utf8_lossy(rest).trim_end().to_owned(),
                );
            }
            responses.push(response);
        }
    }

    /// Adds a message to a folder (synchronizing literal). The error is what the server says against it.
    pub fn append(&mut self, folder: &str, message: &[u8]) -> Result<(), String> {
        self.serial += 1;
        let tag = format!("t{}", self.serial);
        let head = format!("{tag} APPEND {folder} {{{}}}\r\n", message.len());
        self.stream
            .get_mut()
            .write_all(head.as_bytes())
            .expect("write");
        while !self.line().starts_with(b"+") {}
        self.stream
            .get_mut()
            .write_all(&[message, b"\r\n"].concat())
            .expect("write");
        loop {
            let line = String::from_utf8_lossy(&self.response()).into_owned();
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                return if rest.starts_with("OK") {
                    Ok(())
                } else {
                    Err(rest.to_owned())
                };
            }
        }
    }

    /// Everything in `folder`, in order, read without setting a flag.
    pub fn fetch_all(&mut self, folder: &str) -> Vec<Fetched> {
        let opened = self.command(&format!("EXAMINE {folder}"));
        if opened.iter().any(|r| r.starts_with(b"* 0 EXISTS")) {
            return Vec::new();
        }
        let responses = self.command("UID FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[])");
        responses.iter().filter_map(|r| parse(r)).collect()
    }

    fn response(&mut self) -> Vec<u8> {
        let mut response = self.line();
        while let Some(length) = announced(&response) {
            let at = response.len();
            response.resize(at + length, 0);
            self.stream
                .read_exact(&mut response[at..])
                .expect("a literal");
            response.extend(self.line());
        }
        response
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a line");
        assert!(
            line.ends_with(b"\r\n"),
            "the IMAP connection ended: {}",
            String::from_utf8_lossy(&line)
        );
        line
    }
}

/// The length of the literal that a line announces at its end.
fn announced(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}

/// Reads a FETCH response; what else the server says in between is skipped.
fn parse(response: &[u8]) -> Option<Fetched> {
    let (body, items) = match response.iter().position(|&b| b == b'{') {
        Some(open) => {
            let start = open + response[open..].iter().position(|&b| b == b'\n')? + 1;
            let end = start + announced(&response[..start])?;
            (
                response[start..end].to_vec(),
                [&response[..open], &response[end..]].concat(),
            )
        }
        None => (Vec::new(), response.to_vec()), // BODY[] "" or NIL
    };
    let items = String::from_utf8_lossy(&items);
    let items = items.strip_prefix("* ")?.split_once(" FETCH (")?.1;
    let number = |name: &str| {
        items
            .split(name)
            .nth(1)?
            .split([' ', ')'])
            .next()?
            .parse::<u64>()
            .ok()
    };
    let flags = items.split("FLAGS (").nth(1)?.split(')').next()?.to_owned();
    Some(Fetched {
        uid: u32::try_from(number("UID ")?).ok()?,
        flags,
        size: number("RFC822.SIZE ")?,
        body,
    })
}
