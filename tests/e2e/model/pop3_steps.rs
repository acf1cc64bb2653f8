//! What clients do, step by step, and what must hold after each.

use std::collections::HashSet;

use super::promises::{Quit, Token};
use super::story::{CLIENTS, Outcome, Story};
use super::talk::{Entry, Reply, Talk, token_of};
use crate::support::pop3::{Pop3, Status};
use crate::support::process::eventually;

impl Story<'_> {
    /// A log-in. It may be refused only for trouble, or while an earlier session of the client is being ended.
    pub fn open(&mut self, client: usize) -> Outcome {
        let name = self.login_name(client);
        let instance = self.fleet.choose(&mut self.dice);
        let (fired, generation) = {
            let mut inner = self.world.lock();
            inner.now += 1;
            inner.promises.clients[client].may_be_enrolled = true;
            (inner.fired, inner.folder.generation)
        };
        let mut answer = None;
        // Between bridges, a maildrop is free a moment after QUIT was answered.
        let patient = self.readers[client].lingers || self.fleet.is_shared();
        eventually("the maildrop is free", || {
            answer = Some(log_in(self.fleet.port(instance), &name, self.password()));
            let in_use = matches!(&answer, Some(Ok((_, Reply::Refused(status)))) if status.code() == Some("IN-USE"));
            !(in_use && patient)
        });
        let Some(answer) = answer else { return Ok(()) };
        let (pop3, reply) = answer?;
        self.note(format!("  {:?} logs in: {reply:?}", CLIENTS[client]));
        match reply {
            Reply::Ok(_) => {
                let mut inner = self.world.lock();
                inner.now += 1;
                let now = inner.now;
                inner.promises.logged_in(client, now);
                drop(inner);
                let reader = &mut self.readers[client];
                reader.talk = Some(Talk::new(pop3, instance, fired, generation));
                reader.lingers = false;
                Ok(())
            }
            Reply::Refused(status) if status.code() == Some("SYS/TEMP") && self.fired(fired) => {
                Ok(())
            }
            other => Err(format!("{name} cannot log in: {other:?}")),
        }
    }

    fn fired(&self, before: u32) -> bool {
        self.world.lock().fired > before
    }

    /// A second session of the same client must be kept out.
    pub fn knock(&mut self, client: usize) -> Outcome {
        let name = self.login_name(client);
        let fired = self.world.lock().fired;
        let instance = self.fleet.choose(&mut self.dice);
        let (_, reply) = log_in(self.fleet.port(instance), &name, self.password())?;
        self.note(format!("  {:?} knocks: {reply:?}", CLIENTS[client]));
        match reply {
            Reply::Refused(status) if status.code() == Some("IN-USE") => Ok(()),
            Reply::Refused(_) if self.fired(fired) => Ok(()),
            other => Err(format!("{name} has two sessions: {other:?}")),
        }
    }

    /// The list, where the session has none; compared with the promises.
    pub fn list(&mut self, client: usize) -> Outcome {
        let before: Vec<Token> = {
            let mut inner = self.world.lock();
            inner.now += 1;
            inner.folder.tokens()
        };
        let Some(talk) = &mut self.readers[client].talk else {
            return Ok(());
        };
        if talk.list.is_some() {
            return Ok(());
        }
        let reply = talk.ask_for_list();
        let told = match &reply {
            Ok(Reply::Ok(list)) => {
                format!("{:?}", list.iter().map(|e| &e.uidl).collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        };
        self.note(format!("  {:?} STAT, UIDL, LIST: {told}", CLIENTS[client]));
        let mut entries = match reply? {
            Reply::Ok(entries) => entries,
            Reply::Refused(status) => return self.refused(client, "a list", &status),
            Reply::Gone => return self.gone(client, "a list"),
        };
        let now: Vec<Token> = self.world.lock().folder.tokens();
        let here: Vec<Token> = before.iter().copied().filter(|t| now.contains(t)).collect();
        if !self.identify(client, &mut entries)? {
            return Ok(());
        }
        let tokens: Vec<Token> = entries.iter().filter_map(|entry| entry.token).collect();
        let listed: HashSet<Token> = tokens.iter().copied().collect();
        if listed.len() < tokens.len() {
            return Err(format!("a message is listed twice: {entries:?}"));
        }
        let mut inner = self.world.lock();
        for entry in &entries {
            let size = entry.token.map(|token| inner.folder.mails[token].raw.len());
            if size.is_some_and(|size| size != entry.size) {
                return Err(format!("{entry:?} has {size:?} octets"));
            }
        }
        if let Some(ghost) = tokens.iter().find(|token| !before.contains(token)) {
            return Err(format!("{ghost} is listed and is not in the folder"));
        }
        for token in &here {
            inner.folder.mails[*token].told = true;
        }
        let generation = inner.folder.generation;
        inner.last_list = Some((generation, !here.is_empty()));
        let unnamed = entries.len() - tokens.len();
        inner.promises.listed(client, &here, &listed, unnamed)?;
        drop(inner);
        if let Some(talk) = &mut self.readers[client].talk {
            talk.list = Some(entries);
            talk.listed_in = generation;
        }
        Ok(())
    }

    /// Finds out which message each entry is: by its unique-id, where that has been looked at since UIDs last changed their meaning, else
    /// by TOP. False where the session is over.
    fn identify(&mut self, client: usize, entries: &mut [Entry]) -> Outcome<bool> {
        let generation = self.world.lock().folder.generation;
        let unsure: Vec<usize> = (0..entries.len())
            .filter(|at| {
                let uidl = &entries[*at].uidl;
                entries[*at].token = self.names.get(uidl).copied();
                self.looked.get(uidl) != Some(&generation)
            })
            .collect();
        let lines: Vec<String> = unsure
            .iter()
            .map(|at| format!("TOP {} 50\r\n", at + 1))
            .collect();
        let Some(talk) = &mut self.readers[client].talk else {
            return Ok(false);
        };
        if !unsure.is_empty() && !talk.pop3.try_send(&lines.concat()) {
            return self.gone(client, "TOP").map(|()| false);
        }
        for at in unsure {
            let Some(talk) = &mut self.readers[client].talk else {
                return Ok(false);
            };
            match talk.text("TOP")? {
                Reply::Ok(text) => {
                    let token = self.check_text(&entries[at].uidl, &text)?;
                    entries[at].token = Some(token);
                    self.note(format!("    {} is {token}", entries[at].uidl));
                    self.looked.insert(entries[at].uidl.clone(), generation);
                }
                Reply::Refused(status) => {
                    self.message_refused(client, entries[at].token, &status)?
                }
                Reply::Gone => return self.gone(client, "TOP").map(|()| false),
            }
        }
        Ok(true)
    }

    /// The text of a message must be all of it, and the one that its unique-id named before.
    fn check_text(&mut self, uidl: &str, text: &[u8]) -> Outcome<Token> {
        let token = token_of(text).ok_or_else(|| format!("{uidl} has no message: {text:?}"))?;
        let inner = self.world.lock();
        let raw = inner.folder.mails.get(token).map(|mail| &mail.raw[..]);
        if raw != Some(text) {
            return Err(format!("{uidl} is not message {token} as it is upstream"));
        }
        let named = *self.names.entry(uidl.to_owned()).or_insert(token);
        if named != token {
            return Err(format!(
                "{uidl} named message {named} and is message {token} now"
            ));
        }
        if inner.folder.is_unlike_all(token) {
            let was = self.uidls.entry(token).or_insert_with(|| uidl.to_owned());
            if was != uidl {
                return Err(format!("message {token} was {was} and is {uidl} now"));
            }
        }
        Ok(token)
    }

    pub fn retr(&mut self, client: usize, at: usize) -> Outcome {
        self.world.lock().now += 1;
        let Some(talk) = &mut self.readers[client].talk else {
            return Ok(());
        };
        let Some(entry) = talk.list.as_ref().and_then(|list| list.get(at)).cloned() else {
            return Ok(());
        };
        if !talk.pop3.try_send(&format!("RETR {}\r\n", at + 1)) {
            return self.gone(client, "RETR");
        }
        let is_deleted = talk.deleted.contains(&at);
        let reply = talk.text("RETR")?;
        let told = match &reply {
            Reply::Ok(text) => format!("{:?}", token_of(text)),
            other => format!("{other:?}"),
        };
        self.note(format!("  {:?} RETR {}: {told}", CLIENTS[client], at + 1));
        match reply {
            Reply::Ok(_) if is_deleted => Err("a deleted message was given".to_owned()),
            Reply::Ok(text) => {
                let token = self.check_text(&entry.uidl, &text)?;
                if let Some(talk) = &mut self.readers[client].talk {
                    talk.had.push(token);
                    if let Some(entry) = talk.list.as_mut().and_then(|list| list.get_mut(at)) {
                        entry.token = Some(token);
                    }
                }
                Ok(())
            }
            Reply::Refused(_) if is_deleted => Ok(()),
            Reply::Refused(status) => self.message_refused(client, entry.token, &status),
            Reply::Gone => self.gone(client, "RETR"),
        }
    }

    pub fn dele(&mut self, client: usize, at: usize) -> Outcome {
        let Some(talk) = &self.readers[client].talk else {
            return Ok(());
        };
        let named = talk.list.as_ref().and_then(|list| list.get(at)?.token);
        // A message that nobody can tell is left alone, and so is one that is marked already.
        if named.is_none() || talk.deleted.contains(&at) {
            return Ok(());
        }
        match self.say(client, &format!("DELE {}", at + 1))? {
            Reply::Ok(_) => {
                if let Some(talk) = &mut self.readers[client].talk {
                    talk.deleted.insert(at);
                }
                Ok(())
            }
            Reply::Refused(status) => Err(format!("DELE is refused: {status:?}")),
            Reply::Gone => self.gone(client, "DELE"),
        }
    }

    pub fn rset(&mut self, client: usize) -> Outcome {
        match self.say(client, "RSET")? {
            Reply::Ok(_) => {
                if let Some(talk) = &mut self.readers[client].talk {
                    talk.deleted.clear();
                }
                Ok(())
            }
            Reply::Refused(status) => Err(format!("RSET is refused: {status:?}")),
            Reply::Gone => self.gone(client, "RSET"),
        }
    }

    pub fn quit(&mut self, client: usize) -> Outcome {
        let Some((deleted, had)) = self.begin_quit(client) else {
            return Ok(());
        };
        let reply = self.say(client, "QUIT")?;
        self.end_quit(client, &deleted, &had, reply)
    }

    /// Tells the promises that QUIT is on its way.
    pub fn begin_quit(&mut self, client: usize) -> Option<(Vec<Token>, Vec<Token>)> {
        let talk = self.readers[client].talk.as_ref()?;
        let (deleted, had) = (talk.deleted_tokens(), talk.had.clone());
        self.world
            .lock()
            .promises
            .quit_begins(client, &deleted, &had);
        Some((deleted, had))
    }

    pub fn end_quit(
        &mut self,
        client: usize,
        deleted: &[Token],
        had: &[Token],
        reply: Reply<String>,
    ) -> Outcome {
        let how = match &reply {
            Reply::Ok(_) => Quit::Done,
            Reply::Refused(_) => Quit::Refused,
            Reply::Gone => Quit::Unheard,
        };
        self.quit_ended(client, deleted, had, how);
        match reply {
            Reply::Ok(_) => {
                self.readers[client].talk = None;
                Ok(())
            }
            Reply::Refused(status) if !self.is_excused(client) => {
                Err(format!("QUIT is refused: {status:?}"))
            }
            Reply::Gone if !self.is_excused(client) => Err("QUIT is not answered".to_owned()),
            _ => {
                self.drop_talk(client);
                Ok(())
            }
        }
    }

    /// Tells the promises how QUIT came out. What the client's list named may be another message by now for the bridge, where UIDs have
    /// changed their meaning since.
    fn quit_ended(&mut self, client: usize, deleted: &[Token], had: &[Token], how: Quit) {
        let listed_in = self.readers[client]
            .talk
            .as_ref()
            .map(|talk| talk.listed_in);
        let mut inner = self.world.lock();
        inner.promises.quit_ends(client, deleted, had, how);
        if listed_in != Some(inner.folder.generation) {
            inner.blur();
        }
    }

    /// The client goes away: without a word, or right behind its QUIT.
    pub fn hang_up(&mut self, client: usize, says_quit: bool) -> Outcome {
        if says_quit && let Some((deleted, had)) = self.begin_quit(client) {
            self.note(format!("  {:?} QUIT, and away", CLIENTS[client]));
            if let Some(talk) = &mut self.readers[client].talk {
                talk.pop3.try_send("QUIT\r\n");
            }
            self.quit_ended(client, &deleted, &had, Quit::Unheard);
        }
        self.note(format!("  {:?} hangs up", CLIENTS[client]));
        self.drop_talk(client);
        Ok(())
    }

    /// A list that was refused.
    fn refused(&mut self, client: usize, what: &str, status: &Status) -> Outcome {
        match (status.code(), self.is_excused(client)) {
            (Some("SYS/TEMP"), true) => Ok(()),
            _ => Err(format!("{what} is refused: {status:?}")),
        }
    }

    /// A message that was refused: it must be gone, or something have gone wrong.
    fn message_refused(&mut self, client: usize, token: Option<Token>, status: &Status) -> Outcome {
        let here = self.world.lock().folder.tokens();
        let is_gone = token.is_none_or(|token| !here.contains(&token));
        match is_gone || self.is_excused(client) {
            true => Ok(()),
            false => Err(format!("message {token:?} is refused: {status:?}")),
        }
    }

    /// A connection that ended: only trouble may do that.
    fn gone(&mut self, client: usize, what: &str) -> Outcome {
        let excused = self.is_excused(client);
        self.note(format!("  {:?} has lost its connection", CLIENTS[client]));
        self.drop_talk(client);
        match excused {
            true => Ok(()),
            false => Err(format!("the connection ended at {what}")),
        }
    }
}

fn log_in(port: u16, name: &str, password: &str) -> Outcome<(Pop3, Reply<String>)> {
    let mut talk = Talk::new(Pop3::connect(port), 0, 0, 0);
    let lines = format!("USER {name}\r\nPASS {password}\r\n");
    if !talk.pop3.try_send(&lines) {
        return Ok((talk.pop3, Reply::Gone));
    }
    talk.status("USER")?;
    let reply = talk.status("PASS")?;
    Ok((talk.pop3, reply))
}
