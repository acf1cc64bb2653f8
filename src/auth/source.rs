//! Where the password of an account is: in a file, in the environment, or among systemd's credentials.
//!
//! Must not know: what the account is, how its password is used.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::secret::{Secret, SecretFile, one_line};

/// See the module. It is read at every log-in upstream, so that a changed password counts without a restart; what is in the
/// environment cannot change while the process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// `password_file`.
    File(SecretFile),
    /// `password_env`: the name of an environment variable.
    Environment(String),
    /// `password_credential`: the name of a file in the folder that systemd names in `CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl PasswordSource {
    /// The password as it is now. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// A sentence for the operator, without anything of the password.
    pub fn read(&self) -> Result<Secret, String> {
        self.read_with(&|name| std::env::var_os(name))
    }

    fn read_with(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Secret, String> {
        match self {
            Self::File(file) => file.read(),
            Self::Environment(name) => {
                let Some(value) = variable(name) else {
                    return Err(format!("the environment variable {name} is not set"));
                };
                let value = Zeroizing::new(value.into_vec());
                one_line(&value).map_err(|what| format!("the environment variable {name} {what}"))
            }
            Self::Credential(name) => {
                let Some(folder) = variable("CREDENTIALS_DIRECTORY") else {
                    return Err(format!(
                        "there are no credentials of systemd (CREDENTIALS_DIRECTORY is not set), and so no \"{name}\"; \
                         a service has those of LoadCredential= or SetCredential= in its unit, and a command in a shell takes \
                         `systemd-run --pty -p User=USER -p LoadCredential={name}:FILE popbridge ...` (as the service's user, with -p \
                         LoadCredential= for each credential)"
                    ));
                };
                SecretFile::new(PathBuf::from(folder).join(name)).read()
            }
        }
    }

    /// What is allowed and not wise, as a sentence. Looks at the file's permissions.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::File(file) => file.warning(),
            Self::Environment(_) | Self::Credential(_) => None,
        }
    }
}

/// As in the configuration file.
impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "password_file \"{}\"", file.path().display()),
            Self::Environment(name) => write!(f, "password_env \"{name}\""),
            Self::Credential(name) => write!(f, "password_credential \"{name}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_from_the_environment() {
        let source = PasswordSource::Environment("INFO_PASSWORD".to_owned());
        let set_to = |value: &'static str| {
            source.read_with(&move |name| (name == "INFO_PASSWORD").then(|| value.into()))
        };
        assert_eq!(set_to("p w").unwrap().expose(), "p w");
        assert_eq!(
            set_to("").unwrap_err(),
            "the environment variable INFO_PASSWORD is empty"
        );
        assert_eq!(
            source.read_with(&|_| None).unwrap_err(),
            "the environment variable INFO_PASSWORD is not set"
        );
    }

    #[test]
    fn a_password_is_read_from_systemds_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let source = PasswordSource::Credential("info".to_owned());
        let variable = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.path().into());
        let missing = source.read_with(&variable).unwrap_err();
        assert!(missing.contains("/info\" cannot be read"), "{missing}");
        std::fs::write(folder.path().join("info"), "p w\n").unwrap();
        assert_eq!(source.read_with(&variable).unwrap().expose(), "p w");
        let nowhere = source.read_with(&|_| None).unwrap_err();
        assert!(
            nowhere.contains("systemd-run --pty") && nowhere.contains("LoadCredential=info:FILE"),
            "{nowhere}"
        );
    }
}
