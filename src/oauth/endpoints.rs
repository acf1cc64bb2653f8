//! Where an authorization server is asked for what: written down, or told by its OpenID configuration (OpenID Connect Discovery 1.0).
//!
//! Must not know: what is asked there.

use serde::Deserialize;

use super::answer::cleaned;
use super::http::{Answer, Http};
use super::shown::Shown;
use super::{Address, OAuthError};
use crate::config;

/// Behind the issuer (Discovery, 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    authorization: Option<Address>,
    token: Option<Address>,
    device: Option<Address>,
    /// What is wrong with those that the OpenID configuration names and nobody may need; sentences.
    unusable: Vec<(Place, String)>,
    /// Whether the client's secret goes into the form; else into the field `Authorization` (RFC 6749, 2.3.1).
    pub(super) secret_in_form: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Authorization,
    Token,
    Device,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Endpoints {
    /// Those that are written down. All servers that are known by name take a secret in the form.
    pub(super) fn written(config: &config::OAuth) -> Self {
        Self {
            authorization: config.authorization_url.clone(),
            token: config.token_url.clone(),
            device: config.device_url.clone(),
            unusable: Vec::new(),
            secret_in_form: true,
        }
    }

    /// With those of the issuer where nothing is written down.
    pub(super) async fn discover(self, http: &Http, issuer: &Address) -> Result<Self, OAuthError> {
        let plain = issuer.as_str().trim_end_matches('/');
        let address = format!("{plain}{WELL_KNOWN}");
        let address: Address = address.parse().map_err(OAuthError::Misconfigured)?;
        read(&http.get(&address).await?, &address, plain, self)
    }

    /// Where this is; `None`: that is not known.
    ///
    /// # Errors
    /// The OpenID configuration says where, and that cannot be used.
    pub(super) fn find(&self, place: Place) -> Result<Option<&Address>, OAuthError> {
        let known = match place {
            Place::Authorization => &self.authorization,
            Place::Token => &self.token,
            Place::Device => &self.device,
        };
        let wrong = self.unusable.iter().find(|(of, _)| *of == place);
        match (known, wrong) {
            (None, Some((_, why))) => Err(OAuthError::Misconfigured(why.clone())),
            (known, _) => Ok(known.as_ref()),
        }
    }
}

impl Place {
    /// As an OpenID configuration names it.
    fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization_endpoint",
            Self::Token => "token_endpoint",
            Self::Device => "device_authorization_endpoint",
        }
    }
}

