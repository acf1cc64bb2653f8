//! Logs: where they go, how they look, and what must never be in them.
//!
//! Everything goes to standard error, one line an event. As text it is for people and for fail2ban, as JSON for collectors.
//! What the IMAP library writes about its wire traffic is never logged, whatever filter is asked for, because log-ins are in
//! it; that library uses the `log` crate, and no bridge from there is installed. It must not know who logs what.
//!
//! The last warnings and errors, and the last refused log-ins, are remembered for the operator's page (`recent`).
//!
//! A panic is an event, too, so that it is a line like any other; its text is left out where it may quote what was being worked on.
//!
//! A refused log-in is an event with the target [`LOGIN_TARGET`] and the message of [`login_failed_line`]. In the text format it
//! is the line that Dovecot would write, so that fail2ban's stock filter matches:
//!
//! ```text
//! [popbridge]
//! filter = dovecot[_daemon=popbridge]
//! port = 110,995
//! # with the journal:
//! backend = systemd
//! journalmatch = _SYSTEMD_UNIT=popbridge.service
//! # or with a file:
//! # logpath = /var/log/popbridge.log
//! ```

mod format;
mod login;
mod recent;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

pub use login::login_failed_line;
pub use recent::{Noted, Recent, recent};

/// The target of events about refused log-ins. They are logged at any filter but "off", because fail2ban needs them.
pub const LOGIN_TARGET: &str = "pop3-login";

/// Modules whose events contain what goes over the wire.
const WIRE: [&str; 2] = ["async_imap", "imap_proto"];

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people and fail2ban.
    Text,
    /// One JSON object a line.
    Json,
}

/// How text is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether a terminal is there to show colours.
    pub ansi: bool,
    /// Whether each line starts with the time (UTC, RFC 3339).
    pub timestamps: bool,
}

/// Logging could not be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogError {
    /// The filter cannot be understood: a wrong configuration.
    Filter(String),
    /// The process logs already.
    AlreadySet,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(words) => write!(f, "--log: {words}"),
            Self::AlreadySet => f.write_str("logging is set up already"),
        }
    }
}

impl std::error::Error for LogError {}

/// Starts logging to standard error for the whole process.
///
/// # Errors
/// [`LogError`]
pub fn init(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let style = Style {
        ansi: std::io::stderr().is_terminal(),
        timestamps: !stderr_is_the_journal(),
    };
    let (subscriber, handle) = reloadable(filter, format, style, std::io::stderr)?;
    // Not `SubscriberInitExt::init`, which would also collect what is written through the `log` crate.
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)?;
    let _ = FILTER.set(handle);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The filter of this process's log.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Exchanges the filter that [`init`] was given. Without a log it does nothing.
///
/// # Errors
/// [`LogError::Filter`]; the one before stays then.
pub fn set_filter(filter: &str) -> Result<(), LogError> {
    let filter = parse_filter(filter)?;
    if let Some(handle) = FILTER.get() {
        // Fails only when the log is gone.
        let _ = handle.reload(filter);
    }
    Ok(())
}

/// Whether this is a filter.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_filter(filter: &str) -> Result<(), String> {
    match parse_filter(filter) {
        Ok(_) | Err(LogError::AlreadySet) => Ok(()),
        Err(LogError::Filter(words)) => Err(words),
    }
}

/// Runs where the panic is, so that the event is in its session's span.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    // A text that was put together at run time may hold a piece of mail or a password ("byte index 3 is out of bounds of `...`").
    let reason = panic
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("the text is left out, as there may be mail in it");
    tracing::error!(place, reason, "panic: a defect of the bridge");
}

/// What [`init`] sets up, but writing elsewhere.
///
/// # Errors
/// [`LogError::Filter`]
pub fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    style: Style,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Ok(reloadable(filter, format, style, writer)?.0)
}

type Reloadable<S> = (S, reload::Handle<EnvFilter, Registry>);

fn reloadable<W>(
    filter: &str,
    format: LogFormat,
    style: Style,
    writer: W,
) -> Result<Reloadable<impl Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse_filter(filter)?);
    // Colours are the text format's own: what is written into fields comes from outside and is escaped.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.event_format(format::Text::new(style)).boxed(),
        LogFormat::Json => layer.json().with_span_list(false).boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(layer.with_filter(filter_fn(is_not_wire)))
        .with(recent::Remember.with_filter(filter_fn(is_not_wire)));
    Ok((subscriber, handle))
}

fn is_not_wire(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next();
    !WIRE.iter().any(|wire| krate == Some(wire))
}

fn parse_filter(text: &str) -> Result<EnvFilter, LogError> {
    let text = match text.trim() {
        // An environment variable that is set to nothing.
        "" => "info",
        text => text,
    };
    for directive in text.split(',').map(str::trim) {
        // The filter's own parser takes any other word for a module of which everything is wanted: "debgu" would silence all.
        if !directive.contains(['=', '[', ']', '}']) && directive.parse::<LevelFilter>().is_err() {
            return Err(LogError::Filter(format!(
                "\"{}\" is not off, error, warn, info, debug or trace; for a module write such as \"popbridge::imap=debug\"",
                directive.escape_default()
            )));
        }
    }
    let directives = match text {
        "off" => text.to_owned(),
        text => format!("{LOGIN_TARGET}=info,{text}"),
    };
    EnvFilter::builder()
        .parse(&directives)
        .map_err(|error| LogError::Filter(format!("\"{}\": {error}", text.escape_default())))
}

/// Whether standard error goes to systemd's journal, which notes the time itself and in whose lines fail2ban expects no second one.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    // systemd.exec(5): the variable may be inherited by a process whose output goes elsewhere, so device and inode are compared.
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
