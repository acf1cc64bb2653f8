//! TLS to servers that the bridge is a client of: whom to trust. Certificates are always checked; there is no switch that turns this off.
//!
//! It must not know of connections: it makes the configuration that those to one server share.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::pem::{self, PemError};

/// There is nobody to trust. Displays as a sentence that says what to do.
#[derive(Debug)]
pub enum ClientTlsError {
    /// The configured CA file is of no use.
    Pem(PemError),
    /// A certificate in the configured CA file is of no use.
    Unusable {
        /// The file.
        ca: PathBuf,
        /// What the TLS library says.
        reason: rustls::Error,
    },
    /// Neither the system nor the configuration names an authority.
    NoRoots(String),
    /// The TLS library refuses to work as it is set up here.
    Library(rustls::Error),
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(error) => error.fmt(f),
            Self::Unusable { ca, reason } => {
                write!(
                    f,
                    "{} has a certificate in it that cannot be used: {reason}",
                    ca.display()
                )
            }
            Self::NoRoots(reason) => write!(
                f,
                "no server's certificate can be checked, as this system has no certificate authorities{reason}; install them \
                 (Debian: apt-get install ca-certificates), or name a PEM file with the key ca"
            ),
            Self::Library(reason) => write!(f, "TLS cannot be set up: {reason}"),
        }
    }
}

impl std::error::Error for ClientTlsError {}

/// The TLS configuration for a server: TLS 1.2 and 1.3, the system's authorities and those in the PEM file `ca`.
///
/// The system's are those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where these are set. Reads files: call it once for a server.
///
/// # Errors
/// [`ClientTlsError`]
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let system = rustls_native_certs::load_native_certs();
    let complaints: Vec<String> = system.errors.iter().map(ToString::to_string).collect();
    let mut roots = RootCertStore::empty();
    // Some systems have old certificates in their store that cannot be used: the others can.
    roots.add_parsable_certificates(system.certs);
    if let Some(ca) = ca {
        for certificate in pem::certificates(ca).map_err(ClientTlsError::Pem)? {
            roots
                .add(certificate)
                .map_err(|reason| ClientTlsError::Unusable {
                    ca: ca.to_owned(),
                    reason,
                })?;
        }
    }
    build(roots, &complaints)
}

fn build(roots: RootCertStore, complaints: &[String]) -> Result<Arc<ClientConfig>, ClientTlsError> {
    if roots.is_empty() {
        let reason = match complaints {
            [] => String::new(),
            complaints => format!(" ({})", complaints.join("; ")),
        };
        return Err(ClientTlsError::NoRoots(reason));
    }
    for complaint in complaints {
        tracing::debug!(%complaint, "some of the system's certificate authorities cannot be read");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(ClientTlsError::Library)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
