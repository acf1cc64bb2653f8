//! One session's way to its folder: a connection that is opened again when it was lost, and the bodies that come over it.
//!
//! Must not know: POP3's words, sockets of clients.

use std::sync::Arc;
use std::time::Duration;

use super::accounts::{Account, Accounts, Opened};
use crate::imap::{Body, BodyStart, Connection, Credentials, Error, Part};
use crate::maildrop::{Index, Uid, UidValidity};

use super::Upstream;

/// The longest wait for a body to begin.
const FIRST_OCTET: Duration = Duration::from_secs(300);

/// See the module.
pub(super) struct Mailbox {
    accounts: Arc<Accounts>,
    account: Account,
    /// The session's own connection. None while a task of the account has it, and after it was lost.
    connection: Option<Connection>,
    /// The generation of the UIDs that this session's maildrop names.
    uid_validity: Option<UidValidity>,
}

impl Mailbox {
    /// Logs in upstream with what the client presented.
    pub(super) async fn log_in(
        accounts: Arc<Accounts>,
        upstream: Arc<Upstream>,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let connection = Some(upstream.endpoint.open(&credentials).await?);
        Ok(Self {
            accounts,
            account: Account::new(upstream, credentials),
            connection,
            uid_validity: None,
        })
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.account.upstream
    }

    /// What is in the folder now. The listing goes on should this future be dropped.
    pub(super) async fn list(&mut self) -> Result<Arc<Index>, Error> {
        let listing = self
            .accounts
            .list(self.account.clone(), self.connection.take());
        let Opened { connection, index } = listing.await?;
        self.connection = Some(connection);
        self.uid_validity = Some(index.uid_validity);
        Ok(index)
    }

    /// A part of a message. A connection that turns out to be lost is replaced once.
    ///
    /// # Errors
    /// [`Error::Timeout`] where its first octet does not come in five minutes, whatever else the upstream says meanwhile; what
    /// opening a connection and a command can give.
    pub(super) async fn body(&mut self, uid: Uid, part: Part) -> Result<Body<'_>, Error> {
        let uid_validity = self
            .uid_validity
            .ok_or(Error::Protocol("a body before a list"))?;
        let begun = self.begin(uid_validity, uid, part);
        let begun = tokio::time::timeout(FIRST_OCTET, begun).await;
        let (connection, start) = begun.unwrap_or(Err(Error::Timeout("fetch a message")))?;
        Ok(self.connection.insert(connection).body(start))
    }

    async fn begin(
        &mut self,
        uid_validity: UidValidity,
        uid: Uid,
        part: Part,
    ) -> Result<(Connection, BodyStart), Error> {
        let mut kept = self.connection.take().filter(Connection::is_clean);
        loop {
            let fresh = kept.is_none();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.account.reopen(uid_validity).await?,
            };
            match connection.begin_body(uid, part).await {
                Ok(start) => return Ok((connection, start)),
                Err(error) if error.is_lost_connection() && !fresh => {}
                Err(error) => {
                    self.connection = Some(connection);
                    return Err(error);
                }
            }
        }
    }

    /// Removes messages by the account's rule; goes on should this future be dropped.
    pub(super) async fn remove(&mut self, uids: Vec<Uid>) -> Result<(), Error> {
        let uid_validity = self
            .uid_validity
            .ok_or(Error::Protocol("a removal before a list"))?;
        let connection = self.connection.take();
        let account = self.account.clone();
        let removal = self
            .accounts
            .remove(account, connection, uid_validity, uids);
        Box::pin(removal).await
    }

    /// The session ends: says good-bye upstream.
    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            connection.logout().await;
        }
    }
}
