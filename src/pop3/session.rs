//! One POP3 session: the states, and what passes between them and the driver.
//!
//! A line goes to the struct of the current state, which answers it or says why
//! not; refusals are spoken and counted here.

use super::authorization::Authorization;
use super::command;
use super::line::{Line, MAX_LINE, MAX_SASL_LINE};
use super::response::{self, Code, Refusal};
use super::sasl::Mechanism;
use super::transaction::Transaction;
use crate::maildrop::{Item, Maildrop, MsgNo};
use crate::secret::Secret;

pub(super) const BYE: &str = "Bye.";

/// What this listener does for this client. CAPA lists and the commands obey the
/// same values.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whether there is TLS, or could be.
    pub tls: TlsState,
    /// Whether this client may log in without TLS.
    pub plaintext_login: bool,
    /// What CAPA says in IMPLEMENTATION: program and version, printable ASCII.
    pub implementation: String,
    /// After this many refused log-ins the connection is closed. 3 is usual: enough
    /// for a slip, too few for guessing.
    pub max_login_attempts: u32,
    /// This many refused lines in a row close the connection. 20, as Dovecot's
    /// pop3d has it, stops a client that talks nonsense and a loop that does not
    /// listen; a failure upstream does not count.
    pub max_bad_commands: u32,
}

impl Profile {
    /// Whether USER, PASS and AUTH work.
    pub(super) fn may_log_in(&self) -> bool {
        self.plaintext_login || self.tls == TlsState::Active
    }

    /// The mechanisms of AUTH that are advertised now. In clear none is, even where they are taken: a password (RFC 4616, 6) and a token, which
    /// is one to whoever reads it (RFC 6750, 5.3; RFC 7628, 4), want TLS. Programs use USER and PASS there; c-client would warn of an
    /// insecure server or give up, and one with a token would take the offer for leave to show it.
    pub(super) fn shown_mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        let is_encrypted = self.tls == TlsState::Active;
        Mechanism::SASL.into_iter().filter(move |_| is_encrypted)
    }
}

/// Where the connection stands with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// Everything is encrypted.
    Active,
    /// STLS would start it.
    Offered,
    /// This listener has none.
    Absent,
}

/// What a client presented to log in with.
#[derive(Debug)]
pub struct Login {
    /// Never empty, no NUL, CR or LF; otherwise any text, also control characters.
    pub user: String,
    /// What shows that it is the user.
    pub presented: Presented,
    /// How it was presented.
    pub mechanism: Mechanism,
}

/// What a client shows for itself. The same text as one is not the same as the other.
#[derive(Clone, Debug)]
pub enum Presented {
    /// Never empty, no NUL, CR or LF.
    Password(Secret),
    /// An OAuth 2.0 access token: never empty, visible ASCII without spaces.
    Token(Secret),
}

impl Presented {
    /// The text, whatever it is.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Password(secret) | Self::Token(secret) => secret,
        }
    }
}

/// A message that RETR or TOP asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its number in the maildrop.
    pub number: MsgNo,
    /// Which message it is, and the size that the maildrop lists.
    pub item: Item,
    /// `Some(n)` for TOP: the header and n lines of the body.
    pub lines: Option<u32>,
}

/// What the driver does before it gives the next line.
#[derive(Debug)]
#[must_use = "the session waits for it"]
pub enum Action {
    /// Send what was answered, go on.
    None,
    /// Send what was answered, then [`Session::more`] until it says that there is no
    /// more, sending each portion.
    More,
    /// Send what was answered and start TLS; if the client has sent anything beyond
    /// the STLS line, close instead. Then [`Session::tls_started`].
    StartTls,
    /// Find out whether this is right, then [`Session::logged_in`].
    LogIn(Login),
    /// Get the maildrop, then [`Session::listed`].
    List,
    /// Get the message. Once there is something to send, [`Session::body_starts`],
    /// the encoded text and its end; before that, [`Session::body_refused`]. A body
    /// that breaks off after it started can only be answered by dropping the
    /// connection.
    Retrieve(Body),
    /// UPDATE state: delete these durably, and note what this session has delivered,
    /// then [`Session::updated`]. Ascending; empty where nothing was deleted. A
    /// session that was never listed has no UPDATE state.
    Update(Vec<Item>),
    /// Send what was answered and close.
    Close,
}