fn read(
    answer: &Answer,
    address: &Address,
    issuer: &str,
    written: Endpoints,
) -> Result<Endpoints, OAuthError> {
    if answer.status != 200 {
        return Err(OAuthError::Misconfigured(format!(
            "there is no OpenID configuration at {address} (status {})",
            answer.status
        )));
    }
    let document: Document =
        serde_json::from_slice(&answer.body).map_err(|_| OAuthError::Temporary {
            why: format!("what is at {address} is no OpenID configuration"),
            retry_after: answer.retry_after,
        })?;
    // Discovery, 4.3: else one server could speak for another.
    if document.issuer.trim_end_matches('/') != issuer {
        return Err(OAuthError::Misconfigured(format!(
            "the OpenID configuration at {address} is that of another issuer"
        )));
    }
    let or_parsed = |place: Place, written: Option<Address>, text: Option<String>| {
        let (None, Some(text)) = (&written, text) else {
            return Ok(written);
        };
        text.parse().map(Some).map_err(|why: String| {
            let (name, why) = (place.name(), cleaned(&why, &Shown::default()));
            format!("the {name} of the OpenID configuration at {address} cannot be used: {why}")
        })
    };
    let mut unusable = Vec::new();
    // A refresh needs neither of them.
    let mut or_absent = |place: Place, written: Option<Address>, text: Option<String>| {
        or_parsed(place, written, text).unwrap_or_else(|why| {
            unusable.push((place, why));
            None
        })
    };
    let authorization = or_absent(
        Place::Authorization,
        written.authorization,
        document.authorization_endpoint,
    );
    let device = or_absent(
        Place::Device,
        written.device,
        document.device_authorization_endpoint,
    );
    let token = or_parsed(Place::Token, written.token, document.token_endpoint);
    // The default is the field (Discovery, 3).
    let methods = document.token_endpoint_auth_methods_supported;
    let in_form = |methods: Vec<String>| methods.iter().any(|one| one == "client_secret_post");
    Ok(Endpoints {
        authorization,
        token: token.map_err(OAuthError::Misconfigured)?,
        device,
        unusable,
        secret_in_form: methods.is_some_and(in_form),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://idp.example/realm";

    fn found(status: u16, body: &str) -> Result<Endpoints, OAuthError> {
        found_besides(None, status, body)
    }

    /// Where this token endpoint is written down.
    fn found_besides(
        token: Option<&str>,
        status: u16,
        body: &str,
    ) -> Result<Endpoints, OAuthError> {
        let written = Endpoints {
            authorization: None,
            token: token.map(|address| address.parse().unwrap()),
            device: None,
            unusable: Vec::new(),
            secret_in_form: true,
        };
        let answer = Answer {
            status,
            retry_after: None,
            date: None,
            body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
        };
        read(&answer, &ISSUER.parse().unwrap(), ISSUER, written)
    }

    fn document(more: &str) -> String {
        format!("{{\"issuer\":\"{ISSUER}\",\"token_endpoint\":\"https://idp.example/t\"{more}}}")
    }

    #[test]
    fn an_openid_configuration_tells_where_things_are() {
        let more = ",\"device_authorization_endpoint\":\"https://idp.example/d\",\
                    \"token_endpoint_auth_methods_supported\":[\"private_key_jwt\",\"client_secret_post\"]";
        let all = found(200, &document(more)).unwrap();
        assert_eq!(all.token.unwrap().path(), "/t");
        assert_eq!(all.device.unwrap().path(), "/d");
        assert!(all.authorization.is_none() && all.secret_in_form);
        assert!(!found(200, &document("")).unwrap().secret_in_form);
    }

    #[test]
    fn an_address_that_cannot_be_used_stands_in_the_way_only_of_who_needs_it() {
        let long = "x".repeat(60_000);
        for place in [Place::Authorization, Place::Device] {
            for wrong in [
                "http://idp.example/x",
                "",
                "\\u001b[2J evil \\r\\n",
                &format!("https://{long}/ {long}"),
                &"word ".repeat(10_000),
            ] {
                let more = format!(",\"{}\":\"{wrong}\"", place.name());
                let all = found(200, &document(&more)).unwrap();
                let token = all.find(Place::Token).unwrap();
                assert_eq!(token.map(Address::path), Some("/t"));
                let error = all.find(place).unwrap_err().to_string();
                assert!(error.contains(place.name()), "{error}");
                assert!(error.len() < 500, "{error}");
                assert!(!error.contains(char::is_control), "{error:?}");
            }
        }
        let error = found(200, &document("").replace("https://idp.example/t", &long));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("token_endpoint") && error.len() < 500,
            "{error}"
        );
    }

    #[test]
    fn what_is_written_down_wins_over_what_is_found() {
        let clear = document("").replace("https://idp.example/t", "http://idp.example/t");
        let all = found_besides(Some("https://own.example/t"), 200, &clear).unwrap();
        assert_eq!(all.token.unwrap().as_str(), "https://own.example/t");
    }

    #[test]
    fn an_openid_configuration_is_believed_only_from_its_own_issuer_and_only_with_encryption() {
        let other = document("").replace("\"issuer\":\"https://idp", "\"issuer\":\"https://evil");
        let error = found(200, &other).unwrap_err().to_string();
        assert!(error.contains("another issuer"), "{error}");
        let clear = document("").replace("https://idp.example/t", "http://idp.example/t");
        let error = found(200, &clear).unwrap_err().to_string();
        assert!(error.contains("is not encrypted"), "{error}");
        assert!(error.contains("token_endpoint"), "{error}");
        assert!(matches!(found(404, ""), Err(OAuthError::Misconfigured(_))));
        assert!(matches!(
            found(200, "<html>"),
            Err(OAuthError::Temporary { .. })
        ));
    }
}
