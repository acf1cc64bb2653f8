//! curl: keeps every octet as it came.

use super::*;

fn run(job: &Job) {
    let scheme = if job.mode == Mode::Tls {
        "pop3s"
    } else {
        "pop3"
    };
    let mut command = Command::new(require("curl", "curl"));
    command
        .args(["--silent", "--show-error", "--fail", "--user"])
        .arg(format!("{}:{PASSWORD}", job.user))
        .arg("--cacert")
        .arg(job.ca);
    if job.mode == Mode::Stls {
        command.arg("--ssl-reqd");
    }
    command.arg("--output").arg(job.inbox.join("#1"));
    finish(command.arg(format!("{scheme}://localhost:{}/[001-200]", job.port)));
}

#[test]
fn fetches_everything_over_plain() {
    check("curl", Mode::Plain, run, as_on_the_wire);
}

#[test]
fn fetches_everything_over_stls() {
    check("curl", Mode::Stls, run, as_on_the_wire);
}

#[test]
fn fetches_everything_over_tls() {
    check("curl", Mode::Tls, run, as_on_the_wire);
}
