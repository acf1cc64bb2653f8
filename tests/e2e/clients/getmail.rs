//! getmail6, handing each message to a delivery program. It knows no STLS (its retrievers are poplib.POP3 and poplib.POP3_SSL,
//! and it never calls stls), so two ways only.

use super::*;

/// getmail6 reads a message by Python's email package and writes it anew. It names the envelope sender, which POP3 does
/// not have; each CR becomes a line end; a blank line is put where header and body must part; header lines get the
/// blank behind the colon, lose continuations that are blank, and are folded in front of a word that is too long.
fn kept(wire: &[u8]) -> Kept {
    let mut text = unix_lines(&unix_lines(wire));
    text.iter_mut()
        .filter(|octet| **octet == b'\r')
        .for_each(|octet| *octet = b'\n');
    let first_line = text
        .split(|&octet| octet == b'\n')
        .next()
        .unwrap_or_default();
    if !first_line.is_empty() && !first_line.contains(&b':') {
        text.insert(0, b'\n');
    } else if !text.starts_with(b"\n") && !text.windows(2).any(|pair| pair == b"\n\n") {
        text.push(b'\n');
    }
    replace(
        &mut text,
        b"X-Empty:\nX-Blank: \n \n",
        b"X-Empty: \nX-Blank: \n",
    );
    replace(&mut text, b"X-Long: h", b"X-Long: \n h");
    Kept::Exactly([b"Return-Path: <unknown>\n", text.as_slice()].concat())
}

/// getmail6 forks for each message and is ready for the end of its child (SIGCHLD, bit 16 of the caught signals) only a
/// moment later; a child that is quicker makes it wait in vain (6.18) or die (6.19). So this one looks before it starts.
const MDA: &str = "#!/bin/sh
until grep -q '^SigCgt:.*[13579bdf]....$' /proc/$PPID/status; do :; done
exec \"${0%/*}/keep\"
";

const RACE: [&str; 2] = ["waiting child pid", "no attribute 'childpid'"];

fn run(job: &Job) {
    let (kind, ca) = match job.mode {
        Mode::Tls => (
            "SimplePOP3SSLRetriever",
            format!("ca_certs = {}\n", job.ca.display()),
        ),
        _ => ("SimplePOP3Retriever", String::new()),
    };
    let mda = private(job.home, "mda", MDA);
    set_mode(&mda, 0o700);
    let text = format!(
        "[retriever]\ntype = {kind}\nserver = localhost\nport = {}\nusername = {}\npassword = {PASSWORD}\ntimeout = 20\n{ca}\n\
         [destination]\ntype = MDA_external\npath = {}\nallow_root_commands = true\n\n\
         [options]\nread_all = true\ndelete = false\ndelivered_to = false\nreceived = false\nverbose = 0\n",
        job.port,
        job.user,
        mda.display(),
    );
    let file = private(job.home, "getmailrc", &text);
    // What is left of the race is met by doing everything once more.
    for _ in 0..10 {
        let mut command = Command::new(require("getmail", "getmail6"));
        command
            .arg("--getmaildir")
            .arg(job.home)
            .arg("--rcfile")
            .arg(&file);
        match try_to_finish(&mut command) {
            Err(said) if RACE.iter().any(|sign| said.contains(sign)) => start_over(job),
            result => return result.unwrap_or_else(|said| panic!("{said}")),
        }
    }
    panic!("getmail6 dies of its race every time");
}

fn start_over(job: &Job) {
    std::fs::remove_dir_all(job.inbox).unwrap();
    std::fs::create_dir(job.inbox).unwrap();
    for entry in std::fs::read_dir(job.home).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("oldmail-") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn fetches_everything_over_plain() {
    check("getmail", Mode::Plain, run, kept);
}

#[test]
fn fetches_everything_over_tls() {
    check("getmail", Mode::Tls, run, kept);
}
