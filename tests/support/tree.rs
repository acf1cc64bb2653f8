//! A folder that a test and the servers it starts both can write to, whoever runs the test.
//! Servers refuse to run as root, so under root they run as `nobody` and own the folder.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::output_of;

/// The account that the servers of a test run under.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    pub group: String,
    /// uid and gid to change to; `None` when the test is not root and everything stays its own.
    pub switch: Option<(u32, u32)>,
}

impl Account {
    pub fn for_servers() -> Self {
        let root = std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
        let who: &[&str] = if root { &["nobody"] } else { &[] };
        let ask = |what: &'static str| output_of("id", &[&[what], who].concat());
        let number = |what| ask(what).parse::<u32>().expect("a number from id");
        Self {
            user: ask("-un"),
            group: ask("-gn"),
            switch: root.then(|| (number("-u"), number("-g"))),
        }
    }

    /// Lets `command` run under this account.
    pub fn adopt(&self, command: &mut Command) {
        if let Some((uid, gid)) = self.switch {
            command.uid(uid).gid(gid);
        }
    }

    /// Creates a folder (and its parents) and hands it to this account.
    pub fn folder(&self, path: &Path) {
        if path.is_dir() {
            return;
        }
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
        match std::fs::create_dir(path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                panic!("{}: {e}", path.display())
            }
            _ => {} // another thread of the test may have been quicker
        }
        self.give(path);
    }

    /// Hands a file or folder to this account.
    pub fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.switch {
            chown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
}

/// A new temporary folder that belongs to `account` and vanishes on drop.
pub struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub fn new(name: &str, account: &Account) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("popbridge-{name}-"))
            .tempdir()
            .expect("a temporary folder");
        account.give(folder.path());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("chmod");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }
}
