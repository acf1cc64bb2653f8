//! The shape of the configuration file: which keys there are and which TOML type each has.
//!
//! What the values mean is `validate`'s business. Values keep their place in the file, so that an error found later can point
//! at it. Wrong keys, wrong types and wrong TOML are put into words here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_path_to_error::Segment;
use toml::Spanned;

use super::error::{ConfigError, Source, nearest};

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) state: Option<Text>,
    pub(super) state_folder: Option<Text>,
    pub(super) state_password_file: Option<Text>,
    pub(super) token_key_file: Option<Text>,
    pub(super) token_key_env: Option<Text>,
    pub(super) token_key_credential: Option<Text>,
    #[serde(default)]
    pub(super) await_upstream: bool,
    pub(super) listen: Option<Vec<Spanned<Listen>>>,
    pub(super) tls: Option<Spanned<Tls>>,
    pub(super) admin: Option<Admin>,
    pub(super) log: Option<Log>,
    #[serde(default)]
    pub(super) upstream: BTreeMap<String, Spanned<Upstream>>,
    #[serde(default)]
    pub(super) account: BTreeMap<String, Spanned<Account>>,
    #[serde(default)]
    pub(super) oauth: BTreeMap<String, Spanned<OAuth>>,
    #[serde(default)]
    pub(super) limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) address: Option<Text>,
    pub(super) tls: Option<Text>,
    pub(super) plaintext: Option<Spanned<Vec<Text>>>,
    pub(super) proxy_protocol: Option<Spanned<Vec<Text>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: Option<Text>,
    pub(super) key: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) address: Option<Text>,
    pub(super) token_file: Option<Text>,
    pub(super) token_env: Option<Text>,
    pub(super) token_credential: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) filter: Option<Text>,
    pub(super) format: Option<Text>,
}

/// The keys that say what happens to messages. Tables with them have them as their own keys.
#[derive(Debug, Default)]
pub(super) struct RuleKeys {
    pub(super) on_delete: Option<Text>,
    pub(super) after_retrieve: Option<Text>,
    pub(super) dispose: Option<Text>,
    pub(super) trash: Option<Text>,
    pub(super) archive: Option<Text>,
    pub(super) keyword: Option<Text>,
    pub(super) retention: Option<Spanned<Retention>>,
    pub(super) client_expires: Option<Text>,
    pub(super) delivered_without_quit: Option<bool>,
}

