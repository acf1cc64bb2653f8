//! One mailbox as the bridge works on it: where it is, how to get in, and which rules hold.
//!
//! Must not know: clients, sessions.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use super::Upstream;
use super::backoff::Noting;
use super::pool::Entrance;
use super::tokens::{Access, Tokens};
use super::trouble::Trouble;
use crate::auth::PasswordSource;
use crate::config;
use crate::imap::{Connection, Credentials, Endpoint, Error, Nature, Observer, Proof};
use crate::policy::{DisposeRule, Rules};
use crate::store::MailboxId;

/// The folder that mail arrives in (RFC 3501, 5.1).
const INBOX: &str = "INBOX";

/// What holds for a mailbox, whoever reads it.
#[derive(Debug)]
pub struct Terms {
    /// The account's name in the configuration; none for a mailbox that is passed through.
    pub account: Option<String>,
    /// When messages are hidden, and when they are disposed of.
    pub rules: Rules,
    /// How they are disposed of.
    pub dispose: DisposeRule,
    /// The folders that are served, the first one first; a name that begins with a backslash is a special use (RFC 6154).
    pub folders: Vec<String>,
    /// A folder of the bridge's own into which arrivals are copied and from which they are served.
    pub hold: Option<String>,
    /// A header field that names a message's folder, put before each message.
    pub folder_header: Option<String>,
}

/// No rules: nothing is ever disposed of.
impl Default for Terms {
    fn default() -> Self {
        Self {
            account: None,
            rules: Rules::default(),
            dispose: DisposeRule::default(),
            folders: vec![INBOX.to_owned()],
            hold: None,
            folder_header: None,
        }
    }
}

impl Terms {
    /// What they say of which messages there are and what they are like: what is known of the mailbox holds only as long as this is the same.
    pub(super) fn shape(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.folders, &self.hold, &self.folder_header).hash(&mut hasher);
        hasher.finish()
    }

    /// Of a configured account.
    pub fn of_account(account: &config::Account) -> Self {
        Self {
            account: Some(account.name.clone()),
            rules: account.rules.clone(),
            dispose: account.dispose.clone(),
            folders: account.folders.clone(),
            hold: account.hold.clone(),
            folder_header: account.folder_header.clone(),
        }
    }

    /// Of the mailboxes that are passed through to an upstream.
    pub fn of_upstream(upstream: &config::Upstream) -> Self {
        Self {
            account: None,
            rules: upstream.rules.clone(),
            dispose: upstream.dispose.clone(),
            folders: vec![INBOX.to_owned()],
            hold: None,
            folder_header: None,
        }
    }
}

/// Where the password comes from, or what stands for it.
#[derive(Clone)]
pub enum Password {
    /// The POP3 client presented it, or a token.
    Presented(Proof),
    /// The configuration says where it is; read anew for each connection, as it may be changed there.
    Configured(Arc<PasswordSource>),
    /// The bridge has tokens for the account.
    Tokens(Arc<Tokens>),
}

/// See the module.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) upstream: Arc<Upstream>,
    pub(super) terms: Arc<Terms>,
    pub(super) mailbox: MailboxId,
    pub(super) login: String,
    pub(super) password: Password,
    /// Whether messages are wanted with their headers in UTF-8, where the upstream can send them so.
    pub(super) utf8: bool,
}

impl Account {
    /// What the names of its folders are kept by.
    pub(super) fn place(&self) -> (MailboxId, u64) {
        (self.mailbox, self.terms.shape())
    }

    /// The way into the mailbox.
    pub(super) fn entrance(&self) -> Entrance<'_> {
        Entrance {
            upstream: &self.upstream,
            login: &self.login,
            password: &self.password,
        }
    }

    /// What trouble it is for this account: where the bridge holds the credentials it is not the client's that do not count any more.
    pub(super) fn own(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Upstream(error)
                if self.is_configured() && error.nature() == Nature::Credentials =>
            {
                Trouble::Account(error)
            }
            other => other,
        }
    }

    /// Whether the bridge can get in whenever it likes.
    pub(super) fn is_configured(&self) -> bool {
        self.password.is_configured()
    }
}

impl Password {
    /// Whether the bridge has it, and not only the client that is there.
    pub(super) fn is_configured(&self) -> bool {
        match self {
            Self::Presented(_) => false,
            Self::Configured(_) | Self::Tokens(_) => true,
        }
    }
}

