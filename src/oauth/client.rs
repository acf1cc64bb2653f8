//! The bridge as a client of one authorization server: every way to tokens that is configured there.
//!
//! Must not know: where tokens are kept, how a person is talked to.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tracing::warn;

use super::answer::{self, Outcome, Refused};
use super::endpoints::{Endpoints, Place};
use super::form::{Form, encode};
use super::http::{Answer, Http};
use super::service_account::{Claims, ServiceAccount};
use super::shown::Shown;
use super::{Address, Granted, OAuthError};
use crate::config::{self, Grant, Preset};
use crate::secret::{Secret, SecretFile};
use crate::trust::ClientTlsError;

/// A clock that differs less from the server's is not to blame, in seconds.
const USUAL_SKEW: i64 = 30;

/// See the module. Made once for each table of the configuration.
pub struct Client {
    config: config::OAuth,
    http: Http,
    /// In seconds since 1970.
    clock: fn() -> i64,
    /// As the server told them last.
    discovered: Mutex<Option<Arc<Endpoints>>>,
}

impl Client {
    /// A client of the server that `config` names. `clock` gives the seconds since 1970; it is put into assertions only. Reads files:
    /// the system's certificate authorities.
    ///
    /// # Errors
    /// There is no authority to trust.
    pub fn new(config: &config::OAuth, clock: fn() -> i64) -> Result<Self, ClientTlsError> {
        Ok(Self {
            http: Http::new(config.ca.as_deref(), config.timeout)?,
            config: config.clone(),
            clock,
            discovered: Mutex::default(),
        })
    }

    /// The table that it was made of.
    #[must_use]
    pub fn config(&self) -> &config::OAuth {
        &self.config
    }

    /// Whether what shows the server who asks is there and can be used: the client's secret, or the service account's file. Asks nobody;
    /// blocks for as long as the disk does.
    ///
    /// # Errors
    /// A sentence for the operator, without anything of them.
    pub fn check_secrets(&self) -> Result<(), String> {
        let secret = self.config.client_secret.as_ref();
        let mut read = secret.map_or(Ok(()), |source| source.read().map(drop));
        if let Grant::ServiceAccount(file) = &self.config.grant {
            read = read.and_then(|()| ServiceAccount::read(file).map(drop));
        }
        read.map_err(|why| self.named(&why))
    }

    /// Whether the server says that it gives device codes.
    ///
    /// # Errors
    /// Its OpenID configuration cannot be had.
    pub async fn has_device_codes(&self) -> Result<bool, OAuthError> {
        if self.config.preset == Preset::Google {
            return Ok(false);
        }
        let endpoints = self.endpoints(Place::Device).await?;
        // What is wrong with its address is told to whoever asks for one.
        Ok(!matches!(endpoints.find(Place::Device), Ok(None)))
    }

    /// New tokens for a refresh token (RFC 6749, 6).
    pub(super) async fn refresh(&self, token: &Secret) -> Result<Granted, OAuthError> {
        let form = Form::new()
            .with("grant_type", "refresh_token")
            .with("refresh_token", token.expose());
        // Without a scope: the same as before.
        granted(self.token(form, &[token.expose()]).await?)
    }

    /// A token of the bridge's own (RFC 6749, 4.4).
    pub(super) async fn client_credentials(&self) -> Result<Granted, OAuthError> {
        let form = Form::new().with("grant_type", "client_credentials");
        match self.token(self.with_scope(form), &[]).await? {
            Outcome::Granted(granted) => Ok(granted),
            Outcome::Refused(refused) => Err(refused.error_without_a_person()),
        }
    }

