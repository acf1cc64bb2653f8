//! What a whole configuration means, and what is said about a wrong one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::policy::{Dispose, Trash};

const MINIMAL: &str = "[upstream.office]\nurl = \"imaps://imap.example.com\"\n";

/// A folder with a configuration file in it, and its path.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("popbridge.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn of_file(path: &Path) -> Overrides {
    Overrides {
        config: Some(path.to_owned()),
        state: Some(Secret::new("state".to_owned())),
        ..Overrides::default()
    }
}

fn loaded(text: &str) -> Config {
    let (_folder, path) = file(text);
    load(&of_file(&path)).unwrap()
}

/// The error without the folder, so that it reads `popbridge.toml:7:1: ...`.
fn refused(text: &str) -> String {
    let (folder, path) = file(text);
    let error = load(&of_file(&path)).unwrap_err().to_string();
    let folder = format!("{}/", folder.path().display());
    error.strip_prefix(&folder).unwrap().to_owned()
}

fn with_upstream_keys(keys: &str) -> String {
    format!("{MINIMAL}{keys}\n")
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn one_url_is_a_whole_configuration() {
    let config = loaded(MINIMAL);
    assert_eq!(config.upstreams.len(), 1);
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.name, "office");
    assert_eq!(upstream.url.to_string(), "imaps://imap.example.com");
    assert_eq!(upstream.dispose.dispose, Dispose::Expunge);
    assert_eq!(upstream.dispose.trash, Trash::SpecialUse);
    assert!(!upstream.allow_unencrypted && !upstream.dispose.expunge_without_uidplus);
    assert_eq!(upstream.client_separator, Some('/'));
    assert_eq!(upstream.rules, Rules::default());
    assert_eq!(config.accounts, []);
    assert_eq!(config.limits.sweep_interval, Duration::from_secs(600));
    assert_eq!(config.limits.inactivity, Duration::from_secs(600));
    assert_eq!(config.limits.index_cache, 64 * 1024 * 1024);
    assert_eq!(config.admin, None);
    let listen: Vec<_> = config
        .listen
        .iter()
        .map(|listen| (listen.address, listen.tls))
        .collect();
    assert_eq!(
        listen,
        [
            (address("127.0.0.1:1110"), ListenTls::StartTls),
            (address("127.0.0.1:1995"), ListenTls::Implicit)
        ]
    );
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn an_upstream_flag_alone_is_a_whole_configuration() {
    let overrides = Overrides {
        upstream: Some("imaps://imap.example.com".to_owned()),
        ..Overrides::default()
    };
    let mut by_flag = load(&overrides).unwrap();
    let by_file = loaded(MINIMAL);
    by_flag.upstreams[0].name = "office".to_owned();
    by_flag.state = by_file.state.clone();
    assert_eq!(by_flag, by_file);
}

#[test]
fn flags_win_over_the_file() {
    let text =
        format!("state = \"kept\"\n[admin]\n[[listen]]\naddress = \"127.0.0.1:110\"\n{MINIMAL}");
    let (_folder, path) = file(&text);
    let overrides = Overrides {
        upstream: Some("imap+starttls://other.example.com".to_owned()),
        listen: vec![address("127.0.0.1:0"), address("127.0.0.1:0")],
        tls_listen: vec![address("[::1]:995")],
        admin: Some(address("127.0.0.1:9")),
        ..of_file(&path)
    };
    let config = load(&overrides).unwrap();
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(config.upstreams[0].url.host, "other.example.com");
    assert_eq!(config.listen.len(), 3);
    assert_eq!(config.listen[2].tls, ListenTls::Implicit);
    assert_eq!(
        config.admin,
        Some(Admin {
            token: None,
            address: address("127.0.0.1:9")
        })
    );
    assert_eq!(config.state.folder, Path::new("state"));
    assert_eq!(config.state.url.to_string(), "sqlite:state/state.db");
    assert_eq!(
        config.warnings,
        [
            "the listeners of the command line or environment are used instead of all [[listen]] in the file",
            "the upstream of the command line or environment is used instead of all in the file",
        ]
    );
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = format!(
        "state = \"s\"\n[tls]\ncertificate = \"c.pem\"\nkey = \"/abs/k.pem\"\n{MINIMAL}ca = \"ca.pem\"\n"
    );
    let (folder, path) = file(&text);
    let overrides = Overrides {
        state: None,
        ..of_file(&path)
    };
    let config = load(&overrides).unwrap();
    assert_eq!(config.state.folder, folder.path().join("s"));
    assert_eq!(config.tls.certificate, Some(folder.path().join("c.pem")));
    assert_eq!(config.tls.key, Some(PathBuf::from("/abs/k.pem")));
    assert_eq!(config.upstreams[0].ca, Some(folder.path().join("ca.pem")));
}

#[test]
fn domains_are_kept_in_lower_case_and_none_means_all_others() {
    let config = loaded(
        "[upstream.rest]\nurl = \"imaps://rest.example\"\n\
         [upstream.office]\nurl = \"imaps://office.example\"\ndomains = [\"Example.COM\", \"example.net\"]\n",
    );
    let office = config
        .upstreams
        .iter()
        .find(|upstream| upstream.name == "office")
        .unwrap();
    assert_eq!(office.domains, ["example.com", "example.net"]);
    let rest = config
        .upstreams
        .iter()
        .find(|upstream| upstream.name == "rest")
        .unwrap();
    assert!(rest.domains.is_empty());
}

#[test]
fn plaintext_networks_count_an_ipv4_client_behind_an_ipv6_socket() {
    let config = loaded(&format!(
        "[[listen]]\naddress = \"[::]:110\"\nplaintext = [\"192.168.10.0/24\", \"fd00::7\"]\n{MINIMAL}"
    ));
    let allows = |peer: &str| config.listen[0].allows_plaintext_from(peer.parse().unwrap());
    assert!(allows("192.168.10.9") && allows("::ffff:192.168.10.9") && allows("fd00::7"));
    assert!(!allows("192.168.11.9") && !allows("127.0.0.1") && !allows("fd00::8"));

    let default = &loaded(MINIMAL).listen[0];
    assert!(default.allows_plaintext_from("127.0.0.9".parse().unwrap()));
    assert!(default.allows_plaintext_from("::1".parse().unwrap()));
    assert!(!default.allows_plaintext_from("192.0.2.1".parse().unwrap()));
}

#[test]
fn port_995_speaks_tls_from_the_first_byte_unless_told_otherwise() {
    let config = loaded(&format!(
        "[[listen]]\naddress = \"[::]:995\"\n[[listen]]\naddress = \"[::]:110\"\n{MINIMAL}"
    ));
    assert_eq!(config.listen[0].tls, ListenTls::Implicit);
    assert_eq!(config.listen[1].tls, ListenTls::StartTls);
}

#[test]
fn the_state_folder_is_systemds_then_the_systems_then_the_users() {
    let of = |variables: &[(&str, &str)], is_root| {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        };
        state::default_folder(&state::Surroundings {
            variable: &variable,
            is_root,
        })
    };
    let home = ("HOME", "/home/ann");
    let systemd = ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
    assert_eq!(of(&[home, systemd], true), Some("/var/lib/a".into()));
    assert_eq!(of(&[home], true), Some("/var/lib/popbridge".into()));
    assert_eq!(
        of(&[home], false),
        Some("/home/ann/.local/state/popbridge".into())
    );
    assert_eq!(
        of(&[home, ("XDG_STATE_HOME", "/s")], false),
        Some("/s/popbridge".into())
    );
    assert_eq!(
        of(&[home, ("XDG_STATE_HOME", "s")], false),
        Some("/home/ann/.local/state/popbridge".into())
    );
    assert_eq!(of(&[], false), None);
}

