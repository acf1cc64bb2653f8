//! Where the bridge keeps its state: the database, and the folder for what it makes itself.
//!
//! It must not create or open anything, nor know what is in the database.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Overrides;
use super::check::Check;
use super::error::ConfigError;
use super::file::File;
use crate::secret::{Secret, SecretFile};

/// The name of the database in a state folder.
const DATABASE: &str = "state.db";

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The database. What opens it is [`State::store_url`].
    pub url: StoreUrl,
    /// The file with the password of a PostgreSQL database.
    pub password_file: Option<SecretFile>,
    /// The folder for what the bridge makes itself, such as the self-signed certificate. It may not exist yet.
    pub folder: PathBuf,
}

/// The database: `sqlite:PATH`, the path as it is, without percent-encoding; or `postgres://...`, perhaps with a password in it, which
/// `Debug` and `Display` leave out.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl State {
    /// What the store is opened with: [`State::url`], with the password of [`State::password_file`] in it as it is there now.
    ///
    /// # Errors
    /// A sentence about a file that cannot be used.
    pub fn store_url(&self) -> Result<Secret, String> {
        let url = self.url.0.clone();
        let Some(file) = &self.password_file else {
            return Ok(Secret::new(url));
        };
        let password = file.read()?;
        Ok(self.url.with_password(password.expose()))
    }

    /// What is allowed and not wise about [`State::password_file`].
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.password_file.as_ref()?.warning()
    }
}

impl StoreUrl {
    /// Whether it is a database that several bridges can share: PostgreSQL.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.0.starts_with("sqlite:")
    }

    fn sqlite(path: &Path) -> Result<Self, String> {
        match path.to_str() {
            // The path goes through URLs on its way, where these three mean something.
            Some(text) if !text.contains(['?', '#', '%']) => Ok(Self(format!("sqlite:{text}"))),
            _ => Err(format!(
                "the path \"{}\" has characters that no database's path can have here; use one in UTF-8 without \"?\", \"#\" and \"%\"",
                path.display()
            )),
        }
    }

    /// Where the log-in ends: behind the last `@` of the authority.
    fn authority(&self) -> Option<(&str, &str, &str)> {
        let (scheme, rest) = self.0.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Some((scheme, authority, path))
    }

    fn has_password(&self) -> bool {
        let in_authority = self
            .authority()
            .and_then(|(_, authority, _)| authority.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        in_authority || query.split('&').any(|pair| pair.starts_with("password="))
    }

    fn with_password(&self, password: &str) -> Secret {
        let Some((scheme, authority, path)) = self.authority() else {
            return Secret::new(self.0.clone());
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        // As large as it can get, so that it does not move and leave a copy behind.
        let mut url = String::with_capacity(self.0.len() + 3 * password.len() + 2);
        url.push_str(&format!("{scheme}://{user}:"));
        for byte in password.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push('%');
                for digit in [byte >> 4, byte & 15] {
                    url.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
        url.push_str(&format!("@{host}{path}"));
        Secret::new(url)
    }
}

/// Without the password, and without parameters, in which there may be one, too.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, authority, path)) = self.authority() else {
            return f.write_str(&self.0);
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}@{host}{path}")
            }
            None => write!(f, "{scheme}://{authority}{path}"),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// What `state` means: a database and, where it says so too, a folder. Relative paths are taken from `base`.