    /// A token for `user` by the signature of a service account (RFC 7523).
    pub(super) async fn service_account(
        &self,
        file: &SecretFile,
        user: &str,
    ) -> Result<Granted, OAuthError> {
        let account = ServiceAccount::read(file).map_err(|why| self.misconfigured(&why))?;
        let here = (self.clock)();
        let refused = match self.assert(&account, user, here).await? {
            Outcome::Granted(granted) => return Ok(granted),
            Outcome::Refused(refused) => refused,
        };
        let there = refused.date.filter(|_| refused.is_about_time());
        let Some(there) = there.filter(|there| here.abs_diff(*there) > USUAL_SKEW.unsigned_abs())
        else {
            return Err(refused.error_without_a_person());
        };
        let skew = format!(
            "this machine's clock is {} seconds {} the authorization server's; set it right",
            here.abs_diff(there),
            if here > there { "ahead of" } else { "behind" }
        );
        warn!(oauth = self.config.name, "{skew}");
        match self.assert(&account, user, there).await? {
            Outcome::Granted(granted) => Ok(granted),
            Outcome::Refused(refused) if refused.is_about_time() => Err(OAuthError::Temporary {
                why: format!("{skew}; {refused}"),
                retry_after: None,
            }),
            Outcome::Refused(refused) => Err(refused.error_without_a_person()),
        }
    }

