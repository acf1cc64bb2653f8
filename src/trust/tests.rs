use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn without_any_authority_the_way_out_is_named() {
    let complaints = ["/etc/ssl/certs: permission denied".to_owned()];
    let message = build(RootCertStore::empty(), &complaints)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("(/etc/ssl/certs: permission denied)"),
        "{message}"
    );
    assert!(
        message.contains("apt-get install ca-certificates") && message.contains("key ca"),
        "{message}"
    );
}

#[test]
fn a_ca_file_that_is_of_no_use_is_named() {
    let refused = |path: &Path| client_config(Some(path)).unwrap_err().to_string();
    assert!(refused(Path::new("/nowhere/ca.pem")).starts_with("/nowhere/ca.pem cannot be read: "));
    let empty = file("");
    assert!(refused(empty.path()).contains("has no certificate in it"));
    let garbage = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(refused(garbage.path()).contains("has a certificate in it that cannot be used"));
}
