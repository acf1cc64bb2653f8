//! What is done to a message upstream, as it is written down before it is done.
//!
//! Must not know: how it is done.

use std::fmt;
use std::str::FromStr;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Removed for good.
    Expunge,
    /// Moved to the trash folder.
    Trash,
    /// Moved to the archive folder.
    Archive,
    /// Given this keyword.
    Flag(String),
    /// Given `\Seen`.
    Seen,
}

impl Action {
    /// Whether the message is not in its folder afterwards.
    pub fn takes_away(&self) -> bool {
        matches!(self, Self::Expunge | Self::Trash | Self::Archive)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expunge => f.write_str("expunge"),
            Self::Trash => f.write_str("trash"),
            Self::Archive => f.write_str("archive"),
            Self::Flag(keyword) => write!(f, "flag:{keyword}"),
            Self::Seen => f.write_str("seen"),
        }
    }
}

/// A text that is no [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAction;

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        match text {
            "expunge" => Ok(Self::Expunge),
            "trash" => Ok(Self::Trash),
            "archive" => Ok(Self::Archive),
            "seen" => Ok(Self::Seen),
            other => match other.strip_prefix("flag:") {
                Some(keyword) if !keyword.is_empty() => Ok(Self::Flag(keyword.to_owned())),
                _ => Err(UnknownAction),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_was_written_down_is_read_again() {
        let keyword = Action::Flag("$Done".to_owned());
        for action in [
            Action::Expunge,
            Action::Trash,
            Action::Archive,
            Action::Seen,
            keyword,
        ] {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        assert_eq!("flag:".parse::<Action>(), Err(UnknownAction));
        assert_eq!("Expunge".parse::<Action>(), Err(UnknownAction));
    }
}
