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
    Access, Account, Admin, Config, Listen, ListenTls, Overrides, SecretSource, State, Tls,
};
use super::{
    log, state, units, validate_account, validate_limits, validate_oauth, validate_upstream,
};

/// Longer than any time-out is of use, and safe to add to any clock.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
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
    warnings.extend(admin.as_ref().and_then(read_from_here_only));
    let limits = validate_limits::limits(&check, &file.limits, &mut warnings)?;
    let log = log::log(&check, file.log.take(), overrides)?;
    let state = state::state(&check, &file, overrides)?;
    let token_key = token_key(&check, &file)?;
    let upstreams = validate_upstream::upstreams(
        &check,
        file.upstream,
        file.await_upstream,
        overrides,
        &mut warnings,
    )?;
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
        log,
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
        proxy_protocol: Vec::new(),
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
    if let Some(networks) = &table.proxy_protocol {
        listen.proxy_protocol = proxies(check, networks, warnings)?;
    }
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

/// Who is behind a proxy is what the proxy says: whoever is believed can be anybody.
fn proxies(
    check: &Check<'_>,
    networks: &Spanned<Vec<file::Text>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<IpNet>, ConfigError> {
    let given = networks.get_ref().iter();
    let proxies: Vec<IpNet> = given
        .map(|text| check.parsed(text, units::network))
        .collect::<Result<_, _>>()?;
    if proxies.is_empty() {
        let message = "nobody could connect: proxy_protocol must name the networks that proxies connect from; leave it out where there is \
                       no proxy";
        return Err(check.error(networks.span(), message));
    }
    if proxies.iter().any(|network| network.prefix_len() == 0) {
        warnings.push(
            "proxy_protocol believes everybody: any client can say that it comes from somewhere else, and log in without TLS as from there"
                .to_owned(),
        );
    }
    Ok(proxies)
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
    let token = match &table {
        Some(table) => {
            let keys = Keys {
                prefix: "token",
                file: &table.token_file,
                env: &table.token_env,
                credential: &table.token_credential,
            };
            secrets::source(check, "[admin]", "token", &keys)?
        }
        None => None,
    };
    if let Some(address) = overrides.admin {
        return match taken(address) {
            Some(message) => Err(ConfigError::new(format!("--admin: {message}"))),
            None => Ok(Some(Admin { address, token })),
        };
    }
    let Some(table) = table else { return Ok(None) };
    let Some(text) = table.address else {
        let address = SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 9110));
        return Ok(Some(Admin { address, token }));
    };
    let address = check.parsed(&text, units::socket_address)?;
    match taken(address) {
        Some(message) => Err(check.error(text.span(), message)),
        None => Ok(Some(Admin { address, token })),
    }
}

fn read_from_here_only(admin: &Admin) -> Option<String> {
    let is_open = !admin.address.ip().to_canonical().is_loopback();
    (is_open && admin.token.is_none()).then(|| {
        format!(
            "{} tells other machines the metrics, and shows them no status page: that takes a token, by token_file, token_env or \
             token_credential in [admin]",
            admin.address
        )
    })
}
