//! A private Dovecot: imapd and pop3d on one Maildir per user, on free ports of 127.0.0.1, with STARTTLS and implicit TLS.
//! Any user may log in with the password [`PASSWORD`]; mail lies in a temporary folder. Needs no root (and gives root up).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certs::Certs;
use super::mail::Maildir;
use super::net::{free_port, loopback};
use super::process::{Process, eventually, last_lines, output_of, require};
use super::tree::{Account, Tree};

/// The password of every user.
pub const PASSWORD: &str = "pw";

/// What differs from test to test.
#[derive(Default, Clone)]
pub struct Options {
    capability: Option<String>,
    extra: String,
    /// dovecot-oauth2.conf.ext of Dovecot 2.3.
    tokens: Option<String>,
}

impl Options {
    /// Announces (and so far as clients ask politely: offers) exactly these capabilities after the log-in.
    pub fn capability(mut self, words: &str) -> Self {
        self.capability = Some(words.to_owned());
        self
    }

    /// Without QRESYNC, CONDSTORE, UIDPLUS and MOVE: an IMAP server of 1996.
    pub fn plain_imap4rev1(self) -> Self {
        self.capability("IMAP4rev1 LITERAL+ NAMESPACE")
    }

    /// Lines of dovecot.conf that are read last.
    pub fn extra(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self.extra.push('\n');
        self
    }

    /// Passwords from a file, asked before the one that everybody has.
    pub fn passwd_file(self, file: &Path) -> Self {
        let file = file.display();
        let lines = if is_2_3(&require("dovecot", "dovecot-imapd dovecot-pop3d")) {
            format!("passdb {{\n driver = passwd-file\n args = {file}\n}}")
        } else {
            format!("passdb passwd-file {{\n passwd_file_path = {file}\n}}")
        };
        self.extra(&lines)
    }

    /// Takes tokens, too, under the keys in this folder (see [`super::jwt`]).
    pub fn signed_tokens(self, keys: &Path) -> Self {
        let shown = keys.display();
        let mechanisms = "auth_mechanisms = plain login xoauth2 oauthbearer";
        if is_2_3(&require("dovecot", "dovecot-imapd dovecot-pop3d")) {
            let settings = keys.join("oauth2.conf");
            let text = format!(
                "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={shown}/\nusername_attribute = sub\n"
            );
            std::fs::write(&settings, text).expect("a file");
            let settings = settings.display();
            return self.extra(&format!(
                "{mechanisms}\npassdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {settings}\n}}"
            ));
        }
        self.extra(&format!(
            "{mechanisms}\noauth2 {{\n introspection_mode = local\n username_attribute = sub\n oauth2_local_validation {{\n\
             dict fs {{\n fs posix {{\n prefix = {shown}/\n}}\n}}\n}}\n}}\n\
             passdb oauth2 {{\n mechanisms_filter = xoauth2 oauthbearer\n}}"
        ))
    }

    /// Lets in by these SASL mechanisms only, with a token that is asked about at this address (RFC 7662), which tells for whom it is.
    pub fn tokens(mut self, introspection: &str, mechanisms: &str) -> Self {
        let keys = format!(
            "introspection_mode = post\nintrospection_url = {introspection}\nusername_attribute = username\n\
             active_attribute = active\nactive_value = true\n"
        );
        let only = format!("auth_mechanisms = {mechanisms}\n");
        if !is_2_3(&require("dovecot", "dovecot-imapd dovecot-pop3d")) {
            // Its mechanisms ask by themselves.
            return self.extra(&format!("{only}oauth2 {{\n{keys}}}"));
        }
        self.tokens = Some(keys);
        self.extra(&format!(
            "{only}passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = @dir@/oauth2.conf.ext\n}}"
        ))
    }

    /// Each user may have so many KiB, and is told how many there are.
    pub fn quota(self, kib: u64) -> Self {
        let lines = if is_2_3(&require("dovecot", "dovecot-imapd dovecot-pop3d")) {
            format!(
                "mail_plugins = quota\nprotocol imap {{\n mail_plugins = quota imap_quota\n}}\n\
                 plugin {{\n quota = count:User quota\n quota_vsizes = yes\n quota_rule = *:storage={kib}K\n}}"
            )
        } else {
            format!(
                "mail_plugins {{\n quota = yes\n}}\nprotocol imap {{\n mail_plugins {{\n imap_quota = yes\n}}\n}}\n\
                 quota \"User quota\" {{\n driver = count\n}}\nquota_storage_size = {kib}K"
            )
        };
        self.extra(&lines)
    }

    pub fn start(self) -> Dovecot {
        Dovecot::start_with(self)
    }
}

pub struct Dovecot {
    pub imap_port: u16,
    pub imaps_port: u16,
    pub pop3_port: u16,
    pub pop3s_port: u16,
    pub certs: Certs,
    process: Option<Process>,
    program: String,
    account: Account,
    options: Options,
    tree: Tree,
}

