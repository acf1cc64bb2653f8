//! The end of a story: nothing goes wrong any more, every client looks once more, and what is due by the rules is gone soon.

use super::promises::Token;
use super::story::{CLIENTS, Outcome, Story};
use crate::support::process::{PATIENCE, pause};
use std::time::Instant;

impl Story<'_> {
    /// See the module.
    pub fn end(&mut self) -> Outcome {
        {
            let mut inner = self.world.lock();
            inner.trouble = None;
            inner.lags = false;
            inner.folder.hidden = false;
            inner.note("--- the end: nothing goes wrong from here on");
        }
        for client in 0..self.readers.len() {
            if self.readers[client].talk.is_some() {
                match self.dice.chance(1, 2) {
                    true => self.hang_up(client, false)?,
                    false => self.quit(client)?,
                }
            }
        }
        self.violated()?;
        // Some mailboxes are read to their end, others not.
        let reads = self.dice.chance(2, 3);
        let deletes = self.dice.chance(1, 2);
        for client in 0..self.readers.len() {
            let enrolled = self.world.lock().promises.clients[client]
                .enrolled
                .is_some();
            if enrolled || client == 0 {
                self.last_visit(client, reads, deletes)?;
            }
        }
        self.until_all_is_gone()?;
        self.violated()
    }

    fn last_visit(&mut self, client: usize, reads: bool, deletes: bool) -> Outcome {
        self.open(client)?;
        self.list(client)?;
        let talk = self.readers[client].talk.as_ref();
        let Some(list) = talk.and_then(|talk| talk.list.as_ref()) else {
            return Err(format!("{:?} has no list in the end", CLIENTS[client]));
        };
        for at in 0..list.len() {
            if reads {
                self.retr(client, at)?;
            }
            if deletes && self.dice.chance(2, 3) {
                self.dele(client, at)?;
            }
        }
        self.quit(client)
    }

    /// Logs in until everything that is due is gone: that is done at QUIT, or after the mailbox's next sessions.
    fn until_all_is_gone(&mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE / 2;
        let mut rounds = 0;
        loop {
            let due = self.due();
            if due.is_empty() || self.world.lock().hindered {
                return Ok(());
            }
            if rounds > 0 && Instant::now() > deadline {
                let inner = self.world.lock();
                let told: Vec<String> = due.iter().map(|t| inner.promises.tell(*t)).collect();
                return Err(format!("{due:?} should be gone: {told:#?}"));
            }
            rounds += 1;
            let client = self.dice.below(self.readers.len());
            let client = match self.world.lock().promises.clients[client].enrolled {
                Some(_) => client,
                None => 0,
            };
            self.last_visit(client, false, false)?;
            self.violated()?;
            // The bridge looks a mailbox through once a second.
            for _ in 0..50 {
                if self.due().is_empty() {
                    break;
                }
                pause();
            }
        }
    }

    fn due(&self) -> Vec<Token> {
        let inner = self.world.lock();
        let here = inner.folder.tokens().into_iter();
        here.filter(|token| inner.promises.must_go(*token))
            .collect()
    }
}