/// A table with keys of its own and the [`RuleKeys`]. serde can flatten a table into another, but then neither knows which keys are
/// unknown, and places are lost.
macro_rules! with_rule_keys {
    (struct $name:ident { $($(#[$attribute:meta])* $key:ident: $type:ty,)* }) => {
        with_rule_keys! {
            struct $name { $($(#[$attribute])* $key: $type,)* }
            on_delete: Option<Text>, after_retrieve: Option<Text>, dispose: Option<Text>, trash: Option<Text>, archive: Option<Text>,
            keyword: Option<Text>, retention: Option<Spanned<Retention>>, client_expires: Option<Text>, delivered_without_quit: Option<bool>
        }
    };
    (struct $name:ident { $($(#[$attribute:meta])* $key:ident: $type:ty,)* } $($rule:ident: $rule_type:ty),*) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $key: $type,)*
            $($rule: $rule_type,)*
        }

        impl $name {
            /// Takes the keys that say what happens to messages.
            pub(super) fn take_rule_keys(&mut self) -> RuleKeys {
                RuleKeys { $($rule: self.$rule.take(),)* }
            }
        }
    };
}

with_rule_keys! {
    struct Upstream {
        provider: Option<Text>,
        url: Option<Text>,
        #[serde(default)]
        domains: Vec<Text>,
        ca: Option<Text>,
        #[serde(default)]
        allow_unencrypted: bool,
        client_separator: Option<Text>,
        #[serde(default)]
        expunge_without_uidplus: bool,
        uidl: Option<Text>,
        uidonly: Option<bool>,
        send_id: Option<bool>,
        placeholder_text: Option<bool>,
        connections: Option<Spanned<u16>>,
        bytes_per_day: Option<Text>,
        host_connections: Option<Spanned<u16>>,
        logins_per_second: Option<Spanned<u16>>,
        session_life: Option<Text>,
        connect_timeout: Option<Text>,
        command_timeout: Option<Text>,
    }
}

with_rule_keys! {
    struct Account {
        upstream: Option<Text>,
        login: Option<Text>,
        password_file: Option<Text>,
        password_env: Option<Text>,
        password_credential: Option<Text>,
        oauth: Option<Text>,
        oauth_user: Option<Text>,
        folders: Option<Spanned<Vec<Text>>>,
        folder_header: Option<Text>,
        hold: Option<Text>,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuth {
    pub(super) preset: Option<Text>,
    pub(super) grant: Option<Text>,
    pub(super) issuer: Option<Text>,
    pub(super) tenant: Option<Text>,
    pub(super) client_id: Option<Text>,
    pub(super) client_secret_file: Option<Text>,
    pub(super) client_secret_env: Option<Text>,
    pub(super) client_secret_credential: Option<Text>,
    pub(super) service_account_file: Option<Text>,
    pub(super) scope: Option<Text>,
    pub(super) authorization_url: Option<Text>,
    pub(super) token_url: Option<Text>,
    pub(super) device_url: Option<Text>,
    pub(super) ca: Option<Text>,
    pub(super) timeout: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) when: Option<Text>,
    pub(super) min_age: Option<Text>,
    pub(super) max_age: Option<Text>,
    pub(super) undelivered: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) inactivity: Option<Text>,
    pub(super) login: Option<Text>,
    pub(super) handshake: Option<Text>,
    pub(super) connections: Option<u32>,
    pub(super) source_connections: Option<u32>,
    pub(super) memory: Option<Text>,
    pub(super) slow_reader: Option<Text>,
    pub(super) index_cache: Option<Text>,
    pub(super) body_cache: Option<Text>,
    pub(super) read_ahead: Option<Text>,
    pub(super) upstream_idle: Option<Text>,
    pub(super) password_trust: Option<Text>,
    pub(super) auth_failure_delay: Option<Text>,
    pub(super) drain: Option<Text>,
    pub(super) sweep_interval: Option<Text>,
}

/// Reads the text of a file into its shape.
pub(super) fn parse(source: Source<'_>) -> Result<File, ConfigError> {
    let words = |error: toml::de::Error, path: &[String]| {
        let message = words(error.message(), path);
        source.error(error.span(), message)
    };
    let document = toml::Deserializer::parse(source.text).map_err(|error| words(error, &[]))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = path_of(error.path());
        words(error.into_inner(), &path)
    })
}

/// Reads the file at `path`. The text is handed back because places are counted in it.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        ConfigError::in_file(
            path,
            format!("the configuration file cannot be read: {error}"),
        )
    })
}

/// The keys that lead to the error. Spanned values show up as maps with keys of toml's own, which are left out.
fn path_of(path: &serde_path_to_error::Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } if !key.starts_with('$') => Some(key.clone()),
            _ => None,
        })
        .collect()
}

/// Puts serde's message into the words of this file's users.
fn words(message: &str, path: &[String]) -> String {
    if let Some((key, known)) = unknown_field(message) {
        // The path may or may not end in the key itself.
        let parent = match path {
            [parent @ .., last] if *last == key => parent,
            _ => path,
        };
        let place = match parent.first().map(String::as_str) {
            None => String::new(),
            Some("listen") => " in [[listen]]".to_owned(),
            Some(_) => format!(" in [{}]", parent.join(".")),
        };
        let advice = match nearest(&key, &known) {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        return format!("unknown key \"{}\"{place}; {advice}", key.escape_default());
    }
    let mut words = String::new();
    if !path.is_empty() {
        words = format!("{}: ", path.join("."));
    }
    match message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        Some((found, expected)) => {
            let expected = match expected {
                "a string" => "a text in quotes",
                "a boolean" => "true or false",
                "a sequence" => "a list such as [\"...\"]",
                "a map" => "a table",
                expected if expected.starts_with("struct") => "a table",
                expected => expected,
            };
            words.push_str(&format!(
                "{expected} is expected here, not {}",
                found.replace('`', "\"")
            ));
            if expected == "a text in quotes" && found.starts_with("integer") {
                words.push_str("; durations are written \"15s\", sizes \"64MiB\"");
            }
        }
        None => words.push_str(message),
    }
    words
}

/// The key and the known keys of serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, known) = rest.split_once("`, expected ")?;
    let known = known.split('`').skip(1).step_by(2).collect();
    Some((key.to_owned(), known))
}
