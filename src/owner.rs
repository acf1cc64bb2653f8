//! Whose a file is that root makes among the bridge's: the bridge that is to read it runs as somebody else.
//!
//! Must not know: what is in the files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

/// Gives a file that was made just now to the owner and the group of the first of these paths that is not root's. Nothing happens where
/// there is none, or where somebody else than root has made it: nobody else can give a file away.
///
/// # Errors
/// The system's.
pub(crate) fn give(new: &File, like: &[&Path]) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for path in like {
        match fs::metadata(path) {
            Ok(of) if of.uid() != 0 => return fchown(new, Some(of.uid()), Some(of.gid())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