#[test]
fn wrong_keys_are_named_with_place_and_the_nearest_valid_key() {
    let cases = [
        (
            "[upstream.office]\nurl = \"imaps://a\"\n  domians = []\n".to_owned(),
            "popbridge.toml:3:3: unknown key \"domians\" in [upstream.office]; did you mean \"domains\"?",
        ),
        (
            format!("{MINIMAL}[limit]\n"),
            "popbridge.toml:3:2: unknown key \"limit\"; did you mean \"limits\"?",
        ),
        (
            format!("[[listen]]\nadress = \"[::]:1\"\n{MINIMAL}"),
            "popbridge.toml:2:1: unknown key \"adress\" in [[listen]]; did you mean \"address\"?",
        ),
        (
            format!("{MINIMAL}[limits]\ninactive = \"1m\"\n"),
            "popbridge.toml:4:1: unknown key \"inactive\" in [limits]; did you mean \"inactivity\"?",
        ),
        (
            format!("{MINIMAL}[limits]\nzzz = \"1m\"\n"),
            "popbridge.toml:4:1: unknown key \"zzz\" in [limits]; the keys are inactivity, login, handshake, connections, source_connections, memory, slow_reader, index_cache, body_cache, read_ahead, upstream_idle, password_trust, auth_failure_delay, drain, sweep_interval",
        ),
        (
            format!("{MINIMAL}[client.desk1]\n"),
            "popbridge.toml:3:2: unknown key \"client\"; the keys are state, state_folder, state_password_file, token_key_file, \
             token_key_env, token_key_credential, await_upstream, listen, tls, admin, log, upstream, account, oauth, limits",
        ),
        (
            format!(
                "[tls]
cert = \"c\"
{MINIMAL}"
            ),
            "popbridge.toml:2:1: unknown key \"cert\" in [tls]; did you mean \"certificate\"?",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&text), message);
    }
}