    async fn assert(
        &self,
        account: &ServiceAccount,
        user: &str,
        now: i64,
    ) -> Result<Outcome, OAuthError> {
        let endpoints = self.endpoints(Place::Token).await?;
        let assertion = account.assertion(&Claims {
            audience: self.token_endpoint(&endpoints)?.as_str(),
            scope: &self.config.scope,
            subject: user,
            issued_at: now,
        });
        let assertion = assertion.map_err(|why| self.misconfigured(&why))?;
        let form = Form::new()
            .with("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .with("assertion", assertion.expose());
        self.token(form, &[assertion.expose()]).await
    }

    /// Asks the token endpoint. `shown` are the secrets in the form.
    pub(super) async fn token(&self, form: Form, shown: &[&str]) -> Result<Outcome, OAuthError> {
        let endpoints = self.endpoints(Place::Token).await?;
        let mut shown = Shown::of(shown);
        let (form, authorization) = self.identify(form, &endpoints, &mut shown)?;
        let address = self.token_endpoint(&endpoints)?;
        let answer = self.http.post(address, form.text(), authorization.as_ref());
        let answer = answer.await;
        self.heard(answer.and_then(|answer| answer::read(&answer, &shown)))
    }

    /// Asks for a device code; gives the answer where there is one.
    pub(super) async fn device(&self, form: Form) -> Result<Answer, OAuthError> {
        let endpoints = self.endpoints(Place::Device).await?;
        let Some(address) = endpoints.find(Place::Device)? else {
            return Err(self.misconfigured("the server gives no device codes"));
        };
        // The secret, too, where there is one: RFC 8628, 3.1.
        let mut shown = Shown::default();
        let (form, authorization) = self.identify(self.with_scope(form), &endpoints, &mut shown)?;
        let answer = self.http.post(address, form.text(), authorization.as_ref());
        let answer = self.heard(answer.await)?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(match self.heard(answer::read(&answer, &shown)) {
            Ok(outcome) => granted(outcome).err().unwrap_or_else(no_device_code),
            Err(error) => error,
        })
    }

    /// Who asks (RFC 6749, 2.3.1). What proves it is added to what is `shown`.
    fn identify(
        &self,
        form: Form,
        endpoints: &Endpoints,
        shown: &mut Shown,
    ) -> Result<(Form, Option<Secret>), OAuthError> {
        let id = &self.config.client_id;
        if id.is_empty() {
            return Ok((form, None));
        }
        let Some(source) = &self.config.client_secret else {
            return Ok((form.with("client_id", id), None));
        };
        // Read anew each time, so that a new one needs no restart.
        let secret = source.read().map_err(|why| self.misconfigured(&why))?;
        shown.add(secret.expose());
        if endpoints.secret_in_form {
            let form = form
                .with("client_id", id)
                .with("client_secret", secret.expose());
            return Ok((form, None));
        }
        let mut pair = String::with_capacity(3 * (id.len() + secret.expose().len()) + 1);
        encode(id, &mut pair);
        pair.push(':');
        encode(secret.expose(), &mut pair);
        let pair = Secret::new(pair);
        let pair = Secret::new(STANDARD.encode(pair.expose()));
        // Others may write it without what fills it up.
        shown.add(pair.expose().trim_end_matches('='));
        let words = format!("Basic {}", pair.expose());
        Ok((form, Some(Secret::new(words))))
    }

    pub(super) fn with_scope(&self, form: Form) -> Form {
        match self.config.scope.as_str() {
            "" => form,
            scope => form.with("scope", scope),
        }
    }

    /// Where things are, at least this one if the server has it. Asks for what is not written down only.
    pub(super) async fn endpoints(&self, place: Place) -> Result<Arc<Endpoints>, OAuthError> {
        let written = Endpoints::written(&self.config);
        // Where the secret goes is never written down.
        let is_enough = written.find(place)?.is_some()
            && (place == Place::Authorization || self.config.client_secret.is_none());
        let issuer = self.config.issuer.as_ref();
        let Some(issuer) = issuer.filter(|_| !is_enough) else {
            return Ok(Arc::new(written));
        };
        let known = self.known().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = Arc::new(written.discover(&self.http, issuer).await?);
        *self.known() = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Passes on what came of a question. What is no answer of an authorization server may be none because that has moved.
    fn heard<T>(&self, what: Result<T, OAuthError>) -> Result<T, OAuthError> {
        if matches!(what, Err(OAuthError::Temporary { .. })) {
            *self.known() = None;
        }
        what
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Arc<Endpoints>>> {
        self.discovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn token_endpoint<'a>(&self, endpoints: &'a Endpoints) -> Result<&'a Address, OAuthError> {
        let none = || self.misconfigured("the server has no token endpoint");
        endpoints.find(Place::Token)?.ok_or_else(none)
    }

    pub(super) fn misconfigured(&self, why: &str) -> OAuthError {
        OAuthError::Misconfigured(self.named(why))
    }

    fn named(&self, why: &str) -> String {
        format!("[oauth.{}]: {why}", self.config.name)
    }
}

/// Where a device code was to be.
pub(super) fn no_device_code() -> OAuthError {
    OAuthError::Temporary {
        why: "the authorization server's answer is no device code".to_owned(),
        retry_after: None,
    }
}

/// What is left when a refusal cannot be helped.
pub(super) fn granted(outcome: Outcome) -> Result<Granted, OAuthError> {
    match outcome {
        Outcome::Granted(granted) => Ok(granted),
        Outcome::Refused(refused) => Err(Refused::error(refused)),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.config.name)
    }
}

/// The way to new tokens for one user, without a person.
#[derive(Debug)]
pub struct Renewal {
    client: Arc<Client>,
    user: String,
}

impl Renewal {
    /// For `user`, whom service accounts act for.
    #[must_use]
    pub fn new(client: Arc<Client>, user: String) -> Self {
        Self { client, user }
    }
}

impl super::Renew for Renewal {
    fn needs_refresh_token(&self) -> bool {
        self.client.config.grant.needs_a_person()
    }

    fn renew<'a>(&'a self, refresh: Option<&'a Secret>) -> super::Renewed<'a> {
        Box::pin(async move {
            match (&self.client.config.grant, refresh) {
                (Grant::Code | Grant::Device, Some(token)) => self.client.refresh(token).await,
                (Grant::Code | Grant::Device, None) => {
                    Err(OAuthError::Revoked("nobody has logged in yet".to_owned()))
                }
                (Grant::ClientCredentials, _) => self.client.client_credentials().await,
                (Grant::ServiceAccount(file), _) => {
                    self.client.service_account(file, &self.user).await
                }
            }
        })
    }
}
