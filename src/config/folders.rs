//! Which folders of an account are served, and where arrivals are held.
//!
//! Must not know: which folders the upstream has.

use super::check::Check;
use super::error::ConfigError;
use super::file::{self, Text};
use crate::policy::Dispose;

/// More folders in one maildrop make each poll slow: one EXAMINE each.
const MOST: usize = 16;
/// The longest header field name that makes sense before a folder's name.
const LONGEST_FIELD: usize = 64;

pub(super) struct Folders {
    pub(super) folders: Vec<String>,
    pub(super) header: Option<String>,
    pub(super) hold: Option<String>,
}

/// What an account's table says of folders. `dispose` is what becomes of messages that are not needed any more.
pub(super) fn folders(
    check: &Check<'_>,
    table: &file::Account,
    dispose: Dispose,
) -> Result<Folders, ConfigError> {
    let mut folders = vec!["INBOX".to_owned()];
    if let Some(list) = &table.folders {
        folders.clear();
        for text in list.get_ref() {
            let name = check.parsed(text, folder)?;
            if folders.contains(&name) {
                let message = format!("the folder {name:?} is named twice");
                return Err(check.error(text.span(), message));
            }
            folders.push(name);
        }
        if folders.is_empty() || folders.len() > MOST {
            let message =
                format!("folders names 1 to {MOST} folders, such as [\"INBOX\", \"\\\\Junk\"]");
            return Err(check.error(list.span(), message));
        }
    }
    let header = table.folder_header.as_ref();
    let header = header.map(|text| check.parsed(text, field)).transpose()?;
    let hold = table.hold.as_ref();
    let hold = hold.map(|text| held(check, text, &folders, dispose));
    Ok(Folders {
        folders,
        header,
        hold: hold.transpose()?,
    })
}

fn held(
    check: &Check<'_>,
    text: &Text,
    folders: &[String],
    dispose: Dispose,
) -> Result<String, ConfigError> {
    let name = check.parsed(text, folder)?;
    if name.starts_with('\\') || folders.contains(&name) || name == "INBOX" {
        return Err(check.error(
            text.span(),
            "hold is the name of a folder of popbridge's own that nobody else uses, such as \"popbridge\"; it is made where it is not there",
        ));
    }
    if matches!(dispose, Dispose::Flag | Dispose::Nothing) {
        return Err(check.error(
            text.span(),
            "what is held would never go: hold needs dispose = \"expunge\", \"trash\" or \"archive\"",
        ));
    }
    Ok(name)
}

fn folder(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) || text.contains(['*', '%']) {
        return Err(format!(
            "{text:?} is not the name of a folder; write it as people see it, or a special use such as \"\\\\Junk\""
        ));
    }
    // INBOX is the one name whose case does not matter (RFC 3501, 5.1).
    match text.eq_ignore_ascii_case("INBOX") {
        true => Ok("INBOX".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// RFC 5322, 2.2: printable ASCII without a colon.
fn field(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if text.is_empty() || text.len() > LONGEST_FIELD || !text.bytes().all(fits) {
        return Err(format!(
            "{text:?} is not the name of a header field; write it without a colon, such as \"X-Folder\""
        ));
    }
    Ok(text.to_owned())
}
