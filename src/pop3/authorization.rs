//! The AUTHORIZATION state (RFC 1939 section 4): who is the client?
//!
//! It must not know whether a log-in is right: it hands what the client presented
//! to the driver.

use super::command::{self, Command};
use super::response::{self, Code, Refusal};
use super::sasl::{self, Exchange, Mechanism, Step};
use super::session::{Action, Login, Presented, Profile, TlsState};
use super::{capa, line::Line};

/// What a client that has not logged in has said so far.
#[derive(Default)]
pub(super) struct Authorization {
    user: Option<String>,
    exchange: Option<Exchange>,
    /// Whether it takes headers in UTF-8 (RFC 6856).
    utf8: bool,
}

impl Authorization {
    /// After a log-in that was refused: that takes nothing back but the name.
    pub(super) fn again(utf8: bool) -> Self {
        Self {
            utf8,
            ..Self::default()
        }
    }

    /// Whether the client has said UTF8.
    pub(super) fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Whether the next line is a SASL response and no command.
    pub(super) fn in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// Handles a line: the next SASL response, or a command.
    ///
    /// # Errors
    /// What to refuse the line with.
    pub(super) fn line(
        &mut self,
        line: Line<'_>,
        profile: &Profile,
        out: &mut Vec<u8>,
    ) -> Result<Action, Refusal> {
        // Taken out, so that any error ends the exchange.
        match (self.exchange.take(), line) {
            (_, Line::TooLong) => Err(Refusal::plain("The line is too long.")),
            (Some(exchange), Line::Complete(response)) => {
                let step = exchange.respond(response)?;
                Ok(self.advance(step, out))
            }
            (None, Line::Complete(line)) => self.command(command::parse(line)?, profile, out),
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        profile: &Profile,
        out: &mut Vec<u8>,
    ) -> Result<Action, Refusal> {
        match command {
            Command::Capa => capa::answer(profile, true, out),
            Command::Quit => {
                response::ok("Bye.", out);
                return Ok(Action::Close);
            }
            Command::Stls => return stls(profile, out),
            Command::Utf8 => {
                // Whatever the upstream will be: one that has no other form gives what it has, which is none that UTF8 forbids.
                self.utf8 = true;
                response::ok("Headers may be in UTF-8.", out);
            }
            Command::Auth(None) => capa::answer_mechanisms(profile, out),
            Command::Auth(Some((mechanism, initial))) => {
                check_encryption(profile)?;
                let exchange = Exchange::begin(mechanism)?;
                let step = match initial {
                    Some(response) => exchange.initial(response)?,
                    None => Step::Continue(exchange),
                };
                return Ok(self.advance(step, out));
            }
            Command::User(user) => {
                check_encryption(profile)?;
                // Forgotten also where the new one is no good.
                self.user = None;
                self.user = Some(sasl::user_name(user)?);
                response::ok("Now the password.", out);
            }
            Command::Pass(password) => {
                check_encryption(profile)?;
                let user = self.user.take();
                let user = user.ok_or(Refusal::plain("The user name comes first: USER."))?;
                return Ok(Action::LogIn(Login {
                    user,
                    presented: Presented::Password(sasl::password(password)?),
                    mechanism: Mechanism::Pass,
                }));
            }
            Command::Noop | Command::Rset | Command::Query(_) => {
                return Err(Refusal::plain("Log in first."));
            }
        }
        Ok(Action::None)
    }

    fn advance(&mut self, step: Step, out: &mut Vec<u8>) -> Action {
        match step {
            Step::Continue(exchange) => {
                response::challenge(exchange.challenge(), out);
                self.exchange = Some(exchange);
                Action::None
            }
            Step::Done(login) => Action::LogIn(login),
        }
    }
}

fn stls(profile: &Profile, out: &mut Vec<u8>) -> Result<Action, Refusal> {
    match profile.tls {
        TlsState::Offered => {
            response::ok("Begin TLS negotiation.", out);
            Ok(Action::StartTls)
        }
        TlsState::Active => Err(Refusal::plain("TLS is active already.")),
        TlsState::Absent => Err(Refusal::plain("This listener has no TLS.")),
    }
}

/// Not `[AUTH]`: the password may well be right, and a device that hears `[AUTH]`
/// forgets it. Somebody has to change a setting, which is what SYS/PERM says.
fn check_encryption(profile: &Profile) -> Result<(), Refusal> {
    if profile.may_log_in() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::SysPerm,
        match profile.tls {
            TlsState::Offered => "Log-in needs encryption here: use STLS first.",
            _ => "Log-in needs encryption: use a port with TLS.",
        },
    ))
}
