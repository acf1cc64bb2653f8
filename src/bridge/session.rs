//! One client's session: carries out what the POP3 core asks for and moves bytes between the client and its mailbox.
//!
//! Architecture invariant: this is the one place where POP3, upstream and log-in meet. An answer is only ever written by the POP3
//! core; trouble upstream becomes a refusal (`refusals`) or, once a body has begun, the end of the connection.
//! Must not know: how answers are spelled, IMAP.

mod log_in;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{Instrument as _, debug, info, warn};

use super::mailbox::Mailbox;
use super::present::Stay;
use super::retrieve::{self, Retrieved};
use super::visitor::{End, Visitor, told};
use super::wire::Wire;
use super::{Bridge, refusals};
use crate::maildrop::{Item, Maildrop};
use crate::metrics::{BadInput, CommandOutcome};
use crate::pop3::{self, Action, Line, Refusal, Session, StateName};

/// More characters of a user name that may be anything are not logged.
const LOGGED_NAME: usize = 128;
/// A client that asks for no message for so long has other things to do than to fetch what comes next.
const PAUSE: Duration = Duration::from_secs(10);
/// So long after an answer the end of the bridge takes care of it.
const ANSWERED: Duration = Duration::from_secs(2);
/// How long a QUIT waits for the client's system to acknowledge what was sent to it.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

/// Serves one client to the end of its session.
///
/// A future of this waits for as long as a client is connected, most of the time for its next line: it is small. What it is made of goes
/// right into its place (a parameter of an async function would be there twice), and what is large for a moment has its own.
pub fn serve(bridge: Arc<Bridge>, visitor: Visitor) -> impl Future<Output = End> + Send {
    let session = Session::new(visitor.profile.clone());
    let since = visitor.since;
    let wire = &visitor.wire;
    let (encrypted, pulse) = (wire.is_encrypted(), wire.pulse());
    let stay = bridge
        .present
        .arrive(&visitor.id, visitor.peer, encrypted, pulse);
    let mut driver = Driver {
        bridge,
        visitor,
        session,
        stay,
        mailbox: None,
        since,
        last_line: since,
        last_body: since,
        attempts: 0,
        answered: None,
        told_of_encryption: false,
        retrieved: 0,
        deleted: 0,
    };
    async move {
        let pulse = driver.visitor.wire.pulse();
        let ran = tokio::select! {
            ran = driver.run() => ran,
            // Should it be in the middle of an answer, the connection is reset; what was committed is.
            () = pulse.ended() => Ok(match driver.stay.was_ended() {
                true => End::Operator,
                false => End::GaveWay,
            }),
        };
        let end = match ran {
            Ok(end) => end,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                match driver.visitor.wire.is_too_slow() {
                    true => End::Slow,
                    false => End::Idle,
                }
            }
            Err(error) => {
                debug!(%error, "the client's connection broke");
                End::Broken
            }
        };
        Box::pin(driver.finish(end)).await;
        end
    }
}

struct Driver {
    bridge: Arc<Bridge>,
    visitor: Visitor,
    session: Session,
    /// Tells the operator where this session stands.
    stay: Stay,
    mailbox: Option<Mailbox>,
    since: Instant,
    /// When the last whole line was answered. Octets alone put no end off: one octet a minute keeps no session alive.
    last_line: Instant,
    /// When the last message was given out.
    last_body: Instant,
    attempts: u32,
    /// Whether the command under way was answered with success; none before its first answer, and after a mere challenge.
    answered: Option<bool>,
    /// Whether the log says that this client would have to encrypt; once is enough.
    told_of_encryption: bool,
    /// Messages that the client has had whole, for the log.
    retrieved: u64,
    /// Messages that the client deleted with QUIT, for the log.
    deleted: usize,
}

/// What follows when an action was carried out.
enum Next {
    /// The next line.
    Line,
    /// Another action first.
    Action(Action),
    /// Nothing.
    End(End),
}

impl Driver {
    async fn run(&mut self) -> io::Result<End> {
        self.session.greet(&mut self.visitor.wire.out);
        let greeted = timeout_at(self.visitor.greeted_by, self.visitor.wire.send()).await;
        greeted.map_err(|_| io::ErrorKind::TimedOut)??;
        loop {
            if let Some(end) = self.answer_lines().await? {
                self.visitor.wire.send().await?;
                return Ok(end);
            }
            self.visitor.wire.send().await?;
            self.visitor.wire.rest();
            let inactivity = self.bridge.limits().inactivity;
            let deadline = self.log_in_by().unwrap_or(self.last_line + inactivity);
            let Visitor { wire, shutdown, .. } = &mut self.visitor;
            let is_ahead = self.mailbox.as_ref().is_some_and(Mailbox::is_ahead);
            let more = tokio::select! {
                more = wire.read(deadline) => more?,
                () = told(shutdown) => return Ok(End::Shutdown),
                () = sleep_until(self.last_body + PAUSE), if is_ahead => {
                    if let Some(mailbox) = &mut self.mailbox {
                        mailbox.pause();
                    }
                    continue;
                }
            };
            self.note_acknowledged(Instant::now()).await;
            if !more {
                return Ok(End::HungUp);
            }
        }
    }

