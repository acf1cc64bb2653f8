//! One client's session: carries out what the POP3 core asks for and moves bytes between the client and its mailbox.
//!
//! Architecture invariant: this is the one place where POP3, upstream and log-in meet. An answer is only ever written by the POP3
//! core; trouble upstream becomes a refusal (`refusals`) or, once a body has begun, the end of the connection.
//! Must not know: how answers are spelled, IMAP.

use std::io;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, Span, debug, info, warn};

use super::mailbox::Mailbox;
use super::retrieve::{self, Retrieved};
use super::visitor::{End, Visitor, told};
use super::wire::Wire;
use super::{Bridge, refusals};
use crate::imap::{Credentials, Nature};
use crate::maildrop::{Maildrop, Uid};
use crate::metrics::{BadInput, CommandOutcome, LoginOutcome};
use crate::pop3::{self, Action, Line, Login, Refusal, Session, StateName};
use crate::telemetry;

/// More characters of a user name that may be anything are not logged.
const LOGGED_NAME: usize = 128;

/// Serves one client to the end of its session.
pub async fn serve(bridge: Arc<Bridge>, visitor: Visitor) -> End {
    let session = Session::new(visitor.profile.clone());
    let since = Instant::now();
    let mut driver = Driver {
        bridge,
        visitor,
        session,
        mailbox: None,
        since,
        last_line: since,
        attempts: 0,
        answered: None,
        told_of_encryption: false,
        retrieved: 0,
        removed: 0,
    };
    let end = match driver.run().await {
        Ok(end) => end,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => End::Idle,
        Err(error) => {
            debug!(%error, "the client's connection broke");
            End::Broken
        }
    };
    driver.finish(end).await;
    end
}

struct Driver {
    bridge: Arc<Bridge>,
    visitor: Visitor,
    session: Session,
    mailbox: Option<Mailbox>,
    since: Instant,
    /// When the last whole line was answered. Octets alone put no end off: one octet a minute keeps no session alive.
    last_line: Instant,
    attempts: u32,
    /// Whether the command under way was answered with success; none before its first answer, and after a mere challenge.
    answered: Option<bool>,
    /// Whether the log says that this client would have to encrypt; once is enough.
    told_of_encryption: bool,
    /// Messages that RETR gave out whole, for the log.
    retrieved: u64,
    /// Messages that QUIT removed, for the log.
    removed: usize,
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
        loop {
            if let Some(end) = self.answer_lines().await? {
                self.visitor.wire.send().await?;
                return Ok(end);
            }
            self.visitor.wire.send().await?;
            self.visitor.wire.rest();
            let limits = &self.bridge.limits;
            let deadline = match self.session.state() {
                StateName::Authorization => self.since + limits.login,
                _ => self.last_line + limits.inactivity,
            };
            let Visitor { wire, shutdown, .. } = &mut self.visitor;
            let more = tokio::select! {
                more = wire.read(deadline) => more?,
                () = told(shutdown) => return Ok(End::Shutdown),
            };
            if !more {
                return Ok(End::HungUp);
            }
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
            let Some(line) = input.next_line() else {
                return Ok(None);
            };
            if matches!(line, Line::TooLong) {
                self.bridge.metrics.bad_input(BadInput::LineTooLong);
            }
            let mut action = self.session.line(line, out);
            self.answered = None;
            self.note_answer(before);
            let end = loop {
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
                let result = Box::pin(self.log_in(login)).await?;
                Ok(self.report(|session, out| session.logged_in(result, out)))
            }
            Action::List => {
                let result = Box::pin(self.list()).await;
                Ok(self.report(|session, out| session.listed(result, out)))
            }
            Action::Retrieve(body) => self.retrieve(body).await,
            Action::Update(uids) => {
                let result = Box::pin(self.update(uids)).await;
                Ok(self.report(|session, out| session.updated(result, out)))
            }
            Action::Close if self.session.command() == "QUIT" => Ok(Next::End(End::Quit)),
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
        let deadline = self.since + self.bridge.limits.login;
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
        Ok(Next::Line)
    }

