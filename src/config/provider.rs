//! Profiles of mail providers: what is known of their servers, so that nobody has to find it out. `provider = "gmail"` takes one, and
//! every value of it can be written otherwise in the upstream's table.
//!
//! One table, with the evidence beside each value. Must not know: how the values are used.

use std::time::Duration;

use super::Upstream;
use crate::maildrop::uidl;
use crate::policy::{Archive, Dispose, Trash};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Most servers allow ten or more for a mailbox, and phones and mail programs need some.
const CONNECTIONS: usize = 4;

/// A provider whose ways are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// Gmail and Google Workspace.
    Gmail,
    /// Microsoft 365 and Outlook.com; an Exchange of one's own is `Generic`.
    Microsoft365,
    /// Yahoo and AOL.
    Yahoo,
    /// iCloud.
    Icloud,
    /// Fastmail.
    Fastmail,
    /// Any other server.
    #[default]
    Generic,
}

/// What a provider takes for a log-in besides tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    /// The user's own.
    Own,
    /// One that the user has made for this program on the provider's pages.
    OfApp,
    /// None.
    None,
}

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The provider.
    pub provider: Provider,
    /// As it is written in the file.
    pub name: &'static str,
    /// As people call it.
    pub title: &'static str,
    /// Where its server is; `None`: the file says so.
    pub url: Option<&'static str>,
    /// The preset of `[oauth.NAME]` that gives tokens for it.
    pub oauth: Option<&'static str>,
    /// What it takes besides tokens.
    pub passwords: Passwords,
    /// [`Upstream::uidl`] of mailboxes that are new to the bridge.
    pub uidl: &'static str,
    /// How messages are disposed of.
    pub dispose: Dispose,
    /// The trash folder's name, where the server does not mark it.
    pub trash: Option<&'static str>,
    /// The archive folder's name, where the server does not mark it.
    pub archive: Option<&'static str>,
    /// [`Upstream::connections`].
    pub connections: usize,
    /// [`Upstream::session_life`].
    pub session_life: Option<Duration>,
    /// [`Upstream::bytes_per_day`].
    pub bytes_per_day: Option<u64>,
    /// [`Upstream::send_id`].
    pub send_id: bool,
    /// [`Upstream::uidonly`].
    pub uidonly: bool,
    /// [`Upstream::placeholder_text`].
    pub placeholder_text: bool,
    /// Numbers of messages that a folder has when no more of them are shown.
    pub limited_folders: &'static [u32],
}

/// Nothing is known.
const GENERIC: Profile = Profile {
    provider: Provider::Generic,
    name: "generic",
    title: "a server that no profile is for",
    url: None,
    oauth: None,
    passwords: Passwords::Own,
    uidl: "default",
    dispose: Dispose::Expunge,
    trash: None,
    archive: None,
    connections: CONNECTIONS,
    session_life: None,
    bytes_per_day: None,
    // It tells a stranger which program and version this is: only where it is of use.
    send_id: false,
    // RFC 9586: who offers it means it.
    uidonly: true,
    // It may be an Exchange.
    placeholder_text: true,
    limited_folders: &[],
};