    /// When the client has to have logged in; none once it has.
    fn log_in_by(&self) -> Option<Instant> {
        let waits = self.session.state() == StateName::Authorization;
        waits.then(|| self.since + self.bridge.limits().login)
    }

    /// Of what the client has had without QUIT, counts what its system has acknowledged: a connection that broke may have swallowed the
    /// rest.
    async fn note_acknowledged(&mut self, deadline: Instant) {
        if let Some(mailbox) = &mut self.mailbox
            && mailbox.counts_without_quit()
            && self.visitor.wire.acknowledged(deadline).await
        {
            mailbox.acknowledged();
        }
    }

    /// Answers every whole line that is here; gives the session's end where one of them led to it.
    async fn answer_lines(&mut self) -> io::Result<Option<End>> {
        loop {
            // The command under way was answered; those behind it in the pipe are not begun.
            if *self.visitor.shutdown.borrow() {
                return Ok(Some(End::Shutdown));
            }
            let started = Instant::now();
            let Wire { input, out, .. } = &mut self.visitor.wire;
            let before = out.len();
            let Some(line) = input.next_line_within(|start| self.session.longest_line(start))
            else {
                return Ok(None);
            };
            if matches!(line, Line::TooLong) {
                self.bridge.metrics.bad_input(BadInput::LineTooLong);
            }
            let mut action = self.session.line(line, out);
            self.answered = None;
            self.note_answer(before);
            let end = loop {
                self.stay.is_at(self.session.state());
                self.visitor.wire.send_by = self.log_in_by();
                match self.carry_out(action).await? {
                    Next::Line => break None,
                    Next::Action(next) => action = next,
                    Next::End(end) => break Some(end),
                }
            };
            if self.answered.is_none() && end.is_none() {
                // A challenge: AUTH is answered when its exchange ends.
                self.last_line = Instant::now();
                continue;
            }
            let ok = self.answered == Some(true);
            let (command, took) = (self.session.command(), started.elapsed());
            let outcome = if ok {
                CommandOutcome::Ok
            } else {
                CommandOutcome::Err
            };
            self.bridge.metrics.command(command, outcome, took);
            // The name only: an argument may be a password, or typed in the wrong place.
            debug!(command, ok, ?took, "answered");
            self.last_line = Instant::now();
            self.note_lack_of_encryption();
            if end.is_some() {
                return Ok(end);
            }
            self.visitor.wire.send_if_much().await?;
        }
    }

    async fn carry_out(&mut self, action: Action) -> io::Result<Next> {
        match action {
            Action::None => Ok(Next::Line),
            Action::More => {
                while self.session.more(&mut self.visitor.wire.out) {
                    self.visitor.wire.send_if_much().await?;
                }
                Ok(Next::Line)
            }
            Action::StartTls => Box::pin(self.start_tls()).await,
            Action::LogIn(login) => {
                let result = Box::pin(self.log_in(login)).await;
                if let Some(mailbox) = self.mailbox.as_mut().filter(|_| self.session.is_utf8()) {
                    mailbox.speak_utf8();
                }
                Ok(self.report(|session, out| session.logged_in(result, out)))
            }
            Action::List => {
                let result = Box::pin(self.list()).await;
                Ok(self.report(|session, out| session.listed(result, out)))
            }
            Action::Retrieve(body) => self.retrieve(body).await,
            Action::Update(items) => {
                let result = Box::pin(self.update(items)).await?;
                Ok(self.report(|session, out| session.updated(result, out)))
            }
            Action::Close if self.session.command() == "QUIT" => {
                // Before the client hears of it: it may come back at once.
                if let Some(mailbox) = &mut self.mailbox {
                    Box::pin(mailbox.unlock()).await;
                }
                Ok(Next::End(End::Quit))
            }
            Action::Close => Ok(Next::End(End::Refused)),
        }
    }

    /// Gives the core a result; what it answers is noted for the metrics.
    fn report(&mut self, tell: impl FnOnce(&mut Session, &mut Vec<u8>) -> Action) -> Next {
        let before = self.visitor.wire.out.len();
        let action = tell(&mut self.session, &mut self.visitor.wire.out);
        self.note_answer(before);
        Next::Action(action)
    }

    fn note_answer(&mut self, before: usize) {
        if self.answered.is_none()
            && let Some(answer) = self
                .visitor
                .wire
                .out
                .get(before..)
                .filter(|answer| !answer.is_empty() && !answer.starts_with(b"+ "))
        {
            self.answered = Some(pop3::is_ok(answer));
        }
    }

