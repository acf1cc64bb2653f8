//! The settings of one client: what it is shown, and where its rules differ from its mailbox's.
//!
//! They are given as `key=value`, kept as JSON text, and must not know where that is kept.

use std::collections::BTreeMap;

use super::error::nearest;
use super::rules::{DAY, OLDEST};
use super::{units, words};
use crate::policy::{AfterRetrieve, Listed, OnDelete, Rules, Since, View};
use crate::pop3::workarounds::Workarounds;

/// The keys, as advice gives them.
const KEYS: [&str; 10] = [
    "view",
    "last",
    "since",
    "max_listed",
    "max_size",
    "on_delete",
    "after_retrieve",
    "delivered_without_quit",
    "expires",
    "workarounds",
];

/// Whether a client that has not been seen for long is still waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expires {
    /// As its mailbox's rules say.
    #[default]
    Default,
    /// Always.
    Never,
    /// For so many seconds.
    After(i64),
}

/// See the module. The default is a client that is shown everything, under the rules of its mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// What it is shown.
    pub view: View,
    /// What its DELE means, if not what it means for its mailbox.
    pub on_delete: Option<OnDelete>,
    /// What happens to what it has had.
    pub after_retrieve: Option<AfterRetrieve>,
    /// Whether a message counts as delivered, for what is shown, without QUIT.
    pub delivered_without_quit: Option<bool>,
    /// Whether it is waited for.
    pub expires: Expires,
    /// What is done because its program cannot take messages as they are.
    pub workarounds: Workarounds,
    /// What was given, as it was given.
    given: BTreeMap<String, String>,
}

impl ClientSettings {
    /// Takes one `key=value`. The value `default` takes back what was given before. Nothing is changed by an error.
    ///
    /// # Errors
    /// A sentence that says how to write it.
    pub fn set(&mut self, pair: &str) -> Result<(), String> {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!(
                "\"{}\" is not a setting; write key=value, such as view=undelivered",
                pair.escape_debug()
            ));
        };
        self.set_key(key, value)
    }

    /// Takes one key and its value; see [`set`](Self::set).
    fn set_key(&mut self, key: &str, value: &str) -> Result<(), String> {
        let in_words = |message: String| format!("{key}: {message}");
        let given = (value != "default").then_some(value);
        match key {
            "view" => self.view.list = or_default(given, view).map_err(in_words)?,
            "last" => self.view.last = or_default(given, last).map_err(in_words)?,
            "since" => self.view.since = or_default(given, since).map_err(in_words)?,
            "max_listed" => {
                self.view.max_listed = or_default(given, max_listed).map_err(in_words)?;
            }
            "max_size" => self.view.max_size = or_default(given, max_size).map_err(in_words)?,
            "on_delete" => {
                let parsed = given.map(words::on_delete).transpose();
                self.on_delete = parsed.map_err(in_words)?;
            }
            "after_retrieve" => {
                let parsed = given.map(words::after_retrieve).transpose();
                self.after_retrieve = parsed.map_err(in_words)?;
            }
            "delivered_without_quit" => {
                let known = [("true", true), ("false", false)];
                let parsed = given.map(|text| words::one_of(text, &known)).transpose();
                self.delivered_without_quit = parsed.map_err(in_words)?;
            }
            "expires" => self.expires = or_default(given, expires).map_err(in_words)?,
            "workarounds" => {
                self.workarounds = or_default(given, workarounds).map_err(in_words)?;
            }
            _ => {
                let advice = match nearest(key, &KEYS) {
                    Some(nearest) => format!("did you mean \"{nearest}\"?"),
                    None => format!("the settings are {}", KEYS.join(", ")),
                };
                return Err(format!(
                    "unknown setting \"{}\"; {advice}",
                    key.escape_debug()
                ));
            }
        }
        match given {
            Some(value) => self.given.insert(key.to_owned(), value.to_owned()),
            None => self.given.remove(key),
        };
        Ok(())
    }

    /// Reads what [`to_json`](Self::to_json) wrote for the client `name`.
    ///
    /// # Errors
    /// A sentence that names the client: a setting that this version does not know, such as one of a newer one, or no JSON.
    pub fn from_json(name: &str, json: &str) -> Result<Self, String> {
        let given: BTreeMap<String, String> = serde_json::from_str(json).map_err(|error| {
            format!("the settings of the client {name} cannot be read: {error}")
        })?;
        let mut settings = Self::default();
        for (key, value) in &given {
            settings
                .set_key(key, value)
                .map_err(|error| format!("the settings of the client {name}: {error}"))?;
        }
        Ok(settings)
    }

    /// What was given, as a JSON object of texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts by texts: nothing that JSON cannot have.
        serde_json::to_string(&self.given).unwrap_or_else(|_| "{}".to_owned())
    }

    /// What was given, in the order of the keys' names.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The rules for this client, on a mailbox with `rules`.
    #[must_use]
    pub fn rules(&self, rules: &Rules) -> Rules {
        Rules {
            on_delete: self.on_delete.or(rules.on_delete),
            after_retrieve: self
                .after_retrieve
                .as_ref()
                .unwrap_or(&rules.after_retrieve)
                .clone(),
            retention: rules.retention.clone(),
            client_expires: match self.expires {
                Expires::Default => rules.client_expires,
                Expires::Never => None,
                Expires::After(seconds) => Some(seconds),
            },
            delivered_without_quit: self
                .delivered_without_quit
                .unwrap_or(rules.delivered_without_quit),
        }
    }
}