#[test]
fn wrong_types_and_wrong_toml_are_named_with_their_place() {
    let cases = [
        (
            format!("{MINIMAL}[limits]\ninactivity = 600\n"),
            "popbridge.toml:4:14: limits.inactivity: a text in quotes is expected here, not integer \"600\"; durations are written \"15s\", sizes \"64MiB\"",
        ),
        (
            with_upstream_keys("domains = \"example.com\""),
            "popbridge.toml:3:11: upstream.office.domains: a list such as [\"...\"] is expected here, not string \"example.com\"",
        ),
        (
            with_upstream_keys("allow_unencrypted = \"yes\""),
            "popbridge.toml:3:21: upstream.office.allow_unencrypted: true or false is expected here, not string \"yes\"",
        ),
        (
            "upstream = 7".to_owned(),
            "popbridge.toml:1:12: upstream: a table is expected here, not integer \"7\"",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&text).replace("\\\"", "\""), message);
    }
    assert!(
        refused("a = \nb = 1").starts_with("popbridge.toml:1:"),
        "{}",
        refused("a = \nb = 1")
    );
    assert!(
        refused(&format!("{MINIMAL}url = \"imaps://b\"\n")).starts_with("popbridge.toml:3:1: ")
    );
}

#[test]
fn a_missing_file_is_named() {
    let overrides = of_file(Path::new("/nowhere/popbridge.toml"));
    let error = load(&overrides).unwrap_err();
    assert_eq!(error.line(), None);
    let text = error.to_string();
    assert!(
        text.starts_with("/nowhere/popbridge.toml: the configuration file cannot be read: "),
        "{text}"
    );
}

#[test]
fn without_an_upstream_both_ways_out_are_named() {
    let nothing = validate::config(None, file::File::default(), &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        nothing.contains("--upstream imaps://") && nothing.contains("--config FILE"),
        "{nothing}"
    );
    assert!(refused("[admin]\n").starts_with("popbridge.toml: no upstream: add [upstream.NAME]"));
}

#[test]
fn a_file_may_say_that_its_upstream_is_still_to_come() {
    let config = loaded("await_upstream = true\n");
    assert_eq!(config.upstreams, []);
    assert!(
        config
            .warnings
            .iter()
            .any(|words| words.contains("add [upstream.NAME]"))
    );
    let config = loaded(&format!("await_upstream = true\n{MINIMAL}"));
    assert_eq!((config.upstreams.len(), config.warnings.len()), (1, 0));
    // An account needs an upstream all the same.
    let text = "await_upstream = true\n[account.info]\nlogin = \"i\"\npassword_env = \"P\"\n";
    assert!(refused(text).contains("upstream"), "{}", refused(text));
}
