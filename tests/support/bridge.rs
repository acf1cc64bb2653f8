//! The real popbridge binary, started on free ports with a throw-away state, its JSON log read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
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
    listeners_of_the_file: bool,
    sockets: Vec<OwnedFd>,
    text_log: bool,
    without_file_size_signal: bool,
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

    /// One upstream, by a file with these lines under `[limits]`; no pause after a wrong password.
    pub fn limits(url: &str, limits: &str) -> Self {
        Self::config(&format!(
            "[limits]\nauth_failure_delay = \"0s\"\n{limits}\n[upstream.mail]\nurl = \"{url}\"\n"
        ))
    }

    fn none() -> Self {
        Self {
            arguments: Vec::new(),
            environment: Vec::new(),
            config: None,
            state: None,
            listeners_of_the_file: false,
            sockets: Vec::new(),
            text_log: false,
            without_file_size_signal: false,
        }
    }

    /// Listens where the file says, which must be on port 0.
    pub fn listeners_of_the_file(mut self) -> Self {
        self.listeners_of_the_file = true;
        self
    }

    /// Passes one or two sockets that listen already, as systemd does (sd_listen_fds(3)); the file says the same addresses.
    pub fn sockets(mut self, sockets: &[&TcpListener]) -> Self {
        assert!(sockets.len() <= 2, "they come by standard input and output");
        let copy = |socket: &&TcpListener| socket.try_clone().expect("a descriptor").into();
        self.sockets = sockets.iter().map(copy).collect();
        self.listeners_of_the_file()
    }

    /// Logs as text, for what reads the lines as they are.
    pub fn text_log(mut self) -> Self {
        self.text_log = true;
        self
    }

    /// Files that may not grow any more (see [`Bridge::limit_files`]) are an error and not a signal, as on a full disk.
    pub fn without_file_size_signal(mut self) -> Self {
        self.without_file_size_signal = true;
        self
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
        if options.without_file_size_signal {
            // What a shell ignores, the program that takes its place ignores, too.
            command = Command::new("sh");
            command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", BINARY]);
        }
        let sockets = options.sockets.len();
        let mut pipes = options.sockets.into_iter().map(Stdio::from);
        if sockets > 0 {
            // LISTEN_PID is known only to the process itself.
            let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
            command = Command::new("sh");
            command.args(["-c", script, BINARY]);
            command.env("LISTEN_FDS", sockets.to_string());
        }
        command.arg("serve");
        if let Some(text) = &options.config {
            command
                .arg("--config")
                .arg(tree.write("popbridge.toml", text));
        }
        command
            .args(&options.arguments)
            .args(["--admin", "127.0.0.1:0"])
            .args([
                "--log-format",
                if options.text_log { "text" } else { "json" },
            ]);
        if !options.listeners_of_the_file {
            command.args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]);
        }
        command
            .arg("--state")
            .arg(&state)
            .envs(options.environment.iter().map(|(k, v)| (k, v)))
            .stdin(pipes.next().unwrap_or_else(Stdio::null))
            .stdout(pipes.next().unwrap_or_else(Stdio::null))
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
        // It is bound last.
        this.admin_port = this
            .port_of("admin")
            .unwrap_or_else(|| panic!("popbridge does not start:\n{}", this.log().join("\n")));
        this.pop3_port = this.port_of("pop3").unwrap_or_default();
        this.pop3s_port = this.port_of("pop3s").unwrap_or_default();
        this
    }

    /// The port of the first listener of a kind.
    fn port_of(&self, kind: &str) -> Option<u16> {
        let wanted = |line: &str| {
            line.contains("listening")
                && line
                    .replace("kind=", "\"kind\":")
                    .contains(&format!("\"kind\":\"{kind}\""))
        };
        let line = match kind {
            "admin" => self.wait_for_line("the admin listener", wanted),
            _ => self.log().into_iter().find(|line| wanted(line))?,
        };
        let address = line.split_once("address")?.1;
        let (_, port) = address.split_once("127.0.0.1:")?;
        let digits = port.bytes().take_while(u8::is_ascii_digit).count();
        port[..digits].parse().ok()
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

    /// How many log lines so far have these words.
    pub fn said(&self, words: &str) -> usize {
        let lines = self.log.lines.lock().expect("log");
        lines.iter().filter(|line| line.contains(words)).count()
    }

    /// Waits until a log line satisfies `wanted`, also among those already written, and gives it.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let parsed = |line: &str| serde_json::from_str(line).unwrap_or(Value::Null);
        parsed(&self.wait_for_line(what, |line| wanted(&parsed(line))))
    }

    /// The same with the lines as they are.
    pub fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut lines = self.log.lines.lock().expect("log");
        loop {
            if let Some(line) = lines[seen..].iter().find(|line| wanted(line)) {
                return line.clone();
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

    /// Sends a signal: "TERM", "HUP"...
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// No file may become longer than so many octets ("unlimited"): what a full disk looks like without being root.
    pub fn limit_files(&self, octets: &str) {
        let prlimit = super::process::require("prlimit", "util-linux");
        let set = Command::new(prlimit)
            .args(["--pid", &self.pid().to_string()])
            .arg(format!("--fsize={octets}:"))
            .status();
        assert!(set.expect("prlimit").success());
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
