//! What the operator has configured: read from flags, environment and file, checked completely before anything is bound.
//!
//! A [`Config`] that exists is usable: every rule that can be checked without opening a connection, a key or a port has been
//! checked. Flags win over the environment, which wins over the file. It must not know how the values are used.
//!
//! The file is the one named by `--config` or `POPBRIDGE_CONFIG`; without either, [`DEFAULT_FILE`] if it exists and
//! no upstream is given. A `popbridge.toml` that happens to lie in the working directory is never read.

mod check;
mod client_settings;
mod error;
mod file;
mod folders;
mod log;
mod oauth;
mod provider;
mod rules;
mod secrets;
mod state;
mod units;
mod url;
mod validate;
mod validate_account;
mod validate_limits;
mod validate_oauth;
mod validate_upstream;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_accounts;
#[cfg(test)]
mod tests_limits;
#[cfg(test)]
mod tests_oauth;
#[cfg(test)]
mod tests_provider;
#[cfg(test)]
mod tests_reference;
#[cfg(test)]
mod tests_values;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::maildrop::uidl;
use crate::policy::{DisposeRule, Rules};
use crate::secret::Secret;
use crate::telemetry::LogFormat;

/// Where a secret is that is no password of a mailbox: in the same places.
pub use crate::auth::PasswordSource as SecretSource;
pub use client_settings::{ClientSettings, Expires};
pub use error::ConfigError;
pub use log::Log;
pub use oauth::{Grant, OAuth, Preset};
pub use provider::{PROFILES, Passwords, Profile, Provider};
pub use state::{State, StoreUrl};
pub use url::{Security, Url};

/// The file that is read when neither a file nor an upstream is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/popbridge/popbridge.toml";

/// Everything that can be configured, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where state is kept.
    pub state: State,
    /// Where POP3 clients connect; at least one.
    pub listen: Vec<Listen>,
    /// The certificate that POP3 clients are shown.
    pub tls: Tls,
    /// Where metrics, health and the status page are served, if anywhere.
    pub admin: Option<Admin>,
    /// The IMAP servers, names unique; none only where the file says that it has none yet.
    pub upstreams: Vec<Upstream>,
    /// The mailboxes whose credentials the bridge has; names unique, no two on one mailbox.
    pub accounts: Vec<Account>,
    /// Where accounts get tokens from; names unique.
    pub oauth: Vec<OAuth>,
    /// Where the key is that tokens in the store are sealed with: 32 octets in base64 or hex. `None`: a file of the bridge's own in
    /// [`State::folder`]; never so where several bridges share a store in which there may be tokens.
    pub token_key: Option<SecretSource>,
    /// Time-outs and sizes.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// What is allowed but probably not meant, in sentences for the log.
    pub warnings: Vec<String>,
}

/// One address for POP3 clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// How connections are encrypted.
    pub tls: ListenTls,
    /// Networks whose clients may log in without encryption; see [`Listen::allows_plaintext_from`].
    pub plaintext: Vec<IpNet>,
    /// Networks of proxies, which say by the PROXY protocol where each connection comes from; where there is one, all others are refused.
    /// Empty: nobody is believed.
    pub proxy_protocol: Vec<IpNet>,
}

/// How connections to a listener are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenTls {
    /// From the first byte (RFC 8314).
    Implicit,
    /// On demand, by STLS (RFC 2595).
    StartTls,
    /// Never.
    Off,
}

/// The certificate that POP3 clients are shown: both files or neither. Without, a self-signed one is made and kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate and the chain up to, but without, the root.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key; may be the same file.
    pub key: Option<PathBuf>,
}

/// The listener for metrics, health and the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Where the token is that lets somebody act, and read from other machines. `None`: nobody may.
    pub token: Option<SecretSource>,
}

/// One IMAP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Unique, ASCII letters, digits, `-`, `_` and `.` only: it is a metric label and a word in logs.
    pub name: String,
    /// Whose server it is; what is known of that was filled in where nothing else is configured.
    pub provider: Provider,
    /// Where it is and how the connection is protected.
    pub url: Url,
    /// Domains of the log-in names that belong to it, lower case. Empty: every domain that no other upstream has.
    pub domains: Vec<String>,
    /// PEM file of authorities that are trusted in addition to the system's.
    pub ca: Option<PathBuf>,
    /// Whether an unencrypted connection beyond this machine is accepted.
    pub allow_unencrypted: bool,
    /// What stands between mailbox and client in a pass-through log-in such as `info@example.com/desk1`. `None`: there are no such
    /// clients.
    pub client_separator: Option<char>,
    /// The rules of its pass-through mailboxes.
    pub rules: Rules,
    /// How messages of its pass-through mailboxes are disposed of.
    pub dispose: DisposeRule,
    /// What the unique id of a message (RFC 1939 UIDL) is made of.
    pub uidl: uidl::Format,
    /// Whether UIDONLY (RFC 9586) is enabled where it is offered, so that the upstream shows all messages of a folder.
    pub uidonly: bool,
    /// Whether the upstream is told after the log-in which program this is (ID, RFC 2971).
    pub send_id: bool,
    /// Whether a message that is not as long as it is listed may be Exchange's notice that it cannot give the message.
    pub placeholder_text: bool,
    /// The most connections to one mailbox, of all instances together, at least 1.
    pub connections: usize,
    /// The most that is received for one mailbox in 24 hours, of all instances together, in bytes, at least 1. `None`: any amount.
    pub bytes_per_day: Option<u64>,
    /// The most connections to the server, for all its mailboxes and of all instances together, at least 1. `None`: any number.
    pub host_connections: Option<usize>,
    /// The most log-ins at the server that begin in a second, of all instances together, 1 to 1000. `None`: any number.
    pub logins_per_second: Option<u16>,
    /// A connection that is older than this is not used for another session: the upstream is about to end it. `None`: at any age.
    pub session_life: Option<Duration>,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long a command may go on without a byte from the upstream.
    pub command_timeout: Duration,
}

