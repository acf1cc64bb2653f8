//! mpop, handing each message to a delivery program.

use super::*;

/// Fetches what it has not fetched before; it remembers that in the folder `home`.
pub fn run(job: &Job) {
    let on = |yes: bool| if yes { "on" } else { "off" };
    let text = format!(
        "account default\nhost localhost\nport {}\nuser {}\npassword {PASSWORD}\nauth user\ntls {}\ntls_starttls {}\n{}\
         keep on\nreceived_header off\nuidls_file {}\ndelivery mda {}\n",
        job.port,
        job.user,
        on(job.mode != Mode::Plain),
        on(job.mode == Mode::Stls),
        if job.mode == Mode::Plain {
            String::new()
        } else {
            format!("tls_trust_file {}\n", job.ca.display())
        },
        job.home.join("uidls").display(),
        job.keep.display(),
    );
    let file = private(job.home, "mpoprc", &text);
    finish(
        Command::new(require("mpop", "mpop"))
            .arg("--file")
            .arg(file)
            .arg("--quiet"),
    );
}

#[test]
fn fetches_everything_over_plain() {
    check("mpop", Mode::Plain, run, with_unix_lines);
}

#[test]
fn fetches_everything_over_stls() {
    check("mpop", Mode::Stls, run, with_unix_lines);
}

#[test]
fn fetches_everything_over_tls() {
    check("mpop", Mode::Tls, run, with_unix_lines);
}
