//! The one place that names async-imap: until a connection is logged in it runs CAPABILITY, STARTTLS and LOGIN, and what it cannot do of
//! a log-in is done by hand (`login`). From then on commands are numbered and written here, because an object of its for each connection
//! would take ten kilobytes for as long as that is kept.
//!
//! What it reads passes through our [`Transport`]; everything it could misreport (a refused command as an empty success, an end of
//! file as "no messages") is decided on the transport's typed record instead.
//! Must not know: folders, messages, or what commands are for.

use async_imap::{Client, Session};
use tokio::io::AsyncWriteExt as _;

use super::error::Error;
use super::login;
use super::reply::{Capabilities, Condition, Reply};
use super::sasl::{Claim, Mechanism};
use super::transport::{Socket, Transport};

/// A connection whose greeting was read and that is not logged in.
pub(super) struct Stranger {
    client: Client<Transport>,
}

/// A logged-in connection.
pub(super) struct Driver {
    transport: Transport,
    /// How many commands were sent; the number of each is its tag.
    commands: u64,
}

impl Stranger {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            client: Client::new(transport),
        }
    }

    /// Runs a command without arguments before the log-in and demands its own tagged OK.
    pub(super) async fn command(&mut self, command: &'static str) -> Result<(), Error> {
        let outcome = self.client.run_command_and_check_ok(command, None).await;
        let transport = self.client.get_mut();
        if let Some(trouble) = transport.take_trouble() {
            return Err(trouble);
        }
        match (outcome, transport.take_tagged()) {
            (Ok(()), Some(reply)) if reply.is_ok() => Ok(()),
            (_, Some(reply)) => Err(Error::Refused { command, reply }),
            (_, None) => Err(Error::Protocol("no tagged answer")),
        }
    }

    /// The capabilities told since the last call.
    pub(super) fn take_capabilities(&mut self) -> Option<Capabilities> {
        self.client.get_mut().take_capabilities()
    }

    /// Bytes that came behind the last answer.
    pub(super) fn unread(&self) -> usize {
        self.client.get_ref().unread()
    }

    pub(super) fn into_socket(self) -> Box<dyn Socket> {
        self.client.into_inner().into_socket()
    }

    /// Logs in to an upstream that offers this; the capabilities are those that it told behind the credentials, if it did.
    ///
    /// # Errors
    /// [`Error::LoginRefused`], [`Error::TokenRefused`]; [`Error::Insecure`] where the upstream let the client in without the password.
    pub(super) async fn login(
        mut self,
        claim: &Claim<'_>,
        offered: &Capabilities,
    ) -> Result<(Driver, Option<Capabilities>), Error> {
        self.client.get_mut().keep_secret(claim.secrets());
        let mut transport = if claim.mechanism == Mechanism::Login && login::can_be_quoted(claim) {
            self.login_with_quoted_strings(claim).await?
        } else {
            let mut transport = self.client.into_inner();
            login::log_in(&mut transport, claim, offered).await?;
            transport
        };
        let capabilities = transport.take_capabilities();
        transport.login_done();
        let driver = Driver {
            transport,
            commands: 0,
        };
        Ok((driver, capabilities))
    }

    async fn login_with_quoted_strings(self, claim: &Claim<'_>) -> Result<Transport, Error> {
        match self.client.login(claim.user, claim.secret).await {
            Ok(session) => {
                let mut transport = inner(session);
                match transport.take_tagged() {
                    Some(reply) if reply.is_ok() => Ok(transport),
                    Some(reply) => Err(Error::LoginRefused(reply)),
                    None => Err(Error::Protocol("no tagged answer")),
                }
            }
            Err((error, mut client)) => {
                let transport = client.get_mut();
                if let Some(trouble) = transport.take_trouble() {
                    return Err(trouble);
                }
                match (transport.take_tagged(), error) {
                    (Some(reply), _) => Err(Error::LoginRefused(reply)),
                    (None, async_imap::error::Error::Validate(_)) => {
                        // A user name or password with a line end in it: no upstream could take it, so none is asked.
                        Err(Error::LoginRefused(Reply::ours(
                            Condition::No,
                            "AUTHENTICATIONFAILED",
                            "a line end in a credential",
                        )))
                    }
                    (None, async_imap::error::Error::Io(error)) => Err(error.into()),
                    // The crate's own text may quote raw input: it is not passed on.
                    (None, _) => Err(Error::Protocol("the log-in's answer")),
                }
            }
        }
    }
}

impl Driver {
    /// Sends one command and gives its tag.
    pub(super) async fn send(&mut self, command: &str) -> Result<String, Error> {
        if command.bytes().any(|octet| matches!(octet, b'\r' | b'\n')) {
            return Err(Error::Protocol("a command that cannot be sent"));
        }
        self.commands += 1;
        let tag = format!("B{:04}", self.commands);
        for part in [&tag, " ", command, "\r\n"] {
            self.transport.write_all(part.as_bytes()).await?;
        }
        self.transport.flush().await?;
        Ok(tag)
    }

    pub(super) fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }
}

/// What a session stands on. It gives that only to borrow, but what it has it from can be exchanged.
fn inner(mut session: Session<Transport>) -> Transport {
    let mut client = Client::new(session.get_ref().nobody());
    std::mem::swap(&mut *client, &mut *session);
    client.into_inner()
}
