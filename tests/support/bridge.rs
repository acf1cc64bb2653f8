//! The real popbridge binary, started on free ports with a throw-away state, its JSON log read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;
use tokio_rustls::rustls::ClientConfig;

use super::net::{Stream, loopback};
use super::pop3::Pop3;
use super::process::{PATIENCE, Process, last_lines};
use super::tree::{Account, Tree};

/// The binary that is tested.
pub const BINARY: &str = env!("CARGO_BIN_EXE_popbridge");

/// How the bridge is started.
pub struct Options {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    state: Option<PathBuf>,
}

impl Options {
    /// `--upstream URL`, everything else by default.
    pub fn upstream(url: &str) -> Self {
        Self::none().argument("--upstream").argument(url)
    }

    /// `--config FILE` with this text.
    pub fn config(text: &str) -> Self {
        Self {
            config: Some(text.to_owned()),
            ..Self::none()
        }
    }

    fn none() -> Self {
        Self {
            arguments: Vec::new(),
            environment: Vec::new(),
            config: None,
            state: None,
        }
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A state folder that outlives this bridge; without it each bridge has one of its own.
    pub fn state(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    pub fn start(self) -> Bridge {
        Bridge::start(self)
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
    ended: Mutex<bool>,
}

pub struct Bridge {
    process: Process,
    log: Arc<Log>,
    tree: Tree,
    state: PathBuf,
    pub pop3_port: u16,
    pub pop3s_port: u16,
    pub admin_port: u16,
}

impl Bridge {
    /// In front of one upstream, with the defaults of `popbridge serve --upstream URL`.
    pub fn before(url: &str) -> Self {
        Options::upstream(url).start()
    }

    fn start(options: Options) -> Self {
        let account = Account::for_servers();
        let tree = Tree::new("bridge", &account);
        let state = options.state.clone().unwrap_or_else(|| tree.join("state"));
        let mut command = Command::new(BINARY);
        command.arg("serve");
        if let Some(text) = &options.config {
            command
                .arg("--config")
                .arg(tree.write("popbridge.toml", text));
        }
        command
            .args(&options.arguments)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--tls-listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ])
            .arg("--state")
            .arg(&state)
            .envs(options.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::spawn("popbridge", &mut command, tree.path());
        let log = Arc::new(Log::default());
        let pipe = process.child().stderr.take().expect("stderr is piped");
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                writer.lines.lock().expect("log").push(line);
                writer.grown.notify_all();
            }
            *writer.ended.lock().expect("log") = true;
            writer.grown.notify_all();
        });
        let mut this = Self {
            process,
            log,
            tree,
            state,
            pop3_port: 0,
            pop3s_port: 0,
            admin_port: 0,
        };
        this.pop3_port = this.port_of("pop3");
        this.pop3s_port = this.port_of("pop3s");
        this.admin_port = this.port_of("admin");
        this
    }

    fn port_of(&mut self, kind: &str) -> u16 {
        let line = self.wait_for_log(&format!("the {kind} listener"), |line| {
            field(line, "message") == "listening" && field(line, "kind") == kind
        });
        let address = field(&line, "address");
        address
            .rsplit(':')
            .next()
            .and_then(|p| p.parse().ok())
            .unwrap_or_else(|| panic!("no port in {address:?}"))
    }

    /// A POP3 connection in plain text, greeting read.
    pub fn pop3(&self) -> Pop3 {
        Pop3::connect(self.pop3_port)
    }

    /// Logged in, in plain text, with the password that the servers of the tests know.
    pub fn pop3_as(&self, user: &str) -> Pop3 {
        self.pop3().log_in(user, super::dovecot::PASSWORD)
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The self-signed certificate that this bridge has made.
    pub fn certificate(&self) -> PathBuf {
        let found = walk(&self.state).into_iter().find(|path| {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
        });
        found.unwrap_or_else(|| panic!("no certificate in {}", self.state.display()))
    }

    /// A client's TLS settings that trust this bridge's self-signed certificate.
    pub fn tls_config(&self) -> Arc<ClientConfig> {
        super::certs::client_config(&self.certificate())
    }

    /// All log lines so far (JSON).
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().expect("log").clone()
    }

    /// Waits until a log line satisfies `wanted`, also among those already written, and gives it.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut lines = self.log.lines.lock().expect("log");
        loop {
            for line in &lines[seen..] {
                let value = serde_json::from_str(line).unwrap_or(Value::Null);
                if wanted(&value) {
                    return value;
                }
            }
            seen = lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = *self.log.ended.lock().expect("log");
            if left.is_zero() || ended {
                let all = lines.join("\n");
                drop(lines);
                panic!(
                    "{what} never came in popbridge's log{}:\n{all}",
                    if ended { " (it has ended)" } else { "" }
                );
            }
            lines = self.log.grown.wait_timeout(lines, left).expect("log").0;
        }
    }

    /// GET on the admin listener: status code and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = Stream::connect(loopback(self.admin_port)).expect("the admin port");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answer");
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
        let code = head
            .split(' ')
            .nth(1)
            .and_then(|c| c.parse().ok())
            .unwrap_or_else(|| panic!("{head:?}"));
        (code, body.to_owned())
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics").1
    }

    /// The sum over all samples of `name` whose label text contains each of `labels` (e.g. `command="stat"`); 0 without any.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.metrics()
            .lines()
            .filter_map(|line| sample(line, name, labels))
            .sum()
    }

    /// A memory figure of /proc/PID/status in octets, e.g. `VmRSS` or `VmHWM` (the peak).
    pub fn memory(&self, figure: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status
            .lines()
            .find(|l| l.starts_with(&format!("{figure}:")))
            .unwrap_or_else(|| panic!("no {figure}"));
        line.split_whitespace()
            .nth(1)
            .and_then(|kb| kb.parse::<u64>().ok())
            .expect("kB")
            * 1024
    }

    /// Sets VmHWM back to the present VmRSS.
    pub fn reset_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("clear_refs");
    }

    /// Sends a signal: "TERM", "HUP"...
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// SIGTERM and an orderly end.
    pub fn stop(mut self) -> ExitStatus {
        self.process.stop()
    }

    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Waits for an end that something else has brought about.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    pub fn folder(&self) -> &Path {
        self.tree.path()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self
                .log
                .lines
                .lock()
                .map(|l| l.join("\n"))
                .unwrap_or_default();
            eprintln!(
                "--- popbridge's log, the end of it ---\n{}",
                last_lines(&lines, 100)
            );
        }
    }
}

/// Runs the binary to its end (`check`, a bad configuration...): exit code, standard output, standard error.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("popbridge");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A field of a log line as text, wherever tracing put it; empty when there is none.
pub fn field(line: &Value, name: &str) -> String {
    let value = line
        .get("fields")
        .and_then(|f| f.get(name))
        .or_else(|| line.get(name));
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn sample(line: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (set, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?,
        None => ("", rest),
    };
    if !value.starts_with(' ') || !labels.iter().all(|label| set.contains(label)) {
        return None;
    }
    value.trim().parse().ok()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|e| {
            if e.path().is_dir() {
                walk(&e.path())
            } else {
                vec![e.path()]
            }
        })
        .collect()
}
