//! POP3 clients by the thousand, and the relay that the bridge's upstream is put behind.
//!
//! `popbridge-load run`, `idle` and `office` are clients; each prints its figures as one JSON line on standard output and ends with 1
//! if any session failed or any message was not what it should be. `popbridge-load relay` delays and counts.

mod arguments;
mod body;
mod connection;
mod crowd;
mod figures;
mod idle;
mod literals;
mod office;
mod relay;
mod session;
mod tls;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    match in_one_thread(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("popbridge-load: {error}");
            ExitCode::from(2)
        }
    }
}

/// One thread, so that the clients take one core at most and leave the others to what is measured.
fn in_one_thread(command: Command) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Run(run) => crowd::run(run).await,
            Command::Idle(idle) => idle::run(idle).await,
            Command::Office(office) => office::run(office).await,
            Command::Relay(relay) => relay::run(&relay).await.map(|()| true),
        }
    })
}
