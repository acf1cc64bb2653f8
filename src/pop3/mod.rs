//! The server's side of POP3, without I/O: octets in, answers and [`Action`]s
//! out.
//!
//! RFC 1939 (POP3), 2449 (CAPA and response codes), 2595 (STLS), 3206 (SYS and
//! AUTH codes), 5034 (AUTH), 7628 (OAUTHBEARER). APOP and CRAM-MD5 are left out: both need the
//! password in clear at rest.
//!
//! Architecture invariant: nothing below names a runtime, a socket, a file or a
//! clock, nor IMAP. Whoever drives a [`Session`] owns all of these.
//!
//! How a driver goes about it:
//!
//! 1. `greet`, then read octets into a [`LineBuffer`] and take lines out.
//! 2. Give one line to [`Session::line`], carry out the [`Action`], and report its
//!    result (`logged_in`, `listed`, `updated`, `tls_started`), which may return
//!    another `Action`. Only then take the next line: that is what answers
//!    pipelined commands in order.
//! 3. A body goes through [`body::Encoder`], between `body_starts` and the next
//!    line.

mod authorization;
pub mod body;
mod capa;
mod command;
mod line;
mod response;
mod sasl;
mod session;
mod transaction;
pub mod workarounds;

#[cfg(test)]
mod purity_tests;

pub use command::COMMAND_NAMES;
pub use line::{Line, LineBuffer, MAX_LINE, MAX_SASL_LINE};
pub use response::{Code, Refusal, is_ok, turn_away};
pub use sasl::Mechanism;
pub use session::{Action, Body, Login, Presented, Profile, Session, StateName, TlsState};
