//! A bridge under load, with something of everything that is measured: two accounts, of which one is opened with tokens, clients that come
//! and one that does not, deletions and disposals, limits that make log-ins wait, a phone that takes mail away,
//! an upstream that is shut and one that refuses commands.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::bridge::{Bridge, Options, run};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::mail::{ordinary, repaired};
use crate::support::oauth_server::OAuthServer;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

pub(super) struct World {
    pub(super) bridge: Bridge,
    config: String,
    state: String,
    office: RunningPeer,
    cloud: RunningPeer,
    _others: [RunningPeer; 2],
    _server: OAuthServer,
    _tree: Tree,
}

impl World {
    pub(super) fn start() -> Self {
        let tree = Tree::new("world", &Account::for_servers());
        let office = Peer::with_mail(12)
            .capability("IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS MOVE NAMESPACE QUOTA")
            .reply(
                "GETQUOTAROOT",
                "* QUOTAROOT INBOX x\n* QUOTA x (STORAGE 300 1000)\n{tag} OK done",
            )
            .start();
        let cloud = Peer::with_mail(12)
            .capability("IMAP4rev1 LITERAL+ SASL-IR AUTH=XOAUTH2 UIDPLUS MOVE NAMESPACE")
            .start();
        let shut = Peer::with_mail(1).greeting("* BYE Too many connections from your IP");
        let moody = Peer::with_mail(1).reply("EXAMINE", "{tag} NO the disk is full of dust");
        let others = [shut.start(), moody.start()];
        let server = OAuthServer::start();
        let password = tree.write("info.password", &format!("{PASSWORD}\n"));
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        // With a certificate, so that no RSA key is made at the start. Each session logs in anew, so that log-ins wait for their turn.
        let text = format!(
            "[limits]\nauth_failure_delay = \"0s\"\nsweep_interval = \"1s\"\nupstream_idle = \"0s\"\n\
             [tls]\ncertificate = \"{}\"\nkey = \"{}\"\n\
             [upstream.office]\nurl = \"{}\"\nbytes_per_day = \"1GiB\"\nlogins_per_second = 10\n\
             [upstream.cloud]\nurl = \"{}\"\ndomains = [\"cloud.example\"]\n\
             [upstream.shut]\nurl = \"{}\"\ndomains = [\"shut.example\"]\n\
             [upstream.moody]\nurl = \"{}\"\ndomains = [\"moody.example\"]\n\
             {}\
             [account.info]\nupstream = \"office\"\nlogin = \"{USER}\"\npassword_file = \"{}\"\n\
             [account.sales]\nupstream = \"cloud\"\nlogin = \"sales@cloud.example\"\noauth = \"company\"\non_delete = \"dispose\"\n",
            office.certs.cert.display(),
            office.certs.key.display(),
            office.plain_url(),
            cloud.plain_url(),
            others[0].plain_url(),
            others[1].plain_url(),
            server.service_account_table("company", tree.path()),
            password.display(),
        );
        let config = tree.write("popbridge.toml", &text);
        let state = tree.join("state");
        let shown = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
        Self {
            bridge: Options::config(&text).state(&state).start(),
            config: shown(&config),
            state: shown(&state),
            office,
            cloud,
            _others: others,
            _server: server,
            _tree: tree,
        }
    }

    /// What POP3 programs do, again and again until `is_over`.
    pub(super) fn work(&self, is_over: &AtomicBool) {
        let desk = self.add("desk", "info");
        let robot = self.add("robot", "sales");
        self.add("late", "info");
        self.bridge.pop3().err("USER"); // no name
        let mut guess = self.bridge.pop3();
        guess.ok("USER desk");
        guess.err("PASS not this one");
        let programs: [&(dyn Fn() + Sync); 4] = [
            &|| visit(&self.bridge, &self.office, "desk", &desk),
            &|| visit(&self.bridge, &self.cloud, "robot", &robot),
            &|| self.troubles(),
            &|| self.phone(is_over),
        ];
        std::thread::scope(|scope| {
            for program in programs {
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        program();
                    }
                });
            }
        });
    }

    /// Clients of the upstreams that are in trouble.
    fn troubles(&self) {
        let attempt = |user: &str| {
            let mut pop3: Pop3 = self.bridge.pop3();
            pop3.ok(&format!("USER {user}"));
            pop3.command(&format!("PASS {PASSWORD}")).ok.then_some(pop3)
        };
        assert!(attempt("ann@shut.example").is_none());
        if let Some(mut pop3) = attempt("ann@moody.example") {
            pop3.err("STAT");
        }
    }

    /// Takes a message away before everybody had it.
    fn phone(&self, is_over: &AtomicBool) {
        let lost = || {
            self.bridge
                .metric("popbridge_client_lost_messages", &["client=\"late\""])
        };
        let before = lost();
        self.office.mailbox().lock().mail.remove(0);
        eventually("a loss is counted", || {
            lost() > before || is_over.load(Ordering::SeqCst)
        });
    }

    /// Makes a client and gives its password.
    fn add(&self, name: &str, account: &str) -> String {
        let place = ["--config", &self.config, "--state", &self.state];
        let words = [&["client", "add", name, "--account", account], &place[..]].concat();
        let (code, output, errors) = run(&words, &[]);
        assert_eq!(code, Some(0), "{output}{errors}");
        output.trim_end().to_owned()
    }
}

/// Something new comes, and the client fetches, deletes and asks for what is not there.
fn visit(bridge: &Bridge, peer: &RunningPeer, client: &str, password: &str) {
    let n = peer.mailbox().lock().uid_next as usize;
    peer.mailbox().add(&repaired(&ordinary(n).raw));
    let mut pop3 = bridge.pop3().log_in(client, password);
    // The peer does not tell who is listing the mailbox at this moment that there is more: then the list does not add up, and is refused.
    if !pop3.command("STAT").ok {
        return;
    }
    let last = pop3.lines("UIDL").len();
    for command in [
        format!("RETR {last}"),
        "RETR 1".to_owned(),
        "TOP 2 0".to_owned(),
    ] {
        if pop3.command(&command).ok {
            pop3.body();
        }
    }
    pop3.err("RETR 99999");
    pop3.ok("DELE 1");
    pop3.quit();
}
