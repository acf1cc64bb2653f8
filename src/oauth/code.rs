//! A person's log-in by a browser: the authorization code with PKCE (RFC 6749, 4.1; RFC 7636), which comes back by a redirect to this
//! machine (RFC 8252, 7.3) or is pasted.
//!
//! Must not know: how the redirect is waited for, how a person is talked to.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::answer::cleaned;
use super::client::{Client, granted};
use super::endpoints::Place;
use super::form::{Form, decoded, field};
use super::shown::Shown;
use super::{Granted, OAuthError};
use crate::config::Preset;
use crate::secret::Secret;

/// A log-in that was begun.
#[derive(Debug)]
pub struct CodeLogin {
    /// The state is in it.
    address: Secret,
    redirect: String,
    state: Secret,
    verifier: Secret,
    /// Who answers, where that is known (RFC 9207).
    issuer: Option<String>,
}

/// What came back from the browser.
#[derive(Debug)]
pub enum Returned {
    /// A code for [`CodeLogin::finish`].
    Code(Secret),
    /// The server or the person said no; why, for a person to read.
    Denied(String),
    /// It belongs to another log-in, or to none: somebody else may have sent it.
    Foreign,
}

impl CodeLogin {
    /// Begins a log-in of `user` that comes back to `port` of this machine. Asks for the server's OpenID configuration where that is not
    /// known yet.
    ///
    /// # Errors
    /// The server cannot be asked, or has no such log-in.
    pub async fn begin(client: &Client, user: &str, port: u16) -> Result<Self, OAuthError> {
        let config = client.config();
        let endpoints = client.endpoints(Place::Authorization).await?;
        let Some(authorization) = endpoints.find(Place::Authorization)? else {
            return Err(client.misconfigured("the server has no address that people are sent to"));
        };
        // Microsoft ignores the port of "http://localhost" only, if that is what was registered; the others want the number (RFC 8252, 8.3).
        let redirect = match config.preset {
            Preset::Microsoft => format!("http://localhost:{port}"),
            Preset::Google | Preset::Oidc => format!("http://127.0.0.1:{port}/"),
        };
        let (state, verifier) = (unguessable()?, unguessable()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()));
        let mut query = client
            .with_scope(Form::new().with("response_type", "code"))
            .with("client_id", &config.client_id)
            .with("redirect_uri", &redirect)
            .with("state", state.expose())
            .with("code_challenge", &challenge)
            .with("code_challenge_method", "S256")
            .with("login_hint", user);
        let offline = config.scope.split(' ').any(|word| word == "offline_access");
        match config.preset {
            // Otherwise there is a refresh token at the first log-in only.
            Preset::Google => {
                query = query
                    .with("access_type", "offline")
                    .with("prompt", "consent");
            }
            // OpenID Connect Core, 11
            Preset::Oidc if offline => query = query.with("prompt", "consent"),
            Preset::Oidc | Preset::Microsoft => {}
        }
        let address = authorization.as_str();
        let joint = if address.contains('?') { '&' } else { '?' };
        Ok(Self {
            address: Secret::new(format!("{address}{joint}{}", query.text().expose())),
            redirect,
            state,
            verifier,
            issuer: config.issuer.as_ref().map(ToString::to_string),
        })
    }

    /// Where the person is sent to.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address.expose()
    }

    /// Where the browser comes back to.
    #[must_use]
    pub fn redirect(&self) -> &str {
        &self.redirect
    }

    /// Reads the query of the redirect.
    #[must_use]
    pub fn read_query(&self, query: &str) -> Returned {
        let state = field(query, "state").unwrap_or_default();
        if verify_slices_are_equal(state.as_bytes(), self.state.expose().as_bytes()).is_err() {
            return Returned::Foreign;
        }
        let plain = |issuer: &str| issuer.trim_end_matches('/').to_owned();
        if let (Some(expected), Some(given)) = (&self.issuer, field(query, "iss"))
            && plain(expected) != plain(&given)
        {
            return Returned::Foreign;
        }
        if let Some(error) = field(query, "error") {
            let words = field(query, "error_description").unwrap_or_default();
            return Returned::Denied(cleaned(&format!("{error} {words}"), &Shown::default()));
        }
        match field(query, "code") {
            Some(code) if !code.is_empty() => Returned::Code(Secret::new(code)),
            _ => Returned::Foreign,
        }
    }

    /// Reads what a person has pasted: the address where the browser ended, or the code alone.
    #[must_use]
    pub fn read_pasted(&self, line: &str) -> Returned {
        let line = line.trim();
        if let Some((_, query)) = line.split_once('?') {
            return self.read_query(query.split('#').next().unwrap_or_default());
        }
        if field(line, "code").is_some() || field(line, "error").is_some() {
            return self.read_query(line);
        }
        let is_code = !line.is_empty()
            && !line.contains("://")
            && line.bytes().all(|byte| byte.is_ascii_graphic());
        match decoded(line) {
            // Who pastes it has seen where it came from.
            Some(code) if is_code => Returned::Code(Secret::new(code)),
            _ => Returned::Foreign,
        }
    }

    /// Tokens for the code.
    ///
    /// # Errors
    /// The server gives none.
    pub async fn finish(&self, client: &Client, code: &Secret) -> Result<Granted, OAuthError> {
        let verifier = self.verifier.expose();
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", code.expose())
            .with("redirect_uri", &self.redirect)
            .with("code_verifier", verifier);
        granted(client.token(form, &[code.expose(), verifier]).await?)
    }
}

