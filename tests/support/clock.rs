//! A clock that a test sets: libfaketime under the programs that are tested, and a file that says how far their time of day is ahead. It
//! can be moved while they run. Pauses and time-outs, which count on the monotonic clock, are as long as ever.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One hour, in seconds.
pub const HOUR: u64 = 3600;
/// One day, in seconds.
pub const DAY: u64 = 24 * HOUR;

pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// On time; what it says lies in `folder`.
    pub fn new(folder: &Path) -> Self {
        let this = Self {
            library: library(),
            file: folder.join("clock"),
        };
        this.set(0);
        this
    }

    /// Sets the clock so many seconds ahead of the true time.
    pub fn set(&self, ahead: u64) {
        // Under another name first: a reader never finds half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("+{ahead}\n")).expect("a clock");
        std::fs::rename(&new, &self.file).expect("a clock");
    }

    /// What a program needs in its environment to go by this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// The true time, in seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

/// Debian keeps it in a folder for each kind of processor.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found
        .find(|path| path.exists())
        .or_else(|| Some(PathBuf::from("/usr/lib/faketime/libfaketime.so.1")).filter(|p| p.exists()))
        .unwrap_or_else(|| {
            panic!(
                "libfaketime.so.1 is missing: apt-get install --no-install-recommends faketime (or: make deps)"
            )
        })
}
