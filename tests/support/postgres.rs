//! PostgreSQL: a cluster in a temporary folder, on a free port of 127.0.0.1, with fsync as in production. Needs no root (and gives root
//! up). Anybody may connect as [`USER`] without a password, unless the test wants the server to demand one, or TLS.

use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{eventually, last_lines};
use super::tree::{Account, Tree};

/// The cluster's one user, who may do everything.
pub const USER: &str = "popbridge";

/// The user's password where one is demanded: with all that means something in a URL.
pub const PASSWORD: &str = "p@ss:hunter2/\u{fc}? 100% #1'\\";

/// What the server demands of whoever connects.
pub enum Demands {
    Nothing,
    /// [`PASSWORD`], by SCRAM-SHA-256.
    Password,
    /// The same, and TLS, for which it has these PEM files.
    PasswordAndTls {
        cert: PathBuf,
        key: PathBuf,
    },
}

/// A cluster that runs until it is dropped.
pub struct Postgres {
    pub port: u16,
    demands: Demands,
    running: Option<Running>,
    programs: PathBuf,
    account: Account,
    tree: Tree,
}

/// The server, and a shell that ends it in an orderly way once this process is gone: killed at once, it would leave a segment of
/// shared memory behind.
struct Running {
    server: Child,
    watchdog: Child,
}

impl Postgres {
    /// The cluster that all tests of a process share; each has a database of its own in it, see [`Postgres::database`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster of one's own, for a test that stops it.
    pub fn start() -> Self {
        Self::demanding(Demands::Nothing)
    }

    /// A cluster of one's own that not everybody may connect to.
    pub fn demanding(demands: Demands) -> Self {
        let account = Account::for_servers();
        let mut this = Self {
            port: 0,
            demands,
            running: None,
            programs: programs(),
            tree: Tree::new("postgres", &account),
            account,
        };
        this.make();
        // Between the choice of a port and its use, another test's process may take it: then once more with another.
        for _ in 0..5 {
            this.port = free_port();
            if this.launch() {
                return this;
            }
        }
        panic!("PostgreSQL does not start:\n{}", this.log());
    }

    /// The cluster's data, its user and whom it lets in.
    fn make(&self) {
        let auth = match self.demands {
            Demands::Nothing => "trust",
            Demands::Password | Demands::PasswordAndTls { .. } => "scram-sha-256",
        };
        let data = self.tree.join("data");
        let password = self.tree.write("password", PASSWORD);
        let mut initdb = self.command("initdb");
        initdb
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--auth={auth}"))
            .arg(format!("--username={USER}"))
            .arg(format!("--pwfile={}", password.display()))
            .arg("--pgdata")
            .arg(&data);
        run(&mut initdb);
        if let Demands::PasswordAndTls { cert, key } = &self.demands {
            for (from, name, mode) in [(cert, "server.crt", 0o644), (key, "server.key", 0o600)] {
                let to = data.join(name);
                std::fs::copy(from, &to).expect("a PEM file");
                self.account.give(&to);
                // The server refuses a key that others can read.
                std::fs::set_permissions(&to, Permissions::from_mode(mode)).expect("chmod");
            }
            let lines = format!("hostssl all {USER} 127.0.0.1/32 {auth}\n");
            std::fs::write(data.join("pg_hba.conf"), lines).expect("pg_hba.conf");
        }
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in a database, by its name or its URL, and gives what comes out: a row a line, columns separated by `|`.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let name = database.rsplit('/').next().unwrap_or(database);
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", &self.url(name), "-c", statement]);
        run(&mut psql)
    }

    /// The server dies at once, as in a power cut.
    pub fn kill9(&mut self) {
        self.end("KILL");
    }

    /// The server ends without waiting for its clients.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Stops (without a word to anybody) or continues the main process and all that serve a client.
    pub fn freeze(&self, frozen: bool) {
        if let Some(running) = &self.running {
            let signal = if frozen { "STOP" } else { "CONT" };
            let main = running.server.id();
            shell(&format!(
                "kill -s {signal} $(cat /proc/{main}/task/{main}/children) {main}"
            ));
        }
    }

    /// Comes back on the same port with the same data, after [`Postgres::stop`] or [`Postgres::kill9`].
    pub fn restart(&mut self) {
        self.end("INT");
        assert!(
            self.launch(),
            "PostgreSQL does not come back:\n{}",
            self.log()
        );
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.tree.join("log")).unwrap_or_default();
        last_lines(&log, 60)
    }

    fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.tree.join("log")).expect("a file");
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.tree.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=300"])
            .args(["-c", &format!("ssl={}", self.has_tls())])
            .args(["-c", &format!("port={}", self.port)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let server = command.spawn().expect("postgres starts");
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "read _; kill -s INT $1 2>/dev/null; i=0; \
                 while [ $i -lt 50 ] && [ -e \"$2/data/postmaster.pid\" ]; do sleep 0.1; i=$((i+1)); done; rm -rf \"$2\"",
                "watchdog",
            ])
            .arg(server.id().to_string())
            .arg(self.tree.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let mut running = Running { server, watchdog };
        let mut open = false;
        eventually("PostgreSQL takes connections or ends", || {
            // It listens before it is ready; what it says to a connection meanwhile is "starting up".
            open = self.log().contains("ready to accept connections")
                && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            open || matches!(running.server.try_wait(), Ok(Some(_)))
        });
        self.running = Some(running);
        if !open {
            self.end("INT");
        }
        open
    }

    fn has_tls(&self) -> bool {
        matches!(self.demands, Demands::PasswordAndTls { .. })
    }

    fn end(&mut self, signal: &str) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        // The watchdog goes first: after the wait below the process id may belong to somebody else.
        let _ = running.watchdog.kill();
        let _ = running.watchdog.wait();
        let main = running.server.id();
        if signal == "KILL" {
            // Its children have process groups of their own and would stay for a moment.
            shell(&format!(
                "kill -s KILL {main} $(cat /proc/{main}/task/{main}/children) 2>/dev/null"
            ));
        } else {
            shell(&format!("kill -s {signal} {main}"));
        }
        let _ = running.server.wait();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.account.adopt(&mut command);
        command
            .current_dir(self.tree.path())
            .env("PGPASSWORD", PASSWORD)
            // Where psql looks for certificates of its own: the account may not look into the home of whoever runs the test.
            .env("HOME", self.tree.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- PostgreSQL's log, the end of it ---\n{}", self.log());
        }
        self.end("INT");
    }
}

/// Debian keeps the server's programs out of the PATH, in a folder for each version: the newest counts.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut folders: Vec<_> = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    folders.sort();
    let usual = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from);
    let mut all = folders.into_iter().rev().chain(usual);
    let complete = |folder: &PathBuf| {
        let mut programs = ["initdb", "postgres", "psql"].iter();
        programs.all(|program| folder.join(program).exists())
    };
    all.find(complete).unwrap_or_else(|| {
        panic!(
            "PostgreSQL's server is missing: apt-get install --no-install-recommends postgresql (or: make deps)"
        )
    })
}

/// Below the range that the kernel gives to outgoing connections, so that the server can come back on the same port.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let spread = std::process::id().wrapping_mul(89) % 9_000;
    loop {
        let offset = (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 1_500;
        let port = 31_000 + offset as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn shell(script: &str) {
    let _ = Command::new("sh").args(["-c", script]).status();
}
