//! The SQLite file on disk: nobody but its owner may read it, and one bridge at a time serves from it.
//!
//! Must not know: what is in it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::owner;

/// Makes the file (0600) and its folder (0700) where they are not there, and gives the file's true path. What root makes, as by a log-in
/// before the first start, is the folder's owner's: the bridge has to write to it. SQLite gives the files that it puts beside it the same
/// mode and owner.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| cannot("open", path, &error);
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    let mut how = OpenOptions::new();
    how.read(true).write(true).mode(0o600);
    let file = match how.clone().create_new(true).open(path) {
        Ok(made) => {
            owner::give(&made, &[folder.unwrap_or(Path::new("."))]).map_err(failed)?;
            made
        }
        // Or a link to where it is to be.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => how
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?,
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        // Somebody made it readable, or it came from a backup: it holds hashes of passwords.
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(failed)?;
    }
    path.canonicalize().map_err(failed)
}

/// The file's true path, where it is there.
pub(super) fn find(path: &Path) -> Result<PathBuf, StoreError> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NoSuch(format!("store at {} yet", path.display())),
        _ => cannot("open", path, &error),
    })
}

/// Keeps other bridges off the file for as long as the lock is kept; the kernel ends it with the process, however that ends.
pub(super) fn lock(file: &Path) -> Result<File, StoreError> {
    let path = beside(file, ".lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| cannot("open", &path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            file: file.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(cannot("lock", &path, &error)),
    }
}

/// Whether a bridge serves from the file.
pub(super) fn is_served(file: &Path) -> bool {
    let lock = File::open(beside(file, ".lock"));
    // A shared lock keeps no other command from asking, and a bridge that begins waits.
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Makes a new file that only its owner may read; one that exists is left alone.
pub(super) fn create_new(path: &Path) -> Result<File, StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            StoreError::Refused(format!("{} exists already", path.display()))
        }
        _ => StoreError::Refused(format!("cannot create {}: {error}", path.display())),
    })
}

/// The file's name with something behind it.
pub(super) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {what} {}: {error}", path.display()))
}
