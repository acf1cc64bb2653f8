//! The rules of an account, and of a client where it has its own.
//!
//! Must not know: how they are written in the configuration.

/// What a client's DELE means once its QUIT is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// This client does not see the message any more.
    Hide,
    /// The same, and the message is disposed of as soon as no other client lacks it.
    Dispose,
    /// Nothing; the message is listed again.
    Ignore,
}

/// What happens upstream to a message when a client has had it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AfterRetrieve {
    /// Nothing.
    #[default]
    Nothing,
    /// It gets `\Seen`.
    Seen,
    /// It gets this keyword.
    Flag(String),
    /// It is moved to the archive folder as soon as no other client lacks it.
    Archive,
    /// It is moved to the trash folder as soon as no other client lacks it.
    Trash,
}

/// Whose doing makes a message due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// One client has deleted it.
    AnyClientDeleted,
    /// All clients have had it.
    AllClientsDelivered,
    /// All clients have deleted it.
    AllClientsDeleted,
    /// Nobody's.
    #[default]
    Never,
}

/// When a message may be disposed of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Whose doing makes it due.
    pub when: When,
    /// Not before it is so old, in seconds.
    pub min_age: i64,
    /// When it is so old in any case, in seconds.
    pub max_age: Option<i64>,
    /// Whether also messages are disposed of that a client has not had.
    pub dispose_undelivered: bool,
}

impl Retention {
    /// Whether anything ever becomes due by it.
    pub fn may_dispose(&self) -> bool {
        self.when != When::Never || self.max_age.is_some()
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What DELE means. `None`: [`OnDelete::Dispose`] while the mailbox has no client with a name, else [`OnDelete::Hide`].
    pub on_delete: Option<OnDelete>,
    /// What happens to a message that a client has had.
    pub after_retrieve: AfterRetrieve,
    /// When a message may be disposed of.
    pub retention: Retention,
    /// A client that was not seen for so many seconds is not waited for any more.
    pub client_expires: Option<i64>,
    /// Whether a message counts as delivered, for what is shown, although the client never said QUIT.
    pub delivered_without_quit: bool,
}
