//! A person with a browser, as far as `popbridge oauth login` needs one: the command with its lines as they come, and pages fetched.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::bridge::BINARY;
use super::net::{Stream, loopback};
use super::process::Process;

/// A log-in on the command line that has begun.
pub struct LoginCommand {
    process: Process,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: String,
}

impl LoginCommand {
    pub fn start(arguments: &[&str], config: &Path) -> Self {
        Self::start_with(arguments, config, &[])
    }

    /// The same with more variables in the environment.
    pub fn start_with(arguments: &[&str], config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command
            .args(["oauth", "login"])
            .args(arguments)
            .arg("--config")
            .arg(config)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let folder = config.parent().expect("a folder");
        let mut process = Process::spawn("popbridge oauth login", &mut command, folder);
        let (send, lines) = channel();
        let child = process.child();
        follow(child.stdout.take().expect("stdout"), send.clone());
        follow(child.stderr.take().expect("stderr"), send);
        Self {
            input: process.child().stdin.take(),
            process,
            lines,
            said: String::new(),
        }
    }

    /// The first line from now on, on either output, that has this in it.
    pub fn line(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(Duration::from_secs(30)) else {
                panic!("{words:?} is not said:\n{}", self.said);
            };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The address that a person is to open.
    pub fn address(&mut self) -> String {
        self.line("  http").trim().to_owned()
    }

    /// Types a line.
    pub fn paste(&mut self, line: &str) {
        let input = self.input.as_mut().expect("standard input");
        writeln!(input, "{line}").expect("a line");
    }

    /// As with `< /dev/null`.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Its end, and everything that it said.
    pub fn end(mut self) -> (ExitStatus, String) {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(60)) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        (self.process.wait(), self.said)
    }
}

fn follow(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // A test that is over reads no more.
            let _ = lines.send(line);
        }
    });
}

/// GET of `http://127.0.0.1:PORT/...` or `http://localhost:PORT...`: the status, and where it redirects to or else the page.
pub fn get(address: &str) -> (u16, String) {
    let rest = address.strip_prefix("http://").expect("http://");
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (_, port) = authority.split_once(':').expect("a port");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut stream = Stream::connect(loopback(port.parse().expect("a port"))).expect(address);
    let request =
        format!("GET {slash}{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then_some(value)
    });
    (
        status.expect("a status"),
        location.unwrap_or(body).to_owned(),
    )
}

/// The person says yes (or what the server decides) on the page: where the browser is sent then.
pub fn consent(address: &str) -> String {
    let (status, location) = get(address);
    assert_eq!(status, 302, "{location}");
    location
}
