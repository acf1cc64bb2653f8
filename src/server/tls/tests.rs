use std::fs;
use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::trust::client_config;

const NONE: config::Tls = config::Tls {
    certificate: None,
    key: None,
};

fn server_config(tls: &config::Tls, state: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    identity(tls, state).map(|identity| identity.config)
}

fn configured(certificate: &Path, key: &Path) -> config::Tls {
    config::Tls {
        certificate: Some(certificate.to_owned()),
        key: Some(key.to_owned()),
    }
}

/// Says hello through TLS to `host` and answers the version used.
async fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    host: &str,
) -> io::Result<ProtocolVersion> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let accepted = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"+OK\r\n").await?;
        stream.shutdown().await
    });
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = TlsConnector::from(client).connect(name, near).await?;
    let mut greeting = Vec::new();
    stream.read_to_end(&mut greeting).await?;
    assert_eq!(greeting, b"+OK\r\n");
    accepted.await.unwrap()?;
    Ok(stream.get_ref().1.protocol_version().unwrap())
}

/// A client that speaks one version of TLS only.
fn client_of(version: &'static SupportedProtocolVersion, ca: &Path) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pem::certificates(ca).unwrap().remove(0)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn the_first_start_makes_a_certificate_that_clients_can_be_told_to_trust() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("made/here");
    let server = server_config(&NONE, &state).unwrap();
    let certificate = state.join("selfsigned.pem");
    for host in ["localhost", "127.0.0.1", "::1"] {
        let client = client_config(Some(&certificate)).unwrap();
        let version = handshake(Arc::clone(&server), client, host).await.unwrap();
        assert_eq!(version, ProtocolVersion::TLSv1_3);
    }
    let version = handshake(
        Arc::clone(&server),
        client_of(&TLS12, &certificate),
        "localhost",
    )
    .await;
    assert_eq!(version.unwrap(), ProtocolVersion::TLSv1_2);

    let elsewhere = client_config(Some(&certificate)).unwrap();
    assert!(
        handshake(server, elsewhere, "mail.example.com")
            .await
            .is_err()
    );
}

#[test]
fn the_self_signed_certificate_is_rsa_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    server_config(&NONE, &state).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("selfsigned.key")), 0o600);
    assert_eq!(
        fs::read_dir(&state).unwrap().count(),
        2,
        "nothing half-written is left"
    );
    // RSA with 2048 bits: the modulus alone is 256 bytes, the key with its primes some 1,200.
    let key = pem::private_key(&state.join("selfsigned.key")).unwrap();
    assert!(
        (1_100..1_300).contains(&key.secret_der().len()),
        "{}",
        key.secret_der().len()
    );
}

#[test]
fn the_self_signed_certificate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let read = || {
        ["selfsigned.pem", "selfsigned.key"].map(|name| fs::read(folder.path().join(name)).unwrap())
    };
    server_config(&NONE, folder.path()).unwrap();
    let made = read();
    server_config(&NONE, folder.path()).unwrap();
    assert_eq!(read(), made);

    // Cut off between the two files: both are made again, so that they fit.
    fs::remove_file(folder.path().join("selfsigned.pem")).unwrap();
    server_config(&NONE, folder.path()).unwrap();
    assert_ne!(read(), made);
}

#[tokio::test]
async fn configured_files_are_used_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    server_config(&NONE, folder.path()).unwrap();
    let certificate = folder.path().join("selfsigned.pem");
    let both = folder.path().join("both.pem");
    let mut text = fs::read_to_string(&certificate).unwrap();
    text.push_str(&fs::read_to_string(folder.path().join("selfsigned.key")).unwrap());
    fs::write(&both, text).unwrap();

    let nowhere = folder.path().join("nowhere");
    let server = server_config(&configured(&both, &both), &nowhere).unwrap();
    assert!(!nowhere.exists());
    let client = client_config(Some(&certificate)).unwrap();
    handshake(server, client, "localhost").await.unwrap();
}

#[test]
fn a_check_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    check(&NONE).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("missing.pem");
    assert!(check(&configured(&missing, &missing)).is_err());
}

#[test]
fn files_that_cannot_serve_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (one, other) = (path("one"), path("other"));
    server_config(&NONE, &one).unwrap();
    server_config(&NONE, &other).unwrap();
    let certificate = one.join("selfsigned.pem");
    let key = one.join("selfsigned.key");
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(
        path("broken.pem"),
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    fs::write(
        path("garbage.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    fs::write(
        path("locked.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();

    let cases = [
        (
            path("missing.pem"),
            key.clone(),
            "missing.pem cannot be read: No such file",
        ),
        (
            folder.path().to_owned(),
            key.clone(),
            " cannot be read: Is a directory",
        ),
        (
            path("empty.pem"),
            key.clone(),
            "empty.pem has no certificate in it",
        ),
        (
            key.clone(),
            key.clone(),
            "selfsigned.key has no certificate in it",
        ),
        (
            path("broken.pem"),
            key.clone(),
            "broken.pem is not a well-formed PEM file",
        ),
        (path("garbage.pem"), key.clone(), "cannot be used: "),
        (
            certificate.clone(),
            path("empty.pem"),
            "empty.pem has no private key in it",
        ),
        (
            certificate.clone(),
            path("locked.key"),
            "without a passphrase",
        ),
        (
            certificate.clone(),
            other.join("selfsigned.key"),
            "does not belong to the first certificate in ",
        ),
    ];
    for (certificate, key, words) in cases {
        let message = check(&configured(&certificate, &key))
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "expected {words}, got {message}");
    }
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let message = server_config(&NONE, &file.join("state"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("file/state: Not a directory") && message.contains("--state DIR"),
        "{message}"
    );
}