    /// The client was told `[SYS/PERM]`; here is what the operator can do about it.
    fn note_lack_of_encryption(&mut self) {
        let Visitor { wire, profile, .. } = &self.visitor;
        let refused = self.answered == Some(false)
            && self.session.state() == StateName::Authorization
            && matches!(self.session.command(), "USER" | "PASS" | "AUTH")
            && !profile.plaintext_login
            && !wire.is_encrypted();
        if refused && !self.told_of_encryption {
            self.told_of_encryption = true;
            info!(
                "a log-in was refused because the connection is not encrypted; clients at this address may do without if the \
                 listener's plaintext = [...] names their network"
            );
        }
    }

    async fn start_tls(&mut self) -> io::Result<Next> {
        if !self.visitor.wire.input.is_empty() {
            // Said in clear, and meant to be taken for something said under TLS (CVE-2011-0411).
            self.bridge.metrics.bad_input(BadInput::BehindStls);
            return Ok(Next::End(End::Injected));
        }
        let limits = self.bridge.limits();
        let deadline = (self.since + limits.login).min(Instant::now() + limits.handshake);
        let Visitor {
            wire,
            shutdown,
            tls,
            ..
        } = &mut self.visitor;
        wire.send().await?;
        tokio::select! {
            started = wire.start_tls(Arc::clone(tls), deadline) => started?,
            () = told(shutdown) => return Ok(Next::End(End::Shutdown)),
        }
        self.session.tls_started();
        self.visitor.count.tls_started();
        self.stay.is_encrypted();
        Ok(Next::Line)
    }

    async fn list(&mut self) -> Result<Maildrop, Refusal> {
        let Some(mailbox) = &mut self.mailbox else {
            return Err(refusals::temporary());
        };
        let Visitor { wire, .. } = &self.visitor;
        // What went wrong was logged by the account's task, which knows more.
        let listed = wire.while_waiting(mailbox.list()).await;
        listed.map_err(|trouble| refusals::of(&trouble))
    }

    async fn retrieve(&mut self, body: pop3::Body) -> io::Result<Next> {
        let Some(mailbox) = &mut self.mailbox else {
            return Ok(Next::End(End::Broken));
        };
        let wire = &mut self.visitor.wire;
        wire.unfinished = true;
        let retrieved = Box::pin(retrieve::retrieve(&self.session, &body, mailbox, wire)).await;
        mailbox.rest();
        self.last_body = Instant::now();
        match retrieved? {
            Retrieved::Whole { complete } => {
                self.answered = Some(true);
                if let Some(octets) = complete {
                    self.retrieved += 1;
                    mailbox.had(&body.item, octets).await;
                }
            }
            Retrieved::Refused => self.answered = Some(false),
            Retrieved::Cut => return Ok(Next::End(End::Cut)),
        }
        self.visitor.wire.unfinished = false;
        Ok(Next::Line)
    }

    async fn update(&mut self, deleted: Vec<Item>) -> io::Result<Result<(), Refusal>> {
        let Some(mailbox) = &mut self.mailbox else {
            return Ok(Err(refusals::temporary()));
        };
        let mut acknowledged = true;
        if mailbox.has_delivered() {
            // What was asked for in the same breath as QUIT is still to be sent.
            self.visitor.wire.send().await?;
            let deadline = Instant::now() + ACKNOWLEDGED;
            acknowledged = self.visitor.wire.acknowledged(deadline).await;
        }
        let quit = Box::pin(mailbox.quit(deleted, acknowledged)).await;
        self.deleted = quit.as_ref().copied().unwrap_or(0);
        Ok(quit.map(|_| ()).map_err(|trouble| {
            warn!(%trouble, "QUIT could not be carried out");
            refusals::of(&trouble)
        }))
    }

    async fn finish(mut self, end: End) {
        let patience = if end == End::HungUp {
            ACKNOWLEDGED
        } else {
            Duration::ZERO
        };
        self.note_acknowledged(Instant::now() + patience).await;
        if matches!(end, End::HungUp | End::Broken) && self.last_line == self.since {
            // A health check, every few seconds; HAProxy's ends with a reset.
            debug!("a visitor said nothing and left");
        } else {
            info!(
                end = end.label(),
                seconds = self.since.elapsed().as_secs(),
                retrieved = self.retrieved,
                deleted = self.deleted,
                "session ended"
            );
        }
        if let Some(mailbox) = self.mailbox {
            tokio::spawn(mailbox.close().in_current_span());
        }
        // What was answered a moment ago may be on its way still, and the client may have sent more.
        let is_answered = end == End::Shutdown && self.last_line.elapsed() < ANSWERED;
        let linger = is_answered || matches!(end, End::Quit | End::Refused | End::Injected);
        self.visitor.wire.close(linger).await;
    }
}

/// A log-in name as it may stand in a log; whoever writes it escapes it.
fn shown(user: &str) -> String {
    user.chars().take(LOGGED_NAME).collect()
}
