//! From the shape of the file to a [`Config`]: meaning, defaults, ranges, and what must fit together.
//!
//! It decides with the values alone; whether files, folders and hosts exist is found out by those who use them. Upstreams
//! and accounts have files of their own, `validate_upstream` and `validate_account`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::Spanned;

use super::check::Check;
use super::error::{ConfigError, Source};
use super::file::{self, File};
use super::secrets::{self, Keys};
use super::{
    Access, Account, Admin, Config, Limits, Listen, ListenTls, Overrides, SecretSource, State, Tls,
};
use super::{state, units, validate_account, validate_oauth, validate_upstream};

/// RFC 1939 section 3 wants at least 10 minutes.
const INACTIVITY: Duration = Duration::from_secs(10 * 60);
/// Long enough for a person who types, short enough that silent connections do not pile up.
const LOGIN: Duration = Duration::from_secs(3 * 60);
/// About four million messages.
const INDEX_CACHE: u64 = 64 << 20;
const BODY_CACHE: u64 = 64 << 20;
const READ_AHEAD: u64 = 32 << 20;
/// Longer than most programs wait between polls, and much shorter than the half-hour after which servers end a connection.
const UPSTREAM_IDLE: Duration = Duration::from_secs(5 * 60);
/// What somebody may go on reading whose password was changed a moment ago.
const PASSWORD_TRUST: Duration = Duration::from_secs(10 * 60);
/// Servers may end a connection that was silent for half an hour (RFC 3501, 5.4).
const UPSTREAM_IDLE_MOST: Duration = Duration::from_secs(25 * 60);
/// Makes guessing slow and is hardly noticed after a mistyped password.
const AUTH_FAILURE_DELAY: Duration = Duration::from_secs(2);
/// Enough for most messages, and much less than the 90 s after which systemd kills.
const DRAIN: Duration = Duration::from_secs(10);
/// Ages are counted in days: minutes do not matter, and a mailbox costs a log-in.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Longer than any time-out is of use, and safe to add to any clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Builds the configuration from a file's content, which is empty without a file, and what wins over it.
pub(super) fn config(
    source: Option<Source<'_>>,
    mut file: File,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let check = Check { source };
    let mut warnings = Vec::new();
    let listen = listeners(
        &check,
        file.listen.take().unwrap_or_default(),
        overrides,
        &mut warnings,
    )?;
    let tls = tls(&check, file.tls.take())?;
    let admin = admin(&check, file.admin.take(), overrides, &listen)?;
    let limits = limits(&check, &file.limits, &mut warnings)?;
    let state = state::state(&check, &file, overrides)?;
    let token_key = token_key(&check, &file)?;
    let upstreams = validate_upstream::upstreams(&check, file.upstream, overrides, &mut warnings)?;
    let oauth = validate_oauth::providers(&check, file.oauth, &mut warnings)?;
    let accounts = validate_account::accounts(
        &check,
        file.account,
        &upstreams,
        &oauth,
        overrides,
        &mut warnings,
    )?;
    warnings.extend(validate_account::passwords_in_vain(&upstreams, &accounts));
    token_key_is_shared(&check, token_key.as_ref(), &state, &accounts)?;
    Ok(Config {
        state,
        listen,
        tls,
        admin,
        upstreams,
        accounts,
        oauth,
        token_key,
        limits,
        warnings,
    })
}

fn token_key(check: &Check<'_>, file: &File) -> Result<Option<SecretSource>, ConfigError> {
    let keys = Keys {
        prefix: "token_key",
        file: &file.token_key_file,
        env: &file.token_key_env,
        credential: &file.token_key_credential,
    };
    secrets::source(check, "the file", "token key", &keys)
}

/// A bridge cannot open what another one has sealed with a key that it made for itself.
fn token_key_is_shared(
    check: &Check<'_>,
    key: Option<&SecretSource>,
    state: &State,
    accounts: &[Account],
) -> Result<(), ConfigError> {
    let with_tokens = |account: &&Account| matches!(account.access, Access::OAuth { .. });
    match accounts.iter().find(with_tokens) {
        Some(account) if key.is_none() && state.url.is_shared() => Err(check.missing(format!(
            "[account.{}] has tokens, which are sealed in the state that several bridges may share: say where their common key is with \
             token_key_file, token_key_env or token_key_credential (32 random octets in base64, such as `openssl rand -base64 32` gives)",
            account.name
        ))),
        _ => Ok(()),
    }
}

