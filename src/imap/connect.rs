//! From an address to a logged-in connection: TCP, TLS or STARTTLS, greeting, capabilities, log-in.
//!
//! No credential leaves unless the connection is as safe as the configuration says, and no log-in is skipped: a PREAUTH greeting is
//! refused, because then nobody would have checked the client's password.
//! Must not know: which client wants the connection, or what it will be used for.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Observer;
use super::buffered::Buffered;
use super::connection::{Connection, Extensions};
use super::driver::Stranger;
use super::error::Error;
use super::reply::{Capabilities, Condition, Reply, split_word};
use super::sasl::{Claim, Mechanism};
use super::transport::{Socket, Transport};
use crate::config::Security;
use crate::secret::Secret;

/// Where an upstream is and how it is spoken to.
#[derive(Clone)]
pub struct Endpoint {
    /// A DNS name or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// TLS from the first byte, STARTTLS, or neither.
    pub security: Security,
    /// Whom to trust; none without TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// For TCP, TLS and greeting together.
    pub connect_timeout: Duration,
    /// The longest wait for a byte of an answer.
    pub command_timeout: Duration,
    /// What is used where it is offered.
    pub extensions: Extensions,
    /// Told of bytes and commands.
    pub observer: Arc<dyn Observer>,
}

/// Who wants in, and what shows that they may.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// As the upstream knows it.
    pub user: String,
    /// What is shown for it.
    pub proof: Proof,
}

/// What is shown to an upstream at the log-in.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A password, for LOGIN or AUTHENTICATE PLAIN.
    Password(Secret),
    /// An OAuth 2.0 access token (RFC 6750), for AUTHENTICATE OAUTHBEARER or XOAUTH2.
    Token(Secret),
}

impl Proof {
    fn secret(&self) -> &Secret {
        match self {
            Self::Password(secret) | Self::Token(secret) => secret,
        }
    }
}

/// What an upstream says before a log-in.
#[derive(Clone, Debug)]
pub struct Greeted {
    /// The greeting's text, cleaned and cut; the first one where there are two (STARTTLS).
    pub greeting: String,
    /// What is offered.
    pub capabilities: Capabilities,
}

