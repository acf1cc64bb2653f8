//! The command line, and what is made of it: whom to connect to, as whom, and what to expect.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The command line.
#[derive(Parser)]
#[command(about, long_about = None)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sessions as fast as they go, some at a time
    Run(Run),
    /// Sessions that log in, say STAT and stay, until a line comes on standard input
    Idle(Idle),
    /// Clients that poll at their own pace, spread evenly
    Office(Office),
    /// A TCP relay that delays both directions and counts; each line on standard input is answered by one of totals so far
    Relay(Relay),
}

/// The server that is measured, and the log-in names.
#[derive(Args, Clone)]
pub(crate) struct Server {
    /// Where to connect, as IP:PORT
    #[arg(long)]
    pub(crate) address: String,
    /// TLS from the first byte; any certificate will do
    #[arg(long)]
    pub(crate) tls: bool,
    /// Log-in name: {n} is the account, from 0 on; {m} is the client of that account, from 1 on
    #[arg(long)]
    pub(crate) user: String,
    /// How many accounts there are: session s is account s mod ACCOUNTS
    #[arg(long, default_value_t = 1)]
    pub(crate) accounts: usize,
    /// The password of all of them
    #[arg(long, default_value = "pw")]
    pub(crate) password: String,
    /// How many messages each mailbox has; another number counts as a mismatch
    #[arg(long)]
    pub(crate) messages: usize,
}

impl Server {
    /// The log-in name of a session.
    pub(crate) fn name(&self, session: usize) -> String {
        let accounts = self.accounts.max(1);
        self.user
            .replace("{n}", &(session % accounts).to_string())
            .replace("{m}", &(session / accounts + 1).to_string())
    }
}

/// What a session does between log-in and QUIT.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// STAT
    Login,
    /// STAT, UIDL
    Poll,
    /// UIDL, LIST
    Uidl,
    /// STAT, RETR of every message
    Retr,
    /// STAT, TOP n 0 of every message
    Top,
}

/// How closely a message is looked at.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verify {
    /// Not at all
    None,
    /// Its length
    Length,
    /// Its SHA-256
    Sha256,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) server: Server,
    /// What each session does
    #[arg(long)]
    pub(crate) scenario: Scenario,
    /// Sessions at a time
    #[arg(long, default_value_t = 1)]
    pub(crate) concurrency: usize,
    /// Sessions altogether
    #[arg(long, default_value_t = 1)]
    pub(crate) sessions: usize,
    /// Commands that may be unanswered
    #[arg(long, default_value_t = 1)]
    pub(crate) pipeline: usize,
    /// Only so many messages from the first on (0: all)
    #[arg(long, default_value_t = 0)]
    pub(crate) limit: usize,
    /// What the messages are: a line with size, tab and SHA-256 for each
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
    /// How closely messages are compared with the manifest
    #[arg(long, default_value = "none")]
    pub(crate) verify: Verify,
    /// All sessions wait for each other after the log-in; needs as many at a time as altogether
    #[arg(long)]
    pub(crate) together: bool,
}

#[derive(Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Log-ins at a time
    #[arg(long, default_value_t = 8)]
    pub(crate) concurrency: usize,
    /// Sessions altogether
    #[arg(long)]
    pub(crate) sessions: usize,
}

#[derive(Args)]
pub(crate) struct Office {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Clients altogether
    #[arg(long)]
    pub(crate) clients: usize,
    /// From one poll of a client to its next one
    #[arg(long, value_parser = seconds)]
    pub(crate) interval: Duration,
    /// How long all of it lasts
    #[arg(long, value_parser = seconds)]
    pub(crate) duration: Duration,
}

#[derive(Args)]
pub(crate) struct Relay {
    /// Where to listen, as IP:PORT
    #[arg(long)]
    pub(crate) listen: String,
    /// Where to connect to, as IP:PORT
    #[arg(long)]
    pub(crate) to: String,
    /// How long a byte takes in each direction, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

/// What a message should be.
pub(crate) struct Expected {
    /// Octets.
    pub(crate) size: u64,
    /// SHA-256 in hexadecimal.
    pub(crate) sha256: String,
}

/// Reads a manifest.
pub(crate) fn manifest(path: &Path) -> io::Result<Vec<Expected>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    text.lines()
        .map(|line| {
            let (size, sha256) = line.split_once('\t')?;
            Some(Expected {
                size: size.parse().ok()?,
                sha256: sha256.to_owned(),
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| io::Error::other(format!("{} is not a manifest", path.display())))
}
