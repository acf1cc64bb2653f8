//! A scriptable IMAP server for what no real server does on command. By itself it is a well-behaved server with one small
//! mailbox; a test replaces single answers (`on`), the greeting, or the whole conversation (`script`). It records every
//! octet that clients send, so that a test can assert that no credentials left.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::certs::Certs;
use super::fake_mailbox::Mailbox;
use super::net::{Stream, loopback};
use super::peer_conn::{Cmd, Conn};
use super::process::eventually;
use super::tree::{Account, Tree};

/// What a hook did with a command.
pub enum Flow {
    /// Answered; on with the next command.
    Done,
    /// Answered by OK to a log-in.
    LoggedIn,
    /// Not mine: the well-behaved answer, please.
    Default,
    /// The connection is over (closed, reset or stalled by the hook).
    End,
}

type Hook = Box<dyn Fn(&mut Conn, &Cmd) -> Flow + Send + Sync>;
type Script = Box<dyn Fn(&mut Conn) -> Option<()> + Send + Sync>;

/// The user and the password that the well-behaved peer accepts.
pub const USER: &str = "user@example.com";
pub const PASSWORD: &str = "correct horse 7";

/// How the peer speaks before any test changes it.
pub struct Peer {
    greeting: String,
    capability: String,
    capability_after_login: Option<String>,
    implicit_tls: bool,
    mailbox: Mailbox,
    hooks: Vec<(String, Hook)>,
    script: Option<Script>,
    certs: fn(&Path) -> Certs,
}

impl Default for Peer {
    fn default() -> Self {
        Self::with_mail(3)
    }
}

impl Peer {
    /// A mailbox of `count` ordinary messages with the UIDs 1, 2, 3...
    pub fn with_mail(count: usize) -> Self {
        Self::with_mailbox(Mailbox::ordinary(count))
    }

    pub fn with_mailbox(mailbox: Mailbox) -> Self {
        Self {
            greeting: "* OK [CAPABILITY {capability}] ready".into(),
            capability: "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS MOVE NAMESPACE".into(),
            capability_after_login: None,
            implicit_tls: false,
            mailbox,
            hooks: Vec::new(),
            script: None,
            certs: Certs::make,
        }
    }

    /// The mailbox, to be filled before the peer starts.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The greeting, without CRLF; `{capability}` stands for the capabilities.
    pub fn greeting(mut self, line: &str) -> Self {
        self.greeting = line.to_owned();
        self
    }

    /// What CAPABILITY says; `STARTTLS` in it makes the peer take STARTTLS.
    pub fn capability(mut self, words: &str) -> Self {
        self.capability = words.to_owned();
        self
    }

    /// Takes no SASL response together with AUTHENTICATE.
    pub fn without_sasl_ir(mut self) -> Self {
        self.capability = self.capability.replace(" SASL-IR", "");
        self
    }

    /// What CAPABILITY says after the log-in, where it differs (Exchange).
    pub fn capability_after_login(mut self, words: &str) -> Self {
        self.capability_after_login = Some(words.to_owned());
        self
    }

    /// Another certificate than a good one for localhost.
    pub fn certs(mut self, make: fn(&Path) -> Certs) -> Self {
        self.certs = make;
        self
    }

    /// TLS from the first octet (imaps).
    pub fn implicit_tls(mut self) -> Self {
        self.implicit_tls = true;
        self
    }

    /// Answers commands that start with `words` in its own way. Later hooks are asked first.
    pub fn on(
        mut self,
        words: &str,
        hook: impl Fn(&mut Conn, &Cmd) -> Flow + Send + Sync + 'static,
    ) -> Self {
        self.hooks.insert(0, (words.to_owned(), Box::new(hook)));
        self
    }

    /// Answers commands that start with `words` by these lines; `{tag}` stands for the tag.
    pub fn reply(self, words: &str, lines: &str) -> Self {
        let lines = lines.to_owned();
        self.on(words, move |conn, cmd| {
            conn.answer(cmd, &lines);
            Flow::Done
        })
    }

