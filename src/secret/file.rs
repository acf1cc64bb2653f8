//! A secret that stands in a file, read whenever it is needed so that a changed one counts without a restart.
//!
//! It must not know what the secret opens.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Secret;

/// Longer than any password that a server accepts.
const MAX_LENGTH: usize = 4096;

/// The path of a file with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// Does not look at the file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is in the file now, without the line end after it. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// A sentence: the file cannot be read, or what is in it is no line of 1 to 4096 bytes in UTF-8.
    pub fn read(&self) -> Result<Secret, String> {
        let path = self.0.display();
        let content = self.beginning(MAX_LENGTH + 3)?;
        one_line(&content).map_err(|what| format!("the file \"{path}\" {what}"))
    }

    /// All that is in the file now: at most so many bytes. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// A sentence: the file cannot be read, or there is more in it.
    pub fn content(&self, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
        let content = self.beginning(most + 1)?;
        match content.len() > most {
            true => Err(format!(
                "the file \"{}\" holds more than {most} bytes",
                self.0.display()
            )),
            false => Ok(content),
        }
    }

    fn beginning(&self, length: usize) -> Result<Zeroizing<Vec<u8>>, String> {
        // As large as it can get, so that it does not move and leave a copy behind.
        let mut content = Zeroizing::new(Vec::with_capacity(length));
        File::open(&self.0)
            .and_then(|file| file.take(length as u64).read_to_end(&mut content))
            .map_err(|error| {
                format!("the file \"{}\" cannot be read: {error}", self.0.display())
            })?;
        Ok(content)
    }

    /// What is allowed and not wise: a sentence where everybody on this machine can read the file. Nothing where it is not there.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let mode = std::fs::metadata(&self.0).ok()?.permissions().mode();
        (mode & 0o004 != 0).then(|| {
            format!(
                "everybody on this machine can read the secret in \"{}\"; chmod 600 helps",
                self.0.display()
            )
        })
    }
}

/// A secret of one line, without its line end. The error goes on after the name of what it was found in, and shows nothing of it.
///
/// # Errors
/// Where it is empty, longer than 4096 bytes, not UTF-8, or has a line end or a NUL in it.
pub fn one_line(content: &[u8]) -> Result<Secret, &'static str> {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err("is empty");
    }
    if line.len() > MAX_LENGTH {
        return Err("holds more than 4096 bytes");
    }
    if line.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        return Err("holds more than one line");
    }
    match std::str::from_utf8(line) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err("is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, SecretFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        (folder, SecretFile::new(path))
    }

    #[test]
    fn a_file_is_read_anew_each_time_without_its_line_end() {
        let (_folder, secret) = file(b" p w \n");
        assert_eq!(secret.read().unwrap().expose(), " p w ");
        fs::write(secret.path(), "next\r\n").unwrap();
        assert_eq!(secret.read().unwrap().expose(), "next");
        fs::write(secret.path(), "none").unwrap();
        assert_eq!(secret.read().unwrap().expose(), "none");
    }

    #[test]
    fn what_is_no_password_is_refused_and_not_shown() {
        let long = vec![b'x'; MAX_LENGTH + 1];
        let longer = vec![b'x'; 10 * MAX_LENGTH];
        let cases: [(&[u8], &str); 7] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\nmore\n", "holds more than one line"),
            (b"hun\0ter2", "holds more than one line"),
            (b"hunter2\xff", "is not UTF-8"),
            (&long, "holds more than 4096 bytes"),
            (&longer, "holds more than 4096 bytes"),
        ];
        for (content, words) in cases {
            let (_folder, secret) = file(content);
            let message = secret.read().unwrap_err();
            assert!(message.ends_with(words), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let longest = vec![b'x'; MAX_LENGTH];
        assert!(file(&[&longest[..], b"\r\n"].concat()).1.read().is_ok());
        let missing = SecretFile::new("/nowhere/password".into());
        assert!(missing.read().unwrap_err().contains("/nowhere/password"));
    }

    #[test]
    fn a_file_that_everybody_can_read_is_warned_about() {
        let (_folder, secret) = file(b"x");
        assert_eq!(secret.warning(), None);
        fs::set_permissions(secret.path(), Permissions::from_mode(0o644)).unwrap();
        assert!(secret.warning().unwrap().contains("chmod 600"));
        assert_eq!(SecretFile::new("/nowhere/password".into()).warning(), None);
    }
}
