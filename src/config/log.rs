//! What is logged, and how.
//!
//! It must not know where logs go.

use toml::Spanned;

use super::Overrides;
use super::check::Check;
use super::error::ConfigError;
use super::file;
use crate::telemetry::{self, LogFormat};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter that [`telemetry::init`] understands.
    pub filter: String,
    /// How events are written.
    pub format: LogFormat,
}

const FILTER: &str = "info";

pub(super) fn log(
    check: &Check<'_>,
    table: Option<file::Log>,
    overrides: &Overrides,
) -> Result<Log, ConfigError> {
    let (filter, format) = table.map_or((None, None), |table| (table.filter, table.format));
    let parse = |text: &str| telemetry::check_filter(text).map(|()| text.to_owned());
    let of_file = filter.map(|text| check.parsed(&text, parse)).transpose()?;
    let by_flag = overrides
        .log
        .as_deref()
        .map(|text| parse(text).map_err(|message| ConfigError::new(format!("--log: {message}"))));
    let by_flag = by_flag.transpose()?;
    let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let word = |text: Spanned<String>| check.word(&text, &words);
    let format = format.map(word).transpose()?;
    Ok(Log {
        filter: by_flag.or(of_file).unwrap_or_else(|| FILTER.to_owned()),
        format: overrides.log_format.or(format).unwrap_or(LogFormat::Text),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, error, validate};
    use super::*;

    fn load(text: &str, overrides: &Overrides) -> Result<Config, String> {
        let text = format!("{text}\n[upstream.a]\nurl = \"imaps://a\"\n");
        let source = error::Source {
            file: Path::new("f"),
            text: &text,
        };
        let file = file::parse(source).map_err(|error| error.to_string())?;
        validate::config(Some(source), file, overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_the_file_key_by_key() {
        let text = "[log]\nfilter = \"warn\"\nformat = \"json\"";
        let log = |overrides: &Overrides| load(text, overrides).unwrap().log;
        let of_file = Log {
            filter: "warn".to_owned(),
            format: LogFormat::Json,
        };
        assert_eq!(log(&Overrides::default()), of_file);
        let by_flag = Overrides {
            log: Some("debug".to_owned()),
            ..Overrides::default()
        };
        assert_eq!(
            log(&by_flag),
            Log {
                filter: "debug".to_owned(),
                ..of_file
            }
        );
    }

    #[test]
    fn a_filter_that_is_none_is_refused_where_it_stands() {
        let refused = |text: &str, overrides| load(text, &overrides).unwrap_err();
        let error = refused("[log]\nfilter = \"debgu\"", Overrides::default());
        assert!(
            error.starts_with("f:2:10: \"debgu\" is not off, error,"),
            "{error}"
        );
        let error = refused("[log]\nformat = \"xml\"", Overrides::default());
        assert!(error.starts_with("f:2:10: \"xml\""), "{error}");
        let by_flag = Overrides {
            log: Some("debgu".to_owned()),
            ..Overrides::default()
        };
        let error = refused("", by_flag);
        assert!(error.starts_with("--log: \"debgu\" is not"), "{error}");
    }
}
