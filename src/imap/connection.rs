//! A logged-in connection: sends commands, demands the matching tagged OK, selects folders.
//!
//! `clean` is the one bit that keeps a connection honest: it is false from the moment a command is sent until its tagged answer was
//! read, so a connection whose command failed, timed out or was cancelled is never used again.
//! Must not know: bodies and lists (see the sibling modules), POP3, or clients.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Observer;
use super::driver::Driver;
use super::error::Error;
use super::reply::{Capabilities, Condition, Reply, split_word};
use super::set;
use super::transport::{Line, Transport};

mod extensions;
mod select;
mod step;

pub use extensions::Extensions;
pub(super) use extensions::cut_at;
pub use select::Selected;
use step::InStep;

/// How long a polite farewell may take.
const LOGOUT_PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub struct Connection {
    driver: Driver,
    observer: Arc<dyn Observer>,
    capabilities: Capabilities,
    clean: bool,
    extensions: Extensions,
    qresync: bool,
    uidonly: bool,
    /// The upstream offers EMAILID and has refused to tell it.
    lacks_email_ids: bool,
    wants_utf8: bool,
    utf8: bool,
    folder: Option<(String, Selected)>,
    /// When that was opened: what came later may not have been told yet.
    opened_at: Instant,
    /// The list that was found true of the open folder, and when the folder was opened for it.
    in_step: Option<InStep>,
    /// Whether the upstream has told since the folder was opened that messages came or went.
    has_news: bool,
    /// Folders that were found on this connection: what they were looked for as, and their names.
    found: Vec<(String, String)>,
    /// After that it is not used for anything new: by the steady clock, and by the time of day.
    retires: Option<(Instant, Option<SystemTime>)>,
    /// Counts the connection while it lives.
    _open: Box<dyn Send>,
}

