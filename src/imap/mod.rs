//! The upstream side: connections to IMAP servers, listing, fetching and removing.
//!
//! Every command demands its own tagged OK (but ENABLE, which may be refused); an end of file, a time-out, a refusal or figures that
//! contradict each other are errors and never an empty result. A connection is used by one task at a time and thrown away after its first error.
//! Must not know: POP3, clients, or how metrics are kept (see [`Observer`]).

// Public for benches/ only, which cannot reach the framing otherwise.
#[doc(hidden)]
pub mod bench;
mod bodies;
mod body;
mod buffered;
mod challenge;
mod connect;
mod connection;
mod copy;
mod date;
mod digest;
mod dispose;
mod driver;
mod error;
mod flags;
mod folders;
mod frame;
mod grammar;
mod identity;
mod idle;
mod listing;
mod login;
mod meaning;
mod plain_row;
mod quota;
pub mod recognize;
mod reply;
mod row;
mod rows;
mod sasl;
#[cfg(test)]
mod script_tests;
mod set;
mod table;
mod transport;

pub use bodies::{Bodies, Fetched, Wanted};
pub use body::{Body, BodyStart, Part};
pub use challenge::Complaint;
pub use connect::{Credentials, Endpoint, Greeted, Proof};
pub use connection::{Connection, Extensions, Selected};
pub use copy::Copied;
pub use dispose::{Acted, Destinations, Removal, Target};
pub use error::{Error, Nature};
pub use flags::PermanentFlags;
pub use folders::{Folder, to_wire};
pub use identity::Identity;
pub use listing::{Listed, refresh};
pub use meaning::Pressure;
pub use quota::Quota;
pub use reply::{Capabilities, Reply};

use std::time::Duration;

/// Whoever wants to know what goes on between the bridge and one upstream.
pub trait Observer: Send + Sync {
    /// Bytes came from the upstream (under TLS: the decrypted ones).
    fn received(&self, bytes: u64);
    /// Bytes went to the upstream.
    fn sent(&self, bytes: u64);
    /// A connection was opened and logged in, or was not.
    fn connected(&self, outcome: Result<(), &Error>);
    /// A logged-in connection exists until what is returned is dropped.
    fn open(&self) -> Box<dyn Send>;
    /// A command was answered, or failed.
    fn command(&self, command: &'static str, outcome: Result<(), &Error>, took: Duration);
    /// A command was done, and the upstream says that it is asked too often; told before [`command`](Self::command).
    fn throttled(&self) {}
}
