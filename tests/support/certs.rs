//! A certificate authority made for one test run, and a server certificate for localhost that it has signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// PEM files in a test's folder: `ca.pem`, `cert.pem`, `key.pem`.
#[derive(Clone)]
pub struct Certs {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certs {
    /// Makes authority and certificate (for localhost and 127.0.0.1) in `folder`.
    pub fn make(folder: &Path) -> Self {
        Self::make_for(folder, &["localhost", "127.0.0.1"])
    }

    /// The same for other names, for instance to see that a wrong name is refused.
    pub fn make_for(folder: &Path, names: &[&str]) -> Self {
        Self::make_with(folder, names, |_| {})
    }

    /// One that was good until the end of 2020.
    pub fn make_expired(folder: &Path) -> Self {
        Self::make_with(folder, &["localhost", "127.0.0.1"], |server| {
            server.not_before = rcgen::date_time_ymd(2019, 1, 1);
            server.not_after = rcgen::date_time_ymd(2020, 12, 31);
        })
    }

    fn make_with(folder: &Path, names: &[&str], change: fn(&mut CertificateParams)) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        ca.distinguished_name
            .push(DnType::CommonName, "popbridge test authority");
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key"))
            .expect("an authority");

        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let mut server = CertificateParams::new(names.clone()).expect("names");
        server
            .distinguished_name
            .push(DnType::CommonName, names[0].clone());
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut server);
        let key = KeyPair::generate().expect("a key");
        let cert = server.signed_by(&key, &ca).expect("a certificate");

        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            path
        };
        Self {
            ca: write("ca.pem", ca.pem()),
            cert: write("cert.pem", cert.pem()),
            key: write("key.pem", key.serialize_pem()),
        }
    }

    pub fn server_config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .expect("cert.pem")
            .map(|c| c.expect("a certificate"))
            .collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("key.pem");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key fits the certificate");
        Arc::new(config)
    }

    pub fn client_config(&self) -> Arc<ClientConfig> {
        client_config(&self.ca)
    }
}

/// A client's TLS settings that trust only what is in the PEM file `ca` (an authority, or a self-signed certificate).
pub fn client_config(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in
        CertificateDer::pem_file_iter(ca).unwrap_or_else(|e| panic!("{}: {e}", ca.display()))
    {
        roots.add(cert.expect("a certificate")).expect("a root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
