//! The command lines of `oauth`. They must not know what the commands do.

use clap::{Args, Subcommand};

use super::client::Place;

/// `oauth`.
#[derive(Debug, Clone, Args)]
pub struct OAuth {
    /// Which configuration and which state.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: OAuthCommand,
}

/// What can be done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum OAuthCommand {
    /// Log in for an account once, so that popbridge can open its mailbox from then on
    ///
    /// Prints an address for a browser and waits for it to come back to this machine; what stands in the browser's address line at the
    /// end can be pasted instead. A popbridge that runs needs no restart.
    Login(Login),
    /// Show how the tokens of accounts stand
    Status(Status),
}

/// `oauth login`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Login {
    /// The account: NAME of [account.NAME] in the configuration
    pub account: String,
    /// By a code that is typed into a browser on any machine
    #[arg(long)]
    pub device: bool,
    /// There is no browser on this machine: by such a code where the server has them, else by pasting
    #[arg(long)]
    pub no_browser: bool,
    /// Keep the tokens without a log-in at the upstream, for a machine that cannot reach it
    #[arg(long)]
    pub no_try: bool,
}

/// `oauth status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Status {
    /// Only this account
    pub account: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    enum Cli {
        Oauth(OAuth),
    }

    fn parse(line: &str) -> Result<OAuthCommand, clap::Error> {
        let Cli::Oauth(oauth) = Cli::try_parse_from(line.split(' '))?;
        Ok(oauth.command)
    }

    #[test]
    fn a_log_in_is_for_an_account() {
        let OAuthCommand::Login(login) =
            parse("popbridge oauth login sales --no-browser --no-try --config f").unwrap()
        else {
            panic!("not a login");
        };
        assert!(login.account == "sales" && login.no_browser && login.no_try && !login.device);
        assert!(parse("popbridge oauth login").is_err());
        let OAuthCommand::Status(status) = parse("popbridge oauth status --json").unwrap() else {
            panic!("not a status");
        };
        assert!(status.account.is_none() && status.json);
    }
}
