//! Log-ins for accounts that were begun on the status page: a person says yes in a browser, and what comes of it is kept.
//!
//! One for each account at a time; a new one takes the place of the last. Must not know: pages, who may begin one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::auth::TokenKey;
use crate::bridge::tokens::Owner;
use crate::check::trial::Trial;
use crate::commands::CommandError;
use crate::commands::oauth::keep::{in_words, keep};
use crate::commands::oauth::owner;
use crate::config::{Config, Grant};
use crate::oauth::{Client, CodeLogin, DeviceError, DeviceLogin, Granted, Loopback, Returned};
use crate::run::oauth_client;
use crate::secret::Secret;
use crate::store::Store;

/// To find a telephone with the second factor on it.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// So long the page waits for what it is to show.
const BEGINNING: Duration = Duration::from_secs(5);

/// See the module.
pub struct Logins {
    config: Mutex<Arc<Config>>,
    store: Store,
    begun: Mutex<HashMap<String, Begun>>,
}

struct Begun {
    stage: watch::Receiver<Stage>,
    paste: mpsc::Sender<Secret>,
    work: AbortHandle,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// How a person is to say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A code that is typed into a browser on any machine.
    Device,
    /// An address that is opened, and the address where the browser ends.
    Code,
}

/// How far a log-in has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The authorization server is being asked.
    Begins,
    /// A person is to open the address, and type the code there.
    Device {
        address: String,
        code: String,
        user: String,
    },
    /// A person is to open the address, and paste the one where the browser ends, which begins with `back`.
    Code {
        address: String,
        back: String,
        user: String,
        /// What came back so far belonged to nothing.
        foreign: bool,
    },
    /// The tokens are there, and are tried at the upstream.
    Tried,
    /// They are kept; a sentence.
    Done(String),
    /// Nothing came of it; a sentence.
    Failed(String),
}

impl Stage {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

impl Logins {
    /// For the accounts of this configuration.
    pub fn new(config: Arc<Config>, store: Store) -> Self {
        Self {
            config: Mutex::new(config),
            store,
            begun: Mutex::default(),
        }
    }

    /// Another configuration counts for log-ins that begin from now on.
    pub fn set_config(&self, config: Arc<Config>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Begins one; waits a moment for what a person is to do.
    ///
    /// # Errors
    /// A sentence: there is no such account, nobody has to log in for it, or the key cannot be had that its tokens are to be sealed with.
    pub(super) async fn begin(&self, account: &str, way: Way) -> Result<(), String> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        let prepared = Prepared::new(config, self.store.clone(), account, way);
        let prepared = prepared.map_err(|error| error.to_string())?;
        let (show, mut stage) = watch::channel(Stage::Begins);
        let (paste, pasted) = mpsc::channel(1);
        let name = account.to_owned();
        info!(account = name, "a log-in was begun on the status page");
        let work = tokio::spawn(async move {
            let last = match prepared.run(&show, pasted).await {
                Ok(words) => {
                    info!(
                        account = name,
                        "a log-in on the status page has brought tokens"
                    );
                    Stage::Done(words)
                }
                Err(why) => {
                    warn!(
                        account = name,
                        error = why,
                        "a log-in on the status page has failed"
                    );
                    Stage::Failed(why)
                }
            };
            show.send_replace(last);
        });
        let begun = Begun {
            stage: stage.clone(),
            paste,
            work: work.abort_handle(),
        };
        self.begun().insert(account.to_owned(), begun);
        let begins = stage.wait_for(|stage| *stage != Stage::Begins);
        // It goes on; the next look at the page tells of it.
        let _ = timeout(BEGINNING, begins).await;
        Ok(())
    }

    /// A person has pasted where the browser ended; false: nobody waits for it.
    pub(super) fn paste(&self, account: &str, text: Secret) -> bool {
        let begun = self.begun();
        let waits = begun.get(account).filter(|begun| {
            let stage = begun.stage.borrow();
            matches!(*stage, Stage::Code { .. })
        });
        waits.is_some_and(|begun| begun.paste.try_send(text).is_ok())
    }

    /// Nobody wants to hear of it any more; false: there was none.
    pub(super) fn end(&self, account: &str) -> bool {
        self.begun().remove(account).is_some()
    }

