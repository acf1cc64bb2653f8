//! TLS for POP3 clients: TLS 1.2 and 1.3 with the configured certificate, or with a self-signed one that is made once and kept.
//!
//! It must not know of connections: it makes the configuration that they share.

mod expiry;
mod self_signed;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

use crate::config;
use crate::pem::{self, PemError};

/// TLS for clients cannot be offered. Displays as a sentence that says what to do.
#[derive(Debug)]
pub enum TlsError {
    /// A certificate or key file is of no use.
    Pem(PemError),
    /// The key belongs to another certificate.
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Certificate or key is of a kind that cannot be used.
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library says.
        reason: rustls::Error,
    },
    /// The self-signed certificate could not be made.
    Generate(String),
    /// The self-signed certificate could not be kept.
    Keep {
        /// The file or folder that could not be written.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The TLS library refuses to work as it is set up here.
    Library(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(error) => error.fmt(f),
            Self::KeyMismatch { certificate, key } => write!(
                f,
                "the key in {} does not belong to the first certificate in {}; give both of one certificate, its own before its \
                 chain",
                key.display(),
                certificate.display()
            ),
            Self::Unusable {
                certificate,
                key,
                reason,
            } => write!(
                f,
                "the certificate in {} and the key in {} cannot be used: {reason}",
                certificate.display(),
                key.display()
            ),
            Self::Generate(reason) => {
                write!(f, "a self-signed certificate cannot be made: {reason}")
            }
            Self::Keep { path, reason } => write!(
                f,
                "the self-signed certificate cannot be kept in {}: {reason}; give another folder by --state DIR or the key \
                 state, or a certificate in [tls]",
                path.display()
            ),
            Self::Library(reason) => write!(f, "TLS cannot be set up: {reason}"),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<PemError> for TlsError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

/// What POP3 clients are shown.
pub struct Identity {
    /// For their connections.
    pub config: Arc<ServerConfig>,
    /// When the first certificate of its chain ends, in seconds since 1970. `None`: nobody can tell.
    pub ends: Option<i64>,
}

/// What POP3 clients are shown: with the configured certificate, else with the self-signed one in the folder `state`,
/// which is made there if it is missing.
///
/// # Errors
/// [`TlsError`]
pub fn identity(tls: &config::Tls, state: &Path) -> Result<Identity, TlsError> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => from_files(certificate, key),
        // One without the other is refused by `config`.
        _ => {
            let files = self_signed::files(state)?;
            tracing::warn!(
                certificate = %files.certificate.display(),
                "clients are shown a self-signed certificate, which they do not trust by themselves; \
                 to replace it, set certificate and key in [tls] of the configuration file"
            );
            from_files(&files.certificate, &files.key)
        }
    }
}

/// Whether the configured certificate can be used, without making a self-signed one where none is configured.
///
/// # Errors
/// [`TlsError`]
pub fn check(tls: &config::Tls) -> Result<(), TlsError> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => from_files(certificate, key).map(drop),
        _ => Ok(()),
    }
}

fn from_files(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = pem::certificates(certificate)?;
    let ends = chain.iter().filter_map(|one| expiry::ends(one)).min();
    let private_key = pem::private_key(key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::KeyMismatch {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                }
            }
            reason => TlsError::Unusable {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                reason,
            },
        })?;
    // Clients that poll resume with a ticket: no state here, and no signature each time.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Library)?;
    let config = Arc::new(config);
    Ok(Identity { config, ends })
}
