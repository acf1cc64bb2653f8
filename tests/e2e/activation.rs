//! Under systemd: sockets that it holds, so that a restart refuses nobody and cuts no download, and what it is told meanwhile.
//!
//! The test is the manager: it holds the sockets, hands them to one process after the other, and listens to what these say.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, RwLock};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::bridge::{BINARY, Bridge, Options};
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail;
use crate::support::net::{READ_LIMIT, Stream, loopback};
use crate::support::pop3::{Broken, Pop3};
use crate::support::process::{Process, eventually, require};
use crate::support::tree::{Account, Tree};

/// A socket as a unit with `Backlog=4096` makes it.
fn held() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // So that a client that does not read keeps the bridge in the middle of a message: whoever is accepted there has it, too.
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(4096).unwrap();
    socket.into()
}

fn port(socket: &TcpListener) -> u16 {
    socket.local_addr().unwrap().port()
}

fn config(peer: &RunningPeer, ports: &[u16], limits: &str) -> String {
    let listen = ports
        .iter()
        .map(|port| format!("[[listen]]\naddress = \"127.0.0.1:{port}\"\ntls = \"off\"\n"));
    let (cert, key) = (peer.certs.cert.display(), peer.certs.key.display());
    format!(
        "{}[tls]\ncertificate = \"{cert}\"\nkey = \"{key}\"\n[limits]\n{limits}\n[upstream.mail]\nurl = \"{}\"\n",
        listen.collect::<String>(),
        peer.plain_url()
    )
}

/// What the manager hears, in order.
struct Notified(UnixDatagram);

impl Notified {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(READ_LIMIT)).unwrap();
        // Under root the bridge runs as root, too.
        Self(socket)
    }

    fn next(&self) -> String {
        let mut buffer = [0; 1024];
        let n = self.0.recv(&mut buffer).expect("a word from the bridge");
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    /// The next one that is no sign of life.
    fn word(&self) -> String {
        loop {
            let word = self.next();
            if word != "WATCHDOG=1" {
                return word;
            }
        }
    }
}

