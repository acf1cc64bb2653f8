//! Conversations with a session: a test says a line and looks at all that comes
//! of it, the answer and what the driver is asked for.

mod any_input;
mod authorization;
mod transaction;

use super::*;
use crate::maildrop::tests::maildrop;
use crate::pop3::response::Code;

fn profile() -> Profile {
    Profile {
        tls: TlsState::Active,
        plaintext_login: false,
        implementation: "popbridge 0.1.0".to_owned(),
        max_login_attempts: 3,
        max_bad_commands: 20,
    }
}

fn unencrypted(tls: TlsState) -> Profile {
    Profile { tls, ..profile() }
}

/// What the driver is asked for, in words.
fn describe(action: &Action) -> String {
    match action {
        Action::None => String::new(),
        Action::More => "more".to_owned(),
        Action::StartTls => "start TLS".to_owned(),
        Action::LogIn(login) => {
            let mechanism = login.mechanism.as_str();
            let presented = match &login.presented {
                Presented::Password(password) => password.expose().to_owned(),
                Presented::Token(token) => format!("the token {}", token.expose()),
            };
            format!("log in {} with {presented} by {mechanism}", login.user)
        }
        Action::List => "list".to_owned(),
        Action::Retrieve(Body {
            number,
            item,
            lines,
        }) => {
            let lines = lines.map_or("all".to_owned(), |lines| format!("{lines} lines"));
            format!(
                "retrieve {number} uid {} of {}, {lines}",
                item.uid, item.size
            )
        }
        Action::Update(items) => {
            let uids: Vec<u32> = items.iter().map(|item| item.uid.get()).collect();
            format!("delete {uids:?}")
        }
        Action::Close => "close".to_owned(),
    }
}

/// A session with what has been said and asked for since it was last looked at.
struct Talk {
    session: Session,
    seen: Vec<String>,
}

impl Talk {
    fn new(profile: Profile) -> Self {
        let session = Session::new(profile);
        Self {
            session,
            seen: Vec::new(),
        }
    }

    /// After log-in, with messages of these sizes.
    fn with_messages(sizes: &[u32]) -> Self {
        let mut talk = Self::logged_in(profile());
        talk.say("STAT");
        talk.report(|session, out| session.listed(Ok(maildrop(sizes)), out));
        talk.seen.clear();
        talk
    }

    fn logged_in(profile: Profile) -> Self {
        let mut talk = Self::new(profile);
        talk.say("USER joe");
        talk.say("PASS secret");
        talk.report(|session, out| session.logged_in(Ok(()), out));
        talk.seen.clear();
        talk
    }

    fn say(&mut self, line: &str) {
        self.report(|session, out| session.line(Line::Complete(line.as_bytes()), out));
    }

    fn report(&mut self, report: impl FnOnce(&mut Session, &mut Vec<u8>) -> Action) {
        let mut out = Vec::new();
        let action = report(&mut self.session, &mut out);
        if let Action::More = action {
            while self.session.more(&mut out) {}
        }
        let answer = String::from_utf8(out).unwrap();
        assert!(answer.is_empty() || answer.ends_with("\r\n"), "{answer:?}");
        self.seen
            .extend(answer.split_terminator("\r\n").map(str::to_owned));
        self.seen
            .extend(Some(describe(&action)).filter(|action| !action.is_empty()));
    }

    /// Everything since the last look must be exactly this.
    #[track_caller]
    fn expect(&mut self, lines: &[&str]) {
        assert_eq!(std::mem::take(&mut self.seen), lines);
    }

    /// Says one line and looks at everything that comes of it.
    #[track_caller]
    fn check(&mut self, line: &str, expected: &[&str]) {
        self.say(line);
        self.expect(expected);
    }

    #[track_caller]
    fn check_refused(&mut self, line: &str) {
        self.say(line);
        let seen = std::mem::take(&mut self.seen);
        assert!(
            matches!(&seen[..], [one] if one.starts_with("-ERR ")),
            "{line}: {seen:?}"
        );
    }
}

fn temporary() -> Refusal {
    Refusal::new(Code::SysTemp, "Later.")
}
