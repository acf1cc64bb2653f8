//! An office whose mailbox is opened with tokens: an authorization server, a Dovecot that asks it about each token and lets in by nothing
//! else, and a bridge for which somebody has logged in.

use super::dovecot::Dovecot;
use super::oauth_server::OAuthServer;
use super::office::{LOGIN, Office, Plan, fetch};
use super::pop3::{Pop3, Status};
use super::process::eventually;

/// How long tokens of the server are good, in seconds.
pub const LIFETIME: u64 = 3600;

pub struct TokenOffice {
    pub server: OAuthServer,
    pub office: Office,
}

impl TokenOffice {
    /// Somebody has logged in. The bridge goes by a clock that the test sets, and keeps no connection between polls.
    pub fn start(mechanisms: &str) -> Self {
        let this = Self::with(mechanisms, Plan::default().with_clock());
        this.log_in();
        this
    }

    /// The same by a plan of the test's own, before anybody has logged in.
    pub fn with(mechanisms: &str, plan: Plan) -> Self {
        let server = OAuthServer::start();
        let table = server.table("test", "grant = \"device\"");
        Self::before(server, &table, mechanisms, plan)
    }

    /// The same with a table `[oauth.test]` of the test's own.
    pub fn before(server: OAuthServer, table: &str, mechanisms: &str, plan: Plan) -> Self {
        let dovecot = Dovecot::options().tokens(&server.url("/introspect"), mechanisms);
        let plan = plan.limits("upstream_idle = \"0s\"").tokens(table, dovecot);
        Self {
            office: plan.start(),
            server,
        }
    }

    /// A person logs in for the account, with the bridge's command line and a browser elsewhere.
    pub fn log_in(&self) {
        let (code, output, errors) = self.log_in_as(LOGIN, &[]);
        assert_eq!(code, Some(0), "{output}{errors}");
    }

    /// The same with whoever is logged in in that browser, and more arguments: the exit code and what was said.
    pub fn log_in_as(&self, user: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let server = &self.server;
        let codes = || {
            let asked = server.asked().into_iter();
            asked.filter(|asked| asked.path == "/device").count()
        };
        let before = codes();
        std::thread::scope(|scope| {
            let browser = scope.spawn(move || {
                eventually("a device code is asked for", || codes() > before);
                server.decide(Ok(user));
            });
            let arguments = [&["oauth", "login", "info"], arguments].concat();
            let said = self.office.run(&arguments);
            browser.join().expect("a decision");
            said
        })
    }

    /// All access tokens end, so many lifetimes after the start: for the bridge's clock, and for the upstream.
    pub fn tokens_end(&self, lifetimes: u64) {
        let seconds = lifetimes * (LIFETIME + 60);
        // What goes on in the background may ask for a new one as soon as the clock says so.
        self.server.expire_access_of_before(|| {
            self.server.set_clock_ahead(seconds.cast_signed());
            self.office.ahead(seconds);
        });
    }

    /// One poll of a device that retrieves what is new: the numbers of the messages.
    pub fn poll(&self, client: &str) -> Vec<usize> {
        let mut pop3 = self.office.client(client);
        let fetched = fetch(&mut pop3);
        pop3.quit();
        fetched
    }

    /// What a poll is refused with.
    pub fn refusal(&self, client: &str) -> Status {
        self.office.client(client).err("STAT")
    }

    /// Whether a poll works.
    pub fn works(&self, client: &str) -> bool {
        let mut pop3: Pop3 = self.office.client(client);
        pop3.command("STAT").ok
    }

    /// So many log-ins at the upstream were tried.
    pub fn upstream_connects(&self) -> f64 {
        let bridge = self.office.bridge();
        bridge.metric("popbridge_upstream_connects_total", &[])
    }

    /// Whether the authorization server's secrets are anywhere in these texts.
    pub fn leaks(&self, texts: &[String]) -> Option<String> {
        let secrets = self.server.secrets();
        let leaks = |text: &&String| secrets.iter().any(|secret| text.contains(secret.as_str()));
        texts.iter().find(leaks).cloned()
    }

    fn said(&self) -> Vec<String> {
        let bridge = self.office.bridge();
        [bridge.log(), vec![bridge.metrics()]].concat()
    }
}

/// Whatever a test is about, nothing of it is told.
impl Drop for TokenOffice {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.leaks(&self.said()), None);
        }
    }
}