    /// Sends these octets at a command that starts with `words`, and closes.
    pub fn send_and_close(self, words: &str, octets: &[u8]) -> Self {
        let octets = octets.to_vec();
        self.on(words, move |conn, _| {
            conn.raw(&octets);
            conn.close();
            Flow::End
        })
    }

    /// Replaces the whole conversation, from the greeting on. In the script `?` ends it when the client is gone.
    pub fn script(
        mut self,
        script: impl Fn(&mut Conn) -> Option<()> + Send + Sync + 'static,
    ) -> Self {
        self.script = Some(Box::new(script));
        self
    }

    pub fn start(self) -> RunningPeer {
        RunningPeer::start(self)
    }

    fn converse(&self, conn: &mut Conn) -> Option<()> {
        if self.implicit_tls {
            conn.start_tls()?;
        }
        if let Some(script) = &self.script {
            return script(conn);
        }
        conn.line(&self.greeting.replace("{capability}", &self.capability));
        let mut state = State {
            logged_in: self.greeting.starts_with("* PREAUTH"),
            known: 0,
        };
        loop {
            let cmd = conn.next()?;
            let hook = self
                .hooks
                .iter()
                .filter(|(words, _)| cmd.is(words))
                .map(|(_, hook)| hook(conn, &cmd));
            match hook.into_iter().find(|flow| !matches!(flow, Flow::Default)) {
                Some(Flow::End) => return None,
                Some(Flow::LoggedIn) => state.logged_in = true,
                Some(_) => {}
                None => self.behave(conn, &cmd, &mut state)?,
            }
        }
    }

    fn behave(&self, conn: &mut Conn, cmd: &Cmd, state: &mut State) -> Option<()> {
        let word = cmd
            .line
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        match word.as_str() {
            "CAPABILITY" => {
                let words = match &self.capability_after_login {
                    Some(words) if state.logged_in => words,
                    _ => &self.capability,
                };
                conn.line(&format!("* CAPABILITY {words}"));
                conn.ok(cmd);
            }
            "STARTTLS" if self.capability.contains("STARTTLS") && !conn.is_tls() => {
                conn.ok(cmd);
                conn.start_tls()?;
            }
            "LOGIN" => {
                state.logged_in = cmd.has(USER) && cmd.line.contains(PASSWORD);
                conn.tagged(
                    cmd,
                    if state.logged_in {
                        "OK logged in"
                    } else {
                        "NO [AUTHENTICATIONFAILED] no"
                    },
                );
            }
            "AUTHENTICATE" => {
                conn.sasl_response(cmd)?;
                state.logged_in = true; // the recorder has the answer; a hook may look at it
                conn.ok(cmd);
            }
            "NOOP" | "LOGOUT" | "ENABLE" | "ID" => {
                if word == "LOGOUT" {
                    conn.line("* BYE see you");
                }
                if word == "ENABLE" && self.capability.contains("UIDONLY") && cmd.has("UIDONLY") {
                    self.mailbox.enable_uidonly(conn);
                    conn.line("* ENABLED UIDONLY");
                }
                if word == "NOOP" {
                    self.mailbox.announce(conn, &mut state.known);
                }
                conn.ok(cmd);
            }
            _ if !state.logged_in => conn.tagged(cmd, "BAD log in first"),
            _ => self.mailbox.behave(conn, cmd, &mut state.known),
        }
        Some(())
    }
}

struct State {
    logged_in: bool,
    /// How many messages this connection has been told of.
    known: usize,
}

/// What the clients of a peer sent.
#[derive(Default)]
pub struct Recorder {
    octets: Mutex<Vec<(usize, bool, Vec<u8>)>>,
}

impl Recorder {
    pub fn heard(&self, connection: usize, tls: bool, octets: &[u8]) {
        self.octets
            .lock()
            .expect("recorder")
            .push((connection, tls, octets.to_vec()));
    }
}

pub struct RunningPeer {
    pub port: u16,
    pub certs: Certs,
    recorder: Arc<Recorder>,
    failures: Arc<Mutex<VecDeque<String>>>,
    connections: Arc<Mutex<usize>>,
    peer: Arc<Peer>,
    _tree: Tree,
}