/// The states of RFC 1939 section 3, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName {
    /// Before log-in.
    Authorization,
    /// Logged in.
    Transaction,
    /// After QUIT.
    Update,
    /// Nothing more will be answered.
    Closed,
}

/// One client's session, from the greeting to the last answer.
pub struct Session {
    profile: Profile,
    state: State,
    refused_logins: u32,
    /// Refused lines in a row.
    bad_commands: u32,
    command: &'static str,
    /// Whether the client has said UTF8 (RFC 6856) before it began to log in.
    utf8: bool,
}

enum State {
    Authorization(Authorization),
    /// The driver is starting TLS.
    StartingTls,
    /// The driver is finding out about a log-in.
    LoggingIn(Mechanism),
    /// The client was told that its token is not accepted. Its next line is an answer
    /// to that, whatever is in it, and is refused with this.
    TokenRefused(Refusal),
    Transaction(Transaction),
    Update,
    Closed,
}

impl Session {
    /// A session in AUTHORIZATION state.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            state: State::Authorization(Authorization::default()),
            refused_logins: 0,
            bad_commands: 0,
            command: command::UNKNOWN,
            utf8: false,
        }
    }

    /// Whether the client takes headers in UTF-8: known once it logs in.
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Writes the greeting. Without a timestamp, because there is no APOP, and
    /// without a version, which only strangers would be interested in.
    pub fn greet(&self, out: &mut Vec<u8>) {
        response::ok("popbridge is ready.", out);
    }

    /// Handles one line and appends what there is to answer now to `out`. The
    /// action is to be carried out before the next line is given; giving one
    /// earlier, while the session waits for the driver, closes the session.
    pub fn line(&mut self, line: Line<'_>, out: &mut Vec<u8>) -> Action {
        self.command = self.name(line);
        if let State::TokenRefused(refusal) = &self.state {
            let refusal = refusal.clone();
            return self.refuse_login(&refusal, out);
        }
        let result = match &mut self.state {
            State::Authorization(state) => state.line(line, &self.profile, out),
            State::Transaction(state) if !state.is_waiting() => {
                // An unfinished listing comes first, whatever the driver forgot.
                while state.more(out) {}
                state.line(line, &self.profile, out)
            }
            _ => Ok(Action::Close),
        };
        self.conclude(result, out)
    }

    /// TLS is active. All that was said before is forgotten (RFC 2595 section 4), but
    /// not how often the client has failed.
    pub fn tls_started(&mut self) {
        self.profile.tls = TlsState::Active;
        self.state = State::Authorization(Authorization::default());
    }

    /// Answers the log-in that [`Action::LogIn`] asked about. Nobody gets in by a
    /// result that was not asked for: it closes the session.
    pub fn logged_in(&mut self, result: Result<(), Refusal>, out: &mut Vec<u8>) -> Action {
        let State::LoggingIn(mechanism) = self.state else {
            return self.close();
        };
        match result {
            Ok(()) => {
                response::ok("Logged in.", out);
                self.state = State::Transaction(Transaction::default());
                Action::None
            }
            Err(refusal) => match mechanism.error() {
                Some(error) if refusal.code == Some(Code::Auth) => {
                    response::challenge(&error, out);
                    self.state = State::TokenRefused(refusal);
                    Action::None
                }
                _ => self.refuse_login(&refusal, out),
            },
        }
    }

    fn refuse_login(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> Action {
        response::refuse(refusal, out);
        self.state = State::Authorization(Authorization::again(self.utf8));
        self.refused_logins += 1;
        match self.refused_logins >= self.profile.max_login_attempts {
            true => self.close(),
            false => Action::None,
        }
    }

    /// The most octets that the line with this start may have now: more where it has
    /// a SASL response in it.
    pub fn longest_line(&self, start: &[u8]) -> usize {
        match &self.state {
            State::Authorization(state)
                if state.in_exchange() || command::name(start) == "AUTH" =>
            {
                MAX_SASL_LINE
            }
            _ => MAX_LINE,
        }
    }

    /// Runs the command that needed the list, or refuses it; then the next one that
    /// needs the list asks again.
    pub fn listed(&mut self, result: Result<Maildrop, Refusal>, out: &mut Vec<u8>) -> Action {
        let State::Transaction(state) = &mut self.state else {
            return self.close();
        };
        match result {
            Ok(maildrop) => {
                let result = state.listed(maildrop, out);
                self.conclude(result, out)
            }
            Err(refusal) => {
                state.not_listed();
                response::refuse(&refusal, out);
                Action::None
            }
        }
    }

    /// After [`Action::More`]: appends the next portion of the listing, a little
    /// more than 8 KiB at most, and says whether there is more.
    pub fn more(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Transaction(state) => state.more(out),
            _ => false,
        }
    }

    /// The messages behind this one that are not deleted.
    pub fn following(&self, number: MsgNo) -> impl Iterator<Item = Item> {
        let maildrop = match &self.state {
            State::Transaction(state) => state.maildrop(),
            _ => None,
        };
        let behind = maildrop.zip(number.next());
        let items = behind.map(|(maildrop, next)| maildrop.messages_from(next));
        items.into_iter().flatten().map(|(_, item)| *item)
    }

    /// The first line of the answer to RETR or TOP. The text follows through
    /// [`Encoder`](super::body::Encoder).
    pub fn body_starts(&self, body: &Body, out: &mut Vec<u8>) {
        match body.lines {
            None => response::ok(format_args!("{} octets", body.item.octets), out),
            Some(_) => response::ok("Top of message follows.", out),
        }
    }

    /// Answers RETR or TOP where no octet of the message can be had.
    pub fn body_refused(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        response::refuse(refusal, out);
    }

    /// Answers QUIT after the UPDATE state: `+OK` says that all deletions and
    /// deliveries are durable.
    pub fn updated(&mut self, result: Result<(), Refusal>, out: &mut Vec<u8>) -> Action {
        match result {
            Ok(()) => response::ok(BYE, out),
            Err(refusal) => response::refuse(&refusal, out),
        }
        self.close()
    }

    /// The state, for logs and metrics.
    pub fn state(&self) -> StateName {
        match self.state {
            State::Authorization(_)
            | State::StartingTls
            | State::LoggingIn(_)
            | State::TokenRefused(_) => StateName::Authorization,
            State::Transaction(_) => StateName::Transaction,
            State::Update => StateName::Update,
            State::Closed => StateName::Closed,
        }
    }

    /// The label of the command that was handled last, one of
    /// [`COMMAND_NAMES`](super::COMMAND_NAMES). SASL responses count as AUTH.
    pub fn command(&self) -> &'static str {
        self.command
    }

    fn name(&self, line: Line<'_>) -> &'static str {
        match (&self.state, line) {
            (State::Authorization(state), _) if state.in_exchange() => "AUTH",
            (State::TokenRefused(_), _) => "AUTH",
            (_, Line::Complete(line)) => command::name(line),
            (_, Line::TooLong) => command::UNKNOWN,
        }
    }

    /// Speaks a refusal and moves to the state that the action leads to.
    fn conclude(&mut self, result: Result<Action, Refusal>, out: &mut Vec<u8>) -> Action {
        let action = match result {
            Ok(action) => action,
            Err(refusal) => return self.refuse(refusal, out),
        };
        self.bad_commands = 0;
        match &action {
            Action::StartTls => self.state = State::StartingTls,
            Action::LogIn(login) => {
                self.utf8 = matches!(&self.state, State::Authorization(state) if state.is_utf8());
                self.state = State::LoggingIn(login.mechanism);
            }
            Action::Update(_) => self.state = State::Update,
            Action::Close => self.state = State::Closed,
            Action::None | Action::More | Action::List | Action::Retrieve(_) => {}
        }
        action
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut Vec<u8>) -> Action {
        self.bad_commands += 1;
        if self.bad_commands < self.profile.max_bad_commands {
            response::refuse(&refusal, out);
            return Action::None;
        }
        // One answer to one line, so the refusal itself is left out.
        response::refuse(&Refusal::plain("Too many bad commands."), out);
        self.close()
    }

    fn close(&mut self) -> Action {
        self.state = State::Closed;
        Action::Close
    }
}

impl std::fmt::Debug for Session {
    /// What a log may show: neither names nor what has been typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state())
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
