//! Three keys that say where one secret is: `..._file`, `..._env`, `..._credential`.
//!
//! It must not know what the secret is for.

use std::ops::Range;

use super::SecretSource;
use super::check::Check;
use super::error::ConfigError;
use super::file::Text;
use crate::secret::SecretFile;

/// The three keys: their common beginning, and what each says.
pub(super) struct Keys<'a> {
    pub(super) prefix: &'a str,
    pub(super) file: &'a Option<Text>,
    pub(super) env: &'a Option<Text>,
    pub(super) credential: &'a Option<Text>,
}

impl Keys<'_> {
    /// Where the first of them stands that is there.
    pub(super) fn place(&self) -> Option<Range<usize>> {
        let first = self
            .file
            .as_ref()
            .or(self.env.as_ref())
            .or(self.credential.as_ref());
        first.map(Text::span)
    }

    /// Their names, for sentences.
    pub(super) fn names(&self, last: &str) -> String {
        let prefix = self.prefix;
        format!("{prefix}_file, {prefix}_env {last} {prefix}_credential")
    }
}

/// Where the secret is, if one of the keys says so. `owner` has it and `what` it is.
pub(super) fn source(
    check: &Check<'_>,
    owner: &str,
    what: &str,
    keys: &Keys<'_>,
) -> Result<Option<SecretSource>, ConfigError> {
    let source = match (keys.file, keys.env, keys.credential) {
        (None, None, None) => return Ok(None),
        (Some(file), None, None) => SecretSource::File(SecretFile::new(check.path(file)?)),
        (None, Some(variable), None) => {
            SecretSource::Environment(check.parsed(variable, variable_name)?)
        }
        (None, None, Some(credential)) => {
            SecretSource::Credential(check.parsed(credential, credential_name)?)
        }
        (first, second, third) => {
            let message = format!(
                "{owner} says in two ways where its {what} is; keep one of {}",
                keys.names("and")
            );
            let last = third.as_ref().or(second.as_ref()).or(first.as_ref());
            return Err(match last {
                Some(text) => check.error(text.span(), message),
                None => check.missing(message),
            });
        }
    };
    Ok(Some(source))
}

fn variable_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.bytes().all(fits)
    {
        // Not repeated: it may be the secret itself.
        return Err(
            "this is not the name of an environment variable; write the name, such as \"INFO_PASSWORD\", never the password"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn credential_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if text.is_empty() || text.starts_with('.') || text.len() > 255 || !text.bytes().all(fits) {
        return Err(
            "this is not the name of a credential; write the one that the unit has in LoadCredential=NAME:..., without a path"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}