/// A mailbox whose credentials the bridge has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Unique; letters as in [`Upstream::name`].
    pub name: String,
    /// The name of its upstream, which is one of [`Config::upstreams`].
    pub upstream: String,
    /// The log-in name there, as it is written in the file; [`normalized`](crate::auth::name::normalized) gives what state is kept by.
    pub login: String,
    /// What opens it.
    pub access: Access,
    /// Its rules. [`Rules::on_delete`] is never `None`.
    pub rules: Rules,
    /// How its messages are disposed of.
    pub dispose: DisposeRule,
    /// The folders that are served, at least one, in UTF-8; one that begins with a backslash is a special use (RFC 6154).
    pub folders: Vec<String>,
    /// The name of a header field that tells a message's folder and is put before each message.
    pub folder_header: Option<String>,
    /// A folder of the bridge's own into which arrivals are copied and from which they are served.
    pub hold: Option<String>,
}

/// What opens an account's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A password, which is there.
    Password(SecretSource),
    /// A token.
    OAuth {
        /// The [`OAuth::name`] of where it comes from, which is one of [`Config::oauth`].
        provider: String,
        /// Whom it is for: the account's log-in, unless a delegate reads a mailbox that is not their own.
        user: String,
    },
}

/// Time-outs and sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A logged-in client that says nothing for so long is closed without UPDATE state (RFC 1939 section 3).
    pub inactivity: Duration,
    /// A connection that has not logged in after so long is closed.
    pub login: Duration,
    /// The longest that PROXY header, TLS handshake and greeting together may take, and a handshake after STLS.
    pub handshake: Duration,
    /// The most POP3 connections at a time. `None`: any number.
    pub connections: Option<usize>,
    /// The most POP3 connections from one source ([`Origin`](crate::auth::Origin)) at a time; this machine may have any number. `None`:
    /// so may all.
    pub source_connections: Option<usize>,
    /// No further connection is taken while more than this is in memory, in bytes. `None`: however much it is.
    pub memory: Option<u64>,
    /// What a client has to take in two minutes of waiting for it, in bytes; 0: nothing.
    pub slow_reader: u64,
    /// The most that the known indexes of folders may take in memory, in bytes.
    pub index_cache: u64,
    /// The most that messages kept for several clients may take in memory, in bytes; 0: none are kept.
    pub body_cache: u64,
    /// The most that messages fetched before they are asked for may take, those of all sessions together, in bytes; 0: none are.
    pub read_ahead: u64,
    /// How long a connection to an upstream is kept that nobody uses; zero: not at all.
    pub upstream_idle: Duration,
    /// How long a password that an upstream has accepted is believed without asking again.
    pub password_trust: Duration,
    /// How long the answer to a refused log-in is held back, and how long the next one waits behind the first; zero: log-ins never wait.
    pub auth_failure_delay: Duration,
    /// How long answers under way may take when the bridge is told to end.
    pub drain: Duration,
    /// How often the sweeper looks at the mailboxes whose credentials the bridge has.
    pub sweep_interval: Duration,
}

/// What flags and environment say instead of the file. Empty: nothing.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`: the file.
    pub config: Option<PathBuf>,
    /// `--upstream`: the [`Url`] of the only upstream, instead of all in the file.
    pub upstream: Option<String>,
    /// `--listen`: addresses with STLS. With `tls_listen`, instead of all `[[listen]]` in the file.
    pub listen: Vec<SocketAddr>,
    /// `--tls-listen`: addresses with implicit TLS.
    pub tls_listen: Vec<SocketAddr>,
    /// `--admin`.
    pub admin: Option<SocketAddr>,
    /// `--state`: a folder or the URL of a database, in which there may be a password.
    pub state: Option<Secret>,
    /// `--log`.
    pub log: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// Puts flags, environment and file together.
///
/// # Errors
/// One sentence about the first thing that is wrong, with its place in the file; see [`ConfigError`].
pub fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
    let default_file = Path::new(DEFAULT_FILE);
    let path = match &overrides.config {
        Some(path) => Some(path.as_path()),
        None if overrides.upstream.is_none() && default_file.exists() => Some(default_file),
        None => None,
    };
    let Some(path) = path else {
        return validate::config(None, file::File::default(), overrides);
    };
    let text = file::read(path)?;
    let source = error::Source {
        file: path,
        text: &text,
    };
    validate::config(Some(source), file::parse(source)?, overrides)
}

impl Listen {
    /// Whether a client at `peer` may log in without encryption. An IPv4 client that came in through an IPv6 socket counts
    /// as the IPv4 address that it has.
    #[must_use]
    pub fn allows_plaintext_from(&self, peer: IpAddr) -> bool {
        is_in(&self.plaintext, peer)
    }

    /// Whether `peer` is a proxy, which has to say where its connections come from.
    #[must_use]
    pub fn has_proxy_at(&self, peer: IpAddr) -> bool {
        is_in(&self.proxy_protocol, peer)
    }
}

fn is_in(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}
