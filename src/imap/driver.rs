//! The one place that names async-imap: it logs in. From then on commands are numbered and written here, because an object of its for
//! each connection would take ten kilobytes for as long as that is kept.
//!
//! What it reads passes through our [`Transport`]; everything it could misreport (a refused command as an empty success, an end of
//! file as "no messages") is decided on the transport's typed record instead.
//! Must not know: folders, messages, or what commands are for.

use async_imap::{Authenticator, Client, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

use super::error::Error;
use super::reply::{Capabilities, Condition, Reply};
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

/// How to log in (RFC 3501, 6.2.2 and 6.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616): takes any password, UTF-8 included.
    Plain,
    /// LOGIN with quoted strings.
    Login,
    /// AUTHENTICATE XOAUTH2 (Google's and Microsoft's): a token.
    XOAuth2,
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

    /// Logs in; the capabilities are those that the tagged OK told, if it did.
    ///
    /// # Errors
    /// [`Error::LoginRefused`]; [`Error::Insecure`] where the upstream let the client in without the password.
    pub(super) async fn login(
        mut self,
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> Result<(Driver, Option<Capabilities>), Error> {
        self.client.get_mut().keep_secret(forms_of(user, password));
        let outcome = match mechanism {
            Mechanism::Login => self.client.login(user, password).await,
            Mechanism::Plain => {
                self.client
                    .authenticate("PLAIN", Plain { user, password })
                    .await
            }
            Mechanism::XOAuth2 => {
                let token = XOAuth2 {
                    message: Some(format!("user={user}\u{1}auth=Bearer {password}\u{1}\u{1}")),
                };
                self.client.authenticate("XOAUTH2", token).await
            }
        };
        match outcome {
            Ok(session) => {
                let mut transport = inner(session);
                let Some(reply) = transport.take_tagged() else {
                    return Err(Error::Protocol("no tagged answer"));
                };
                if !reply.is_ok() {
                    return Err(Error::LoginRefused(reply));
                }
                if mechanism != Mechanism::Login && !transport.was_asked() {
                    // The password is sent only when it is asked for, so nobody has checked it.
                    return Err(Error::Insecure(
                        "the upstream accepted the log-in without asking for the password",
                    ));
                }
                let capabilities = transport.take_capabilities();
                transport.login_done();
                let driver = Driver {
                    transport,
                    commands: 0,
                };
                Ok((driver, capabilities))
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

/// The password in every form in which an upstream may repeat it: as it is, as LOGIN quotes it, and in base64.
fn forms_of(user: &str, password: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
    let plain = Zeroizing::new(format!("\0{user}\0{password}"));
    [
        password.to_owned(),
        quoted,
        STANDARD_NO_PAD.encode(password),
        STANDARD_NO_PAD.encode(plain.as_bytes()),
    ]
    .into_iter()
    .map(|form| Zeroizing::new(form.into_bytes()))
    .collect()
}

struct Plain<'a> {
    user: &'a str,
    password: &'a str,
}

impl Authenticator for Plain<'_> {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        format!("\0{}\0{}", self.user, self.password)
    }
}

struct XOAuth2 {
    message: Option<String>,
}

impl Authenticator for XOAuth2 {
    type Response = String;

    /// An error comes as a second challenge, to which an empty answer is due.
    fn process(&mut self, _challenge: &[u8]) -> String {
        self.message.take().unwrap_or_default()
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
