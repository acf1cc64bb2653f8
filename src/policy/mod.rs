//! Rules: what to dispose of, and how. Pure.
//!
//! Must not know: I/O, the clock, IMAP commands, the configuration file, or who asks.

/// What happens upstream to a message that its POP3 client has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispose {
    /// Removed for good: UID STORE `\Deleted` and UID EXPUNGE (RFC 4315).
    Expunge,
    /// Moved to the trash folder: UID MOVE (RFC 6851).
    Trash,
}

/// The trash folder of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trash {
    /// The folder that the upstream marks with the special use `\Trash` (RFC 6154).
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
    /// Accepts that, on an upstream without UIDPLUS, EXPUNGE also removes what others marked `\Deleted`.
    pub expunge_without_uidplus: bool,
}