impl Endpoint {
    /// The same, with another observer.
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            ..self.clone()
        }
    }

    /// Opens a connection and logs in.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Insecure`] (nothing was sent), [`Error::LoginRefused`], and what any command can give.
    pub async fn open(&self, credentials: &Credentials) -> Result<Connection, Error> {
        // A handshake's state is large, and whoever may have to open a connection would carry room for it all the time.
        let opened = Box::pin(self.try_open(credentials)).await;
        self.observer.connected(opened.as_ref().map(|_| ()));
        opened
    }

    /// What is shown before a log-in, for `check --connect`.
    ///
    /// # Errors
    /// As [`Self::open`], short of the log-in.
    pub async fn greet(&self) -> Result<Greeted, Error> {
        let (_, capabilities, greeting) = self.meet().await?;
        Ok(Greeted {
            greeting: greeting.into_text(),
            capabilities,
        })
    }

    async fn try_open(&self, credentials: &Credentials) -> Result<Connection, Error> {
        if !credentials.can_be_sent() {
            // Such a name could forge a field or a command; no upstream has it, so none is asked.
            return Err(Error::LoginRefused(Reply::ours(
                Condition::No,
                "AUTHENTICATIONFAILED",
                "a control character in a credential",
            )));
        }
        let (stranger, capabilities) = self.stranger().await?;
        let claim = Claim {
            mechanism: mechanism(&credentials.proof, &capabilities)?,
            user: &credentials.user,
            secret: credentials.proof.secret().expose(),
            host: &self.host,
            port: self.port,
        };
        let login = stranger.login(&claim, &capabilities);
        let (driver, told) = tokio::time::timeout(self.command_timeout, login)
            .await
            .map_err(|_| Error::Timeout("the log-in"))??;
        let mut connection = Connection::new(driver, Arc::clone(&self.observer));
        connection.set_extensions(self.extensions);
        connection.identify().await?;
        match told {
            Some(capabilities) => connection.set_capabilities(capabilities),
            // Capabilities differ before and after the log-in, so they are asked for again.
            None => connection.ask_capabilities().await?,
        }
        Ok(connection)
    }

    /// Everything up to the log-in.
    async fn stranger(&self) -> Result<(Stranger, Capabilities), Error> {
        let (stranger, capabilities, _) = self.meet().await?;
        Ok((stranger, capabilities))
    }

    /// The same, with the greeting.
    async fn meet(&self) -> Result<(Stranger, Capabilities, Reply), Error> {
        let connect = async {
            let socket = self.tcp().await?;
            match self.security {
                Security::Off => self.greeted(Box::new(socket)).await,
                Security::Implicit => self.greeted(self.encrypt(Box::new(socket)).await?).await,
                Security::StartTls => self.starttls(Box::new(socket)).await,
            }
        };
        tokio::time::timeout(self.connect_timeout, connect)
            .await
            .map_err(|_| Error::Timeout("connect and greet"))?
    }

    async fn tcp(&self) -> Result<TcpStream, Error> {
        let socket = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| Error::Unreachable(format!("{}:{}: {error}", self.host, self.port)))?;
        // Commands are short and each waits for its answer.
        socket
            .set_nodelay(true)
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(socket)
    }

    async fn encrypt(&self, socket: Box<dyn Socket>) -> Result<Box<dyn Socket>, Error> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| Error::Unreachable(format!("{} is no host name", self.host)))?;
        let tls = self
            .tls
            .clone()
            .ok_or(Error::Insecure("TLS is not set up for this upstream"))?;
        let stream = TlsConnector::from(tls)
            .connect(name, Buffered::new(socket))
            .await
            .map_err(|error| {
                Error::Tls(format!("TLS with {}:{}: {error}", self.host, self.port))
            })?;
        Ok(Box::new(stream))
    }

    /// STARTTLS (RFC 3501, 6.2.1): nothing that was said in clear is believed afterwards.
    async fn starttls(
        &self,
        socket: Box<dyn Socket>,
    ) -> Result<(Stranger, Capabilities, Reply), Error> {
        let (mut stranger, capabilities, greeting) = self.greeted(socket).await?;
        if !capabilities.has("STARTTLS") {
            return Err(Error::Insecure("the upstream does not offer STARTTLS here"));
        }
        if stranger.unread() > 0 {
            return Err(Error::Insecure("bytes came before STARTTLS was asked for"));
        }
        stranger.command("STARTTLS").await?;
        if stranger.unread() > 0 {
            return Err(Error::Insecure(
                "bytes in clear came behind the answer to STARTTLS",
            ));
        }
        let socket = self.encrypt(stranger.into_socket()).await?;
        let mut stranger = Stranger::new(self.transport(socket));
        let capabilities = asked(&mut stranger).await?;
        Ok((stranger, capabilities, greeting))
    }

    async fn greeted(
        &self,
        socket: Box<dyn Socket>,
    ) -> Result<(Stranger, Capabilities, Reply), Error> {
        let mut transport = self.transport(socket);
        let line = transport.line().await?;
        let (star, rest) = split_word(&line.content);
        let greeting = Reply::parse(rest)
            .filter(|_| star == b"*")
            .ok_or(Error::Protocol("the greeting"))?;
        match greeting.condition() {
            Condition::Ok => {}
            Condition::Preauth => {
                return Err(Error::Insecure(
                    "the upstream is logged in already (PREAUTH), so no password would be checked",
                ));
            }
            Condition::Bye => return Err(Error::TurnedAway(greeting)),
            Condition::No | Condition::Bad => return Err(Error::Protocol("the greeting")),
        }
        let told = greeting
            .code_args("CAPABILITY")
            .map(|words| Capabilities::parse(words.as_bytes()));
        let mut stranger = Stranger::new(transport);
        let capabilities = match told {
            Some(capabilities) => capabilities,
            None => asked(&mut stranger).await?,
        };
        Ok((stranger, capabilities, greeting))
    }

    fn transport(&self, socket: Box<dyn Socket>) -> Transport {
        Transport::new(socket, Arc::clone(&self.observer), self.command_timeout)
    }
}

