//! What is wrong with a configuration, where, and what to do about it.
//!
//! Every error is one line of words that a person can act on. It must not know which keys there are.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used. Displays as `file:line:column: what is wrong and what to do`, or without the place
/// when it was said on the command line or in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: Option<Place>,
    message: String,
}

/// Where in a configuration file something stands. The file may be all that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: PathBuf,
    /// Line and column, both from 1; the column counts characters.
    position: Option<(usize, usize)>,
}

impl ConfigError {
    /// An error of the command line or the environment.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            place: None,
            message: message.into(),
        }
    }

    /// An error that concerns `file` as a whole.
    pub(super) fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            place: Some(Place {
                file: file.to_owned(),
                position: None,
            }),
            message: message.into(),
        }
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line in the file, from 1, when it is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref()?.position.map(|(line, _)| line)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:", place.file.display())?;
            if let Some((line, column)) = place.position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// A file's name and text: turns byte positions into places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// An error at the bytes `span` of the text, or about the whole file when `span` is unknown.
    pub(super) fn error(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> ConfigError {
        let mut error = ConfigError::in_file(self.file, message);
        if let Some(place) = &mut error.place {
            place.position = span.map(|span| self.position(span.start));
        }
        error
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Two letters in five may be wrong, and two always: beyond that a suggestion is a guess.
    let limit = (word.chars().count() * 2 / 5).max(2);
    // A beginning of the word, such as "cert", is as good as one wrong letter.
    let distance = |candidate: &str| match word.len() >= 3 && candidate.starts_with(word) {
        true => 1,
        false => strsim::damerau_levenshtein(word, candidate),
    };
    known
        .iter()
        .map(|candidate| (distance(candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
