//! What one client is shown of its mailbox.
//!
//! Must not know: how the list is made, POP3.

/// Which messages are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// All that the client has not deleted.
    #[default]
    All,
    /// All that the client has neither had nor deleted: for devices that do not remember UIDLs.
    Undelivered,
}

/// Where a client's mailbox begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// With everything that is there.
    #[default]
    Beginning,
    /// With what arrives after the client was made known.
    Enrolment,
    /// With mail of this INTERNALDATE or later, in seconds since 1970.
    Date(i64),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Which messages.
    pub list: Listed,
    /// Only those of the last so many seconds.
    pub last: Option<i64>,
    /// Where it begins.
    pub since: Since,
    /// Only so many, the oldest first.
    pub max_listed: Option<u32>,
    /// Only those of at most so many octets.
    pub max_size: Option<u32>,
}
