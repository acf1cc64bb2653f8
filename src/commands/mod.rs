//! What the operator's commands do beside a bridge that may be running: it sees the changes at the next log-in.
//!
//! Must not know: POP3, IMAP, how a command line is written.

pub mod client;
mod format;
mod mailboxes;
pub mod oauth;
pub mod status;
pub mod store;
pub mod sweep;
pub(crate) mod times;
pub(crate) mod tokens;

use std::fmt;
use std::io;

use crate::bridge::Trouble;
use crate::bridge::clock::now;
use crate::config::Config;
use crate::run::{StartError, look_at_store, open_store};
use crate::store::{Purpose, Store, StoreError};

/// Why a command was not carried out; displays as a sentence.
#[derive(Debug)]
pub enum CommandError {
    /// It was asked for something that cannot be: a matter of the command line.
    Usage(String),
    /// It could not be done.
    Failed(String),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Trouble> for CommandError {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.to_string())
    }
}

impl From<StartError> for CommandError {
    fn from(error: StartError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Opens the configured store beside a bridge.
async fn open(config: &Config) -> Result<Store, CommandError> {
    Ok(open_store(config, Purpose::Command).await?)
}

/// The same to look only. `None`: nobody has made one yet.
async fn look(config: &Config) -> Result<Option<Store>, CommandError> {
    Ok(look_at_store(config).await?)
}
