//! A server as a child process that never outlives the test: it has a process group of its own, and a watchdog shell that
//! kills the group and removes the folder as soon as the test process is gone, even after `kill -9` or Ctrl-C.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start or to stop before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Process {
    name: String,
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts `command`; `folder` is what the watchdog removes should the test process die before `Drop` runs.
    pub fn spawn(name: &str, command: &mut Command, folder: &Path) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "read _; kill -s KILL -- -$1 2>/dev/null; rm -rf \"$2\"",
                "watchdog",
            ])
            .arg(child.id().to_string())
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        Self {
            name: name.to_owned(),
            child,
            watchdog,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    /// Sends a signal ("TERM", "KILL", "HUP", "STOP"...) to the process alone.
    pub fn signal(&self, signal: &str) {
        kill(signal, &self.pid().to_string());
    }

    /// Sends a signal to the whole process group: a server and all its workers at once.
    pub fn signal_group(&self, signal: &str) {
        kill(signal, &format!("-{}", self.pid()));
    }

    /// Waits for the end; fails the test when it does not come.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            pause();
        }
    }

    /// SIGTERM, and SIGKILL for what is left of the group after the main process has ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = self.wait();
        self.signal_group("KILL");
        status
    }

    /// SIGKILL for the whole group, as a power cut would have it.
    pub fn kill9(&mut self) {
        self.signal_group("KILL");
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog goes first: after the wait below the process id may belong to somebody else.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal_group("KILL");
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn kill(signal: &str, target: &str) {
    // std has no kill(2) and the project forbids unsafe code; the shell's builtin needs no package.
    let _ = Command::new("sh")
        .args([
            "-c",
            "kill -s \"$1\" -- \"$2\" 2>/dev/null",
            "kill",
            signal,
            target,
        ])
        .status();
}

/// One step of a poll for something that another process does and cannot announce (a port opens, a process ends).
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Polls until `ready` says yes; panics with `what` after [`PATIENCE`].
pub fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(
            Instant::now() < deadline,
            "still not so after {PATIENCE:?}: {what}"
        );
        pause();
    }
}

/// The last `count` lines of a log.
pub fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The standard output of a short command, trimmed.
pub fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The path of a program that a test cannot do without, or a panic with the line that installs it.
pub fn require(program: &str, package: &str) -> String {
    let found = output_of(
        "sh",
        &[
            "-c",
            &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}"),
        ],
    );
    assert!(
        !found.is_empty(),
        "{program} is missing: apt-get install --no-install-recommends {package} (or: make deps)"
    );
    found
}