/// The best way to show this that the upstream offers.
fn mechanism(proof: &Proof, capabilities: &Capabilities) -> Result<Mechanism, Error> {
    match proof {
        Proof::Password(_) if capabilities.has("AUTH=PLAIN") => Ok(Mechanism::Plain),
        Proof::Password(_) if capabilities.has("LOGINDISABLED") => Err(Error::Insecure(
            "the upstream forbids LOGIN here and does not offer AUTHENTICATE PLAIN",
        )),
        Proof::Password(_) => Ok(Mechanism::Login),
        // The standard first: its refusals are told in words of its own.
        Proof::Token(_) if capabilities.has("AUTH=OAUTHBEARER") => Ok(Mechanism::OAuthBearer),
        Proof::Token(_) if capabilities.has("AUTH=XOAUTH2") => Ok(Mechanism::XOAuth2),
        Proof::Token(_) => Err(Error::Lacks(
            "AUTH=OAUTHBEARER and AUTH=XOAUTH2; a log-in with a token needs one of them",
        )),
    }
}

async fn asked(stranger: &mut Stranger) -> Result<Capabilities, Error> {
    stranger.command("CAPABILITY").await?;
    stranger
        .take_capabilities()
        .ok_or(Error::Protocol("no answer to CAPABILITY"))
}

impl Credentials {
    /// Whether there is nothing in them that would end a line or a field.
    fn can_be_sent(&self) -> bool {
        let is_clean = |text: &str| !text.contains(['\0', '\r', '\n']);
        let secret = self.proof.secret().expose();
        match &self.proof {
            Proof::Password(_) => is_clean(&self.user) && is_clean(secret),
            // RFC 6750, 2.1, and the separator of RFC 7628.
            Proof::Token(_) => {
                is_clean(&self.user)
                    && !self.user.contains('\u{1}')
                    && secret.bytes().all(|octet| octet.is_ascii_graphic())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_line_or_a_field_is_not_sent() {
        let can_be_sent = |user: &str, proof: fn(Secret) -> Proof, secret: &str| {
            let (user, proof) = (user.to_owned(), proof(Secret::new(secret.to_owned())));
            Credentials { user, proof }.can_be_sent()
        };
        assert!(can_be_sent("\u{fc}nn", Proof::Password, "p\u{e4} \u{1}ss"));
        assert!(can_be_sent("\u{fc}nn", Proof::Token, "ya29.x-_~+/=="));
        for bad in ["a\0b", "a\rb", "a\nb"] {
            for proof in [Proof::Password, Proof::Token] {
                assert!(!can_be_sent(bad, proof, "x"), "{bad:?}");
                assert!(!can_be_sent("x", proof, bad), "{bad:?}");
            }
        }
        for bad in ["a\u{1}b", "a b", "\u{e4}"] {
            assert!(!can_be_sent("x", Proof::Token, bad), "{bad:?}");
        }
        assert!(!can_be_sent("a\u{1}auth=Bearer b", Proof::Token, "x"));
    }

    #[test]
    fn the_best_way_is_taken_that_the_upstream_offers() {
        let way = |proof: fn(Secret) -> Proof, words: &str| {
            let proof = proof(Secret::new("x".to_owned()));
            mechanism(&proof, &Capabilities::parse(words.as_bytes()))
        };
        for (words, expected) in [
            ("AUTH=PLAIN AUTH=XOAUTH2 LOGINDISABLED", Mechanism::Plain),
            ("AUTH=XOAUTH2", Mechanism::Login),
        ] {
            assert_eq!(way(Proof::Password, words).unwrap(), expected, "{words}");
        }
        for (words, expected) in [
            ("AUTH=XOAUTH2 AUTH=OAUTHBEARER", Mechanism::OAuthBearer),
            ("AUTH=PLAIN AUTH=XOAUTH2", Mechanism::XOAuth2),
        ] {
            assert_eq!(way(Proof::Token, words).unwrap(), expected, "{words}");
        }
        let disabled = way(Proof::Password, "LOGINDISABLED AUTH=XOAUTH2");
        assert!(matches!(disabled, Err(Error::Insecure(_))), "{disabled:?}");
        let lacks = way(Proof::Token, "AUTH=PLAIN").unwrap_err().to_string();
        assert!(
            lacks.contains("AUTH=OAUTHBEARER") && lacks.contains("AUTH=XOAUTH2"),
            "{lacks}"
        );
    }
}
