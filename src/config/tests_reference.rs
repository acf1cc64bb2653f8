//! The files in `config/` are true: they load, and the reference file names every key with the default that it has.

use std::path::Path;

use super::file::File;
use super::{Config, Overrides, Provider, error, file, validate};
use crate::policy::{Dispose, OnDelete, When};

const REFERENCE: &str = include_str!("../../config/popbridge.toml");
const MINIMAL: &str = include_str!("../../config/minimal.toml");
const SHARED: &str = include_str!("../../config/shared-inbox.toml");
const GMAIL: &str = include_str!("../../config/gmail.toml");
const MICROSOFT: &str = include_str!("../../config/microsoft365.toml");
const YAHOO: &str = include_str!("../../config/yahoo.toml");
const PACKAGED: &str = include_str!("../../packaging/popbridge.toml");

fn load(text: &str) -> Config {
    let source = error::Source {
        file: Path::new("popbridge.toml"),
        text,
    };
    let file: File = file::parse(source).unwrap_or_else(|error| panic!("{error}"));
    validate::config(Some(source), file, &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Takes the `#` from the lines that `take` says yes to, given what stands behind it.
fn uncommented(text: &str, take: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if take(rest) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn is_default(rest: &str) -> bool {
    !rest.is_empty() && !rest.starts_with(' ')
}

/// The keys that are known in the table that `header` opens, as the error for an unknown one lists them.
fn keys_in(header: &str) -> Vec<String> {
    let text = format!("{header}\nxxxxxxxxxxxxxxxx = 1\n");
    let source = error::Source {
        file: Path::new("x"),
        text: &text,
    };
    let message = file::parse(source).unwrap_err().to_string();
    let (_, keys) = message.split_once("the keys are ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_defaults_written_in_the_reference_file_are_the_defaults() {
    let written = uncommented(REFERENCE, is_default);
    assert!(
        written.contains("\nauth_failure_delay = \"2s\""),
        "{written}"
    );
    assert_eq!(load(&written), load(MINIMAL));
    assert_eq!(load(REFERENCE), load(MINIMAL));
}

#[test]
fn the_reference_file_has_every_key_and_its_examples_load() {
    // An example is "# key = value" or "# [table]"; prose never looks like either.
    let is_example = |rest: &str| {
        let rest = rest.trim_start();
        let key = rest.split(" = ").next().unwrap_or_default();
        rest.starts_with("[admin]")
            || rest.starts_with("[account.")
            || rest.starts_with("[oauth.")
            || rest.contains(" = ")
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let everything = uncommented(REFERENCE, |rest| is_default(rest) || is_example(rest));
    let config = load(&everything);
    assert!(
        config.tls.certificate.is_some()
            && config.admin.is_some()
            && config.upstreams[0].ca.is_some()
    );

    let tables: toml::Table = toml::from_str(&everything).unwrap();
    let check = |table: &toml::Table, header: &str| {
        for key in keys_in(header) {
            assert!(
                table.contains_key(&key),
                "{header} {key} is not in config/popbridge.toml"
            );
        }
    };
    // Of the three only one can be set, and there is no other place to set the others.
    let mut top = tables.clone();
    for other in ["token_key_env", "token_key_credential"] {
        if REFERENCE.contains(&format!(" {other} = \"")) {
            top.insert(other.to_owned(), true.into());
        }
    }
    check(&top, "");
    check(tables["listen"][0].as_table().unwrap(), "[[listen]]");
    check(tables["tls"].as_table().unwrap(), "[tls]");
    let mut admin = tables["admin"].as_table().unwrap().clone();
    for other in ["token_env", "token_credential"] {
        if REFERENCE.contains(&format!(": {other} = \"")) {
            admin.insert(other.to_owned(), true.into());
        }
    }
    check(&admin, "[admin]");
    check(tables["log"].as_table().unwrap(), "[log]");
    check(tables["limits"].as_table().unwrap(), "[limits]");
    check(
        tables["upstream"]["office"].as_table().unwrap(),
        "[upstream.office]",
    );
    let account = tables["account"]["info"].as_table().unwrap();
    // An account is opened in one way, and other accounts of the file in the others.
    let mut all = account.clone();
    for other in ["support", "orders", "sales"] {
        all.extend(tables["account"][other].as_table().unwrap().clone());
    }
    check(&all, "[account.info]");
    let mut all = toml::Table::new();
    for (_, one) in tables["oauth"].as_table().unwrap() {
        all.extend(one.as_table().unwrap().clone());
    }
    check(&all, "[oauth.google]");
    let retention = account["retention"].as_table().unwrap();
    for key in ["when", "min_age", "max_age", "undelivered"] {
        assert!(retention.contains_key(key), "{key}");
    }
}

#[test]
fn the_file_for_a_shared_inbox_loads_and_warns_of_nothing() {
    let config = load(SHARED);
    assert_eq!(config.accounts.len(), 1);
    let account = &config.accounts[0];
    assert_eq!(account.rules.on_delete, Some(OnDelete::Hide));
    assert_eq!(account.dispose.dispose, Dispose::Trash);
    assert_eq!(account.rules.retention.when, When::AllClientsDelivered);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_gmail_file_loads() {
    let config = load(GMAIL);
    let gmail = &config.upstreams[0];
    assert!(gmail.domains.contains(&"googlemail.com".to_owned()));
    assert_eq!(gmail.url.to_string(), "imaps://imap.gmail.com");
    assert!(gmail.uidl.needs_gm_msgid());
    assert_eq!(gmail.dispose.dispose, Dispose::Trash);
}

#[test]
fn the_files_of_the_other_providers_load() {
    let microsoft = load(MICROSOFT);
    assert_eq!(microsoft.upstreams[0].provider, Provider::Microsoft365);
    let yahoo = load(YAHOO);
    let urls: Vec<String> = yahoo
        .upstreams
        .iter()
        .map(|one| one.url.to_string())
        .collect();
    assert_eq!(
        urls,
        ["imaps://imap.aol.com", "imaps://imap.mail.yahoo.com"]
    );
    assert!(yahoo.upstreams.iter().all(|one| one.send_id && one.uidonly));
}

#[test]
fn the_file_that_packages_install_is_for_this_machine_only_until_an_upstream_is_added() {
    let installed = load(PACKAGED);
    assert_eq!(installed.upstreams, []);
    let admin = installed.admin.iter().map(|admin| admin.address);
    let addresses: Vec<_> = installed
        .listen
        .iter()
        .map(|one| one.address)
        .chain(admin)
        .collect();
    assert_eq!(addresses.len(), 3);
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    let edited = uncommented(PACKAGED, |rest| {
        rest.starts_with(" [upstream.") || rest.starts_with(" url = ")
    });
    let edited = load(&edited);
    assert_eq!(edited.upstreams, load(MINIMAL).upstreams);
    assert_eq!(edited.warnings, Vec::<String>::new());
}

#[test]
fn every_example_file_is_loaded_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".toml"));
    let here = include_str!("tests_reference.rs");
    for name in names {
        assert!(here.contains(&format!("config/{name}\")")), "{name}");
    }
}