/// 256 random bits in 43 characters that need no encoding.
fn unguessable() -> Result<Secret, OAuthError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| OAuthError::Temporary {
        why: "the system gives no random numbers".to_owned(),
        retry_after: None,
    })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(issuer: Option<&str>) -> CodeLogin {
        CodeLogin {
            address: Secret::new("https://idp.example/?state=st".to_owned()),
            redirect: String::new(),
            state: Secret::new("st".to_owned()),
            verifier: Secret::new("v".to_owned()),
            issuer: issuer.map(str::to_owned),
        }
    }

    fn code(returned: Returned) -> Option<String> {
        match returned {
            Returned::Code(code) => Some(code.expose().to_owned()),
            Returned::Denied(_) | Returned::Foreign => None,
        }
    }

    #[test]
    fn a_code_is_taken_only_with_the_state_that_was_given() {
        let login = login(None);
        assert_eq!(
            code(login.read_query("code=4%2F0A&state=st")).as_deref(),
            Some("4/0A")
        );
        for query in [
            "code=x&state=other",
            "code=x",
            "state=st",
            "code=&state=st",
            "",
        ] {
            assert!(
                matches!(login.read_query(query), Returned::Foreign),
                "{query}"
            );
        }
    }

    #[test]
    fn a_log_in_shows_nothing_that_somebody_else_could_use() {
        let login = login(None);
        let returned = login.read_query("code=4711&state=st");
        let shown = format!("{login:?} {returned:?}");
        assert!(
            !shown.contains("state=st") && !shown.contains("4711"),
            "{shown}"
        );
    }

    #[test]
    fn a_code_of_another_server_is_not_taken() {
        let login = login(Some("https://idp.example/"));
        let from = |issuer: &str| code(login.read_query(&format!("code=x&state=st&iss={issuer}")));
        assert!(from("https%3A%2F%2Fidp.example").is_some());
        assert!(from("https%3A%2F%2Fevil.example").is_none());
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let query = "error=access_denied&error_description=The+user+said%1b+no&state=st";
        let Returned::Denied(words) = login(None).read_query(query) else {
            panic!("{query}");
        };
        assert_eq!(words, "access_denied The user said no");
        let forged = login(None).read_query("error=access_denied&state=x");
        assert!(matches!(forged, Returned::Foreign));
    }

    #[test]
    fn the_whole_address_or_the_code_alone_can_be_pasted() {
        let login = login(None);
        let pasted = |line: &str| code(login.read_pasted(line));
        let address = " http://127.0.0.1:4711/?state=st&code=ab&scope=x \n";
        assert_eq!(pasted(address).as_deref(), Some("ab"));
        assert_eq!(pasted("code=ab&state=st").as_deref(), Some("ab"));
        assert_eq!(pasted("4/0Adeu5B\n").as_deref(), Some("4/0Adeu5B"));
        assert_eq!(pasted("4%2F0Adeu5B\n").as_deref(), Some("4/0Adeu5B"));
        for wrong in [
            "",
            "http://127.0.0.1:4711/",
            "a b",
            "http://x/?code=a&state=y",
        ] {
            assert_eq!(pasted(wrong), None, "{wrong}");
        }
    }
}