/// What has to be got from elsewhere before a connection is opened: an authorization server may take its time.
///
/// # Errors
/// As [`Tokens::access`].
pub(super) async fn access(entrance: Entrance<'_>) -> Result<Option<Access>, Trouble> {
    match entrance.password {
        Password::Tokens(tokens) => tokens.access().await.map(Some),
        Password::Presented(_) | Password::Configured(_) => Ok(None),
    }
}

/// A logged-in connection, by what [`access`] has given, with an observer of its own if there is one.
pub(super) async fn open(
    entrance: Entrance<'_>,
    access: Option<Access>,
    observer: Option<Arc<dyn Observer>>,
) -> Result<Box<Connection>, Trouble> {
    let Entrance {
        upstream,
        login,
        password,
    } = entrance;
    // Before a secret is read for it.
    upstream.backoff.may_open(login)?;
    let observer = observer.unwrap_or_else(|| Arc::clone(&upstream.endpoint.observer));
    let noted = Noting::new(observer, &upstream.backoff, login, password.is_configured());
    let endpoint = &upstream.endpoint.observed_by(Arc::new(noted));
    let mut connection = match password {
        Password::Presented(proof) => open_with(endpoint, login, proof.clone(), false).await?,
        Password::Configured(source) => {
            let read = source.read();
            let secret = read.map_err(|error| Trouble::Password(error.to_string()))?;
            open_with(endpoint, login, Proof::Password(secret), true).await?
        }
        Password::Tokens(tokens) => {
            let access = match access {
                Some(access) => access,
                None => tokens.access().await?,
            };
            open_with_token(endpoint, login, tokens, access).await?
        }
    };
    upstream.forms.note(connection.offers_utf8());
    if let Some(life) = upstream.session_life {
        // Before the upstream ends it, be it in the middle of a message.
        connection.retire_at(Instant::now() + life);
    }
    Ok(connection)
}

async fn open_with(
    endpoint: &Endpoint,
    login: &str,
    proof: Proof,
    is_configured: bool,
) -> Result<Box<Connection>, Trouble> {
    let opened = log_in(endpoint, login, proof).await;
    opened.map_err(|error| of_log_in(error, is_configured))
}

/// The same with a token. One that the upstream refuses although it should be good is replaced once; where that does not help it is not
/// shown again for a while.
async fn open_with_token(
    endpoint: &Endpoint,
    login: &str,
    tokens: &Arc<Tokens>,
    access: Access,
) -> Result<Box<Connection>, Trouble> {
    let refused = match show(endpoint, login, tokens, &access).await? {
        Ok(connection) => return Ok(connection),
        Err(refused) => refused,
    };
    let (version, refused) = match tokens.instead(access.version).await? {
        Some(access) => match show(endpoint, login, tokens, &access).await? {
            Ok(connection) => return Ok(connection),
            Err(refused) => (access.version, refused),
        },
        None => (access.version, refused),
    };
    tokens.is_refused(version, &refused);
    Err(refused)
}

/// Shows the upstream a token: it lets in, or it refuses that token, or there is other trouble.
async fn show(
    endpoint: &Endpoint,
    login: &str,
    tokens: &Tokens,
    access: &Access,
) -> Result<Result<Box<Connection>, Trouble>, Trouble> {
    match log_in_with(endpoint, login, access).await {
        Ok(connection) => {
            tokens.is_accepted(access.version);
            Ok(Ok(connection))
        }
        Err(error) if error.nature() == Nature::Credentials => Ok(Err(Trouble::Account(error))),
        Err(error) => Err(of_log_in(error, true)),
    }
}

async fn log_in_with(
    endpoint: &Endpoint,
    login: &str,
    access: &Access,
) -> Result<Box<Connection>, Error> {
    let mut connection = log_in(endpoint, login, Proof::Token(access.token.clone())).await?;
    // Upstreams end connections whose token has ended; others do not, and should.
    connection.retire_at(access.good_until.into_std());
    Ok(connection)
}

async fn log_in(endpoint: &Endpoint, login: &str, proof: Proof) -> Result<Box<Connection>, Error> {
    let credentials = Credentials {
        user: login.to_owned(),
        proof,
    };
    endpoint.open(&credentials).await.map(Box::new)
}

fn of_log_in(error: Error, is_configured: bool) -> Trouble {
    match error.nature() {
        Nature::Credentials if is_configured => Trouble::Account(error),
        _ => Trouble::Upstream(error),
    }
}
