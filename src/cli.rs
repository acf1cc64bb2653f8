//! The command line and the environment: what can be asked of the program, and the translation into
//! [`config::Overrides`]. It must not know what the commands do.
//!
//! Every flag of `serve` and `check` has an environment variable, `POPBRIDGE_` and its name; a flag wins. Lists are separated by
//! commas there, and a variable that is set to nothing counts as not set. Secrets are read from standard input, never from a flag, which every user of the machine can see.

pub mod client;
pub mod manual;
pub mod oauth;

use std::convert::Infallible;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{self, Config, ConfigError};
use crate::secret::Secret;
use crate::telemetry::LogFormat;

/// The exit code for a wrong configuration; clap's for a wrong command line, too.
pub const EXIT_CONFIG: u8 = 2;

/// Longer than any password that a server accepts.
const MAX_PASSWORD: usize = 4096;

/// A POP3 server in front of IMAP mailboxes, for software that speaks only POP3
#[derive(Debug, Parser)]
#[command(name = "popbridge", version = crate::VERSION, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the process's command line and environment; ends the process where they are wrong, with [`EXIT_CONFIG`], and after
    /// `--help`.
    #[must_use]
    pub fn of_this_process() -> Self {
        // Compose files and unit files cannot leave a variable out: they set it to nothing.
        let is_empty =
            |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = Self::command().mut_subcommands(|command| {
            command.mut_args(|argument| match argument.get_env().is_some_and(is_empty) {
                true => argument.env(Resettable::Reset),
                false => argument,
            })
        });
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve POP3 clients until SIGTERM or SIGINT
    #[command(
        after_help = "With --upstream no file is needed. Without --upstream and --config, \
        /etc/popbridge/popbridge.toml is read. \
        Exit codes: 0 after a signal, 1 where something could not be started, 2 for a wrong configuration or command line."
    )]
    Serve(Settings),
    /// Check the configuration without listening anywhere
    Check(Check),
    /// Manage clients, also while popbridge serves: each has a state of its own and, in an account, a password of its own
    Client(client::Client),
    /// Show how clients stand: what waits for whom, what was lost, what is to be done upstream
    Status(client::Status),
    /// Dispose of what the rules say, in the mailboxes of configured accounts, now
    Sweep(client::Sweep),
    /// Log in for accounts that are opened with OAuth2 tokens, and show how these stand
    Oauth(oauth::OAuth),
    /// Copy the store
    Store(client::Store),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    // For those who make packages.
    /// Write manual pages into a folder that is there, one for each command
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// What `serve` and `check` have in common.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "POPBRIDGE_CONFIG")]
    pub config: Option<PathBuf>,
    // Not parsed here: clap repeats a wrong value, and there may be a password in it.
    /// The only upstream, such as imaps://imap.example.com, instead of those in the file
    #[arg(long, value_name = "URL", env = "POPBRIDGE_UPSTREAM")]
    pub upstream: Option<String>,
    /// Address for POP3 clients with STLS; may be repeated (in the environment: separated by commas). This and --tls-listen replace
    /// all listeners of the file; without any: 127.0.0.1:1110 and, with TLS, 127.0.0.1:1995
    #[arg(
        long,
        value_name = "ADDR",
        env = "POPBRIDGE_LISTEN",
        value_delimiter = ','
    )]
    pub listen: Vec<SocketAddr>,
    /// Address for POP3 clients with TLS from the first byte; may be repeated
    #[arg(
        long,
        value_name = "ADDR",
        env = "POPBRIDGE_TLS_LISTEN",
        value_delimiter = ','
    )]
    pub tls_listen: Vec<SocketAddr>,
    /// Address for the status page, /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR", env = "POPBRIDGE_ADMIN")]
    pub admin: Option<SocketAddr>,
    // A text: with postgres:// there may be a password in it, and it must not be repeated by clap.
    /// Where state is kept: a folder, sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(
        long,
        value_name = "DIR|URL",
        env = "POPBRIDGE_STATE",
        hide_env_values = true,
        value_parser = secret
    )]
    pub state: Option<Secret>,
    /// What to log: off, error, warn, info, debug or trace, also by module, such as popbridge::imap=debug; instead of the key filter of the table log
    /// of the file; without either: info
    #[arg(long, value_name = "FILTER", env = "POPBRIDGE_LOG")]
    pub log: Option<String>,
    /// How to log, instead of the key format of the table log; without either: text
    #[arg(long, value_name = "FORMAT", env = "POPBRIDGE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl Settings {
    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// See [`config::load`]; the program ends with [`EXIT_CONFIG`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(&config::Overrides {
            config: self.config.clone(),
            upstream: self.upstream.clone(),
            listen: self.listen.clone(),
            tls_listen: self.tls_listen.clone(),
            admin: self.admin,
            state: self.state.clone(),
            log: self.log.clone(),
            log_format: self.log_format,
        })
    }
}

/// A value in which there may be a password.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The same as for `serve`.
    #[command(flatten)]
    pub settings: Settings,
    /// Also connect to every upstream and show what it can do
    #[arg(long)]
    pub connect: bool,
    /// Also log in as this user, and show folders and message count
    #[arg(
        long,
        value_name = "NAME",
        requires = "connect",
        requires = "password_stdin"
    )]
    pub user: Option<String>,
    /// Read the user's password from the first line of standard input
    #[arg(long, requires = "user")]
    pub password_stdin: bool,
}

/// Writes the completion script for `shell`.
///
/// # Errors
/// Those of `out`.
pub fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    // clap_complete panics where it cannot write, as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "popbridge", &mut script);
    out.write_all(&script)
}

/// Reads a password: the first line of `input` without its line end. Spaces belong to it.
///
/// # Errors
/// Those of `input`; `InvalidData` when the line is empty, longer than 4096 bytes or not UTF-8.
pub fn read_password(input: impl BufRead) -> io::Result<Secret> {
    let invalid = |words| io::Error::new(io::ErrorKind::InvalidData, words);
    // As large as it can get, so that it does not move and leave a copy behind.
    let mut line = Vec::with_capacity(MAX_PASSWORD + 2);
    input
        .take(MAX_PASSWORD as u64 + 2)
        .read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > MAX_PASSWORD {
        return Err(invalid(
            "the password on standard input is longer than 4096 bytes",
        ));
    }
    if line.is_empty() {
        return Err(invalid(
            "there is no password on the first line of standard input",
        ));
    }
    let text = String::from_utf8(line)
        .map_err(|_| invalid("the password on standard input is not UTF-8"))?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests;