impl RunningPeer {
    fn start(peer: Peer) -> Self {
        let tree = Tree::new("peer", &Account::for_servers());
        let certs = (peer.certs)(tree.path());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let this = Self {
            port: listener.local_addr().expect("address").port(),
            certs,
            recorder: Arc::default(),
            failures: Arc::default(),
            connections: Arc::default(),
            peer: Arc::new(peer),
            _tree: tree,
        };
        let (peer, recorder, failures) = (
            Arc::clone(&this.peer),
            Arc::clone(&this.recorder),
            Arc::clone(&this.failures),
        );
        let (tls, connections) = (this.certs.server_config(), Arc::clone(&this.connections));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let number = {
                    let mut count = connections.lock().expect("count");
                    *count += 1;
                    *count - 1
                };
                let Ok(stream) = Stream::from_socket(socket) else {
                    continue;
                };
                let mut conn = Conn::new(number, stream, tls.clone(), Arc::clone(&recorder));
                let (peer, failures) = (Arc::clone(&peer), Arc::clone(&failures));
                std::thread::spawn(move || {
                    let run = std::panic::AssertUnwindSafe(|| peer.converse(&mut conn));
                    if let Err(cause) = std::panic::catch_unwind(run) {
                        let text = cause
                            .downcast_ref::<String>()
                            .cloned()
                            .unwrap_or_else(|| "a panic in the script".into());
                        failures.lock().expect("failures").push_back(text);
                    }
                });
            }
        });
        this
    }

    pub fn plain_url(&self) -> String {
        format!("imap://localhost:{}", self.port)
    }

    pub fn starttls_url(&self) -> String {
        format!("imap+starttls://localhost:{}", self.port)
    }

    pub fn imaps_url(&self) -> String {
        format!("imaps://localhost:{}", self.port)
    }

    /// The mailbox that the well-behaved answers come from; a test may change it while clients are connected.
    pub fn mailbox(&self) -> &Mailbox {
        &self.peer.mailbox
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("count")
    }

    /// Everything that clients sent, in order of arrival. What went through TLS is here in the clear.
    pub fn heard(&self) -> String {
        self.heard_where(|_| true)
    }

    /// What clients sent without TLS.
    pub fn heard_in_the_clear(&self) -> String {
        self.heard_where(|tls| !tls)
    }

    fn heard_where(&self, wanted: impl Fn(bool) -> bool) -> String {
        let octets = self.recorder.octets.lock().expect("recorder");
        let all: Vec<u8> = octets
            .iter()
            .filter(|(_, tls, _)| wanted(*tls))
            .flat_map(|(_, _, o)| o.clone())
            .collect();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The commands heard that start with `words`, without their tags.
    pub fn commands(&self, words: &str) -> Vec<String> {
        let wanted = |line: &str| {
            Cmd {
                tag: String::new(),
                line: line.to_owned(),
            }
            .is(words)
        };
        let heard = self.heard();
        heard
            .lines()
            .filter_map(|l| l.split_once(' '))
            .map(|(_, c)| c.to_owned())
            .filter(|c| wanted(c))
            .collect()
    }

    /// Waits until a command that starts with `words` has been heard `count` times.
    pub fn wait_for(&self, words: &str, count: usize) {
        eventually(&format!("{count} times {words}"), || {
            self.commands(words).len() >= count
        });
    }

    /// Fails the test if anything like the user's name or password left, in any encoding that IMAP knows.
    pub fn assert_no_credentials_left(&self) {
        let heard = self.heard();
        for word in ["LOGIN", "AUTHENTICATE", PASSWORD, USER] {
            assert!(
                !heard
                    .to_ascii_uppercase()
                    .contains(&word.to_ascii_uppercase()),
                "{word:?} left: {heard:?}"
            );
        }
    }
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        let _ = std::net::TcpStream::connect(loopback(self.port)); // a last look: the listener is still there
        if std::thread::panicking() {
            eprintln!("--- what the IMAP peer heard ---\n{}", self.heard());
        } else if let Some(failure) = self.failures.lock().expect("failures").pop_front() {
            panic!("the IMAP peer's script failed: {failure}");
        }
    }
}
