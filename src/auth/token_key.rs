//! Where the key is that tokens are sealed with: where the configuration says, or in a file that the bridge makes for itself.
//!
//! Must not know: what is sealed, and where that is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::PasswordSource;
use super::seal::SealingKey;
use crate::owner;
use crate::secret::SecretFile;

/// The name of the bridge's own file, in the state folder.
const FILE: &str = "token.key";
/// What tells whose the state is, in the same folder.
const STATE: &str = "state.db";

/// How many files were made by this process.
static MADE: AtomicU64 = AtomicU64::new(0);

/// See the module. It is read whenever something is sealed or opened, which is seldom.
#[derive(Clone, Debug)]
pub enum TokenKey {
    /// The configuration names it.
    Configured(PasswordSource),
    /// A file of the bridge's own, made when it is needed first.
    Own(PathBuf),
}

impl TokenKey {
    /// The key as it is configured, or else for a bridge with this state folder. Bridges that share a store cannot each make one: the
    /// configuration is refused where it names none for them.
    pub fn new(configured: Option<PasswordSource>, folder: &Path) -> Self {
        configured.map_or_else(|| Self::Own(folder.join(FILE)), Self::Configured)
    }

    /// The key, if there is one. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// A sentence for the operator, without anything of the key.
    pub fn read(&self) -> Result<Option<SealingKey>, String> {
        let text = match self {
            Self::Configured(source) => source
                .read()
                .map_err(|error| format!("the key of the tokens: {error}"))?,
            Self::Own(file) => {
                let there = fs::exists(file)
                    .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                if !there {
                    return Ok(None);
                }
                SecretFile::new(file.clone())
                    .read()
                    .map_err(|error| format!("the key of the tokens: {error}"))?
            }
        };
        let key = SealingKey::parse(&text);
        key.map(Some)
            .map_err(|what| format!("what {self} holds {what}"))
    }

    /// The key; the bridge's own is made where it is not there.
    ///
    /// # Errors
    /// As [`read`](Self::read), and where the file cannot be made.
    pub fn read_or_make(&self) -> Result<SealingKey, String> {
        if let Some(key) = self.read()? {
            return Ok(key);
        }
        if let Self::Own(file) = self {
            make(file).map_err(|error| format!("{} cannot be made: {error}", file.display()))?;
        }
        // Another process may have been quicker: what is there now counts.
        self.read()?
            .ok_or_else(|| format!("{self} is gone as soon as it was made"))
    }

    /// What is allowed and not wise, as a sentence.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Configured(source) => source.warning(),
            Self::Own(file) => SecretFile::new(file.clone()).warning(),
        }
    }
}

/// Where it is, for the operator.
impl std::fmt::Display for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configured(PasswordSource::File(file)) => {
                write!(f, "token_key_file \"{}\"", file.path().display())
            }
            Self::Configured(PasswordSource::Environment(name)) => {
                write!(f, "token_key_env \"{name}\"")
            }
            Self::Configured(PasswordSource::Credential(name)) => {
                write!(f, "token_key_credential \"{name}\"")
            }
            Self::Own(file) => write!(f, "\"{}\"", file.display()),
        }
    }
}

/// Makes the file with a new key in it, readable to its owner only, whole or not at all; one that is there stays. Where root makes it, it
/// belongs to whom the state belongs to: the bridge that is to read it runs as somebody else.
fn make(file: &Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let key = SealingKey::generate().map_err(io::Error::other)?;
    // Of nobody else's, in this process or another one.
    let one = MADE.fetch_add(1, Ordering::Relaxed);
    let half = folder.join(format!("{FILE}.{}.{one}", std::process::id()));
    // Of a process that is long gone.
    let _ = fs::remove_file(&half);
    let made = (|| {
        // Nothing that is there is followed: the folder may be somebody's whom root must not trust.
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&half)?;
        writeln!(new, "{}", key.expose())?;
        // A database that root's own command has just made says nothing.
        owner::give(&new, &[&folder.join(STATE), folder])?;
        new.sync_all()?;
        // Not a rename, which would take the place of what another process has made meanwhile.
        match fs::hard_link(&half, file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }?;
        // What is sealed with it must not outlive it at a power cut.
        File::open(folder)?.sync_all()
    })();
    // It was there under its own name, or nobody wants it.
    let _ = fs::remove_file(&half);
    made
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn the_bridges_own_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let place = TokenKey::new(None, &state);
        assert!(place.read().unwrap().is_none());
        assert!(!state.exists(), "reading makes nothing");
        let made = place.read_or_make().unwrap();
        let file = state.join("token.key");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        assert_eq!(place.read_or_make().unwrap().id(), made.id());
        // Whoever comes a moment later and found none takes the one that is there.
        make(&file).unwrap();
        assert_eq!(place.read().unwrap().unwrap().id(), made.id());
        assert_eq!(place.warning(), None);
    }

    #[test]
    fn a_key_that_root_makes_belongs_to_whom_the_state_belongs_to() {
        if !rustix::process::geteuid().is_root() {
            // Nobody else can give a file away.
            return;
        }
        // The folder's owner and the database's, where there is one; whom the key belongs to.
        let cases = [
            (4711, None, 4711),
            (4711, Some(0), 4711),
            (0, Some(4711), 4711),
            (4711, Some(4712), 4712),
            (0, None, 0),
        ];
        for (of_folder, of_state, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            chown(folder.path(), Some(of_folder), Some(of_folder)).unwrap();
            if let Some(owner) = of_state {
                let state = folder.path().join(STATE);
                fs::write(&state, "").unwrap();
                chown(&state, Some(owner), Some(owner)).unwrap();
            }
            TokenKey::new(None, folder.path()).read_or_make().unwrap();
            let made = fs::metadata(folder.path().join(FILE)).unwrap();
            assert_eq!((made.uid(), made.gid()), (expected, expected));
            assert_eq!(made.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_is_not_written_where_somebody_has_laid_a_way_to() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let next = MADE.load(Ordering::Relaxed);
        for one in next..next + 100 {
            let half = state.join(format!("{FILE}.{}.{one}", std::process::id()));
            symlink(&elsewhere, half).unwrap();
        }
        TokenKey::new(None, &state).read_or_make().unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
    }

    #[test]
    fn two_who_make_the_key_at_once_have_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let place = TokenKey::new(None, folder.path());
        let ids: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| place.read_or_make().unwrap().id().to_owned()))
                .collect();
            let ids = makers.into_iter().map(|maker| maker.join().unwrap());
            ids.collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_configured_key_that_is_none_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "hunter2\n").unwrap();
        let source = PasswordSource::File(SecretFile::new(file.clone()));
        let place = TokenKey::new(Some(source), folder.path());
        let error = place.read_or_make().unwrap_err();
        assert!(error.contains("32 octets"), "{error}");
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        fs::remove_file(&file).unwrap();
        assert!(place.read_or_make().is_err());
        assert!(!file.exists());
    }
}
