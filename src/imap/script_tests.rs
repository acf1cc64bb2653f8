//! A logged-in connection whose upstream says what a test wants it to, and what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::bench::Nobody;
use super::connection::Connection;
use super::driver::Stranger;
use super::reply::Capabilities;
use super::sasl::{Claim, Mechanism};
use super::transport::Transport;
use crate::maildrop::Uid;

/// Commands that were heard, without their tags.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Answers in the order of the commands; `{tag}` stands for the tag, lines end in LF here. When there are no more, the upstream hangs
/// up on the next command.
pub(super) async fn upstream(capabilities: &str, answers: &[&str]) -> (Connection, Heard) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let heard = Heard::default();
    let answers = answers.iter().map(|text| (*text).to_owned()).collect();
    tokio::spawn(speak(theirs, answers, heard.clone()));
    let patience = Duration::from_secs(60);
    let transport = Transport::new(Box::new(ours), Arc::new(Nobody), patience);
    let claim = Claim {
        mechanism: Mechanism::Login,
        user: "ann",
        secret: "pw",
        host: "localhost",
        port: 143,
    };
    let offered = Capabilities::default();
    let login = Stranger::new(transport).login(&claim, &offered);
    let (driver, _) = login.await.unwrap();
    let mut connection = Connection::new(driver, Arc::new(Nobody));
    connection.set_capabilities(Capabilities::parse(capabilities.as_bytes()));
    (connection, heard)
}

async fn speak(stream: DuplexStream, answers: Vec<String>, heard: Heard) {
    let mut stream = BufReader::new(stream);
    let mut answers = std::iter::once("{tag} OK in\n".to_owned()).chain(answers);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        let Some(answer) = answers.next() else { return };
        if !command.starts_with("LOGIN") {
            heard.0.lock().unwrap().push(command.to_owned());
        }
        let answer = answer.replace("{tag}", tag).replace('\n', "\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

pub(super) fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().map(|n| Uid::new(*n).unwrap()).collect()
}