/// The networks that are on this machine: what is said there passes no cable.
fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ]
}

fn listener(address: SocketAddr, tls: ListenTls) -> Listen {
    let plaintext = match tls {
        ListenTls::Implicit => Vec::new(),
        ListenTls::StartTls | ListenTls::Off => loopback(),
    };
    Listen {
        address,
        tls,
        plaintext,
    }
}

fn listeners(
    check: &Check<'_>,
    tables: Vec<Spanned<file::Listen>>,
    overrides: &Overrides,
    warnings: &mut Vec<String>,
) -> Result<Vec<Listen>, ConfigError> {
    let mut listeners: Vec<Listen> = Vec::new();
    for table in tables {
        let span = table.span();
        let listener = listen(check, table, warnings)?;
        let taken = |other: &Listen| other.address == listener.address && other.address.port() != 0;
        if listeners.iter().any(taken) {
            let message = format!(
                "{} is listened on twice; remove one of the two [[listen]]",
                listener.address
            );
            return Err(check.error(span, message));
        }
        listeners.push(listener);
    }
    let local = |port, tls| listener(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls);
    if !overrides.listen.is_empty() || !overrides.tls_listen.is_empty() {
        if !listeners.is_empty() {
            warnings.push(
                "the listeners of the command line or environment are used instead of all [[listen]] in the file".to_owned(),
            );
        }
        let clear = overrides
            .listen
            .iter()
            .map(|address| listener(*address, ListenTls::StartTls));
        let tls = overrides
            .tls_listen
            .iter()
            .map(|address| listener(*address, ListenTls::Implicit));
        let flags: Vec<Listen> = clear.chain(tls).collect();
        for (index, flag) in flags.iter().enumerate() {
            if flag.address.port() != 0
                && flags[..index]
                    .iter()
                    .any(|other| other.address == flag.address)
            {
                return Err(ConfigError::new(format!(
                    "{} is given twice in --listen and --tls-listen; give it once",
                    flag.address
                )));
            }
        }
        return Ok(flags);
    }
    if listeners.is_empty() {
        // Ports above 1024, so that the bridge starts without privileges.
        listeners = vec![
            local(1110, ListenTls::StartTls),
            local(1995, ListenTls::Implicit),
        ];
    }
    Ok(listeners)
}

fn listen(
    check: &Check<'_>,
    table: Spanned<file::Listen>,
    warnings: &mut Vec<String>,
) -> Result<Listen, ConfigError> {
    let span = table.span();
    let table = table.into_inner();
    let Some(address) = &table.address else {
        return Err(check.error(
            span,
            "[[listen]] needs an address, such as address = \"127.0.0.1:1110\"",
        ));
    };
    let address = check.parsed(address, units::socket_address)?;
    let tls = match &table.tls {
        Some(text) => check.word(
            text,
            &[
                ("implicit", ListenTls::Implicit),
                ("starttls", ListenTls::StartTls),
                ("off", ListenTls::Off),
            ],
        )?,
        // Port 995 is the port of POP3 with TLS from the first byte (RFC 8314).
        None if address.port() == 995 => ListenTls::Implicit,
        None => ListenTls::StartTls,
    };
    let mut listen = listener(address, tls);
    let Some(networks) = &table.plaintext else {
        if tls == ListenTls::Off && !address.ip().is_loopback() {
            warnings.push(format!(
                "{address} has no TLS and no plaintext networks: only clients on this machine can log in there"
            ));
        }
        return Ok(listen);
    };
    if tls == ListenTls::Implicit {
        let message = "plaintext has no effect where every connection is encrypted; remove it or set tls = \"starttls\"";
        return Err(check.error(networks.span(), message));
    }
    let networks_given = networks.get_ref().iter();
    listen.plaintext = networks_given
        .map(|text| check.parsed(text, units::network))
        .collect::<Result<_, _>>()?;
    if listen.plaintext.is_empty() && tls == ListenTls::Off {
        let message = "nobody could log in: without TLS, plaintext must name the networks that may log in unencrypted";
        return Err(check.error(networks.span(), message));
    }
    if listen
        .plaintext
        .iter()
        .any(|network| network.prefix_len() == 0)
    {
        warnings.push(format!(
            "{address} lets clients from everywhere send their passwords unencrypted"
        ));
    }
    Ok(listen)
}