fn or_default<T: Default>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    text.map_or_else(|| Ok(T::default()), parse)
}

fn view(text: &str) -> Result<Listed, String> {
    let known = [("all", Listed::All), ("undelivered", Listed::Undelivered)];
    words::one_of(text, &known)
}

fn last(text: &str) -> Result<Option<i64>, String> {
    match text {
        "none" => Ok(None),
        text => units::age(text, 60 * 60..=OLDEST).map(Some),
    }
}

fn since(text: &str) -> Result<Since, String> {
    let known = [
        ("beginning", Since::Beginning),
        ("enrolment", Since::Enrolment),
    ];
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => units::date(text).map(Since::Date),
        false => {
            words::one_of(text, &known).map_err(|message| match message.contains("write one of") {
                true => format!("{message} or a date such as \"2026-01-31\""),
                false => message,
            })
        }
    }
}

fn max_listed(text: &str) -> Result<Option<u32>, String> {
    match (text, text.parse()) {
        ("none", _) => Ok(None),
        (text, Ok(number)) if number > 0 && !text.starts_with('+') => Ok(Some(number)),
        _ => Err(format!(
            "\"{}\" is not a number of messages; write one such as \"500\", or \"none\"",
            text.escape_debug()
        )),
    }
}

fn max_size(text: &str) -> Result<Option<u32>, String> {
    if text == "none" {
        return Ok(None);
    }
    let bytes = units::size(text)?;
    match u32::try_from(bytes) {
        Ok(bytes) if bytes > 0 => Ok(Some(bytes)),
        _ => Err(format!(
            "\"{text}\" is out of range; write 1B to 4095MiB, or \"none\""
        )),
    }
}

fn expires(text: &str) -> Result<Expires, String> {
    match text {
        "never" => Ok(Expires::Never),
        text => units::age(text, DAY..=OLDEST).map(Expires::After),
    }
}

/// Names with commas between them, or `none`.
fn workarounds(text: &str) -> Result<Workarounds, String> {
    let mut workarounds = Workarounds::default();
    if text == "none" {
        return Ok(workarounds);
    }
    for name in text.split(',') {
        if !workarounds.add(name.trim()) {
            let known = Workarounds::NAMES.map(|name| (name, ()));
            words::one_of(name.trim(), &known)?;
        }
    }
    Ok(workarounds)
}

#[cfg(test)]
mod tests;
