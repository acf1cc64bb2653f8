//! Everything about one mailbox, behind one lock: its folder, the promises made about it, and what is about to go wrong. The IMAP side asks
//! the promises at the moment at which a message is touched.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::promises::{Promises, Rules, Token};

/// What goes wrong with one IMAP command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// `NO [UNAVAILABLE]`.
    No,
    /// `* BYE` instead of an answer.
    Bye,
    /// Half an answer, and the end.
    Half,
    /// It is done, and the connection ends before the tagged answer.
    Unsaid,
}

pub struct Inner {
    pub folder: Folder,
    pub promises: Promises,
    /// What goes wrong, and after how many more commands.
    pub trouble: Option<(usize, Trouble)>,
    /// The next folder that is opened is told to be empty: a copy of the server that lags.
    pub lags: bool,
    /// What UIDs meant when the bridge gave a list last, and whether something was on it.
    pub last_list: Option<(u32, bool)>,
    /// How often something went wrong.
    pub fired: u32,
    /// Something went wrong while messages were disposed of: that is tried again only after a minute.
    pub hindered: bool,
    /// Counts what was exchanged with the bridge.
    pub now: u32,
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    /// Messages that the bridge took out of the folder.
    pub taken: Vec<Token>,
}

pub struct World(Mutex<Inner>);

impl World {
    pub fn new(rules: Rules, clients: &[&'static str]) -> Self {
        Self(Mutex::new(Inner {
            folder: Folder::new(),
            promises: Promises::new(rules, clients),
            trouble: None,
            lags: false,
            last_list: None,
            fired: 0,
            hindered: false,
            now: 0,
            violations: Vec::new(),
            trace: Vec::new(),
            taken: Vec::new(),
        }))
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    /// The bridge touches a message in a way that takes it out of the folder.
    pub fn is_taken(&mut self, token: Token, command: &str, began: u32) {
        if let Err(why) = self.promises.may_go(token, began) {
            let tell = self.promises.tell(token);
            self.violations.push(format!(
                "{command} takes message {token} out of the folder, but {why} ({tell})"
            ));
        }
    }

    /// Whether a folder is told to be empty that is not. Only where the bridge knows better: what it was never told of it cannot miss.
    pub fn lags_now(&mut self) -> bool {
        let mut here = self.folder.tokens().into_iter();
        let known = self.last_list == Some((self.folder.generation, true));
        let lags = self.lags && known && here.any(|token| self.folder.mails[token].told);
        self.fired += u32::from(lags);
        std::mem::take(&mut self.lags) && lags
    }

    /// Whether this command fails, and how.
    pub fn strikes(&mut self) -> Option<Trouble> {
        let (left, kind) = self.trouble.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let kind = *kind;
        self.trouble = None;
        self.fired += 1;
        Some(kind)
    }
}
