//! Whose server it is, from what it says of itself before and after the log-in.
//!
//! Pure. Must not know: what is made of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reply::Capabilities;

/// A kind of server, or a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Gmail and Google Workspace.
    Gmail,
    /// Exchange Online and Outlook.com.
    ExchangeOnline,
    /// An Exchange of somebody's own.
    Exchange,
    /// Yahoo and AOL.
    Yahoo,
    /// iCloud.
    Icloud,
    /// Fastmail, which is a Cyrus.
    Fastmail,
    /// Cyrus.
    Cyrus,
    /// Dovecot.
    Dovecot,
    /// Courier.
    Courier,
    /// Something else, or one that does not say.
    Unknown,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Signs<'a> {
    /// The host that was connected to, in lower case.
    pub host: &'a str,
    /// The greeting's text.
    pub greeting: &'a str,
    /// The capabilities, before the log-in or after it.
    pub capabilities: &'a Capabilities,
}

/// The kind of server, and what shows it.
pub fn recognize(signs: &Signs<'_>) -> (Kind, &'static str) {
    let greeting = signs.greeting.to_ascii_lowercase();
    let greets = |words: &str| greeting.contains(words);
    let has = |name: &str| signs.capabilities.has(name);
    let is_at = |domain: &str| {
        let rest = signs.host.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    // The first that fits: Yahoo and Fastmail have had Apple's XAPPLEPUSHSERVICE, too.
    let rules: &[(bool, Kind, &'static str)] = &[
        (has("X-GM-EXT-1"), Kind::Gmail, "it offers X-GM-EXT-1"),
        (greets("gimap ready"), Kind::Gmail, "it greets as Gimap"),
        (
            greets("microsoft exchange") && is_online(signs.greeting),
            Kind::ExchangeOnline,
            "it greets as an Exchange of Microsoft's own data centres",
        ),
        (
            is_at("office365.com") || is_at("outlook.com"),
            Kind::ExchangeOnline,
            "its name is Microsoft's",
        ),
        (
            greets("microsoft exchange"),
            Kind::Exchange,
            "it greets as Microsoft Exchange",
        ),
        (
            has("X-UIDONLY") || has("XYMHIGHESTMODSEQ") || has("X-MSG-EXT"),
            Kind::Yahoo,
            "it offers extensions of Yahoo's own",
        ),
        (
            is_at("yahoo.com") || is_at("aol.com"),
            Kind::Yahoo,
            "its name is Yahoo's",
        ),
        (
            is_at("fastmail.com"),
            Kind::Fastmail,
            "its name is Fastmail's",
        ),
        (greets("fastmail"), Kind::Fastmail, "it greets as Fastmail"),
        (
            has("AUTH=ATOKEN"),
            Kind::Icloud,
            "it offers AUTH=ATOKEN, as iCloud does",
        ),
        (
            is_at("me.com") || is_at("icloud.com"),
            Kind::Icloud,
            "its name is iCloud's",
        ),
        (
            has("XAPPLEPUSHSERVICE") && greets("iscream"),
            Kind::Icloud,
            "it greets as iCloud and offers XAPPLEPUSHSERVICE",
        ),
        (greets("cyrus imap"), Kind::Cyrus, "it greets as Cyrus"),
        (greets("dovecot"), Kind::Dovecot, "it greets as Dovecot"),
        (greets("courier"), Kind::Courier, "it greets as Courier"),
    ];
    let found = rules.iter().find(|(fits, ..)| *fits);
    found.map_or((Kind::Unknown, "it does not say"), |(_, kind, why)| {
        (*kind, *why)
    })
}

/// Exchange ends its greeting with the name of the machine, in base64 of UTF-16.
fn is_online(greeting: &str) -> bool {
    let name = greeting
        .rsplit_once('[')
        .and_then(|(_, rest)| STANDARD.decode(rest.trim_end().trim_end_matches(']')).ok());
    let name: String = name.map_or_else(String::new, |octets| {
        // ASCII all of it: every second octet is zero.
        octets
            .iter()
            .filter(|octet| **octet != 0)
            .map(|octet| char::from(*octet))
            .collect()
    });
    let name = name.to_ascii_lowercase();
    name.ends_with(".outlook.com") || name.ends_with(".exchangelabs.com")
}

/// How a password would be shown; `None`: the server takes none here.
pub fn password_mechanism(capabilities: &Capabilities) -> Option<&'static str> {
    match (
        capabilities.has("AUTH=PLAIN"),
        capabilities.has("LOGINDISABLED"),
    ) {
        (true, _) => Some("AUTHENTICATE PLAIN"),
        (false, false) => Some("LOGIN"),
        (false, true) => None,
    }
}

/// How a token would be shown; `None`: the server takes none.
pub fn token_mechanism(capabilities: &Capabilities) -> Option<&'static str> {
    let known = [
        ("AUTH=OAUTHBEARER", "AUTHENTICATE OAUTHBEARER"),
        ("AUTH=XOAUTH2", "AUTHENTICATE XOAUTH2"),
    ];
    let offered = known.iter().find(|(name, _)| capabilities.has(name));
    offered.map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(host: &str, greeting: &str, capabilities: &str) -> Kind {
        let capabilities = &Capabilities::parse(capabilities.as_bytes());
        let signs = Signs {
            host,
            greeting,
            capabilities,
        };
        recognize(&signs).0
    }

    #[test]
    fn servers_are_known_by_what_they_have_been_heard_to_say() {
        // As in MailKit #1396 and #1494, imapflow #314, nextcloud/mail #3401, mailcore2 #1274, wildduck #943.
        let cases = [
            (
                Kind::Gmail,
                "Gimap ready for requests from 197.49.123.47 x2mb241876667wmk",
                "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN",
            ),
            (
                Kind::ExchangeOnline,
                "The Microsoft Exchange IMAP4 service is ready. \
                 [RgBSADMAUAAyADgAMQBDAEEAMAAxADUANwAuAEQARQBVAFAAMgA4ADEALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA==]",
                "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
            ),
            (
                Kind::ExchangeOnline,
                "The Microsoft Exchange IMAP4 service is ready. [UwBJADIAUABSADAAMQBDAEEAMAAwADQAMgAuAGEAcABjAHAAcgBkADAAMQAu\
                 AHAAcgBvAGQALgBlAHgAYwBoAGEAbgBnAGUAbABhAGIAcwAuAGMAbwBtAA==]",
                "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2",
            ),
            (
                Kind::Exchange,
                "The Microsoft Exchange IMAP4 service is ready.",
                "IMAP4 IMAP4rev1 AUTH=NTLM AUTH=GSSAPI AUTH=PLAIN STARTTLS UIDPLUS CHILDREN IDLE NAMESPACE LITERAL+",
            ),
            (
                Kind::Yahoo,
                "IMAP4rev1 imapgate-1.8.1_01.20166 imap1012.mail.ir2.yahoo.com",
                "IMAP4rev1 ID NAMESPACE X-ID-ACLID UIDPLUS LITERAL+ CHILDREN XAPPLEPUSHSERVICE XYMHIGHESTMODSEQ AUTH=PLAIN",
            ),
            (
                Kind::Yahoo,
                "ready",
                "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE X-MSG-EXT OBJECTID UIDONLY X-UIDONLY PARTIAL",
            ),
            (
                Kind::Icloud,
                "(2109B29-d3afe4d5aba6) pv33p00im-iscream021.me.com",
                "XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN",
            ),
            (
                Kind::Icloud,
                "pv33p00im-iscream021.me.com",
                "XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 CONDSTORE ENABLE QRESYNC UIDPLUS",
            ),
            (
                Kind::Fastmail,
                "Fastmail IMAP4 ready",
                "IMAP4rev1 XAPPLEPUSHSERVICE",
            ),
            (
                Kind::Cyrus,
                "imap.example.com Cyrus IMAP 3.6.1-Debian server ready",
                "IMAP4rev1",
            ),
            (
                Kind::Dovecot,
                "Dovecot (Debian) ready.",
                "IMAP4rev1 SASL-IR LITERAL+ IDLE",
            ),
            (
                Kind::Courier,
                "Courier-IMAP ready. Copyright 1998-2018",
                "IMAP4rev1 UIDPLUS ACL",
            ),
            (
                Kind::Unknown,
                "ready",
                "IMAP4rev1 UIDONLY XAPPLEPUSHSERVICE",
            ),
        ];
        for (expected, greeting, capabilities) in cases {
            let found = kind("mail.example.com", greeting, capabilities);
            assert_eq!(found, expected, "{greeting}");
        }
    }

    #[test]
    fn a_providers_own_name_is_a_sign_and_one_that_looks_like_it_is_not() {
        let at = |host| kind(host, "ready", "IMAP4rev1");
        assert_eq!(at("outlook.office365.com"), Kind::ExchangeOnline);
        assert_eq!(at("imap.fastmail.com"), Kind::Fastmail);
        assert_eq!(at("imap.aol.com"), Kind::Yahoo);
        assert_eq!(at("p01-imap.mail.me.com"), Kind::Icloud);
        assert_eq!(at("acme.com"), Kind::Unknown);
        assert_eq!(at("imap.notfastmail.com"), Kind::Unknown);
    }

    #[test]
    fn the_way_in_is_the_best_that_is_offered() {
        let offers = |words: &str| Capabilities::parse(words.as_bytes());
        let ways = |words| {
            (
                password_mechanism(&offers(words)),
                token_mechanism(&offers(words)),
            )
        };
        assert_eq!(ways("IMAP4rev1"), (Some("LOGIN"), None));
        assert_eq!(
            ways("AUTH=PLAIN LOGINDISABLED AUTH=XOAUTH2"),
            (Some("AUTHENTICATE PLAIN"), Some("AUTHENTICATE XOAUTH2"))
        );
        assert_eq!(
            ways("LOGINDISABLED AUTH=XOAUTH2 AUTH=OAUTHBEARER"),
            (None, Some("AUTHENTICATE OAUTHBEARER"))
        );
    }
}