/// One response that is not the tagged one.
pub(super) enum Untagged<'a> {
    /// `* OK [CODE] ...` and the like; never BYE, which is an error.
    Status(&'a Reply),
    /// The response from `* ` on, ending in CRLF, literals inside.
    Data(&'a [u8]),
}

/// A command on its way: its tag, name and start.
pub(super) struct Pending {
    pub(super) tag: String,
    pub(super) name: &'static str,
    pub(super) since: Instant,
}

impl Connection {
    pub(super) fn new(driver: Driver, observer: Arc<dyn Observer>) -> Self {
        let open = observer.open();
        Self {
            driver,
            observer,
            capabilities: Capabilities::default(),
            clean: true,
            extensions: Extensions::default(),
            qresync: false,
            uidonly: false,
            lacks_email_ids: false,
            wants_utf8: false,
            utf8: false,
            folder: None,
            opened_at: Instant::now(),
            in_step: None,
            has_news: false,
            found: Vec::new(),
            retires: None,
            _open: open,
        }
    }

    pub(super) fn set_capabilities(&mut self, capabilities: Capabilities) {
        self.capabilities = capabilities;
    }

    pub(super) async fn ask_capabilities(&mut self) -> Result<(), Error> {
        let mut told = None;
        self.command("CAPABILITY", "CAPABILITY", |untagged| {
            if let Untagged::Data(data) = untagged
                && set::is(data, b"CAPABILITY")
            {
                told = Some(Capabilities::parse(
                    split_word(&data[2..]).1.trim_ascii_end(),
                ));
            }
            Ok(())
        })
        .await?;
        self.capabilities = told.ok_or(Error::Protocol("no answer to CAPABILITY"))?;
        Ok(())
    }

    /// What the upstream offers after the log-in.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The connection will not be used for a while: it keeps no more memory than it needs.
    pub fn rest(&mut self) {
        self.transport().rest();
    }

    /// After this time the connection is not used for anything new: what it was opened with ends then.
    pub fn retire_at(&mut self, time: Instant) {
        if self.retires.is_some_and(|(before, _)| before <= time) {
            return;
        }
        let left = time.saturating_duration_since(Instant::now());
        self.retires = Some((time, SystemTime::now().checked_add(left)));
    }

    /// Whether its time is over; what is under way goes on.
    pub fn is_retired(&self) -> bool {
        let Some((time, of_day)) = self.retires else {
            return false;
        };
        // The first of both clocks counts: one stands still while the machine sleeps, the other one may be set.
        time <= Instant::now() || of_day.is_some_and(|time| time <= SystemTime::now())
    }

    /// Whether the connection may be used for another command.
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    /// The folder that is selected and what was told of it when it was.
    pub fn selected(&self) -> Option<(&str, &Selected)> {
        self.folder
            .as_ref()
            .map(|(name, selected)| (name.as_str(), selected))
    }

    /// The name of a folder that was looked for before on this connection.
    pub(super) fn found(&self, wanted: &str) -> Option<&str> {
        let found = self.found.iter().find(|(then, _)| then == wanted);
        found.map(|(_, name)| name.as_str())
    }

    /// Remembers what was found: a plan is made before something is written down and again before it is done.
    pub(super) fn remember_found(&mut self, wanted: &str, name: &str) {
        self.found.push((wanted.to_owned(), name.to_owned()));
    }

    /// Whether QRESYNC is enabled, so that VANISHED may be asked for.
    pub(super) fn has_qresync(&self) -> bool {
        self.qresync
    }

    /// Whether the upstream gives messages an X-GM-MSGID (Gmail's X-GM-EXT-1).
    pub fn has_gm_msgids(&self) -> bool {
        self.capabilities.has("X-GM-EXT-1")
    }

    /// Whether the upstream offers EMAILIDs (RFC 8474) and they are wanted: with X-GM-MSGID there is no need of them.
    pub fn offers_email_ids(&self) -> bool {
        self.capabilities.has("OBJECTID") && !self.has_gm_msgids()
    }

    /// Whether messages are asked for theirs.
    pub(super) fn has_email_ids(&self) -> bool {
        self.offers_email_ids() && !self.lacks_email_ids
    }

    /// They are not any more.
    pub(super) fn do_without_email_ids(&mut self) {
        self.lacks_email_ids = true;
    }

    /// Says good-bye; errors no longer matter.
    pub async fn logout(mut self) {
        if self.clean
            && let Ok(pending) = self.begin("LOGOUT", "LOGOUT").await
        {
            let answered = tokio::time::timeout(LOGOUT_PATIENCE, self.farewell(&pending.tag)).await;
            let answered = answered.unwrap_or(Err(Error::Timeout("LOGOUT")));
            let _ = self.settle(&pending, answered);
        }
    }

    /// Reads up to LOGOUT's tagged answer; the BYE before it is what was asked for (RFC 3501, 6.1.3).
    async fn farewell(&mut self, tag: &str) -> Result<Reply, Error> {
        loop {
            match self.response(tag).await {
                Ok(Response::Tagged(reply)) => return Ok(reply),
                Ok(Response::Data(line)) => drop(self.transport().whole(line).await?),
                Ok(Response::Status(_)) | Err(Error::Bye(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command and demands its tagged OK; `on` sees every other response.
    pub(super) async fn command(
        &mut self,
        name: &'static str,
        text: &str,
        on: impl FnMut(Untagged<'_>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let pending = self.begin(name, text).await?;
        self.finish(&pending, on).await
    }

    /// The same, but an OK to a command that was stopped by the upstream's limit (RFC 9738) is an answer as well: [`cut_at`] tells where. NO
    /// means that nothing of it was done, whatever else it says.
    pub(super) async fn command_in_part(
        &mut self,
        name: &'static str,
        text: &str,
        on: impl FnMut(Untagged<'_>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let pending = self.begin(name, text).await?;
        let reply = self.finish_any(&pending, on).await?;
        match cut_at(&reply) {
            Some(Some(_)) if reply.is_ok() => Ok(reply),
            _ => demanded(&pending, reply),
        }
    }

    pub(super) async fn begin(&mut self, name: &'static str, text: &str) -> Result<Pending, Error> {
        if !self.clean {
            return Err(Error::Protocol("a connection in the middle of a command"));
        }
        self.send(name, text).await
    }

    /// Sends a command, be it behind another one.
    async fn send(&mut self, name: &'static str, text: &str) -> Result<Pending, Error> {
        self.clean = false;
        let since = Instant::now();
        let tag = self.driver.send(text).await?;
        Ok(Pending { tag, name, since })
    }

    /// Books the end of a command that was read by hand, and demands its OK.
    pub(super) fn settle_demanding(
        &mut self,
        pending: &Pending,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        let reply = self.settle(pending, outcome)?;
        demanded(pending, reply)
    }

    pub(super) async fn finish(
        &mut self,
        pending: &Pending,
        on: impl FnMut(Untagged<'_>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let reply = self.finish_any(pending, on).await?;
        demanded(pending, reply)
    }

    /// Reads up to the tagged answer, whatever it says.
    async fn finish_any(
        &mut self,
        pending: &Pending,
        mut on: impl FnMut(Untagged<'_>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let read = async {
            loop {
                match self.response(&pending.tag).await? {
                    Response::Tagged(reply) => return Ok(reply),
                    Response::Status(reply) => on(Untagged::Status(&reply))?,
                    Response::Data(line) => {
                        let whole = self.transport().whole(line).await?;
                        on(Untagged::Data(&whole))?;
                    }
                }
            }
        };
        let outcome = read.await;
        self.settle(pending, outcome)
    }

    /// The next response while `tag` is awaited; of one with data only the first line was read.
    pub(super) async fn response(&mut self, tag: &str) -> Result<Response, Error> {
        let line = self.transport().line().await?;
        self.classify(line, tag)
    }

    /// What a line is while `tag` is awaited.
    pub(super) fn classify(&mut self, line: Line, tag: &str) -> Result<Response, Error> {
        let (word, rest) = split_word(&line.content);
        if word == b"*" {
            return match Reply::parse(rest) {
                Some(reply) if reply.condition() == Condition::Bye => Err(Error::Bye(reply)),
                Some(reply) => Ok(Response::Status(reply)),
                None => {
                    self.has_news |= set::is_news(&line.content);
                    Ok(Response::Data(line))
                }
            };
        }
        if word != tag.as_bytes() {
            return Err(Error::Protocol("an answer that nobody asked for"));
        }
        Reply::parse(rest)
            .map(Response::Tagged)
            .ok_or(Error::Protocol("a tagged line that is no status response"))
    }

    /// Books the end of a command: what was answered leaves the connection clean, anything else leaves it unusable.
    pub(super) fn settle(
        &mut self,
        pending: &Pending,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        let refused;
        let label = match &outcome {
            Ok(reply) if reply.is_ok() => Ok(()),
            Ok(reply) => {
                refused = Error::Refused {
                    command: pending.name,
                    reply: reply.clone(),
                };
                Err(&refused)
            }
            Err(error) => Err(error),
        };
        // First: who hears it shall not take the command for one that went well.
        if outcome
            .as_ref()
            .is_ok_and(|reply| reply.is_ok() && reply.is_throttled())
        {
            self.observer.throttled();
        }
        self.observer
            .command(pending.name, label, pending.since.elapsed());
        self.clean = outcome.is_ok();
        outcome
    }

    pub(super) fn transport(&mut self) -> &mut Transport {
        self.driver.transport()
    }
}

/// A response as far as it was read.
pub(super) enum Response {
    /// The awaited command's own answer.
    Tagged(Reply),
    /// An untagged status response.
    Status(Reply),
    /// The first line of a response with data; its literals are still to be read.
    Data(Line),
}

/// What was done in part (RFC 9738) is not done: who can go on where it ended looks at the answer before.
fn demanded(pending: &Pending, reply: Reply) -> Result<Reply, Error> {
    if reply.is_ok() && cut_at(&reply).is_none() {
        Ok(reply)
    } else {
        Err(Error::Refused {
            command: pending.name,
            reply,
        })
    }
}

/// A quoted string (RFC 3501, 4.3). Folder names come from LIST or the configuration and hold no line ends.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
