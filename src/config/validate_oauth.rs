//! The authorization servers of a configuration: what each table means, and that its keys fit together.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;

use super::check::Check;
use super::error::ConfigError;
use super::file::{self, Text};
use super::oauth::{
    GOOGLE, GOOGLE_SCOPE, MICROSOFT, MICROSOFT_APP_SCOPE, MICROSOFT_COMMON, MICROSOFT_ENDPOINTS,
    MICROSOFT_SCOPE, MICROSOFT_TENANT, OIDC_SCOPE,
};
use super::secrets::{self, Keys};
use super::validate::SECOND;
use super::validate_upstream::valid_name;
use super::{Grant, OAuth, Preset};
use crate::oauth::Address;
use crate::secret::SecretFile;

/// Longer than any of them takes on a good day. Sessions wait for it only where a token has ended already; others are renewed before.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Other instances wait for one that asks for a token, but not for a minute.
const TIMEOUTS: RangeInclusive<Duration> = SECOND..=Duration::from_secs(40);

/// What the key `grant` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Code,
    Device,
    ClientCredentials,
    ServiceAccount,
}

pub(super) fn providers(
    check: &Check<'_>,
    tables: BTreeMap<String, Spanned<file::OAuth>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<OAuth>, ConfigError> {
    let each = tables.into_iter();
    each.map(|(name, table)| {
        let oauth = provider(check, &name, &table)?;
        // A token endpoint of its own may be anybody's.
        if (oauth.preset, &oauth.grant) == (Preset::Google, &Grant::Code)
            && oauth.client_secret.is_none()
            && table.get_ref().token_url.is_none()
        {
            warnings.push(format!(
                "[oauth.{name}] has no client's secret, and Google demands one of desktop clients: write where it is with client_secret_file, \
                 client_secret_env or client_secret_credential"
            ));
        }
        Ok(oauth)
    })
    .collect()
}

fn provider(
    check: &Check<'_>,
    name: &str,
    table: &Spanned<file::OAuth>,
) -> Result<OAuth, ConfigError> {
    let name = valid_name(name, "[oauth]").map_err(|message| check.error(table.span(), message))?;
    let one = One {
        check,
        owner: format!("[oauth.{name}]"),
        span: table.span(),
        table: table.get_ref(),
    };
    let preset = one.preset(&name)?;
    let word = one.grant(preset)?;
    one.nothing_without_effect(preset, word)?;
    let [authorization_url, token_url, device_url] = one.endpoints(preset, word)?;
    Ok(OAuth {
        preset,
        grant: one.full_grant(word)?,
        client_id: one.client_id(word)?,
        client_secret: one.client_secret(word)?,
        scope: one.scope(preset, word)?,
        issuer: one.address(&one.table.issuer)?,
        authorization_url,
        token_url,
        device_url,
        ca: one
            .table
            .ca
            .as_ref()
            .map(|text| check.path(text))
            .transpose()?,
        timeout: check.duration(one.table.timeout.as_ref(), TIMEOUT, TIMEOUTS)?,
        name,
    })
}

/// One table.
struct One<'a> {
    check: &'a Check<'a>,
    owner: String,
    span: Range<usize>,
    table: &'a file::OAuth,
}