/// All profiles.
pub const PROFILES: [Profile; 6] = [
    Profile {
        provider: Provider::Gmail,
        name: "gmail",
        title: "Gmail",
        url: Some("imaps://imap.gmail.com"),
        oauth: Some("google"),
        // Google, "Transition from less secure apps to OAuth": passwords of one's own ended in May 2022, for Workspace in March 2025.
        passwords: Passwords::OfApp,
        // X-GM-MSGID is the one id that is stable in all folders and through changes of UIDVALIDITY (developers.google.com/gmail/imap);
        // pop.gmail.com shows it, too. Registers keep what they have shown, so that it counts for mail that is new to the bridge.
        uidl: "gmail",
        // What \Deleted and EXPUNGE do is a setting of the account ("When a message is marked as deleted and expunged"): archive, by default.
        dispose: Dispose::Trash,
        // 15 in all (support.google.com/mail/answer/97150; "[ALERT] Too many simultaneous connections. (Failure)"); phones need some.
        connections: 8,
        // "About 24 hours" (support.google.com/a/answer/1071518); then BYE, be it in the middle of a message.
        session_life: Some(Duration::from_secs(23 * HOUR.as_secs())),
        // 2500 MB by IMAP (support.google.com/a/answer/1071518); beyond it "[OVERQUOTA] Account exceeded command or bandwidth limits".
        bytes_per_day: Some(2500 * 1000 * 1000),
        // "We recommend the ID command" (developers.google.com/gmail/imap/imap-extensions).
        send_id: true,
        // Its sizes are those of the messages: whoever has that subject in a mail has written it.
        placeholder_text: false,
        // Settings, Forwarding and POP/IMAP, "Limit IMAP folders to contain no more than this many messages".
        limited_folders: &[1000, 2000, 5000, 10_000],
        ..GENERIC
    },
    Profile {
        provider: Provider::Microsoft365,
        name: "microsoft365",
        title: "Microsoft 365 or Outlook.com",
        url: Some("imaps://outlook.office365.com"),
        oauth: Some("microsoft"),
        // "Deprecation of Basic authentication in Exchange Online"; AUTH=PLAIN is in its capabilities all the same.
        passwords: Passwords::None,
        ..GENERIC
    },
    Profile {
        provider: Provider::Yahoo,
        name: "yahoo",
        title: "Yahoo or AOL",
        url: Some("imaps://imap.mail.yahoo.com"),
        passwords: Passwords::OfApp,
        // "An IMAP client connecting to the servers should issue the ID command" (developer.yahooinc.com/imap-smtp, go-imap #598).
        send_id: true,
        placeholder_text: false,
        // Its "limited mode" without UIDONLY (imap-proto #198).
        limited_folders: &[10_000],
        ..GENERIC
    },
    Profile {
        provider: Provider::Icloud,
        name: "icloud",
        title: "iCloud",
        url: Some("imaps://imap.mail.me.com"),
        // support.apple.com/102525: app-specific passwords only; the log-in name may have to be the local part.
        passwords: Passwords::OfApp,
        placeholder_text: false,
        // It has UIDPLUS, neither MOVE nor SPECIAL-USE, and fixed names: `LIST () "/" "Deleted Messages"` (nextcloud/mail #3401).
        trash: Some("Deleted Messages"),
        archive: Some("Archive"),
        ..GENERIC
    },
    Profile {
        provider: Provider::Fastmail,
        name: "fastmail",
        title: "Fastmail",
        url: Some("imaps://imap.fastmail.com"),
        // fastmail.help, "App passwords".
        passwords: Passwords::OfApp,
        // A Cyrus: sizes are exact.
        placeholder_text: false,
        ..GENERIC
    },
    GENERIC,
];

impl Provider {
    /// What is known of it.
    #[must_use]
    pub fn profile(self) -> &'static Profile {
        const LAST: &Profile = &GENERIC;
        let found = PROFILES.iter().find(|profile| profile.provider == self);
        found.unwrap_or(LAST)
    }

    /// The words for it and what they mean.
    pub(super) fn words() -> [(&'static str, Self); PROFILES.len()] {
        PROFILES
            .each_ref()
            .map(|profile| (profile.name, profile.provider))
    }
}

impl Profile {
    /// Makes an upstream what it is before the other keys of its table are looked at.
    ///
    /// # Errors
    /// None: a test makes an upstream of each profile.
    pub(super) fn apply(&self, upstream: &mut Upstream) -> Result<(), String> {
        upstream.provider = self.provider;
        upstream.uidl = uidl::Format::parse(self.uidl)?;
        upstream.dispose.dispose = self.dispose;
        if let Some(name) = self.trash {
            upstream.dispose.trash = Trash::Folder(name.to_owned());
        }
        if let Some(name) = self.archive {
            upstream.dispose.archive = Archive::Folder(name.to_owned());
        }
        upstream.connections = self.connections;
        upstream.bytes_per_day = self.bytes_per_day;
        upstream.session_life = self.session_life;
        upstream.send_id = self.send_id;
        upstream.uidonly = self.uidonly;
        upstream.placeholder_text = self.placeholder_text;
        Ok(())
    }
}
