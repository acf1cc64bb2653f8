//! Who logs in: a client with a password of its own, or somebody with the mailbox's own password.
//!
//! Must not know: how a refusal is spelled, sockets.

use std::sync::Arc;

use tracing::warn;

use super::account::{Account, Password};
use super::mailbox::Mailbox;
use super::pool::{Entrance, Visit};
use super::pulse::Pulse;
use super::readers::{DEFAULT, settings};
use super::seat::Seat;
use super::trouble::Trouble;
use super::{Bridge, Configured, Terms, Upstream, clock};
use crate::auth::LoginName;
use crate::auth::name::normalized;
use crate::config::ClientSettings;
use crate::imap::{Error, Nature, Proof};
use crate::pop3::{Login, Presented};
use crate::store::{Client, NewClient, StoreError};

/// Why nobody got in.
pub(super) enum Barred {
    /// The name belongs to no upstream and no client.
    NoUpstream,
    /// There is no upstream at all yet.
    NotSetUp,
    /// The bridge knows the client, and this is not its password, or is a token.
    WrongPassword,
    /// The upstream does not accept user and password.
    Rejected {
        /// The upstream's name.
        upstream: String,
        /// What it said.
        trouble: Trouble,
    },
    /// Another session of the same client is there.
    InUse,
    /// The name cannot be one: it is too long.
    BadName,
    /// Nobody could find out.
    Unknown(Trouble),
}

impl<T: Into<Trouble>> From<T> for Barred {
    fn from(trouble: T) -> Self {
        Self::Unknown(trouble.into())
    }
}

/// The longest name that is kept, in octets.
const LONGEST_NAME: usize = 320;

impl Bridge {
    /// Lets a client in, with its maildrop locked.
    pub(super) async fn enter(&self, login: &Login, pulse: &Arc<Pulse>) -> Result<Mailbox, Barred> {
        // A client of the operator's may be called anything, so that its name is never taken apart.
        let whole = LoginName::parse(&login.user, None);
        let Some(whole) = whole
            .ok()
            .filter(|whole| whole.mailbox.len() <= LONGEST_NAME)
        else {
            // As long as for a client that exists.
            self.verifier.nobody(login.presented.secret()).await;
            return Err(Barred::BadName);
        };
        if let Some(client) = self.store().client_by_login(&whole.mailbox).await?
            && client.named
        {
            return self.enter_named(client, login, whole.recent, pulse).await;
        }
        let setup = self.setup();
        let found = setup
            .router
            .log_in(&login.user, |upstream| upstream.separator);
        let Some((upstream, name)) = found else {
            // As long as for a client that exists.
            self.verifier.nobody(login.presented.secret()).await;
            return Err(match setup.router.upstreams().next() {
                Some(_) => Barred::NoUpstream,
                None => Barred::NotSetUp,
            });
        };
        let proof = match &login.presented {
            Presented::Password(password) => Proof::Password(password.clone()),
            Presented::Token(token) => Proof::Token(token.clone()),
        };
        let password = Password::Presented(proof.clone());
        let entrance = Entrance {
            upstream,
            login: &name.mailbox,
            password: &password,
        };
        let visit = self.accounts.pool.visit(entrance);
        self.admit(entrance, &proof).await?;
        let client = self.enrolled(upstream, &name).await?;
        let account = Account {
            upstream: Arc::clone(upstream),
            terms: self.terms(upstream, &name.mailbox),
            mailbox: client.mailbox,
            login: name.mailbox.clone(),
            password,
            utf8: false,
        };
        self.seat(client, account, visit, name.recent, pulse).await
    }

    /// The mailbox whose password a log-in with this name would guess, however the name is written and whichever of its clients it names.
    pub(super) fn mailbox_meant(&self, user: &str) -> String {
        let setup = self.setup();
        let separator = |upstream: &Upstream| upstream.separator;
        if let Some((upstream, name)) = setup.router.log_in(user, separator) {
            return format!("{} {}", upstream.key(), normalized(&name.mailbox));
        }
        let name = LoginName::parse(user, None);
        normalized(name.as_ref().map_or(user, |name| &name.mailbox))
    }

    /// Whether the upstream knows user and password or token: it is asked, or has been a moment ago.
    async fn admit(&self, entrance: Entrance<'_>, proof: &Proof) -> Result<(), Barred> {
        let rejected = |trouble| Barred::Rejected {
            upstream: entrance.upstream.name.clone(),
            trouble,
        };
        let sealed = self.accounts.pool.sealed(entrance, proof);
        if self.verifier.was_refused(&sealed).await {
            return Err(rejected(Error::refused_lately().into()));
        }
        match self.accounts.pool.admits(entrance).await {
            Ok(()) => Ok(()),
            Err(Trouble::Upstream(error)) if error.nature() == Nature::Credentials => {
                self.verifier.note_refused(sealed).await;
                Err(rejected(error.into()))
            }
            Err(trouble) => Err(Barred::Unknown(trouble)),
        }
    }

