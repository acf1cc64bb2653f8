//! Limits of connections and what proxies may say.

use std::net::IpAddr;

use super::file::File;
use super::{Config, ConfigError, Overrides, error, file, validate};

fn result(text: &str) -> Result<Config, ConfigError> {
    let source = error::Source {
        file: "f".as_ref(),
        text,
    };
    let file: File = file::parse(source)?;
    validate::config(Some(source), file, &Overrides::default())
}

fn load(text: &str) -> Config {
    result(&format!("{text}\n[upstream.x]\nurl = \"imaps://x\"\n"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    let text = format!("{text}\n[upstream.x]\nurl = \"imaps://x\"\n");
    result(&text).unwrap_err().to_string()
}

#[test]
fn a_limit_of_nothing_is_none() {
    let limits = load("").limits;
    assert_eq!(
        (limits.connections, limits.source_connections),
        (Some(4096), Some(100))
    );
    assert_eq!((limits.memory, limits.slow_reader), (Some(1 << 30), 8192));
    let none = load("[limits]\nconnections = 0\nsource_connections = 0\nmemory = \"0B\"\nslow_reader = \"0B\"\n").limits;
    assert_eq!((none.connections, none.source_connections), (None, None));
    assert_eq!((none.memory, none.slow_reader), (None, 0));
    let some = load("[limits]\nconnections = 7\nmemory = \"256MiB\"\nhandshake = \"5s\"\n").limits;
    assert_eq!((some.connections, some.memory), (Some(7), Some(256 << 20)));
    assert_eq!(some.handshake.as_secs(), 5);
    assert!(refused("[limits]\nhandshake = \"1h\"\n").contains("out of range"));
    assert!(refused("[limits]\nconnections = -1\n").contains("limits.connections"));
}

#[test]
fn caches_that_may_take_all_memory_are_warned_of() {
    let warnings = |memory: &str| load(&format!("[limits]\nmemory = \"{memory}\"\n")).warnings;
    assert_eq!(warnings("161MiB"), Vec::<String>::new());
    assert!(warnings("160MiB")[0].contains("no client is let in"));
}

#[test]
fn a_listener_believes_the_proxies_that_it_names() {
    let listen = |networks: &str| {
        format!("[[listen]]\naddress = \"[::]:1110\"\nproxy_protocol = {networks}\n")
    };
    let config = load(&listen("[\"10.0.0.0/8\", \"fd00::5\"]"));
    let believes = |ip: &str| config.listen[0].has_proxy_at(ip.parse::<IpAddr>().unwrap());
    assert!(believes("10.1.2.3") && believes("::ffff:10.1.2.3") && believes("fd00::5"));
    assert!(!believes("192.0.2.1") && !believes("fd00::6") && !believes("127.0.0.1"));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!load("").listen[0].has_proxy_at("127.0.0.1".parse().unwrap()));
    assert!(refused(&listen("[]")).contains("nobody could connect"));
    assert!(refused(&listen("[\"10.0.0.1/8\"]")).contains("bits set beyond its prefix"));
    assert!(load(&listen("[\"0.0.0.0/0\"]")).warnings[0].contains("believes everybody"));
}
