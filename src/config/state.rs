//! Where the bridge keeps what it makes itself when nobody has said where.
//!
//! It must not create anything.

use std::ffi::OsString;
use std::path::PathBuf;

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
pub(super) fn folder_of_this_process() -> Option<PathBuf> {
    default_folder(&Surroundings {
        variable: &|name| std::env::var_os(name),
        is_root: rustix::process::geteuid().is_root(),
    })
}
