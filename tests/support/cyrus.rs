//! A private Cyrus IMAP, the second upstream: another log-in, other capabilities, other forms of the same answers. Runs
//! without root from where `scripts/install-deps.sh test` has unpacked it. Mail comes in by APPEND, and Cyrus is strict: no NUL
//! and no bare LF.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certs::Certs;
use super::dovecot::PASSWORD;
use super::imap::Imap;
use super::mail::{Message, repaired};
use super::net::{free_port, loopback};
use super::process::{Process, eventually};
use super::tree::{Account, Tree};

pub struct Cyrus {
    pub imap_port: u16,
    pub imaps_port: u16,
    pub certs: Certs,
    _process: Process,
    _tree: Tree,
}

/// Another password of every user, which cannot be quoted (RFC 3501, 9).
pub const ODD_PASSWORD: &str = "p\u{e4} \"\u{9375}\\";

impl Cyrus {
    pub fn start() -> Self {
        Self::start_with("PLAIN LOGIN")
    }

    /// One that offers these SASL mechanisms.
    pub fn start_with(mechanisms: &str) -> Self {
        let account = Account::for_servers();
        let tree = Tree::new("cyrus", &account);
        let home = programs(&tree, &account);
        let certs = Certs::make(tree.path());
        account.give(&certs.key);
        for folder in ["conf", "spool", "sock"] {
            account.folder(&tree.join(folder));
        }
        answer_passwords(&tree.join("mux"));
        for _ in 0..5 {
            let (imap_port, imaps_port) = (free_port(), free_port());
            if let Some(process) =
                launch(&tree, &account, &home, mechanisms, [imap_port, imaps_port])
            {
                return Self {
                    imap_port,
                    imaps_port,
                    certs,
                    _process: process,
                    _tree: tree,
                };
            }
        }
        panic!("Cyrus does not start in {}", tree.path().display());
    }

    pub fn starttls_url(&self) -> String {
        format!("imap+starttls://localhost:{}", self.imap_port)
    }

    pub fn imaps_url(&self) -> String {
        format!("imaps://localhost:{}", self.imaps_port)
    }

    pub fn plain_url(&self) -> String {
        format!("imap://127.0.0.1:{}", self.imap_port)
    }

    /// An IMAP connection of `user`, whose INBOX and Trash are made at the first log-in.
    pub fn imap(&self, user: &str) -> Imap {
        Imap::log_in(self.imap_port, user, PASSWORD)
    }

    /// Puts messages into INBOX, line ends repaired. Gives back those that Cyrus takes: none with a NUL or without a header.
    pub fn fill<'a>(
        &self,
        user: &str,
        messages: impl IntoIterator<Item = &'a Message>,
    ) -> Vec<&'a Message> {
        let mut imap = self.imap(user);
        messages
            .into_iter()
            .filter(|m| imap.append("INBOX", &repaired(&m.raw)).is_ok())
            .collect()
    }
}

fn launch(
    tree: &Tree,
    account: &Account,
    home: &Path,
    mechanisms: &str,
    [imap, imaps]: [u16; 2],
) -> Option<Process> {
    let dir = tree.path().display().to_string();
    let fill = |text: &str| {
        text.replace("@dir@", &dir)
            .replace("@home@", &home.display().to_string())
            .replace("@imap@", &imap.to_string())
            .replace("@imaps@", &imaps.to_string())
            .replace("@mechanisms@", mechanisms)
            .replace("@user@", &account.user)
            .replace("@group@", &account.group)
    };
    let imapd_conf = tree.write("imapd.conf", &fill(IMAPD_CONF));
    let cyrus_conf = tree.write("cyrus.conf", &fill(CYRUS_CONF));
    let mut command = Command::new(home.join("bin/master"));
    command
        .arg("-C")
        .arg(imapd_conf)
        .arg("-M")
        .arg(cyrus_conf)
        .arg("-p")
        .arg(tree.join("master.pid"))
        .arg("-D")
        .env("LD_LIBRARY_PATH", home.join("lib"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    account.adopt(&mut command);
    let mut process = Process::spawn("cyrus", &mut command, tree.path());
    let mut open = false;
    eventually("Cyrus listens or ends", || {
        open = [imap, imaps]
            .iter()
            .all(|&port| std::net::TcpStream::connect(loopback(port)).is_ok());
        open || process.ended().is_some()
    });
    open.then_some(process)
}

/// Where the programs lie. Root's tests run them as `nobody`, who may have no way into the project: then a copy in the tree.
fn programs(tree: &Tree, account: &Account) -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cyrus");
    assert!(
        unpacked.join("bin/imapd").exists(),
        "Cyrus IMAP is missing: scripts/install-deps.sh test (or: make deps)"
    );
    if account.switch.is_none() {
        return unpacked;
    }
    let copy = tree.join("programs");
    let status = Command::new("cp")
        .arg("-r")
        .arg(&unpacked)
        .arg(&copy)
        .status()
        .expect("cp");
    assert!(status.success());
    copy
}

/// Answers Cyrus's questions about passwords in saslauthd's protocol: four counted strings (user, password, service, realm)
/// in, one out.
fn answer_passwords(path: &Path) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut strings = Vec::new();
            for _ in 0..4 {
                let mut length = [0; 2];
                if socket.read_exact(&mut length).is_err() {
                    break;
                }
                let mut text = vec![0; usize::from(u16::from_be_bytes(length))];
                if socket.read_exact(&mut text).is_err() {
                    break;
                }
                strings.push(text);
            }
            let yes = strings.get(1).is_some_and(|password| {
                [PASSWORD, ODD_PASSWORD]
                    .map(str::as_bytes)
                    .contains(&&password[..])
            });
            let _ = socket.write_all(if yes { b"\0\x02OK" } else { b"\0\x02NO" });
        }
    });
}

const IMAPD_CONF: &str = "
configdirectory: @dir@/conf
partition-default: @dir@/spool
defaultpartition: default
servername: localhost
cyrus_user: @user@
cyrus_group: @group@
admins: cyrus
allowplaintext: yes
sasl_mech_list: @mechanisms@
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: @dir@/mux
failedloginpause: 0
virtdomains: userid
defaultdomain: localhost
loginrealms: example.com example.org localhost
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
autocreate_inbox_folders: Trash
autocreate_subscribe_folders: Trash
xlist-trash: Trash
tls_server_cert: @dir@/cert.pem
tls_server_key: @dir@/key.pem
tls_session_timeout: 0
idlesocket: @dir@/sock/idle
lmtpsocket: @dir@/sock/lmtp
notifysocket: @dir@/sock/notify
mboxname_lockpath: @dir@/lock
proc_path: @dir@/proc
duplicatesuppression: 0
munge8bit: no
skiplist_unsafe: yes
";

const CYRUS_CONF: &str = "
START {
}
SERVICES {
  imap cmd=\"@home@/bin/imapd -C @dir@/imapd.conf\" listen=\"127.0.0.1:@imap@\" prefork=1
  imaps cmd=\"@home@/bin/imapd -C @dir@/imapd.conf -s\" listen=\"127.0.0.1:@imaps@\" prefork=0
}
EVENTS {
}
";
