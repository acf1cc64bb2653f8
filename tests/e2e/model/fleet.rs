//! The bridges of a run: one on SQLite, or several that share a database, before one server with all mailboxes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

use super::dice::Dice;
use super::promises::{OnDelete, Rules, When};
use super::upstream::Upstream;
use crate::many::in_a_hurry;
use crate::support::bridge::{Bridge, Options};
use crate::support::postgres::Postgres;

/// A mailbox's rules: the domain of its name, the lines of its upstream in the configuration, and what they mean.
type Row = (&'static str, &'static str, Rules);

const fn rules(on_delete: OnDelete, when: When, dispose_undelivered: bool) -> Rules {
    Rules {
        on_delete,
        when,
        dispose_undelivered,
    }
}

const ROWS: [Row; 10] = [
    (
        "hide.test",
        "on_delete = \"hide\"",
        rules(OnDelete::Hide, When::Never, false),
    ),
    (
        "dispose.test",
        "on_delete = \"dispose\"",
        rules(OnDelete::Dispose, When::Never, false),
    ),
    (
        "any.test",
        "on_delete = \"hide\"\nretention = { when = \"any-client-deleted\" }",
        rules(OnDelete::Hide, When::AnyDeleted, false),
    ),
    (
        "delivered.test",
        "on_delete = \"hide\"\nretention = { when = \"all-clients-delivered\" }",
        rules(OnDelete::Hide, When::AllDelivered, false),
    ),
    (
        "deleted.test",
        "on_delete = \"hide\"\nretention = { when = \"all-clients-deleted\" }\ndispose = \"trash\"",
        rules(OnDelete::Hide, When::AllDeleted, false),
    ),
    (
        "trash.test",
        "on_delete = \"dispose\"\ndispose = \"trash\"",
        rules(OnDelete::Dispose, When::Never, false),
    ),
    ("unset.test", "", rules(OnDelete::Unset, When::Never, false)),
    (
        "both.test",
        "on_delete = \"dispose\"\nretention = { when = \"all-clients-delivered\" }",
        rules(OnDelete::Dispose, When::AllDelivered, false),
    ),
    (
        "ignore.test",
        "on_delete = \"ignore\"",
        rules(OnDelete::Ignore, When::Never, false),
    ),
    (
        "undelivered.test",
        "on_delete = \"hide\"\nretention = { when = \"any-client-deleted\", undelivered = \"dispose\" }",
        rules(OnDelete::Hide, When::AnyDeleted, true),
    ),
];

/// Nothing but warnings, and what tells the ports.
const LOG: &str = "warn,popbridge::run=info,popbridge::server=info";

/// What the stories of a run came to, so that nobody takes for kept what was never tried.
#[derive(Default)]
pub struct Tally {
    /// Exchanges with the bridge.
    pub exchanges: u64,
    /// Messages that the bridge took out of folders.
    pub taken: usize,
    /// How often something went wrong upstream.
    pub fired: u64,
}

pub struct Fleet {
    pub upstream: Upstream,
    pub tally: Mutex<Tally>,
    bridges: RwLock<Vec<Bridge>>,
    config: String,
    /// The state folder, or the database's URL.
    state: PathBuf,
    shared: Option<&'static Postgres>,
    _folder: Option<tempfile::TempDir>,
}

/// How a bridge ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Terminated,
    Killed,
}

impl Fleet {
    /// One bridge on SQLite, in memory where the system has a place for that: what is synced is not the question here.
    pub fn on_sqlite() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let mut folder = tempfile::Builder::new();
        folder.prefix("popbridge-model-");
        let folder = match memory.is_dir() {
            true => folder.tempdir_in(memory),
            false => folder.tempdir(),
        };
        let folder = folder.expect("a folder");
        let state = folder.path().join("state");
        Self::start(state, 1, None, Some(folder))
    }

    /// Two bridges on one PostgreSQL.
    pub fn on_postgres() -> Self {
        let postgres = Postgres::shared();
        let url = postgres.database();
        Self::start(PathBuf::from(url), 2, Some(postgres), None)
    }

    fn start(
        state: PathBuf,
        count: usize,
        shared: Option<&'static Postgres>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let upstream = Upstream::start();
        let mut config = in_a_hurry(&upstream.certs);
        config = config.replace("[limits]\n", "[limits]\nsweep_interval = \"1s\"\n");
        for (domain, lines, _) in ROWS {
            let (name, _) = domain.split_once('.').unwrap_or((domain, ""));
            let port = upstream.port;
            config.push_str(&format!(
                "[upstream.{name}]\nurl = \"imap://localhost:{port}\"\ndomains = [\"{domain}\"]\n{lines}\n"
            ));
        }
        let this = Self {
            upstream,
            tally: Mutex::default(),
            bridges: RwLock::default(),
            config,
            state,
            shared,
            _folder: folder,
        };
        let bridges = (0..count).map(|_| this.bridge()).collect();
        *this.bridges.write().expect("bridges") = bridges;
        this
    }

    fn bridge(&self) -> Bridge {
        let options = Options::config(&self.config).state(&self.state);
        options.argument("--log").argument(LOG).start()
    }

    /// The domain and the rules of a story.
    pub fn rules(&self, seed: u64) -> (&'static str, Rules) {
        let (domain, _, rules) = ROWS[(seed % ROWS.len() as u64) as usize];
        (domain, rules)
    }

    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// One of the bridges.
    pub fn choose(&self, dice: &mut Dice) -> usize {
        dice.below(self.count())
    }

    pub fn count(&self) -> usize {
        self.bridges
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub fn port(&self, instance: usize) -> u16 {
        let bridges = self.bridges.read().unwrap_or_else(PoisonError::into_inner);
        bridges[instance].pop3_port
    }

    /// Ends a bridge and starts it again.
    pub fn restart(&self, instance: usize, end: End) {
        let mut bridges = self.bridges.write().unwrap_or_else(PoisonError::into_inner);
        let mut old = bridges.remove(instance);
        match end {
            End::Killed => old.kill9(),
            End::Terminated => {
                old.signal("TERM");
                old.wait();
            }
        }
        if let (Some(postgres), End::Killed) = (self.shared, end) {
            // What another bridge would wait for is a minute for the maildrops of a dead one, and more for its turns.
            let url = self.state.display().to_string();
            let pid = old.pid();
            let dead = format!("LIKE '%:{pid}:%'");
            postgres.sql(
                &url,
                &format!("UPDATE lease SET expires_at = 0 WHERE holder {dead}"),
            );
            postgres.sql(
                &url,
                &format!("UPDATE mailbox SET turn_until = 0 WHERE turn_holder {dead}"),
            );
        }
        assert_quiet(&old);
        bridges.insert(instance, self.bridge());
    }

    /// Ends all bridges; none of them may have panicked.
    pub fn stop(self) {
        let bridges = self.bridges.into_inner();
        for bridge in bridges.unwrap_or_else(PoisonError::into_inner) {
            assert_quiet(&bridge);
            bridge.stop();
        }
    }
}

fn assert_quiet(bridge: &Bridge) {
    let log = bridge.log();
    let panicked = log.iter().find(|line| line.contains("panicked"));
    assert_eq!(panicked, None);
}