impl Dovecot {
    pub fn start() -> Self {
        Options::default().start()
    }

    pub fn options() -> Options {
        Options::default()
    }

    fn start_with(options: Options) -> Self {
        let program = require("dovecot", "dovecot-imapd dovecot-pop3d");
        for worker in ["imap", "pop3"] {
            let path = format!("/usr/lib/dovecot/{worker}");
            assert!(
                Path::new(&path).exists(),
                "{path} is missing: apt-get install dovecot-{worker}d (or: make deps)"
            );
        }
        let account = Account::for_servers();
        let tree = Tree::new("dovecot", &account);
        let certs = Certs::make(tree.path());
        account.give(&certs.key);
        let mut this = Self {
            imap_port: 0,
            imaps_port: 0,
            pop3_port: 0,
            pop3s_port: 0,
            certs,
            process: None,
            program,
            account,
            options,
            tree,
        };
        // Between the choice of a port and its use, another test's process may take it: then once more with others.
        for _ in 0..5 {
            [
                this.imap_port,
                this.imaps_port,
                this.pop3_port,
                this.pop3s_port,
            ] = std::array::from_fn(|_| free_port());
            if this.try_launch() {
                return this;
            }
        }
        panic!("Dovecot does not start:\n{}", this.log());
    }

    /// The Maildir of `user`; created when it is asked for the first time.
    pub fn maildir(&self, user: &str) -> Maildir {
        Maildir::open(
            &self.tree.join(&format!("mail/{user}/Maildir")),
            &self.account,
        )
    }

    /// A folder of `user` other than INBOX, as Maildir++ names it.
    pub fn folder(&self, user: &str, name: &str) -> Maildir {
        Maildir::open(
            &self.tree.join(&format!("mail/{user}/Maildir/.{name}")),
            &self.account,
        )
    }

    /// `imap+starttls://localhost:PORT`, the way a popbridge upstream is written.
    pub fn starttls_url(&self) -> String {
        format!("imap+starttls://localhost:{}", self.imap_port)
    }

    pub fn imaps_url(&self) -> String {
        format!("imaps://localhost:{}", self.imaps_port)
    }

    pub fn plain_url(&self) -> String {
        format!("imap://127.0.0.1:{}", self.imap_port)
    }

    /// Everything Dovecot has logged so far, behind what it said about its configuration.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.tree.join(name)).unwrap_or_default();
        read("stderr") + &read("log")
    }

    /// An orderly end: clients see the connections closed.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Every process of this Dovecot dies at once.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Comes back on the same ports with the same mail, after [`Dovecot::stop`] or [`Dovecot::kill9`].
    pub fn restart(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(self.tree.join("run"));
        assert!(
            self.try_launch(),
            "Dovecot does not come back:\n{}",
            self.log()
        );
    }

    fn try_launch(&mut self) -> bool {
        if let Some(keys) = &self.options.tokens {
            self.tree.write("oauth2.conf.ext", keys);
        }
        let config = self.tree.write("dovecot.conf", &self.configuration());
        let stderr = std::fs::File::create(self.tree.join("stderr")).expect("a file");
        let mut command = Command::new(&self.program);
        command
            .arg("-F")
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        self.account.adopt(&mut command);
        let mut process = Process::spawn("dovecot", &mut command, self.tree.path());
        for port in [
            self.imap_port,
            self.imaps_port,
            self.pop3_port,
            self.pop3s_port,
        ] {
            let mut open = false;
            eventually("Dovecot listens or ends", || {
                open = std::net::TcpStream::connect(loopback(port)).is_ok();
                open || process.ended().is_some()
            });
            if !open {
                return false;
            }
        }
        self.process = Some(process);
        true
    }

    fn configuration(&self) -> String {
        let Account { user, group, .. } = &self.account;
        let capability = self
            .options
            .capability
            .as_ref()
            .map(|c| format!("imap_capability = {c}"))
            .unwrap_or_default();
        let template = if is_2_3(&self.program) {
            include_str!("dovecot-2.3.conf")
        } else {
            include_str!("dovecot-2.4.conf")
        };
        template
            .replace("@extra@", &self.options.extra)
            .replace("@dir@", &self.tree.path().display().to_string())
            .replace("@user@", user)
            .replace("@group@", group)
            .replace("@imap@", &self.imap_port.to_string())
            .replace("@imaps@", &self.imaps_port.to_string())
            .replace("@pop3@", &self.pop3_port.to_string())
            .replace("@pop3s@", &self.pop3s_port.to_string())
            .replace("@capability@", &capability)
    }

    pub fn path(&self) -> PathBuf {
        self.tree.path().to_owned()
    }
}

fn is_2_3(program: &str) -> bool {
    output_of(program, &["--version"]).starts_with("2.3.")
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- Dovecot's log, the end of it ---\n{}",
                last_lines(&self.log(), 60)
            );
        }
    }
}
