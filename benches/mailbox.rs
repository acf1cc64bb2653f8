//! Mailboxes of a given size, and sessions that have opened them.

use std::collections::HashMap;
use std::sync::Arc;

use popbridge::maildrop::{
    Contents, Entry, Format, Index, Maildrop, Message, Place, Register, Seq, Shown, Uid,
    UidValidity,
};
use popbridge::pop3::{Action, Line, Profile, Session, TlsState};

pub(crate) const DAY: i64 = 24 * 60 * 60;

/// A number in the register.
pub(crate) fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

/// A mailbox of so many messages, one arriving each minute, of 2 to 64 KiB, in this number of folders.
pub(crate) fn contents(messages: u32, folders: u32) -> Contents {
    let folder = |folder: u32| {
        let numbers = (1..=messages).filter(|number| number % folders == folder);
        let place = Place {
            folder: format!("folder {folder}"),
            folder_id: i64::from(folder),
            uid_validity: UidValidity::new(1_784_000_000).unwrap(),
            header: None,
        };
        (place, Arc::new(register(numbers)))
    };
    Contents::new((0..folders).map(folder).collect())
}

fn register(numbers: impl Iterator<Item = u32>) -> Register {
    let message = |number: u32| {
        let entry = Entry {
            seq: seq(number),
            first_seen: 60 * number,
        };
        let message = Message {
            uid: Uid::new(1000 + number).unwrap(),
            size: 2048 + number.wrapping_mul(2_654_435_761) % 63_488,
            internal_date: 60 * i64::from(number),
        };
        (entry, message)
    };
    let (entries, messages) = numbers.map(message).unzip();
    Register {
        index: Arc::new(Index {
            uid_validity: UidValidity::new(1_784_000_000).unwrap(),
            uid_next: None,
            highest_modseq: None,
            messages,
            gm_msgids: None,
            email_ids: None,
        }),
        entries,
        uidls: HashMap::new(),
        header_hashes: HashMap::new(),
        gone: Vec::new(),
        floors: Vec::new(),
        format: Format::default(),
        first_listed: 0,
        suffix: "".into(),
    }
}

/// A session that has logged in and been told its maildrop.
pub(crate) fn session(contents: Contents, shown: Shown) -> Session {
    let mut session = Session::new(Profile {
        tls: TlsState::Active,
        plaintext_login: false,
        implementation: String::new(),
        max_login_attempts: 3,
        max_bad_commands: 20,
    });
    let mut out = Vec::new();
    let _ = session.line(Line::Complete(b"USER a"), &mut out);
    let action = session.line(Line::Complete(b"PASS b"), &mut out);
    assert!(matches!(action, Action::LogIn(_)));
    let _ = session.logged_in(Ok(()), &mut out);
    let action = session.line(Line::Complete(b"STAT"), &mut out);
    assert!(matches!(action, Action::List));
    let _ = session.listed(Ok(Maildrop::new(Arc::new(contents), shown)), &mut out);
    session
}
