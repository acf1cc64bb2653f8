//! Python's poplib, with its limit of 2048 octets a line raised.

use super::*;

const SCRIPT: &str = include_str!("poplib_fetch.py");

fn run(job: &Job) {
    let mut command = Command::new(require("python3", "python3"));
    command.args([
        "-c",
        SCRIPT,
        &format!("{:?}", job.mode),
        &job.port.to_string(),
    ]);
    finish(
        command
            .arg(job.ca)
            .arg(job.inbox)
            .args([job.user, PASSWORD]),
    );
}

#[test]
fn fetches_everything_over_plain() {
    check("poplib", Mode::Plain, run, as_on_the_wire);
}

#[test]
fn fetches_everything_over_stls() {
    check("poplib", Mode::Stls, run, as_on_the_wire);
}

#[test]
fn fetches_everything_over_tls() {
    check("poplib", Mode::Tls, run, as_on_the_wire);
}
