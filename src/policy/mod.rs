//! Rules: what a client is shown, what is disposed of, how and when. Pure.
//!
//! Must not know: I/O, the clock (times come in), IMAP commands, the configuration file, or who asks.

mod action;
pub mod budget;
mod marks;
mod retention;
mod rules;
mod view;

pub use action::{Action, UnknownAction};
pub use marks::Marks;
pub use retention::{Cause, Reader, ReaderState, Reason, Verdict, lacks, verdict};
pub use rules::{AfterRetrieve, OnDelete, Retention, Rules, When};
pub use view::{Enrolment, Listed, Seat, Since, View, show};

/// What happens upstream to a message that is no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispose {
    /// Removed for good: UID STORE `\Deleted` and UID EXPUNGE (RFC 4315).
    Expunge,
    /// Moved to the trash folder: UID MOVE (RFC 6851).
    Trash,
    /// Moved to the archive folder.
    Archive,
    /// Stays where it is and gets a keyword.
    Flag,
    /// Stays as it is.
    Nothing,
}

/// The trash folder of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trash {
    /// The folder that the upstream marks with the special use `\Trash` (RFC 6154).
    SpecialUse,
    /// The folder of this name, in UTF-8 as people write it, not in IMAP's modified UTF-7.
    Folder(String),
}

/// The archive folder of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// The folder that the upstream marks with the special use `\Archive` (RFC 6154), else `\All` (Gmail).
    SpecialUse,
    /// The folder of this name, in UTF-8 as people write it, not in IMAP's modified UTF-7.
    Folder(String),
}

/// How messages are disposed of on one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisposeRule {
    /// What happens.
    pub dispose: Dispose,
    /// The trash folder.
    pub trash: Trash,
    /// The archive folder.
    pub archive: Archive,
    /// The keyword of [`Dispose::Flag`].
    pub keyword: String,
    /// Accepts that, on an upstream without UIDPLUS, EXPUNGE also removes what others marked `\Deleted`.
    pub expunge_without_uidplus: bool,
}

/// Nothing is done.
impl Default for DisposeRule {
    fn default() -> Self {
        Self {
            dispose: Dispose::Nothing,
            trash: Trash::SpecialUse,
            archive: Archive::SpecialUse,
            keyword: String::new(),
            expunge_without_uidplus: false,
        }
    }
}

impl DisposeRule {
    /// What is to be done to a message that is due; `None` where nothing is.
    pub fn action(&self) -> Option<Action> {
        match self.dispose {
            Dispose::Expunge => Some(Action::Expunge),
            Dispose::Trash => Some(Action::Trash),
            Dispose::Archive => Some(Action::Archive),
            Dispose::Flag => Some(Action::Flag(self.keyword.clone())),
            Dispose::Nothing => None,
        }
    }
}
