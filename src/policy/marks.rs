//! What one client has done with the messages of its mailbox.
//!
//! Must not know: how it is kept, and since when.

use crate::maildrop::SeqSet;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It has had the whole message, and its QUIT was executed.
    pub delivered: SeqSet,
    /// It deleted the message: DELE and a QUIT that was answered `+OK`.
    pub deleted: SeqSet,
    /// Those of [`deleted`](Self::deleted) whose deletion is to be everybody's: `on_delete = dispose`.
    pub disposing: SeqSet,
    /// It has had the whole message and never said QUIT; kept for clients that never do. Counts for what is shown, never for what is
    /// disposed of.
    pub without_quit: SeqSet,
}