    /// How far each has come, by account.
    pub(super) fn stages(&self) -> HashMap<String, Stage> {
        let begun = self.begun();
        let each = begun.iter();
        each.map(|(account, begun)| (account.clone(), begun.stage.borrow().clone()))
            .collect()
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<String, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that a log-in takes.
struct Prepared {
    config: Arc<Config>,
    store: Store,
    owner: Owner,
    client: Client,
    trial: Option<Trial>,
    way: Way,
}

impl Prepared {
    fn new(
        config: Arc<Config>,
        store: Store,
        account: &str,
        way: Way,
    ) -> Result<Self, CommandError> {
        let owner = owner(&config, account)?;
        let oauth = config.oauth.iter().find(|one| one.name == owner.provider);
        let Some(oauth) = oauth.filter(|oauth| oauth.grant.needs_a_person()) else {
            return Err(CommandError::Usage(format!(
                "nobody has to log in for [account.{account}]: popbridge lets itself in"
            )));
        };
        if way == Way::Code && oauth.grant == Grant::Device {
            return Err(CommandError::Usage(format!(
                "[oauth.{}] says grant = \"device\"; log in by a code",
                oauth.name
            )));
        }
        // First what would be in the way at the end.
        let key = TokenKey::new(config.token_key.clone(), &config.state.folder);
        key.read_or_make().map_err(CommandError::Failed)?;
        let client = oauth_client(oauth)?;
        client.check_secrets().map_err(CommandError::Failed)?;
        let trial = Trial::prepare(&config, account)?;
        Ok(Self {
            config,
            store,
            owner,
            client,
            trial,
            way,
        })
    }

    /// Shows how far it has come; gives a sentence in the end.
    async fn run(
        self,
        show: &watch::Sender<Stage>,
        pasted: mpsc::Receiver<Secret>,
    ) -> Result<String, String> {
        let granted = match self.way {
            Way::Device => self.by_device(show).await?,
            Way::Code => self.by_code(show, pasted).await?,
        };
        show.send_replace(Stage::Tried);
        let (config, trial) = (&self.config, self.trial.as_ref());
        let kept = keep(config, &self.store, &self.owner, &granted, trial).await;
        let untried = kept.map_err(|error| error.to_string())?;
        let done = "The account is opened with these tokens from now on.";
        Ok(match untried {
            Some(why) => format!("{done} They were not tried at the upstream: {why}"),
            None => done.to_owned(),
        })
    }

    async fn by_device(&self, show: &watch::Sender<Stage>) -> Result<Granted, String> {
        let client = &self.client;
        let has_some = client.has_device_codes().await;
        if !has_some.map_err(|error| error.to_string())? {
            return Err(format!(
                "the server of [oauth.{}] gives no device codes for mail; log in by an address instead",
                self.owner.provider
            ));
        }
        let device = DeviceLogin::begin(client).await;
        let device = device.map_err(|error| error.to_string())?;
        show.send_replace(Stage::Device {
            address: device.address.clone(),
            code: device.user_code.clone(),
            user: self.owner.user.clone(),
        });
        let granted = device.finish(client).await;
        granted.map_err(|error| match error {
            DeviceError::Other(error) => in_words(&error),
            error => error.to_string(),
        })
    }

    async fn by_code(
        &self,
        show: &watch::Sender<Stage>,
        mut pasted: mpsc::Receiver<Secret>,
    ) -> Result<Granted, String> {
        let (client, user) = (&self.client, &self.owner.user);
        // For a browser on this machine; all others paste.
        let mut loopback = Loopback::bind().await.map_err(|error| error.to_string())?;
        let login = CodeLogin::begin(client, user, loopback.port()).await;
        let login = login.map_err(|error| error.to_string())?;
        let stage = |foreign| Stage::Code {
            address: login.address().to_owned(),
            back: login.redirect().to_owned(),
            user: user.clone(),
            foreign,
        };
        show.send_replace(stage(false));
        let wait = async {
            loop {
                let (returned, visit) = tokio::select! {
                    visit = loopback.visit() => (login.read_query(visit.query.expose()), Some(visit)),
                    Some(text) = pasted.recv() => (login.read_pasted(text.expose()), None),
                };
                if !matches!(returned, Returned::Foreign) {
                    return (returned, visit);
                }
                show.send_replace(stage(true));
                if let Some(visit) = visit {
                    let words = "This does not belong to the log-in that popbridge waits for.";
                    visit.answer(false, words).await;
                }
            }
        };
        let (returned, visit) = timeout(PATIENCE, wait)
            .await
            .map_err(|_| "nobody has logged in within 15 minutes".to_owned())?;
        let granted = match returned {
            Returned::Code(code) => login.finish(client, &code).await.map_err(|e| in_words(&e)),
            Returned::Denied(why) => Err(format!("the log-in was denied: {why}")),
            Returned::Foreign => Err("what came back belongs to no log-in".to_owned()),
        };
        if let Some(visit) = visit {
            let words = match granted.is_ok() {
                true => {
                    "popbridge is logged in; its status page says whether that opens the mailbox. This window can be closed."
                }
                false => "The log-in did not work; popbridge's status page says why.",
            };
            visit.answer(granted.is_ok(), words).await;
        }
        granted
    }
}
