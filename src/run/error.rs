//! Why the bridge could not start, or could not take up another configuration.
//!
//! Must not know: what it would do.

use std::fmt;
use std::io;

use crate::server::tls::TlsError;
use crate::store::StoreError;
use crate::trust::ClientTlsError;

/// Why the bridge could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound, or the system refused something else.
    Io(io::Error),
    /// The state.
    Store(StoreError),
    /// A secret that the configuration names cannot be had.
    Secret(String),
    /// TLS for clients.
    Tls(TlsError),
    /// TLS to an upstream.
    Upstream {
        /// The upstream's name.
        name: String,
        /// What is wrong.
        error: ClientTlsError,
    },
    /// TLS to an authorization server.
    OAuth {
        /// The name of its table.
        name: String,
        /// What is wrong.
        error: ClientTlsError,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Secret(words) => f.write_str(words),
            Self::Tls(error) => error.fmt(f),
            Self::Upstream { name, error } => write!(f, "upstream {name}: {error}"),
            Self::OAuth { name, error } => write!(f, "[oauth.{name}]: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
