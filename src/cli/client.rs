//! The command lines of `client` and `store`. They must not know what the commands do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{self, Config, ConfigError};
use crate::secret::Secret;

/// `client`.
#[derive(Debug, Clone, Args)]
pub struct Client {
    /// Which configuration and which state.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// `status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Which configuration and which state.
    #[command(flatten)]
    pub place: Place,
    /// What is asked for.
    #[command(flatten)]
    pub options: StatusOptions,
}

/// What `status` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StatusOptions {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Only clients that have not collected everything
    #[arg(long)]
    pub waiting: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `sweep`.
#[derive(Debug, Clone, Args)]
pub struct Sweep {
    /// Which configuration and which state.
    #[command(flatten)]
    pub place: Place,
    /// What is asked for.
    #[command(flatten)]
    pub options: SweepOptions,
}

/// What `sweep` does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct SweepOptions {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Print what would go and why, and touch nothing; the upstream is not asked
    #[arg(long, conflicts_with = "confirm")]
    pub dry_run: bool,
    /// Agree to a sweep that stopped because it would take much at once
    #[arg(long)]
    pub confirm: bool,
}

/// What can be done with clients.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientCommand {
    /// Make a client of an account, with a name and a password of its own
    ///
    /// The client sees every message that is in the mailbox now or comes later, whatever other clients have had or deleted.
    Add {
        /// Its POP3 user name, such as desk1
        name: String,
        /// The account that it reads: NAME of [account.NAME] in the configuration
        #[arg(long, value_name = "NAME")]
        account: String,
        /// How its password comes about
        #[command(flatten)]
        password: NewPassword,
        /// A setting of its own, such as view=undelivered; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// List clients, also those of pass-through log-ins
    List {
        /// Only those of this account
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one client: settings, what it has had and deleted, when it was last seen
    Show {
        /// Its POP3 user name; in pass-through mode such as info@example.com/desk1
        login: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a client
    ///
    /// view=all|undelivered, last=30d|none, since=beginning|enrolment|2026-01-31, max_listed=500|none, max_size=10MiB|none,
    /// on_delete=hide|dispose|ignore, after_retrieve=nothing|seen|flag:KEYWORD|archive|trash, delivered_without_quit=true|false,
    /// expires=400d|never, workarounds=outlook-no-nuls,oe-ns-eoh|none. KEY=default takes a setting back.
    Set {
        /// Its POP3 user name
        login: String,
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true)]
        settings: Vec<String>,
    },
    /// Give a client another password; the old one counts no more
    Passwd {
        /// Its POP3 user name
        login: String,
        /// How its password comes about
        #[command(flatten)]
        password: NewPassword,
    },
    /// Forget what a client has had and deleted: it gets everything that is still there
    Reset {
        /// Its POP3 user name
        login: String,
    },
    /// Remove a client
    ///
    /// It cannot log in any more. For 7 days messages that it has not had are kept as if it were there.
    Remove {
        /// Its POP3 user name
        login: String,
    },
}

/// How a password comes about.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub struct NewPassword {
    /// Make a password and print it once, alone on a line of standard output; the default
    #[arg(long)]
    pub generate: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `store`.
#[derive(Debug, Clone, Args)]
pub struct Store {
    /// Which configuration and which state.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What can be done with the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Copy the SQLite database as it is at one moment, also while popbridge serves
    Backup {
        /// The copy, which must not exist yet
        file: PathBuf,
    },
}

/// What a command needs to find the state that it works on.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "POPBRIDGE_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// The only upstream, as it is given to serve
    #[arg(long, value_name = "URL", env = "POPBRIDGE_UPSTREAM", global = true)]
    pub upstream: Option<String>,
    /// Where state is kept: a folder, sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(
        long,
        value_name = "DIR|URL",
        env = "POPBRIDGE_STATE",
        hide_env_values = true,
        value_parser = super::secret,
        global = true
    )]
    pub state: Option<Secret>,
}

impl Place {
    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// See [`config::load`]; the program ends with [`EXIT_CONFIG`](super::EXIT_CONFIG).
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(&config::Overrides {
            config: self.config.clone(),
            upstream: self.upstream.clone(),
            state: self.state.clone(),
            ..config::Overrides::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    enum Both {
        Client(Client),
        Store(Store),
    }

    fn parse(line: &str) -> Result<Both, clap::Error> {
        Both::try_parse_from(line.split(' '))
    }

    fn client(line: &str) -> Client {
        match parse(line).unwrap() {
            Both::Client(client) => client,
            Both::Store(store) => panic!("{store:?}"),
        }
    }

    #[test]
    fn configuration_and_state_may_stand_before_and_behind_the_command() {
        for line in [
            "popbridge client --config c --state s list",
            "popbridge client list --config c --state s",
        ] {
            let place = client(line).place;
            assert_eq!(place.config, Some(PathBuf::from("c")), "{line}");
            assert_eq!(
                place.state.as_ref().map(Secret::expose),
                Some("s"),
                "{line}"
            );
            assert!(!format!("{place:?}").contains("\"s\""), "{line}");
        }
        assert!(parse("popbridge store backup FILE --state s").is_ok());
        assert!(parse("popbridge store backup").is_err());
    }

    #[test]
    fn a_client_needs_a_name_and_an_account() {
        let add = client("popbridge client add desk1 --account info --set view=all --set last=30d");
        let ClientCommand::Add {
            name,
            account,
            password,
            set,
        } = add.command
        else {
            panic!("{add:?}");
        };
        assert_eq!((name.as_str(), account.as_str()), ("desk1", "info"));
        assert_eq!(set, ["view=all", "last=30d"]);
        assert!(!password.generate && !password.password_stdin);
        assert!(parse("popbridge client add desk1").is_err());
        assert!(parse("popbridge client add --account info").is_err());
        assert!(parse("popbridge client set desk1").is_err());
    }

    #[test]
    fn a_password_is_made_or_read_but_never_a_flag_s_value() {
        assert!(parse("popbridge client passwd desk1 --generate").is_ok());
        assert!(parse("popbridge client passwd desk1 --password-stdin").is_ok());
        assert!(parse("popbridge client passwd desk1 --generate --password-stdin").is_err());
        assert!(parse("popbridge client passwd desk1 hunter2").is_err());
        assert!(parse("popbridge client add desk1 --account i --password hunter2").is_err());
    }
}
