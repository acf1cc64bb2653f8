//! From texts of the file to values, and from what is wrong with them to errors with a place.
//!
//! It must not know which keys there are.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ConfigError, Source};
use super::file::Text;
use super::units;
use super::words::one_of;

/// Turns texts of the file into values, and what is wrong with them into errors with a place.
pub(super) struct Check<'a> {
    pub(super) source: Option<Source<'a>>,
}

impl Check<'_> {
    pub(super) fn has_file(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        match self.source {
            Some(source) => source.error(Some(span), message),
            None => ConfigError::new(message),
        }
    }

    /// An error about something that stands nowhere.
    pub(super) fn missing(&self, message: impl Into<String>) -> ConfigError {
        match self.source {
            Some(source) => source.error(None, message),
            None => ConfigError::new(message),
        }
    }

    pub(super) fn parsed<T>(
        &self,
        text: &Text,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(text.get_ref()).map_err(|message| self.error(text.span(), message))
    }

    pub(super) fn duration(
        &self,
        text: Option<&Text>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = text else { return Ok(default) };
        let value = self.parsed(text, units::duration)?;
        if range.contains(&value) {
            return Ok(value);
        }
        let message = format!(
            "\"{}\" is out of range; write {}s to {}s",
            text.get_ref(),
            range.start().as_secs(),
            range.end().as_secs()
        );
        Err(self.error(text.span(), message))
    }

    /// One of a few words.
    pub(super) fn word<T: Clone>(
        &self,
        text: &Text,
        words: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        self.parsed(text, |given| one_of(given, words))
    }

    /// A path, relative ones to the folder of the file.
    pub(super) fn path(&self, text: &Text) -> Result<PathBuf, ConfigError> {
        if text.get_ref().is_empty() {
            return Err(self.error(
                text.span(),
                "the path is empty; write a path or leave the key out",
            ));
        }
        Ok(self.folder().join(text.get_ref()))
    }

    /// The folder of the file: what relative paths are relative to.
    pub(super) fn folder(&self) -> &Path {
        let folder = self.source.and_then(|source| source.file.parent());
        folder.unwrap_or(Path::new(""))
    }
}
