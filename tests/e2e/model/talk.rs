//! One POP3 session of one client, with what the model has to remember of it. Broken connections are answers here, not failures.

use std::collections::BTreeSet;

use super::promises::Token;
use crate::support::pop3::{Broken, Pop3, Status};

/// A line of the client's list.
#[derive(Clone, Debug)]
pub struct Entry {
    pub uidl: String,
    pub size: usize,
    /// Which message it is, once the client has looked at it.
    pub token: Option<Token>,
}

/// What was sent last and is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InAir {
    Quit,
    Other,
}

pub struct Talk {
    pub pop3: Pop3,
    /// Which bridge it is with.
    pub instance: usize,
    pub list: Option<Vec<Entry>>,
    /// What UIDs meant when the list was made.
    pub listed_in: u32,
    /// Positions in the list that DELE was said for.
    pub deleted: BTreeSet<usize>,
    /// What the client has got whole.
    pub had: Vec<Token>,
    pub in_air: Option<InAir>,
    /// How much had gone wrong when the session began, and what UIDs meant then.
    pub fired: u32,
    pub generation: u32,
}

/// What came of a command.
#[derive(Debug)]
pub enum Reply<T> {
    Ok(T),
    Refused(Status),
    /// The connection is over.
    Gone,
}

impl Talk {
    pub fn new(pop3: Pop3, instance: usize, fired: u32, generation: u32) -> Self {
        Self {
            pop3,
            instance,
            list: None,
            listed_in: 0,
            deleted: BTreeSet::new(),
            had: Vec::new(),
            in_air: None,
            fired,
            generation,
        }
    }

    pub fn command(&mut self, line: &str) -> Result<Reply<String>, String> {
        if !self.pop3.try_send(&format!("{line}\r\n")) {
            return Ok(Reply::Gone);
        }
        self.status(line)
    }

    /// The answer to something that was sent before.
    pub fn status(&mut self, line: &str) -> Result<Reply<String>, String> {
        match self.pop3.try_status() {
            Ok(status) if status.ok => Ok(Reply::Ok(status.text)),
            Ok(status) => Ok(Reply::Refused(status)),
            Err(Broken::Ended(rest)) if rest.is_empty() => Ok(Reply::Gone),
            Err(broken) => Err(format!("{line} was answered by {broken:?}")),
        }
    }

    /// The text behind an `+OK`.
    pub fn text(&mut self, line: &str) -> Result<Reply<Vec<u8>>, String> {
        match self.status(line)? {
            Reply::Refused(status) => Ok(Reply::Refused(status)),
            Reply::Gone => Ok(Reply::Gone),
            Reply::Ok(_) => match self.pop3.try_body() {
                Ok(body) => Ok(Reply::Ok(body)),
                Err(Broken::Ended(_)) => Ok(Reply::Gone),
                Err(broken) => Err(format!("{line} was answered by {broken:?}")),
            },
        }
    }

    /// STAT, UIDL and LIST in one breath; they must tell the same.
    pub fn ask_for_list(&mut self) -> Result<Reply<Vec<Entry>>, String> {
        if !self.pop3.try_send("STAT\r\nUIDL\r\nLIST\r\n") {
            return Ok(Reply::Gone);
        }
        let stat = self.status("STAT")?;
        let uidl = self.text("UIDL")?;
        let list = self.text("LIST")?;
        let (stat, uidl, list) = match (stat, uidl, list) {
            (Reply::Ok(stat), Reply::Ok(uidl), Reply::Ok(list)) => (stat, uidl, list),
            (Reply::Gone, ..) | (_, Reply::Gone, _) | (.., Reply::Gone) => return Ok(Reply::Gone),
            // Each asks the upstream anew as long as there is no list; one that worked stays.
            (_, _, Reply::Refused(status)) => return Ok(Reply::Refused(status)),
            _ => return self.ask_for_list(),
        };
        let pairs = |text: Vec<u8>| -> Vec<String> {
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.map(|(_, value)| value.to_owned()).collect()
        };
        let (uidls, sizes) = (pairs(uidl), pairs(list));
        let sizes: Vec<usize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
        let told = format!("{} {}", sizes.len(), sizes.iter().sum::<usize>());
        if uidls.len() != sizes.len() || stat != told {
            return Err(format!(
                "STAT says {stat:?}, LIST {sizes:?}, UIDL {uidls:?}"
            ));
        }
        let entries = uidls.into_iter().zip(sizes);
        let entries = entries.map(|(uidl, size)| Entry {
            uidl,
            size,
            token: None,
        });
        Ok(Reply::Ok(entries.collect()))
    }

    /// Messages that DELE was said for.
    pub fn deleted_tokens(&self) -> Vec<Token> {
        let list = self.list.as_deref().unwrap_or_default();
        let deleted = self.deleted.iter().filter_map(|at| list.get(*at));
        deleted.filter_map(|entry| entry.token).collect()
    }
}

/// Which message a text is, by what stands in it.
pub fn token_of(text: &[u8]) -> Option<Token> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.split_once(" token ")?;
    rest.get(..6)?.parse().ok()
}
