//! Folders: listing them and finding the one with a special use (RFC 3501, 6.3.8; RFC 6154).
//!
//! Names are kept as they are on the wire (modified UTF-7, RFC 3501, 5.1.3), so that what LIST gave is what SELECT and MOVE are given.
//! Must not know: what a folder is wanted for.

use imap_proto::{MailboxDatum, NameAttribute, Response as Parsed};

use super::connection::{Connection, Untagged, quoted};
use super::error::Error;
use super::{grammar, set};
use crate::policy::{Archive, Trash};

/// The most folders of one LIST, and the most octets of their lines.
const MOST_FOLDERS: usize = 100_000;
const MOST_OCTETS: usize = 8 << 20;

/// One line of LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The name as on the wire.
    pub name: String,
    /// Attributes such as `\Trash` or `\Noselect`, as written by the upstream.
    pub attributes: Vec<String>,
}

impl Folder {
    /// Whether the folder has this attribute, whatever its case.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes
            .iter()
            .any(|a| a.eq_ignore_ascii_case(attribute))
    }

    fn can_be_opened(&self) -> bool {
        !self.has("\\Noselect") && !self.has("\\NonExistent")
    }
}

impl Connection {
    /// All folders, with their special uses where the upstream knows them.
    ///
    /// # Errors
    /// [`Error::TooLong`] where there are more than 100,000, and what any command can give.
    pub async fn folders(&mut self) -> Result<Vec<Folder>, Error> {
        // RETURN is the grammar of extended LIST (RFC 5258); without it, a plain LIST carries the special uses (RFC 6154, 2).
        let capabilities = self.capabilities();
        let extended = capabilities.has("SPECIAL-USE") && capabilities.has("LIST-EXTENDED");
        self.list(if extended {
            "LIST \"\" \"*\" RETURN (SPECIAL-USE)"
        } else {
            "LIST \"\" \"*\""
        })
        .await
    }

    /// The wire name of the trash folder.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`], and what any command can give.
    pub async fn find_trash(&mut self, trash: &Trash) -> Result<String, Error> {
        match trash {
            Trash::SpecialUse => self.find_use(&["\\Trash"]).await,
            Trash::Folder(name) => self.find_name(name).await,
        }
    }

    /// The wire name of the archive folder: by its use `\Archive`, else, as Gmail has it, `\All`.
    ///
    /// # Errors
    /// As [`Self::find_trash`].
    pub async fn find_archive(&mut self, archive: &Archive) -> Result<String, Error> {
        match archive {
            Archive::SpecialUse => self.find_use(&["\\Archive", "\\All"]).await,
            Archive::Folder(name) => self.find_name(name).await,
        }
    }

    /// The folder with the first of these special uses that there is. A use is never guessed from a name: names are localized.
    async fn find_use(&mut self, uses: &[&str]) -> Result<String, Error> {
        let wanted = uses.join(" or ");
        if let Some(name) = self.found(&wanted) {
            return Ok(name.to_owned());
        }
        let folders = self.folders().await?;
        let of_use = |wanted: &&str| {
            folders
                .iter()
                .find(|folder| folder.has(wanted) && folder.can_be_opened())
        };
        let Some(folder) = uses.iter().find_map(of_use) else {
            return Err(Error::NoSuchFolder(wanted));
        };
        self.remember_found(&wanted, &folder.name);
        Ok(folder.name.clone())
    }

    /// The folder of this name, which is in UTF-8.
    async fn find_name(&mut self, name: &str) -> Result<String, Error> {
        let wire = to_wire(name);
        // In quotes, so that no name is taken for a special use.
        let wanted = quoted(&wire);
        if self.found(&wanted).is_none() {
            if !self.has_folder(&wire).await? {
                return Err(Error::NoSuchFolder(name.to_owned()));
            }
            self.remember_found(&wanted, &wire);
        }
        Ok(wire)
    }

    /// Whether there is a folder of this name (as on the wire) that can be opened.
    pub(super) async fn has_folder(&mut self, wire: &str) -> Result<bool, Error> {
        let listed = self.list(&format!("LIST \"\" {}", quoted(wire))).await?;
        Ok(listed
            .iter()
            .any(|folder| folder.name == wire && folder.can_be_opened()))
    }

    async fn list(&mut self, command: &str) -> Result<Vec<Folder>, Error> {
        let mut folders = Vec::new();
        let mut octets = 0;
        self.command("LIST", command, |untagged| {
            if let Untagged::Data(data) = untagged
                && set::is(data, b"LIST")
            {
                octets += data.len();
                if folders.len() >= MOST_FOLDERS || octets > MOST_OCTETS {
                    return Err(Error::TooLong("the list of folders"));
                }
                folders.push(folder(data)?);
            }
            Ok(())
        })
        .await?;
        Ok(folders)
    }
}

fn folder(data: &[u8]) -> Result<Folder, Error> {
    let Some(Parsed::MailboxData(MailboxDatum::List(listed))) = grammar::read(data) else {
        return Err(Error::Protocol("a LIST response"));
    };
    let attributes = listed.name_attributes.iter().map(attribute).collect();
    // The grammar does not tell a quoted name from a literal, in which a backslash is a backslash.
    let literal = memchr::memmem::find(data, b"}\r\n").is_some();
    let name = if data.trim_ascii_end().ends_with(b"\"") && !literal {
        String::from_utf8_lossy(&grammar::unescaped(listed.name.as_bytes())).into_owned()
    } else {
        listed.name.into_owned()
    };
    Ok(Folder { name, attributes })
}

