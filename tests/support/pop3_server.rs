//! A small POP3 server with a list of messages and their unique-ids, as they were before a client moved to the bridge.
//! It takes any password, gives whole messages only, and remembers which.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A message with its unique-id; the octets have CRLF line ends.
pub type Mail = (String, Vec<u8>);

pub struct Pop3Server {
    pub port: u16,
    retrieved: Arc<Mutex<Vec<String>>>,
}

impl Pop3Server {
    pub fn start(mail: Vec<Mail>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let this = Self {
            port: listener.local_addr().expect("address").port(),
            retrieved: Arc::default(),
        };
        let retrieved = Arc::clone(&this.retrieved);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // A client that hangs up is no failure of the test.
                let _ = talk(&socket, &mail, &retrieved);
            }
        });
        this
    }

    /// The unique-ids of the messages that were retrieved, in order.
    pub fn retrieved(&self) -> Vec<String> {
        self.retrieved.lock().expect("retrieved").clone()
    }
}

fn talk(
    mut socket: &TcpStream,
    mail: &[Mail],
    retrieved: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let listing = |of: &dyn Fn(&Mail) -> String| {
        let lines = (1..)
            .zip(mail)
            .map(|(n, one)| format!("{n} {}\r\n", of(one)));
        format!("+OK\r\n{}.\r\n", lines.collect::<String>()).into_bytes()
    };
    socket.write_all(b"+OK ready\r\n")?;
    let reader = BufReader::new(socket);
    for line in reader.lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default().to_ascii_uppercase();
        let number: Option<usize> = words.next().and_then(|word| word.parse().ok());
        let named = number.and_then(|n| mail.get(n.checked_sub(1)?));
        let answer: Vec<u8> = match (word.as_str(), named) {
            ("CAPA", _) => b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n".to_vec(),
            ("USER" | "PASS" | "NOOP", _) => b"+OK\r\n".to_vec(),
            ("STAT", _) => {
                let octets: usize = mail.iter().map(|(_, raw)| raw.len()).sum();
                format!("+OK {} {octets}\r\n", mail.len()).into_bytes()
            }
            ("UIDL", Some((uidl, _))) => format!("+OK {} {uidl}\r\n", line[5..].trim()).into(),
            ("LIST", Some((_, raw))) => {
                format!("+OK {} {}\r\n", line[5..].trim(), raw.len()).into()
            }
            ("UIDL", None) => listing(&|(uidl, _)| uidl.clone()),
            ("LIST", None) => listing(&|(_, raw)| raw.len().to_string()),
            // fetchmail reads messages by TOP n 99999999.
            ("RETR" | "TOP", Some((uidl, raw))) => {
                retrieved.lock().expect("retrieved").push(uidl.clone());
                // Ordinary messages have no line that begins with a dot.
                [b"+OK\r\n", raw.as_slice(), b".\r\n"].concat()
            }
            ("QUIT", _) => return socket.write_all(b"+OK bye\r\n"),
            _ => b"-ERR not here\r\n".to_vec(),
        };
        socket.write_all(&answer)?;
    }
    Ok(())
}
