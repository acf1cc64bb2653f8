//! Certificates and keys out of PEM files (RFC 7468). The only place that names `rustls-pemfile`.
//!
//! It must not know what they are for.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A PEM file is of no use. Displays as a sentence that begins with the file's name.
#[derive(Debug)]
pub struct PemError {
    file: PathBuf,
    kind: PemErrorKind,
}

/// Why a PEM file is of no use.
#[derive(Debug)]
pub enum PemErrorKind {
    /// It cannot be opened or read.
    Unreadable(io::Error),
    /// It has a section that is not well-formed.
    Malformed(io::Error),
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it, or only an encrypted one.
    NoKey,
}

impl PemError {
    fn new(file: &Path, kind: PemErrorKind) -> Self {
        Self {
            file: file.to_owned(),
            kind,
        }
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> &PemErrorKind {
        &self.kind
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.kind {
            PemErrorKind::Unreadable(error) => write!(f, "{file} cannot be read: {error}"),
            PemErrorKind::Malformed(error) => {
                write!(f, "{file} is not a well-formed PEM file: {error}")
            }
            PemErrorKind::NoCertificate => write!(
                f,
                "{file} has no certificate in it: a section that begins with -----BEGIN CERTIFICATE----- is needed"
            ),
            PemErrorKind::NoKey => write!(
                f,
                "{file} has no private key in it that can be used: a section that begins with -----BEGIN PRIVATE KEY----- is \
                 needed (also RSA or EC), without a passphrase"
            ),
        }
    }
}

impl std::error::Error for PemError {}

/// All certificates in `file`, in their order; at least one.
///
/// # Errors
/// [`PemErrorKind::Unreadable`], [`PemErrorKind::Malformed`], [`PemErrorKind::NoCertificate`]
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Vec<_> = rustls_pemfile::certs(&mut open(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(file, error))?;
    if certificates.is_empty() {
        return Err(PemError::new(file, PemErrorKind::NoCertificate));
    }
    Ok(certificates)
}

/// The first private key in `file`: PKCS#8, PKCS#1 or SEC1, not encrypted.
///
/// # Errors
/// [`PemErrorKind::Unreadable`], [`PemErrorKind::Malformed`], [`PemErrorKind::NoKey`]
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    rustls_pemfile::private_key(&mut open(file)?)
        .map_err(|error| failed(file, error))?
        .ok_or_else(|| PemError::new(file, PemErrorKind::NoKey))
}

/// The first private key in a text.
pub fn private_key_in(mut text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    rustls_pemfile::private_key(&mut text).ok().flatten()
}

fn open(file: &Path) -> Result<BufReader<File>, PemError> {
    File::open(file)
        .map(BufReader::new)
        .map_err(|error| PemError::new(file, PemErrorKind::Unreadable(error)))
}

fn failed(file: &Path, error: io::Error) -> PemError {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => PemErrorKind::Malformed(error),
        _ => PemErrorKind::Unreadable(error),
    };
    PemError::new(file, kind)
}