    async fn log_in(&mut self, login: Login) -> io::Result<Result<(), Refusal>> {
        self.attempts += 1;
        let Some(upstream) = self.bridge.router.route(&login.user) else {
            info!(
                account = shown(&login.user),
                "the log-in name belongs to no upstream: no domains = [...] fits it"
            );
            self.refused(&login, LoginOutcome::NoUpstream).await;
            return Ok(Err(refusals::unknown_user()));
        };
        let (upstream, name) = (Arc::clone(upstream), upstream.name.clone());
        let credentials = Credentials {
            user: login.user.clone(),
            password: login.password.clone(),
        };
        match Mailbox::log_in(Arc::clone(&self.bridge.accounts), upstream, credentials).await {
            Ok(mailbox) => {
                self.bridge.metrics.login(LoginOutcome::Ok);
                // In every line of the session from here on.
                Span::current().record("account", shown(&login.user));
                info!(
                    upstream = mailbox.upstream().name,
                    mechanism = login.mechanism.as_str(),
                    encrypted = self.visitor.wire.is_encrypted(),
                    "logged in"
                );
                self.mailbox = Some(mailbox);
                Ok(Ok(()))
            }
            Err(error) => {
                // Nobody has vouched for this name: a log is not the place to store a long one.
                let account = shown(&login.user);
                if error.nature() == Nature::Credentials {
                    info!(upstream = name, account, %error, "the upstream does not accept the log-in");
                    self.refused(&login, LoginOutcome::Rejected).await;
                } else {
                    self.bridge.metrics.login(LoginOutcome::Unavailable);
                    warn!(upstream = name, account, %error, "the log-in could not be checked");
                }
                Ok(Err(refusals::of_login(&error)))
            }
        }
    }

    /// A wrong user name or password: one line for fail2ban, then a pause that makes guessing slow.
    async fn refused(&mut self, login: &Login, outcome: LoginOutcome) {
        self.bridge.metrics.login(outcome);
        let local = self.visitor.wire.local().unwrap_or(self.visitor.peer);
        let line = telemetry::login_failed_line(
            &login.user,
            login.mechanism.as_str(),
            self.attempts,
            self.since.elapsed().as_secs(),
            self.visitor.peer.ip(),
            local.ip(),
            &self.visitor.id,
        );
        info!(target: telemetry::LOGIN_TARGET, "{line}");
        sleep(self.bridge.limits.auth_failure_delay).await;
    }

    async fn list(&mut self) -> Result<Maildrop, Refusal> {
        let Some(mailbox) = &mut self.mailbox else {
            return Err(refusals::temporary());
        };
        // What went wrong was logged by the account's task, which knows more.
        let index = mailbox.list().await.map_err(|error| refusals::of(&error))?;
        Maildrop::new(index, mailbox.upstream().uidl.clone()).map_err(|_| {
            warn!(
                upstream = mailbox.upstream().name,
                "the UIDL format needs X-GM-MSGID and the upstream gave none"
            );
            refusals::temporary()
        })
    }

    async fn retrieve(&mut self, body: pop3::Body) -> io::Result<Next> {
        let Some(mailbox) = &mut self.mailbox else {
            return Ok(Next::End(End::Broken));
        };
        let wire = &mut self.visitor.wire;
        wire.unfinished = true;
        match Box::pin(retrieve::retrieve(&self.session, &body, mailbox, wire)).await? {
            Retrieved::Whole => {
                self.answered = Some(true);
                self.retrieved += u64::from(body.lines.is_none());
            }
            Retrieved::Refused => self.answered = Some(false),
            Retrieved::Cut => return Ok(Next::End(End::Cut)),
        }
        self.visitor.wire.unfinished = false;
        Ok(Next::Line)
    }

    async fn update(&mut self, uids: Vec<Uid>) -> Result<(), Refusal> {
        let Some(mailbox) = &mut self.mailbox else {
            return Err(refusals::temporary());
        };
        let count = uids.len();
        let removed = Box::pin(mailbox.remove(uids)).await;
        self.removed = removed.as_ref().map_or(0, |()| count);
        removed.map_err(|error| refusals::of(&error))
    }

    async fn finish(self, end: End) {
        if end == End::HungUp && self.last_line == self.since {
            // A health check, every few seconds.
            debug!("a visitor said nothing and left");
        } else {
            info!(
                end = end.label(),
                seconds = self.since.elapsed().as_secs(),
                retrieved = self.retrieved,
                removed = self.removed,
                "session ended"
            );
        }
        if let Some(mailbox) = self.mailbox {
            tokio::spawn(mailbox.close().in_current_span());
        }
        let linger = matches!(end, End::Quit | End::Refused | End::Injected);
        self.visitor.wire.close(linger).await;
    }
}

/// A log-in name as it may stand in a log; whoever writes it escapes it.
fn shown(user: &str) -> String {
    user.chars().take(LOGGED_NAME).collect()
}
