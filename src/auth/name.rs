//! What a log-in name says: which mailbox, which of its clients, and whether only recent mail is wanted.
//!
//! Pure. Must not know: which upstream a mailbox belongs to, whether the client exists.

use std::fmt;

/// The prefix that asks for the mail of the last 30 days, whatever the client has had, as with Gmail.
const RECENT: &str = "recent:";
/// The most characters of a client's name.
pub const MAX_NAME: usize = 64;

/// A log-in name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginName {
    /// Whether it began with `recent:`, in whatever case.
    pub recent: bool,
    /// The mailbox: the log-in name upstream, or the name of a client that was made by the operator.
    pub mailbox: String,
    /// The client's name behind the separator.
    pub client: Option<String>,
}

/// Why a name cannot be a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_NAME`] characters.
    TooLong,
    /// A space or a control character is in it.
    Character,
    /// It begins with `recent:`.
    Recent,
}

impl LoginName {
    /// Takes `user` apart. The separator counts behind the last `@` only, and there the last one does, so that one in a local part
    /// does not matter; in a name without `@` it counts everywhere. With no separator everything is the mailbox.
    ///
    /// # Errors
    /// Where there is a separator and what follows cannot be a client's name, or what precedes it is nothing.
    pub fn parse(user: &str, separator: Option<char>) -> Result<Self, BadName> {
        let (recent, name) = match user.get(..RECENT.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(RECENT) => (true, &user[RECENT.len()..]),
            _ => (false, user),
        };
        let from = name.rfind('@').map_or(0, |at| at + 1);
        let split = separator.and_then(|separator| name[from..].rsplit_once(separator));
        let (mailbox, client) = match split {
            Some((before, client)) => {
                valid(client)?;
                (&name[..from + before.len()], Some(client.to_owned()))
            }
            None => (name, None),
        };
        if mailbox.is_empty() {
            return Err(BadName::Empty);
        }
        Ok(Self {
            recent,
            mailbox: mailbox.to_owned(),
            client,
        })
    }
}

impl LoginName {
    /// The log-in name by which a pass-through client is known, however it was typed: the mailbox [`normalized`], and the client behind
    /// `separator`.
    #[must_use]
    pub fn canonical(&self, separator: Option<char>) -> String {
        let mut login = normalized(&self.mailbox);
        if let (Some(separator), Some(client)) = (separator, &self.client) {
            login.push(separator);
            login.push_str(client);
        }
        login
    }
}

/// Whether `name` can be the name of a client: 1 to 64 characters without spaces and control characters, not beginning with `recent:`.
///
/// # Errors
/// What is wrong with it.
pub fn valid(name: &str) -> Result<(), BadName> {
    let starts_recent = |prefix: &str| prefix.eq_ignore_ascii_case(RECENT);
    if name.is_empty() {
        Err(BadName::Empty)
    } else if name.chars().count() > MAX_NAME {
        Err(BadName::TooLong)
    } else if name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        Err(BadName::Character)
    } else if name.get(..RECENT.len()).is_some_and(starts_recent) {
        Err(BadName::Recent)
    } else {
        Ok(())
    }
}

/// The log-in name upstream by which the state of a mailbox is kept: without surrounding spaces, in lower case. Hardly any server tells
/// names by their case, and taking one mailbox for two would let the one dispose of what the other's clients have not had.
#[must_use]
pub fn normalized(login: &str) -> String {
    login.trim().to_lowercase()
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name of a client is empty; write up to 64 characters, such as \"desk1\"",
            Self::TooLong => "the name of a client is longer than 64 characters",
            Self::Character => "a space or a control character cannot be in the name of a client; write it such as \"desk1\"",
            Self::Recent => "the name of a client cannot begin with \"recent:\", which means something else in a log-in",
        })
    }
}

impl std::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(user: &str) -> (bool, String, Option<String>) {
        let name = LoginName::parse(user, Some('/')).unwrap();
        (name.recent, name.mailbox, name.client)
    }

    fn plain(recent: bool, mailbox: &str) -> (bool, String, Option<String>) {
        (recent, mailbox.to_owned(), None)
    }

    fn client(recent: bool, mailbox: &str, client: &str) -> (bool, String, Option<String>) {
        (recent, mailbox.to_owned(), Some(client.to_owned()))
    }

    #[test]
    fn a_client_stands_behind_the_last_separator_after_the_at_sign() {
        let info = "info@example.com";
        assert_eq!(parsed(info), plain(false, info));
        assert_eq!(
            parsed("info@example.com/desk1"),
            client(false, info, "desk1")
        );
        assert_eq!(parsed("a/b@example.com"), plain(false, "a/b@example.com"));
        assert_eq!(
            parsed("a/b@example.com/desk1"),
            client(false, "a/b@example.com", "desk1")
        );
        assert_eq!(parsed("ann/desk1"), client(false, "ann", "desk1"));
        assert_eq!(parsed("ann"), plain(false, "ann"));
    }

    #[test]
    fn recent_is_a_prefix_in_any_case() {
        let info = "info@example.com";
        assert_eq!(parsed("recent:info@example.com"), plain(true, info));
        assert_eq!(
            parsed("Recent:info@example.com/desk1"),
            client(true, info, "desk1")
        );
        assert_eq!(
            parsed("recent@example.com"),
            plain(false, "recent@example.com")
        );
        assert_eq!(parsed("é"), plain(false, "é"));
    }

    #[test]
    fn a_separator_with_nothing_behind_or_before_it_is_an_error() {
        for wrong in ["info@example.com/", "/desk1", "", "recent:", "ann/a b"] {
            assert!(LoginName::parse(wrong, Some('/')).is_err(), "{wrong}");
        }
        assert!(LoginName::parse("info@example.com/", None).is_ok());
    }

    #[test]
    fn names_that_nobody_could_log_in_with_are_refused() {
        assert_eq!(valid("desk1"), Ok(()));
        assert_eq!(valid(&"ä".repeat(MAX_NAME)), Ok(()));
        assert_eq!(valid(&"ä".repeat(MAX_NAME + 1)), Err(BadName::TooLong));
        assert_eq!(valid(""), Err(BadName::Empty));
        assert_eq!(valid("a b"), Err(BadName::Character));
        assert_eq!(valid("a\u{7f}"), Err(BadName::Character));
        assert_eq!(valid("RECENT:x"), Err(BadName::Recent));
    }

    #[test]
    fn state_is_kept_by_the_login_in_lower_case() {
        assert_eq!(normalized(" Info@Example.COM "), "info@example.com");
        assert_eq!(normalized("Ann"), "ann");
    }

    #[test]
    fn a_client_is_known_by_one_name_however_it_was_typed() {
        let canonical = |user| {
            LoginName::parse(user, Some('/'))
                .unwrap()
                .canonical(Some('/'))
        };
        assert_eq!(
            canonical("recent:Info@Example.COM/Desk1"),
            "info@example.com/Desk1"
        );
        assert_eq!(canonical("ann"), "ann");
    }

    proptest! {
        #[test]
        fn what_is_taken_apart_can_be_put_together_again(user in "(recent:)?[a-z/@.]{0,20}") {
            if let Ok(name) = LoginName::parse(&user, Some('/')) {
                let mut again = String::from(if name.recent { RECENT } else { "" });
                again.push_str(&name.mailbox);
                if let Some(client) = &name.client {
                    again.push('/');
                    again.push_str(client);
                }
                prop_assert_eq!(again, user);
            }
        }

        #[test]
        fn any_name_is_taken_apart_without_trouble(user: String, separator: Option<char>) {
            let _ = LoginName::parse(&user, separator);
        }
    }
}
