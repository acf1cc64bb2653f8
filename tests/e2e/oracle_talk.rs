//! How the oracle plays a session: what is sent in which order, and what counts as one reply.

use std::fmt::Write as _;

use crate::oracle_stream::{Mechanism, Pace, Stream};
use crate::support::dovecot::PASSWORD;
use crate::support::pop3::{Pop3, show};

/// A reply as the oracle compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status {
        ok: bool,
        text: String,
        body: Option<Vec<u8>>,
    },
    /// The server ended the connection instead of replying.
    End,
}

impl Reply {
    pub fn is_ok(&self) -> bool {
        matches!(self, Reply::Status { ok: true, .. })
    }

    pub fn body(&self) -> Option<&[u8]> {
        match self {
            Reply::Status { body, .. } => body.as_deref(),
            Reply::End => None,
        }
    }
}

/// All lines of a session, the log-in and the QUIT included.
pub fn script(stream: &Stream, user: &str) -> Vec<Vec<u8>> {
    let encoded = base64(format!("\0{user}\0{PASSWORD}").as_bytes());
    let login = match stream.login {
        Mechanism::UserPass => vec![format!("USER {user}"), format!("PASS {PASSWORD}")],
        Mechanism::PlainInitial => vec![format!("AUTH PLAIN {encoded}")],
        Mechanism::Plain => vec!["AUTH PLAIN".into(), encoded],
        Mechanism::Login => vec![
            "AUTH LOGIN".into(),
            base64(user.as_bytes()),
            base64(PASSWORD.as_bytes()),
        ],
    };
    let mut lines = stream.before.clone();
    lines.extend(login.into_iter().map(String::into_bytes));
    lines.extend(stream.after.iter().cloned());
    if stream.quits {
        lines.push(b"QUIT".to_vec());
    }
    lines
}

/// Plays a session and gives the replies, one per line.
pub fn converse(stream: &Stream, user: &str, port: u16) -> Vec<Reply> {
    let mut pop3 = Pop3::connect(port);
    let lines = script(stream, user);
    // The log-in is never pipelined: RFC 2449 section 6.6 lets a server throw away what follows a SASL exchange.
    let until_login = lines.len() - stream.after.len() - usize::from(stream.quits);
    let batch = match stream.pace {
        Pace::OneByOne => 1,
        Pace::Batches(size) => size,
    };
    let mut replies = Vec::new();
    let batches = lines[..until_login]
        .chunks(1)
        .chain(lines[until_login..].chunks(batch));
    for batch in batches {
        let octets: Vec<u8> = batch
            .iter()
            .flat_map(|line| [line.as_slice(), b"\r\n"].concat())
            .collect();
        pop3.send_raw(&octets);
        for line in batch {
            let reply = read(&mut pop3, line);
            let end = reply == Reply::End;
            replies.push(reply);
            if end {
                return replies;
            }
        }
    }
    replies
}

fn read(pop3: &mut Pop3, line: &[u8]) -> Reply {
    let Ok(status) = pop3.try_line() else {
        return Reply::End;
    };
    let status = String::from_utf8_lossy(&status).into_owned();
    let ok = status.starts_with("+OK") || status.starts_with("+ ") || status == "+";
    assert!(
        ok || status.starts_with("-ERR"),
        "{status:?}\n{}",
        pop3.transcript()
    );
    let text = status
        .split_once(' ')
        .map_or("", |(_, text)| text)
        .to_owned();
    let command = canonical(line);
    let mut words = command.split(' ');
    let multi = matches!(
        (words.next(), words.next()),
        (Some("RETR" | "TOP" | "CAPA"), _) | (Some("LIST" | "UIDL" | "AUTH"), None)
    );
    let body = (ok && multi).then(|| pop3.body());
    Reply::Status { ok, text, body }
}

/// A line as a server sees it: the command word in capitals, single blanks.
pub fn canonical(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    words.fold(first, |line, word| line + " " + word)
}

pub fn words(reply: Option<&Reply>) -> String {
    match reply {
        None => "nothing: the session had ended".into(),
        Some(Reply::End) => "the end of the connection".into(),
        Some(Reply::Status { ok, text, body }) => {
            let mut said = format!("{} {text}", if *ok { "+OK" } else { "-ERR" });
            if let Some(body) = body {
                let _ = write!(said, " and {} octets: {}", body.len(), show(body));
            }
            said
        }
    }
}

fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |chunk: &[u8]| {
        let bits = (0..3).fold(0u32, |bits, n| {
            bits << 8 | u32::from(*chunk.get(n).unwrap_or(&0))
        });
        let digit = |n: usize| {
            if n > chunk.len() {
                '='
            } else {
                char::from(ALPHABET[(bits >> (18 - 6 * n)) as usize & 63])
            }
        };
        (0..4).map(digit).collect::<String>()
    };
    octets.chunks(3).map(encode).collect()
}
