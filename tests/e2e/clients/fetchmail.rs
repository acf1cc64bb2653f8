//! fetchmail, handing each message to a delivery program.

use super::*;

/// fetchmail removes every CR (`stripcr`, its default with an MDA), puts a blank line behind a header that has none, and
/// makes up a header where a message starts with a blank line. A line of more than 8 KiB it reads in pieces, and puts
/// octets of its own memory between them (6.4.37).
fn kept(wire: &[u8]) -> Kept {
    let mut text: Vec<u8> = wire
        .iter()
        .copied()
        .filter(|&octet| octet != b'\r')
        .collect();
    if wire
        .split(|&octet| octet == b'\n')
        .any(|line| line.len() > 8000)
    {
        return Kept::Damaged;
    }
    if text.starts_with(b"\n") {
        return Kept::EndsWith(text);
    }
    if !text.windows(2).any(|pair| pair == b"\n\n") {
        text.push(b'\n');
    }
    Kept::Exactly(text)
}

fn run(job: &Job) {
    let tls = match job.mode {
        Mode::Plain => "sslproto ''".to_owned(),
        Mode::Stls => format!(
            "sslproto 'TLS1.2+' sslcertck sslcertfile '{}'",
            job.ca.display()
        ),
        Mode::Tls => format!("ssl sslcertck sslcertfile '{}'", job.ca.display()),
    };
    let text = format!(
        "set no syslog\nset invisible\npoll localhost protocol POP3 port {} auth password no dns bad-header accept timeout 60\n\
         user '{}' password {PASSWORD} {tls} keep fetchall no rewrite pass8bits mda '{}'\n",
        job.port,
        job.user,
        job.keep.display(),
    );
    let file = private(job.home, "fetchmailrc", &text);
    let mut command = Command::new(require("fetchmail", "fetchmail"));
    command
        .env("HOME", job.home)
        .env("FETCHMAILHOME", job.home)
        .arg("-f")
        .arg(file)
        .arg("--nodetach")
        .arg("--pidfile")
        .arg(job.home.join("pid"))
        .arg("-v");
    finish(&mut command);
}

#[test]
fn fetches_everything_over_plain() {
    check("fetchmail", Mode::Plain, run, kept);
}

#[test]
fn fetches_everything_over_stls() {
    check("fetchmail", Mode::Stls, run, kept);
}

#[test]
fn fetches_everything_over_tls() {
    check("fetchmail", Mode::Tls, run, kept);
}
