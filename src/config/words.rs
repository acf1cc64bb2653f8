//! Values that are words: what DELE means, what is done with a message, names of folders and keywords.
//!
//! Each parser takes the text and answers the value, or words that say how to write it. They must not know where the text stands:
//! in the configuration file, or in the settings of a client.

use super::error::nearest;
use crate::policy::{AfterRetrieve, Archive, OnDelete, Trash};

/// Longer than any keyword in use; servers have limits of their own.
const KEYWORD_LENGTH: usize = 64;

/// One of a few words.
pub(super) fn one_of<T: Clone>(given: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return Ok(value.clone());
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let advice = match nearest(given, &known) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => format!("write one of \"{}\"", known.join("\", \"")),
    };
    Err(format!(
        "\"{}\" is not known here; {advice}",
        given.escape_default()
    ))
}

pub(super) fn on_delete(text: &str) -> Result<OnDelete, String> {
    one_of(
        text,
        &[
            ("hide", OnDelete::Hide),
            ("dispose", OnDelete::Dispose),
            ("ignore", OnDelete::Ignore),
        ],
    )
}

/// `nothing`, `seen`, `flag:KEYWORD`, `archive`, `trash`.
pub(super) fn after_retrieve(text: &str) -> Result<AfterRetrieve, String> {
    if let Some(given) = text.strip_prefix("flag:") {
        return keyword(given).map(AfterRetrieve::Flag);
    }
    if text == "flag" {
        return Err("name the keyword too, such as \"flag:$Fetched\"".to_owned());
    }
    one_of(
        text,
        &[
            ("nothing", AfterRetrieve::Nothing),
            ("seen", AfterRetrieve::Seen),
            ("archive", AfterRetrieve::Archive),
            ("trash", AfterRetrieve::Trash),
        ],
    )
    .map_err(|message| match message.contains("write one of") {
        true => format!("{message} or \"flag:KEYWORD\""),
        false => message,
    })
}

/// A keyword: what IMAP calls a flag-keyword, an atom (RFC 9051 section 9).
pub(super) fn keyword(text: &str) -> Result<String, String> {
    if text.starts_with('\\') {
        return Err(format!(
            "\"{}\" is one of the server's own flags; write a keyword such as \"$Disposed\"",
            text.escape_default()
        ));
    }
    let is_atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
    if text.is_empty() || text.len() > KEYWORD_LENGTH || !text.bytes().all(is_atom) {
        return Err(format!(
            "\"{}\" is not a keyword; write up to {KEYWORD_LENGTH} ASCII characters without spaces, quotes, brackets, \"%\" and \"*\", \
             such as \"$Disposed\"",
            text.escape_default()
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn trash(text: &str) -> Result<Trash, String> {
    if text.eq_ignore_ascii_case("\\Trash") {
        return Ok(Trash::SpecialUse);
    }
    folder(text, "a trash folder", "\\\\Trash").map(Trash::Folder)
}

pub(super) fn archive(text: &str) -> Result<Archive, String> {
    if text.eq_ignore_ascii_case("\\Archive") {
        return Ok(Archive::SpecialUse);
    }
    folder(text, "an archive folder", "\\\\Archive").map(Archive::Folder)
}

/// A folder to move messages to, by its name.
fn folder(text: &str, what: &str, special: &str) -> Result<String, String> {
    if text.eq_ignore_ascii_case("INBOX") {
        return Err(format!(
            "\"{text}\" cannot be {what}: it is where the messages are"
        ));
    }
    if text.is_empty() || text.starts_with('\\') || text.contains(char::is_control) {
        return Err(format!(
            "\"{}\" is not {what}; write \"{special}\" for the one that the server marks, or a folder's name",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}
