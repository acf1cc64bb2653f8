//! The certificate of an installation that was given none: made at the first start and kept, so that clients that were told to
//! trust it go on doing so.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize, SanType, date_time_ymd,
};

use super::TlsError;

/// Where the certificate and its key are.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The files in the folder `state`; they are made if one of them is missing.
pub(super) fn files(state: &Path) -> Result<Files, TlsError> {
    let files = Files {
        certificate: state.join("selfsigned.pem"),
        key: state.join("selfsigned.key"),
    };
    // A certificate is written after its key: where it is, the key is, unless somebody has removed it.
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let (certificate, key) =
        generate(&host_name()).map_err(|error| TlsError::Generate(error.to_string()))?;
    let kept = |path: &Path| {
        let path = path.to_owned();
        move |reason| TlsError::Keep { path, reason }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(kept(state))?;
    write(&files.key, key.as_bytes(), 0o600).map_err(kept(&files.key))?;
    write(&files.certificate, certificate.as_bytes(), 0o644).map_err(kept(&files.certificate))?;
    // The names, too, must survive a power cut.
    File::open(state)
        .and_then(|folder| folder.sync_all())
        .map_err(kept(state))?;
    tracing::info!(certificate = %files.certificate.display(), "a self-signed certificate was made");
    Ok(files)
}

/// Writes a whole file or none: readers never see a part of it.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    // What a process with the same id has left when it was killed; `create_new` does not follow a link that somebody has put there.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// A certificate and its key, both PEM.
fn generate(host: &str) -> Result<(String, String), rcgen::Error> {
    // RSA with 2048 bits, since some old clients know nothing else.
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    if host != "localhost"
        && let Ok(name) = host.try_into()
    {
        params.subject_alt_names.insert(0, SanType::DnsName(name));
    }
    for address in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name.push(DnType::CommonName, host);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "popbridge self-signed");
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Not "from now on": devices whose clock is behind would refuse it.
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// This machine's name, or "localhost" where it is not one that a certificate can hold.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    // A common name holds 64 characters (RFC 5280 appendix A.1).
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return "localhost".to_owned();
    }
    name.to_owned()
}