fn attribute(attribute: &NameAttribute<'_>) -> String {
    match attribute {
        NameAttribute::NoInferiors => "\\Noinferiors".to_owned(),
        NameAttribute::NoSelect => "\\Noselect".to_owned(),
        NameAttribute::Marked => "\\Marked".to_owned(),
        NameAttribute::Unmarked => "\\Unmarked".to_owned(),
        NameAttribute::All => "\\All".to_owned(),
        NameAttribute::Archive => "\\Archive".to_owned(),
        NameAttribute::Drafts => "\\Drafts".to_owned(),
        NameAttribute::Flagged => "\\Flagged".to_owned(),
        NameAttribute::Junk => "\\Junk".to_owned(),
        NameAttribute::Sent => "\\Sent".to_owned(),
        NameAttribute::Trash => "\\Trash".to_owned(),
        NameAttribute::Extension(other) => other.to_string(),
        _ => String::new(),
    }
}

/// A folder's name as people write it, in UTF-8, to modified UTF-7 (RFC 3501, 5.1.3).
pub fn to_wire(name: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    let mut wire = String::new();
    let mut shifted = Vec::new();
    let close = |shifted: &mut Vec<u8>, wire: &mut String| {
        if !shifted.is_empty() {
            wire.push('&');
            wire.push_str(&STANDARD_NO_PAD.encode(&*shifted).replace('/', ","));
            wire.push('-');
            shifted.clear();
        }
    };
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            close(&mut shifted, &mut wire);
            wire.push(c);
            if c == '&' {
                wire.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .flat_map(|unit| unit.to_be_bytes()),
            );
        }
    }
    close(&mut shifted, &mut wire);
    wire
}

/// The way back: a name on the wire in UTF-8. What is no modified UTF-7 stays as it is.
pub(super) fn from_wire(wire: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    let mut name = String::new();
    let mut rest = wire;
    while let Some((before, behind)) = rest.split_once('&') {
        let text = behind.split_once('-').and_then(|(shifted, rest)| {
            let octets = STANDARD_NO_PAD.decode(shifted.replace(',', "/")).ok()?;
            let units = octets.chunks_exact(2);
            let is_whole = units.remainder().is_empty();
            let units = units.filter_map(|pair| pair.first_chunk().copied());
            let units: Vec<u16> = units.map(u16::from_be_bytes).collect();
            let text = String::from_utf16(&units).ok().filter(|_| is_whole)?;
            Some((text, rest))
        });
        let Some((text, behind)) = text else {
            return wire.to_owned();
        };
        name.push_str(before);
        name.push_str(if text.is_empty() { "&" } else { &text });
        rest = behind;
    }
    name.push_str(rest);
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_in_modified_utf_7() {
        assert_eq!(to_wire("Trash"), "Trash");
        assert_eq!(to_wire("R&D"), "R&-D");
        assert_eq!(to_wire("Gel\u{f6}schte Elemente"), "Gel&APY-schte Elemente");
        // The example of RFC 3501, 5.1.3.
        assert_eq!(
            to_wire("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}"),
            "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
        );
        assert_eq!(to_wire("\u{1f600}"), "&2D3eAA-");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_comes_back_from_the_wire(name: String, odd in "[a&,/A-Z-]{0,9}") {
            prop_assert_eq!(from_wire(&to_wire(&name)), name);
            from_wire(&odd); // does not panic
        }
    }

    #[test]
    fn what_is_no_modified_utf_7_stays_as_it_is() {
        for name in ["a&b", "&AA-", "&2D0-", "&!!-"] {
            assert_eq!(from_wire(name), name);
        }
        assert_eq!(from_wire("Gel&APY-schte &- mehr"), "Gel\u{f6}schte & mehr");
    }

    #[test]
    fn a_list_line_gives_name_and_attributes() {
        let read = folder(b"* LIST (\\HasNoChildren \\Trash) \"/\" \"Deleted Items\"\r\n").unwrap();
        assert_eq!(read.name, "Deleted Items");
        assert!(read.has("\\trash") && !read.has("\\Sent"));
        assert_eq!(
            folder(b"* LIST () \".\" {5}\r\nTrash\r\n").unwrap().name,
            "Trash"
        );
        assert!(folder(b"* LIST nonsense\r\n").is_err());
    }

    #[test]
    fn a_quoted_name_is_unescaped_and_a_literal_is_not() {
        let name = |line: &str| folder(line.as_bytes()).unwrap().name;
        assert_eq!(
            name("* LIST () \"/\" \"a \\\"b\\\" \\\\c\"\r\n"),
            "a \"b\" \\c"
        );
        assert_eq!(name("* LIST () \"\\\\\" {5}\r\na\\\"b\"\r\n"), "a\\\"b\"");
        assert_eq!(name("* LIST () NIL INBOX\r\n"), "INBOX");
    }
}