impl One<'_> {
    fn lacks(&self, what: &str) -> ConfigError {
        self.check
            .error(self.span.clone(), format!("{} needs {what}", self.owner))
    }

    fn preset(&self, name: &str) -> Result<Preset, ConfigError> {
        let words = [
            ("google", Preset::Google),
            ("microsoft", Preset::Microsoft),
            ("oidc", Preset::Oidc),
        ];
        match &self.table.preset {
            Some(text) => self.check.word(text, &words),
            None => {
                let named = words.iter().find(|(word, _)| *word == name);
                Ok(named.map_or(Preset::Oidc, |(_, preset)| *preset))
            }
        }
    }

    fn grant(&self, preset: Preset) -> Result<Word, ConfigError> {
        let Some(text) = &self.table.grant else {
            return Ok(Word::Code);
        };
        let words = [
            ("code", Word::Code),
            ("device", Word::Device),
            ("client-credentials", Word::ClientCredentials),
            ("service-account", Word::ServiceAccount),
        ];
        let word = self.check.word(text, &words)?;
        let wrong = match (preset, word) {
            (Preset::Google, Word::Device) => {
                "Google gives no access to mail by device codes; write grant = \"code\", which can be finished on a machine without a \
                 browser, too"
            }
            (Preset::Google, Word::ClientCredentials) => {
                "Google has service accounts instead; write grant = \"service-account\""
            }
            (Preset::Microsoft | Preset::Oidc, Word::ServiceAccount) => {
                "service accounts are Google's; write preset = \"google\", or grant = \"client-credentials\""
            }
            _ => return Ok(word),
        };
        Err(self.check.error(text.span(), wrong))
    }

    /// A key that means nothing is probably a mistake elsewhere.
    fn nothing_without_effect(&self, preset: Preset, word: Word) -> Result<(), ConfigError> {
        let table = self.table;
        let service_account = word == Word::ServiceAccount;
        let no_person = matches!(word, Word::ClientCredentials | Word::ServiceAccount);
        let secret = self.secret_keys().place();
        let place = |text: &Option<Text>| text.as_ref().map(Text::span);
        let cases = [
            (
                place(&table.issuer).filter(|_| preset != Preset::Oidc),
                "issuer",
                "a preset knows its server; remove it, or write preset = \"oidc\"",
            ),
            (
                place(&table.tenant).filter(|_| preset != Preset::Microsoft),
                "tenant",
                "only Microsoft has tenants; remove it, or write preset = \"microsoft\"",
            ),
            (
                place(&table.service_account_file).filter(|_| !service_account),
                "service_account_file",
                "remove it, or write grant = \"service-account\"",
            ),
            (
                place(&table.client_id).filter(|_| service_account),
                "client_id",
                "a service account is named in its file; remove it",
            ),
            (
                secret.filter(|_| service_account),
                "the client's secret",
                "a service account has its key in its file; remove it",
            ),
            (
                place(&table.authorization_url).filter(|_| no_person),
                "authorization_url",
                "with this grant no person logs in; remove it",
            ),
            (
                place(&table.device_url).filter(|_| no_person),
                "device_url",
                "with this grant no person logs in; remove it",
            ),
        ];
        for (place, key, advice) in cases {
            if let Some(place) = place {
                let message = format!("{key} has no effect in {}: {advice}", self.owner);
                return Err(self.check.error(place, message));
            }
        }
        Ok(())
    }

    /// Authorization, token, device.
    fn endpoints(&self, preset: Preset, word: Word) -> Result<[Option<Address>; 3], ConfigError> {
        let table = self.table;
        let written = [
            &table.authorization_url,
            &table.token_url,
            &table.device_url,
        ];
        let known: Vec<String> = match preset {
            Preset::Google => GOOGLE.map(str::to_owned).to_vec(),
            Preset::Microsoft => {
                let tenant = self.tenant(word)?;
                let endpoints = MICROSOFT_ENDPOINTS.iter();
                endpoints
                    .map(|end| format!("{MICROSOFT}{tenant}{end}"))
                    .collect()
            }
            Preset::Oidc => Vec::new(),
        };
        let mut all = [None, None, None];
        for (index, text) in written.into_iter().enumerate() {
            all[index] = match self.address(text)? {
                Some(address) => Some(address),
                None => known.get(index).and_then(|known| known.parse().ok()),
            };
        }
        if preset != Preset::Oidc || table.issuer.is_some() {
            return Ok(all);
        }
        let issuer = "issuer = \"https://...\", by which the rest is found";
        let wanted = match (&all, word) {
            ([_, None, _], _) => format!("{issuer}, or token_url"),
            ([None, ..], Word::Code) => format!("{issuer}, or authorization_url"),
            ([_, _, None], Word::Device) => format!("{issuer}, or device_url"),
            _ => return Ok(all),
        };
        Err(self.lacks(&wanted))
    }

    fn tenant(&self, word: Word) -> Result<String, ConfigError> {
        let tenant = match &self.table.tenant {
            Some(text) => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
                self.check.parsed(text, |text| match text {
                    text if !text.is_empty() && text.bytes().all(fits) => Ok(text.to_owned()),
                    text => Err(format!(
                        "\"{}\" is not a tenant; write its id or its domain, such as \"example.onmicrosoft.com\"",
                        text.escape_debug()
                    )),
                })?
            }
            None => MICROSOFT_TENANT.to_owned(),
        };
        if word == Word::ClientCredentials && MICROSOFT_COMMON.contains(&tenant.as_str()) {
            let message = format!(
                "{} needs the tenant whose mailboxes are read, such as tenant = \"example.onmicrosoft.com\": grant = \"client-credentials\" \
                 works within one tenant only",
                self.owner
            );
            let place = self
                .table
                .tenant
                .as_ref()
                .map_or(self.span.clone(), Text::span);
            return Err(self.check.error(place, message));
        }
        Ok(tenant)
    }

    fn full_grant(&self, word: Word) -> Result<Grant, ConfigError> {
        Ok(match word {
            Word::Code => Grant::Code,
            Word::Device => Grant::Device,
            Word::ClientCredentials => Grant::ClientCredentials,
            Word::ServiceAccount => {
                let Some(file) = &self.table.service_account_file else {
                    return Err(self.lacks(
                        "service_account_file, the JSON file with the key that Google gives",
                    ));
                };
                Grant::ServiceAccount(SecretFile::new(self.check.path(file)?))
            }
        })
    }

    fn client_id(&self, word: Word) -> Result<String, ConfigError> {
        match &self.table.client_id {
            None if word == Word::ServiceAccount => Ok(String::new()),
            None => Err(self.lacks(
                "a client_id: what the authorization server calls this bridge, once it is registered there",
            )),
            Some(text) => self.check.parsed(text, |text| {
                // RFC 6749, appendix A.1
                let fits = |byte: u8| (0x20..0x7f).contains(&byte);
                match !text.trim().is_empty() && text.bytes().all(fits) {
                    true => Ok(text.trim().to_owned()),
                    false => Err("this is not a client_id; copy it from where the bridge is registered".to_owned()),
                }
            }),
        }
    }

    fn secret_keys(&self) -> Keys<'_> {
        Keys {
            prefix: "client_secret",
            file: &self.table.client_secret_file,
            env: &self.table.client_secret_env,
            credential: &self.table.client_secret_credential,
        }
    }

    fn client_secret(&self, word: Word) -> Result<Option<super::SecretSource>, ConfigError> {
        let keys = self.secret_keys();
        let secret = secrets::source(self.check, &self.owner, "client's secret", &keys)?;
        if secret.is_none() && word == Word::ClientCredentials {
            return Err(self.lacks(&format!(
                "the client's secret: write where it is with {}",
                keys.names("or")
            )));
        }
        Ok(secret)
    }

    fn scope(&self, preset: Preset, word: Word) -> Result<String, ConfigError> {
        if let Some(text) = &self.table.scope {
            // RFC 6749, 3.3
            let fits =
                |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            return self
                .check
                .parsed(text, |text| match text.bytes().all(fits) {
                    true => Ok(text.to_owned()),
                    false => Err(
                        "scopes are words of ASCII characters without quotes and backslashes, separated by spaces"
                            .to_owned(),
                    ),
                });
        }
        let scope = match (preset, word) {
            (Preset::Google, _) => GOOGLE_SCOPE,
            (Preset::Microsoft, Word::ClientCredentials) => MICROSOFT_APP_SCOPE,
            (Preset::Microsoft, _) => MICROSOFT_SCOPE,
            (Preset::Oidc, Word::Code | Word::Device) => OIDC_SCOPE,
            (Preset::Oidc, Word::ClientCredentials | Word::ServiceAccount) => "",
        };
        Ok(scope.to_owned())
    }

    fn address(&self, text: &Option<Text>) -> Result<Option<Address>, ConfigError> {
        let parsed = text
            .as_ref()
            .map(|text| self.check.parsed(text, str::parse));
        parsed.transpose()
    }
}
