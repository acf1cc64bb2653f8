//! The program: command line in, exit code out. Everything else is in the library.

use std::io::{self, Write as _};
use std::process::ExitCode;

use popbridge::cli::client::Place;
use popbridge::cli::{self, Check, Cli, Command, EXIT_CONFIG, Settings};
use popbridge::commands::{self, CommandError};
use popbridge::config::Config;
use popbridge::{check, run, telemetry};

fn main() -> ExitCode {
    match Cli::of_this_process().command {
        Command::Serve(settings) => serve(&settings),
        Command::Check(arguments) => check(&arguments),
        Command::Client(client) => command(&client.place, async |config| {
            let mut read_password = || cli::read_password(io::stdin().lock());
            let (out, notes) = (&mut io::stdout(), &mut io::stderr());
            commands::client::run(&client.command, config, &mut read_password, out, notes).await
        }),
        Command::Status(status) => command(&status.place, async |config| {
            let (out, notes) = (&mut io::stdout(), &mut io::stderr());
            commands::status::run(&status.options, config, out, notes).await
        }),
        Command::Sweep(sweep) => {
            command(&sweep.place, async |config| {
                match commands::sweep::run(&sweep.options, config, &mut io::stdout()).await? {
                    true => Ok(()),
                    false => Err(CommandError::Failed(
                        "not everything was done; see above".to_owned(),
                    )),
                }
            })
        }
        Command::Oauth(oauth) => command(&oauth.place, async |config| {
            let input = Box::new(io::BufReader::new(io::stdin()));
            let (out, notes) = (&mut io::stdout(), &mut io::stderr());
            commands::oauth::run(&oauth.command, config, input, out, notes).await
        }),
        Command::Store(store) => command(&store.place, async |config| {
            commands::store::run(&store.command, config, &mut io::stderr()).await
        }),
        Command::Completions { shell } => match cli::completions(shell, &mut io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Command::Man { folder } => match cli::manual::write(&folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error, 1),
        },
    }
}

fn serve(settings: &Settings) -> ExitCode {
    let config = match settings.load() {
        Ok(config) => config,
        Err(error) => return complain(&error, EXIT_CONFIG),
    };
    if let Err(error) = telemetry::init(&config.log.filter, config.log.format) {
        return complain(&error, EXIT_CONFIG);
    }
    match with_runtime(run::serve(config, || settings.load())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

fn check(arguments: &Check) -> ExitCode {
    let config = match arguments.settings.load() {
        Ok(config) => config,
        Err(error) => return complain(&error, EXIT_CONFIG),
    };
    if let Err(error) = telemetry::init(&config.log.filter, config.log.format) {
        return complain(&error, EXIT_CONFIG);
    }
    let password = match arguments
        .password_stdin
        .then(|| cli::read_password(io::stdin().lock()))
    {
        Some(Ok(password)) => Some(password),
        Some(Err(error)) => return complain(&error, 1),
        None => None,
    };
    let login = arguments.user.clone().zip(password);
    match with_runtime(check::check(
        &config,
        arguments.connect,
        login,
        &mut io::stdout(),
    )) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&error, 1),
    }
}

/// One of the operator's commands.
fn command(place: &Place, work: impl AsyncFnOnce(&Config) -> Result<(), CommandError>) -> ExitCode {
    let config = match place.load() {
        Ok(config) => config,
        Err(error) => return complain(&error, EXIT_CONFIG),
    };
    match with_runtime(work(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ CommandError::Usage(_)) => complain(&error, EXIT_CONFIG),
        Err(error @ CommandError::Failed(_)) => complain(&error, 1),
    }
}

fn with_runtime<T, E: From<io::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// One sentence on standard error, whatever the log's filter and format are.
fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Where nobody reads standard error the exit code still says it.
    let _ = writeln!(io::stderr(), "popbridge: {error}");
    ExitCode::from(code)
}
