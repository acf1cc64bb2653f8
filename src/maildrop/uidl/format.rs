//! How unique-ids are made: named formats and templates.
//!
//! Pure. A format is checked when it is read, so that what it renders is always
//! valid, fits in 70 octets and never spells two messages alike.

use std::fmt;
use std::sync::Arc;

use super::{MAX_LENGTH, Uidl};
use crate::maildrop::index::{Uid, UidValidity};

/// Octets of every unique-id that templates leave to the bridge, for ends like `-f2-s4294967295`.
const RESERVED: usize = 24;

/// The formats with a name: what other servers' POP3 shows, so that a client
/// that moves from one of them to the bridge downloads nothing twice.
const PRESETS: [(&str, &str); 5] = [
    ("default", "{uidvalidity}-{uid}"),
    // pop3_uidl_format = %08Xu%08Xv, Dovecot's default since 1.0.
    ("dovecot", "{uid:08x}{uidvalidity:08x}"),
    // Cyrus since 2.1.4; before that it was {uid} alone.
    ("cyrus", "{uidvalidity}.{uid}"),
    // pop3d's "version 2" of courierpop3dsizelist.
    ("courier", "UID{uid}-{uidvalidity}"),
    // pop.gmail.com.
    ("gmail", "GmailId{gm_msgid:x}"),
];

/// How a unique-id is made of UIDVALIDITY, UID and, at Gmail, X-GM-MSGID.
/// Cloning shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field, Radix),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Uid,
    UidValidity,
    GmMsgid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Radix {
    Decimal,
    /// Lower-case hexadecimal without leading zeros.
    Hex,
    /// Lower-case hexadecimal with at least this many digits.
    PaddedHex(usize),
}

impl Default for Format {
    /// `{uidvalidity}-{uid}`.
    fn default() -> Self {
        let parts = [
            Part::Field(Field::UidValidity, Radix::Decimal),
            Part::Literal("-".to_owned()),
            Part::Field(Field::Uid, Radix::Decimal),
        ];
        Self {
            parts: Arc::new(parts),
        }
    }
}

impl Format {
    /// Reads the name of a preset (`default`, `dovecot`, `cyrus`, `courier`,
    /// `gmail`) or a template with `{uid}`, `{uidvalidity}`, `{gm_msgid}`, each
    /// in decimal or, as in `{uid:x}`, `{uid:08x}`, `{gm_msgid:016x}`, in
    /// lower-case hexadecimal.
    ///
    /// # Errors
    /// In words for the person who wrote the configuration: an unknown name or
    /// field, an octet that no unique-id may have, no field that tells
    /// messages apart, fields that run into each other, or more than 46 octets: 24 of the 70 are
    /// for what the bridge may have to append.
    pub fn parse(text: &str) -> Result<Self, String> {
        let preset = PRESETS.iter().find(|(name, _)| *name == text);
        let template = match preset {
            Some((_, template)) => template,
            None if text.contains('{') => text,
            None => {
                let names = PRESETS.map(|(name, _)| name).join(", ");
                return Err(format!(
                    "\"{}\" is neither one of {names} nor a template with a field such as {{uid}}",
                    text.escape_debug()
                ));
            }
        };
        let parts = split(template)?;
        check_unique(&parts)?;
        check_separated(&parts)?;
        let longest: usize = parts.iter().map(Part::longest).sum();
        if longest > MAX_LENGTH - RESERVED {
            return Err(format!(
                "unique-ids of up to {longest} octets, but POP3 allows {MAX_LENGTH}, and {RESERVED} of them are for what tells copies of \
                 a message and folders apart"
            ));
        }
        Ok(Self {
            parts: parts.into(),
        })
    }

    /// Whether the format can only be rendered where the server gives X-GM-MSGID.
    pub fn needs_gm_msgid(&self) -> bool {
        has_field(&self.parts, Field::GmMsgid)
    }

    /// Whether unique-ids differ where only UIDVALIDITY does.
    pub fn shows_uid_validity(&self) -> bool {
        has_field(&self.parts, Field::UidValidity)
    }

    /// Writes one message's unique-id. `gm_msgid` is ignored unless
    /// [`needs_gm_msgid`](Self::needs_gm_msgid).
    pub fn render(&self, uid_validity: UidValidity, uid: Uid, gm_msgid: u64) -> Uidl {
        let mut uidl = Uidl::empty();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => uidl.append(text.as_bytes()),
                Part::Field(field, radix) => {
                    let value = match field {
                        Field::Uid => u64::from(uid.get()),
                        Field::UidValidity => u64::from(uid_validity.get()),
                        Field::GmMsgid => gm_msgid,
                    };
                    radix.append(value, &mut uidl);
                }
            }
        }
        uidl
    }
}