#[test]
fn the_manager_is_told_of_the_start_of_life_of_reloads_and_of_the_end() {
    let peer = Peer::with_mail(1).start();
    let tree = Tree::new("notify", &Account::for_servers());
    let path = tree.join("notify");
    let notified = Notified::at(&path);
    let socket = held();
    let text = config(&peer, &[port(&socket)], "drain = \"1s\"");
    let mut bridge = Options::config(&text)
        .sockets(&[&socket])
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .environment("WATCHDOG_USEC", "400000")
        .start();
    assert_eq!(notified.word(), "READY=1\nSTATUS=serving");
    for _ in 0..3 {
        assert_eq!(notified.next(), "WATCHDOG=1");
    }
    let file = bridge.folder().join("popbridge.toml");
    for (text, status) in [
        (
            "nonsense",
            "serving by the configuration before; the new one was refused, see the log",
        ),
        (text.as_str(), "serving"),
    ] {
        std::fs::write(&file, text).unwrap();
        bridge.signal("HUP");
        assert!(notified.word().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(notified.word(), format!("READY=1\nSTATUS={status}"));
    }
    bridge.signal("TERM");
    let word = notified.word();
    assert!(
        word.starts_with("STOPPING=1\n") && word.contains("\nEXTEND_TIMEOUT_USEC="),
        "{word}"
    );
    assert_eq!(bridge.wait().code(), Some(0));
}

#[test]
fn a_store_that_hangs_leaves_the_watchdog_without_a_sign_of_life() {
    let peer = Peer::with_mail(1).start();
    let tree = Tree::new("watchdog", &Account::for_servers());
    let path = tree.join("notify");
    let notified = Notified::at(&path);
    let bridge = Options::config(&config(&peer, &[0], ""))
        .listeners_of_the_file()
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .environment("WATCHDOG_USEC", "400000")
        .start();
    notified.word();
    assert_eq!(notified.next(), "WATCHDOG=1");
    // Another program has the file and does not let go of it.
    let database = bridge.state().join("state.db");
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
        db.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.read()";
    let mut locker = std::process::Command::new(require("python3", "python3"))
        .args(["-c", script, database.to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut locked = [0; 7];
    std::io::Read::read_exact(locker.stdout.as_mut().unwrap(), &mut locked).unwrap();
    bridge.wait_for_log("the store does not answer", |line| {
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        message.starts_with("the store does not answer;")
    });
    // What was said before that is heard before.
    notified.0.set_nonblocking(true).unwrap();
    while notified.0.recv(&mut [0; 64]).is_ok() {}
    notified.0.set_nonblocking(false).unwrap();
    notified
        .0
        .set_read_timeout(Some(Duration::from_millis(600)))
        .unwrap();
    assert!(notified.0.recv(&mut [0; 64]).is_err(), "a sign of life");
    notified.0.set_read_timeout(Some(READ_LIMIT)).unwrap();
    drop(locker.stdin.take());
    locker.wait().unwrap();
    assert_eq!(notified.next(), "WATCHDOG=1");
}

#[test]
fn a_socket_that_nothing_is_configured_for_is_named_and_nothing_is_served() {
    let peer = Peer::with_mail(1).start();
    let tree = Tree::new("socket", &Account::for_servers());
    let (known, unknown) = (held(), held());
    let file = tree.write("popbridge.toml", &config(&peer, &[port(&known)], ""));
    let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" serve --config \"$1\" --state \"$2\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, BINARY])
        .args([&file, &tree.join("state")])
        .stdin(std::os::fd::OwnedFd::from(known))
        .stdout(std::os::fd::OwnedFd::from(unknown.try_clone().unwrap()))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let last = errors.lines().last().unwrap();
    let words = format!(
        "popbridge: systemd passes a socket for 127.0.0.1:{}, and nothing",
        port(&unknown)
    );
    assert!(last.starts_with(&words), "{last}");
}

#[test]
fn systemds_own_program_that_activates_by_sockets_starts_the_bridge() {
    let peer = Peer::with_mail(2).start();
    let tree = Tree::new("activate", &Account::for_servers());
    let at = crate::support::net::free_port();
    let file = tree.write("popbridge.toml", &config(&peer, &[at], ""));
    let mut command = std::process::Command::new(require("systemd-socket-activate", "systemd"));
    command
        .args([
            "-l",
            &format!("127.0.0.1:{at}"),
            BINARY,
            "serve",
            "--config",
        ])
        .args([&file, Path::new("--state"), &tree.join("state")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut process = Process::spawn("systemd-socket-activate", &mut command, tree.path());
    let mut first = None;
    eventually("it listens", || {
        first = Stream::connect(loopback(at)).ok();
        first.is_some()
    });
    // It is started by the first client, which is served.
    let mut pop3 = Pop3::connect(at).log_in(USER, PASSWORD);
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();
    assert_eq!(process.stop().code(), Some(0));
}

#[test]
fn a_quit_under_way_is_answered_and_done_although_the_bridge_ends() {
    let gate = Arc::new(Barrier::new(2));
    let (asked, answers) = (Arc::clone(&gate), Arc::clone(&gate));
    let peer = Peer::with_mail(2)
        .on("UID EXPUNGE", move |_, _| {
            asked.wait();
            answers.wait();
            Flow::Default
        })
        .start();
    let mut bridge = Bridge::before(&peer.plain_url());
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    pop3.ok("DELE 1");
    pop3.send("QUIT");
    gate.wait();
    bridge.signal("TERM");
    bridge.wait_for_line("it ends", |line| {
        line.contains("a second signal ends at once")
    });
    gate.wait();
    pop3.expect_ok();
    pop3.expect_end();
    assert_eq!(bridge.wait().code(), Some(0));
    assert_eq!(peer.mailbox().uids(), [2]);
}

/// How many clients there are at the restart.
const CLIENTS: usize = 500;
/// More than the system takes off the bridge's hands for a client that does not read.
const LARGE: usize = 120_000;

/// What one client does when the bridge ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is in the middle of a message.
    Reads,
    /// It is logged in, and silent.
    Waits,
    /// It comes at that moment, and again and again.
    Comes,
}

struct Restart {
    port: u16,
    body: Vec<u8>,
    /// Held by the test until the bridge has been told to end.
    told: RwLock<()>,
    /// Connections that were closed between two answers: the client comes again.
    again: AtomicUsize,
}

impl Restart {
    fn client(&self, n: usize, role: Role, is_there: &Sender<()>) {
        let user = format!("{USER}/c{n}");
        let there = (role != Role::Comes).then(|| {
            let mut pop3 = self.connect();
            pop3.expect_ok();
            let mut pop3 = pop3.log_in(&user, PASSWORD);
            if role == Role::Reads {
                pop3.ok("RETR 1");
            }
            pop3
        });
        is_there.send(()).unwrap();
        // Also when the test has failed.
        drop(self.told.read());
        if let Some(mut pop3) = there {
            if role == Role::Reads {
                assert!(
                    pop3.body() == self.body,
                    "client {n} has had something else"
                );
            }
            // Nothing more is answered, and nothing is said.
            match pop3.try_status() {
                Err(Broken::Ended(rest)) => assert_eq!(rest, b"", "client {n}"),
                other => panic!("client {n}: {other:?}"),
            }
        }
        while self.session(&user).is_err() {
            self.again.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection that is not refused.
    fn connect(&self) -> Pop3 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // What is on its way to a client that does not read is little.
        socket.set_recv_buffer_size(4096).unwrap();
        let address = SockAddr::from(loopback(self.port));
        socket
            .connect(&address)
            .expect("a connection that was refused");
        Pop3::on(Stream::from_socket(socket.into()).unwrap())
    }

    /// A whole session; an error where the connection ended between two answers. One that ends inside a message fails the test.
    fn session(&self, user: &str) -> Result<(), ()> {
        let mut pop3 = self.connect();
        let mut answer = |line: Option<&str>| {
            if let Some(line) = line
                && !pop3.try_send(&format!("{line}\r\n"))
            {
                return Err(());
            }
            match pop3.try_status() {
                Ok(status) => {
                    assert!(status.ok, "{user}: {status:?}");
                    Ok(())
                }
                Err(Broken::Ended(rest)) if rest.is_empty() => Err(()),
                Err(broken) => panic!("{user}: {broken:?}"),
            }
        };
        answer(None)?;
        answer(Some(&format!("USER {user}")))?;
        answer(Some(&format!("PASS {PASSWORD}")))?;
        answer(Some("RETR 1"))?;
        assert!(pop3.body() == self.body, "{user}");
        if !pop3.try_send("QUIT\r\n") {
            return Err(());
        }
        pop3.try_status().map(drop).map_err(drop)
    }
}

#[test]
fn five_hundred_sessions_go_through_a_restart_with_none_refused_and_no_message_cut() {
    let peer = Peer::with_mail(0).start();
    let large = mail::large(LARGE).raw;
    peer.mailbox().add(&large);
    let tree = Tree::new("restart", &Account::for_servers());
    let socket = held();
    let text = config(&peer, &[port(&socket)], "drain = \"30s\"");
    let start = || {
        let options = Options::config(&text).sockets(&[&socket]);
        options.state(&tree.join("state")).start()
    };
    let mut bridge = start();
    let restart = Restart {
        port: port(&socket),
        body: mail::on_the_wire(&large),
        told: RwLock::new(()),
        again: AtomicUsize::new(0),
    };
    let served = thread::scope(|scope| {
        let restart = &restart;
        let (is_there, there) = channel();
        let not_told = restart.told.write().unwrap();
        for n in 0..CLIENTS {
            let role = match n % 5 {
                0..3 => Role::Reads,
                3 => Role::Waits,
                _ => Role::Comes,
            };
            let is_there = is_there.clone();
            let client = move || restart.client(n, role, &is_there);
            let small = thread::Builder::new().stack_size(512 * 1024);
            small.spawn_scoped(scope, client).unwrap();
        }
        for _ in 0..CLIENTS {
            there
                .recv_timeout(2 * READ_LIMIT)
                .expect("a client is missing");
        }
        assert_eq!(
            bridge.metric("popbridge_sessions", &[]),
            (CLIENTS / 5 * 4) as f64
        );
        let whole = bridge.metric("popbridge_commands_total", &["command=\"RETR\""]);
        assert_eq!(whole, 0.0, "those who read are in the middle of it");
        bridge.signal("TERM");
        bridge.wait_for_line("it ends", |line| {
            line.contains("a second signal ends at once")
        });
        drop(not_told);
        assert_eq!(bridge.wait().code(), Some(0));
        start()
    });
    let again = restart.again.load(Ordering::Relaxed);
    println!("{again} connections were closed between two answers");
    assert!(!bridge.log().iter().any(|line| line.contains("were cut")));
    let logins = served.metric("popbridge_logins_total", &["outcome=\"ok\""]);
    assert!(logins >= CLIENTS as f64, "{logins}");
}