    async fn enter_named(
        &self,
        client: Client,
        login: &Login,
        recent: bool,
        pulse: &Arc<Pulse>,
    ) -> Result<Mailbox, Barred> {
        let fits = match (&client.password, &login.presented) {
            (Some(stored), Presented::Password(password)) => {
                self.verifier.verify(stored, password).await
            }
            // A token is for the upstream, and this client's account is none of its own; or there is no password any more. As long as for
            // a wrong one.
            (_, presented) => {
                self.verifier.nobody(presented.secret()).await;
                false
            }
        };
        if !fits {
            return Err(Barred::WrongPassword);
        }
        let configured = client
            .account
            .as_ref()
            .and_then(|name| self.configured(name));
        let Some(configured) = configured else {
            let account = client.account.as_deref().unwrap_or_default();
            let words = format!("no [account.{account}] is configured any more");
            return Err(Barred::Unknown(Trouble::Settings(words)));
        };
        let account = self.account_of(&configured).await?;
        if account.mailbox != client.mailbox {
            let words = format!(
                "{}: [account.{}] is another mailbox now than when the client was added; remove the client and add it again",
                client.login, configured.name
            );
            return Err(Barred::Unknown(Trouble::Settings(words)));
        }
        let visit = self.accounts.pool.visit(account.entrance());
        self.seat(client, account, visit, recent, pulse).await
    }

    async fn seat(
        &self,
        client: Client,
        account: Account,
        visit: Visit,
        recent: bool,
        pulse: &Arc<Pulse>,
    ) -> Result<Mailbox, Barred> {
        let settings = settings(&client)?;
        let lock = self
            .locks
            .acquire(client.id, pulse)
            .await?
            .ok_or(Barred::InUse)?;
        // Read again: only now nobody else changes it.
        let client = self
            .store()
            .client_by_login(&client.login)
            .await?
            .ok_or_else(|| {
                Trouble::Settings(format!("{} was removed in this moment", client.login))
            })?;
        let marks = self.accounts.marks.of(self.store(), &client).await?;
        self.last_seen.note(client.id, clock::now());
        let seat = Seat::new(client, settings, &account.terms.rules, marks, recent, lock);
        Ok(Mailbox::new(
            Arc::clone(&self.accounts),
            account,
            seat,
            visit,
        ))
    }

    /// What holds for a mailbox: the rules of the account that it is, even if somebody comes with the mailbox's own password.
    fn terms(&self, upstream: &Upstream, login: &str) -> Arc<Terms> {
        let (key, login) = (upstream.key(), normalized(login));
        let setup = self.setup();
        let account = setup
            .configured
            .values()
            .find(|account| account.normalized == login && account.upstream.key() == key);
        Arc::clone(account.map_or(&upstream.terms, |account| &account.terms))
    }

    /// The client with this name, made known at its first successful log-in.
    async fn enrolled(&self, upstream: &Upstream, name: &LoginName) -> Result<Client, Barred> {
        let mailbox_login = normalized(&name.mailbox);
        let login = name.canonical(upstream.separator);
        loop {
            let now = clock::now();
            let mailbox = self
                .store()
                .mailbox_id(&upstream.key(), &mailbox_login, now)
                .await?;
            if let Some(client) = self.store().client_by_login(&login).await? {
                if client.mailbox == mailbox {
                    return Ok(client);
                }
                // Its state speaks of other messages, and it would be alone in a mailbox that others are in.
                let words = format!(
                    "{login} was made known at another address of its upstream; \
                     `popbridge client remove` it, or give the upstream its old url"
                );
                return Err(Barred::Unknown(Trouble::Settings(words)));
            }
            let new = NewClient {
                mailbox,
                login: login.clone(),
                name: name.client.clone().unwrap_or_else(|| DEFAULT.to_owned()),
                named: false,
                account: None,
                password: None,
                settings: ClientSettings::default().to_json(),
            };
            match self.store().add_client(&new, now).await {
                Ok(client) => return Ok(client),
                // Another session or instance was faster.
                Err(StoreError::Taken(_)) => {
                    warn!("a client was made known twice at the same time")
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A configured account as sessions and the sweeper work on it.
    pub(super) async fn account_of(&self, configured: &Configured) -> Result<Account, Trouble> {
        let mailbox = self
            .store()
            .mailbox_id(
                &configured.upstream.key(),
                &configured.normalized,
                clock::now(),
            )
            .await?;
        Ok(Account {
            upstream: Arc::clone(&configured.upstream),
            terms: Arc::clone(&configured.terms),
            mailbox,
            login: configured.login.clone(),
            password: configured.password.clone(),
            utf8: false,
        })
    }
}

#[cfg(test)]
mod tests;