fn parse(text: &str, base: &Path) -> Result<(StoreUrl, Option<PathBuf>), String> {
    if text.is_empty() {
        return Err("the state is nowhere; write a folder, \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"".to_owned());
    }
    if let Some(file) = text.strip_prefix("sqlite:") {
        let file = file.strip_prefix("//").unwrap_or(file);
        if file.is_empty() || file.ends_with('/') || file.starts_with(':') {
            return Err("write the database's file too, such as \"sqlite:/var/lib/popbridge/state.db\"; state cannot be kept in memory".to_owned());
        }
        let file = base.join(file);
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        return Ok((StoreUrl::sqlite(&file)?, Some(folder)));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        // Nothing of the text is repeated: there may be a password in it.
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(
                "this is not a database that popbridge knows; write \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\""
                    .to_owned(),
            );
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let names_a_database =
            rest[end..].starts_with('/') && !rest[end..].starts_with("/?") && rest.len() > end + 1;
        if !names_a_database || rest.contains('#') {
            return Err(
                "write the database's name too, such as \"postgres://popbridge@db.example.com/popbridge\"".to_owned(),
            );
        }
        return Ok((StoreUrl(text.to_owned()), None));
    }
    let folder = base.join(text);
    if [".db", ".sqlite", ".sqlite3"]
        .iter()
        .any(|end| text.ends_with(end))
    {
        return Err(format!(
            "\"{text}\" would be a folder; write \"sqlite:{text}\" for a database file"
        ));
    }
    Ok((StoreUrl::sqlite(&folder.join(DATABASE))?, Some(folder)))
}

/// What flags, environment and file say about the state.
pub(super) fn state(
    check: &Check<'_>,
    file: &File,
    overrides: &Overrides,
) -> Result<State, ConfigError> {
    let (url, folder) = match (&overrides.state, &file.state) {
        (Some(text), _) => {
            let (url, folder) = parse(text.expose(), Path::new(""))
                .map_err(|message| ConfigError::new(format!("--state: {message}")))?;
            (Some(url), folder)
        }
        (None, Some(text)) => {
            let (url, folder) = check.parsed(text, |text| parse(text, check.folder()))?;
            (Some(url), folder)
        }
        (None, None) => (None, None),
    };
    let folder = match (folder, &file.state_folder) {
        // A flag wins over every key.
        (Some(folder), _) if overrides.state.is_some() => folder,
        (_, Some(text)) => check.path(text)?,
        (folder, None) => folder.or_else(folder_of_this_process).ok_or_else(|| {
            check.missing(
                "there is no home to keep state in; say where with --state DIR, POPBRIDGE_STATE or the key state",
            )
        })?,
    };
    let url = match url {
        Some(url) => url,
        None => {
            StoreUrl::sqlite(&folder.join(DATABASE)).map_err(|message| check.missing(message))?
        }
    };
    let password_file = match &file.state_password_file {
        // The database of the flag is another one.
        Some(_) if overrides.state.is_some() && !url.is_shared() => None,
        Some(text) if !url.is_shared() => {
            let message =
                "state_password_file is for PostgreSQL only; an SQLite file has no password";
            return Err(check.error(text.span(), message));
        }
        Some(text) if url.has_password() => {
            let message = "there is a password in the URL already; leave one of the two out";
            return Err(check.error(text.span(), message));
        }
        Some(text) => Some(SecretFile::new(check.path(text)?)),
        None => None,
    };
    Ok(State {
        url,
        password_file,
        folder,
    })
}

/// The environment as far as it matters here, given by the caller so that tests need not change the process's own.
pub(super) struct Surroundings<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) is_root: bool,
}

/// The default state folder: systemd's, else the system's for root, else the user's. `None` when the user has no home.
pub(super) fn default_folder(surroundings: &Surroundings<'_>) -> Option<PathBuf> {
    let absolute = |name| {
        (surroundings.variable)(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    // With several StateDirectory= entries systemd joins them by colons: the first is ours.
    let of_systemd = (surroundings.variable)("STATE_DIRECTORY")
        .and_then(|folders| std::env::split_paths(&folders).next())
        .filter(|path| path.is_absolute());
    if let Some(folder) = of_systemd {
        return Some(folder);
    }
    if surroundings.is_root {
        return Some(PathBuf::from("/var/lib/popbridge"));
    }
    // The XDG base directory specification: a relative path is to be ignored.
    let of_user = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    of_user.map(|folder| folder.join("popbridge"))
}

/// [`default_folder`] for this process.
fn folder_of_this_process() -> Option<PathBuf> {
    default_folder(&Surroundings {
        variable: &|name| std::env::var_os(name),
        is_root: rustix::process::geteuid().is_root(),
    })
}

#[cfg(test)]
mod tests;