fn tls(check: &Check<'_>, table: Option<Spanned<file::Tls>>) -> Result<Tls, ConfigError> {
    let Some(table) = table else {
        return Ok(Tls::default());
    };
    let lacks = |key: &str| {
        let message = format!(
            "[tls] has no {key}; it may be the same file if that holds both certificate and key"
        );
        check.error(table.span(), message)
    };
    match (&table.get_ref().certificate, &table.get_ref().key) {
        (None, None) => Ok(Tls::default()),
        (Some(certificate), Some(key)) => Ok(Tls {
            certificate: Some(check.path(certificate)?),
            key: Some(check.path(key)?),
        }),
        (Some(_), None) => Err(lacks("key")),
        (None, Some(_)) => Err(lacks("certificate")),
    }
}

fn admin(
    check: &Check<'_>,
    table: Option<file::Admin>,
    overrides: &Overrides,
    listeners: &[Listen],
) -> Result<Option<Admin>, ConfigError> {
    let taken = |address: SocketAddr| {
        let same = |listen: &Listen| listen.address == address && address.port() != 0;
        listeners
            .iter()
            .any(same)
            .then(|| format!("{address} is a listener for POP3 clients too; take another port"))
    };
    if let Some(address) = overrides.admin {
        return match taken(address) {
            Some(message) => Err(ConfigError::new(format!("--admin: {message}"))),
            None => Ok(Some(Admin { address })),
        };
    }
    let Some(table) = table else { return Ok(None) };
    let Some(text) = table.address else {
        let address = SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 9110));
        return Ok(Some(Admin { address }));
    };
    let address = check.parsed(&text, units::socket_address)?;
    match taken(address) {
        Some(message) => Err(check.error(text.span(), message)),
        None => Ok(Some(Admin { address })),
    }
}

fn limits(
    check: &Check<'_>,
    table: &file::Limits,
    warnings: &mut Vec<String>,
) -> Result<Limits, ConfigError> {
    let size = |text: &Option<_>, default| match text {
        Some(text) => check.parsed(text, units::size),
        None => Ok(default),
    };
    let limits = Limits {
        inactivity: check.duration(table.inactivity.as_ref(), INACTIVITY, SECOND..=LONGEST)?,
        login: check.duration(table.login.as_ref(), LOGIN, SECOND..=LONGEST)?,
        index_cache: size(&table.index_cache, INDEX_CACHE)?,
        body_cache: size(&table.body_cache, BODY_CACHE)?,
        read_ahead: size(&table.read_ahead, READ_AHEAD)?,
        upstream_idle: check.duration(
            table.upstream_idle.as_ref(),
            UPSTREAM_IDLE,
            Duration::ZERO..=UPSTREAM_IDLE_MOST,
        )?,
        password_trust: check.duration(
            table.password_trust.as_ref(),
            PASSWORD_TRUST,
            Duration::ZERO..=PASSWORD_TRUST,
        )?,
        auth_failure_delay: check.duration(
            table.auth_failure_delay.as_ref(),
            AUTH_FAILURE_DELAY,
            Duration::ZERO..=Duration::from_secs(60),
        )?,
        drain: check.duration(table.drain.as_ref(), DRAIN, Duration::ZERO..=LONGEST)?,
        sweep_interval: check.duration(
            table.sweep_interval.as_ref(),
            SWEEP_INTERVAL,
            SECOND..=DAY,
        )?,
    };
    if limits.inactivity < INACTIVITY {
        warnings.push("limits.inactivity is shorter than the 10 minutes that RFC 1939 wants: slow clients may be cut".into());
    }
    Ok(limits)
}