impl fmt::Display for Format {
    /// The template, also where a preset's name was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Field(field, Radix::Decimal) => write!(f, "{{{}}}", field.name())?,
                Part::Field(field, Radix::Hex) => write!(f, "{{{}:x}}", field.name())?,
                Part::Field(field, Radix::PaddedHex(width)) => {
                    write!(f, "{{{}:0{width}x}}", field.name())?;
                }
            }
        }
        Ok(())
    }
}

impl Part {
    /// The most octets that this part can take.
    fn longest(&self) -> usize {
        match self {
            Part::Literal(text) => text.len(),
            Part::Field(field, Radix::Decimal) => field.decimal_digits(),
            Part::Field(field, Radix::Hex) => field.hex_digits(),
            Part::Field(field, Radix::PaddedHex(width)) => field.hex_digits().max(*width),
        }
    }

    fn has_fixed_width(&self) -> bool {
        match self {
            Part::Literal(_) => true,
            Part::Field(field, Radix::PaddedHex(width)) => *width >= field.hex_digits(),
            Part::Field(..) => false,
        }
    }
}

impl Field {
    const ALL: [Field; 3] = [Field::Uid, Field::UidValidity, Field::GmMsgid];

    fn name(self) -> &'static str {
        match self {
            Field::Uid => "uid",
            Field::UidValidity => "uidvalidity",
            Field::GmMsgid => "gm_msgid",
        }
    }

    fn decimal_digits(self) -> usize {
        match self {
            Field::Uid | Field::UidValidity => 10,
            Field::GmMsgid => 20,
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            Field::Uid | Field::UidValidity => 8,
            Field::GmMsgid => 16,
        }
    }
}

impl Radix {
    fn append(self, value: u64, uidl: &mut Uidl) {
        use fmt::Write;
        // `Uidl::write_str` has no way to fail.
        let _ = match self {
            Radix::Decimal => {
                uidl.append(itoa::Buffer::new().format(value).as_bytes());
                Ok(())
            }
            Radix::Hex => write!(uidl, "{value:x}"),
            Radix::PaddedHex(width) => write!(uidl, "{value:0width$x}"),
        };
    }
}

fn has_field(parts: &[Part], wanted: Field) -> bool {
    parts
        .iter()
        .any(|part| matches!(part, Part::Field(field, _) if *field == wanted))
}

/// Without a UID or an X-GM-MSGID all messages would have one unique-id.
/// `{uid}` alone is allowed, because old Cyrus and Courier have it.
fn check_unique(parts: &[Part]) -> Result<(), String> {
    if has_field(parts, Field::Uid) || has_field(parts, Field::GmMsgid) {
        Ok(())
    } else {
        Err("the template needs {uid} or {gm_msgid}, else all messages look alike".to_owned())
    }
}

/// Two numbers of varying width need something between them that is no digit,
/// else 1 and 23 look like 12 and 3.
fn check_separated(parts: &[Part]) -> Result<(), String> {
    let mut open = false;
    for part in parts {
        match part {
            Part::Literal(text) if text.contains(|c: char| !c.is_ascii_hexdigit()) => open = false,
            part if part.has_fixed_width() => {}
            _ if open => {
                return Err(
                    "two fields of varying width need a separator between them that is no \
                     digit and none of a to f, or a fixed width as in {uid:08x}"
                        .to_owned(),
                );
            }
            _ => open = true,
        }
    }
    Ok(())
}

fn split(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (literal, field, after) = match rest.split_once('{') {
            None => (rest, None, ""),
            Some((literal, after)) => {
                let (field, after) = after
                    .split_once('}')
                    .ok_or("a { in the template has no }")?;
                (literal, Some(field), after)
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(checked_literal(literal)?));
        }
        if let Some(field) = field {
            parts.push(parse_field(field)?);
        }
        rest = after;
    }
    Ok(parts)
}

fn checked_literal(text: &str) -> Result<String, String> {
    match text.chars().find(|c| !c.is_ascii_graphic() || *c == '}') {
        None => Ok(text.to_owned()),
        Some(wrong) => Err(format!(
            "{wrong:?} cannot stand in a unique-id template: only printable ASCII without spaces"
        )),
    }
}

fn parse_field(text: &str) -> Result<Part, String> {
    let (name, radix) = text.split_once(':').unwrap_or((text, ""));
    let field = Field::ALL.into_iter().find(|field| field.name() == name);
    let field = field.ok_or_else(|| {
        format!(
            "there is no field {{{}}}, only {{uid}}, {{uidvalidity}} and {{gm_msgid}}",
            name.escape_debug()
        )
    })?;
    let radix = match radix {
        "" => Radix::Decimal,
        "x" => Radix::Hex,
        "08x" => Radix::PaddedHex(8),
        "016x" => Radix::PaddedHex(16),
        other => {
            return Err(format!(
                "a field is written {{{name}}}, {{{name}:x}}, {{{name}:08x}} or {{{name}:016x}}, not with \":{}\"",
                other.escape_debug()
            ));
        }
    };
    Ok(Part::Field(field, radix))
}
