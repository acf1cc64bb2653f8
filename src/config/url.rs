//! The address of an upstream: `imaps://host[:port]` and its two siblings.
//!
//! It names a server and how the connection to it is protected, never a user or a password. It must not open anything.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How the connection to an upstream is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314), `imaps://`, port 993.
    Implicit,
    /// STARTTLS is demanded before anything else (RFC 9051 section 6.2.1), `imap+starttls://`, port 143.
    StartTls,
    /// No encryption, `imap://`, port 143.
    Off,
}

impl Security {
    fn scheme(self) -> &'static str {
        match self {
            Self::Implicit => "imaps",
            Self::StartTls => "imap+starttls",
            Self::Off => "imap",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 993,
            Self::StartTls | Self::Off => 143,
        }
    }
}

/// The address of an upstream. Parsed from text by [`FromStr`]; the error is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// How the connection is protected.
    pub security: Security,
    /// A DNS name in ASCII, lower case, or an IP address without brackets. The upstream's certificate must be for it.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
}

impl Url {
    /// Whether the host is this machine by its name `localhost` or by a loopback address, so that nothing that is said to
    /// it leaves the machine. No name is resolved for the answer.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

impl Url {
    /// `host:port`, by which the state of this server's mailboxes is kept. The scheme does not matter for that: a server that gets TLS
    /// on the same port stays the same.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // First of all, so that no other message repeats a password.
        if text.contains('@') {
            return Err(
                "a URL with a user or a password in it is not accepted: whoever logs in by POP3 brings both; \
                 write scheme, host and port only, such as \"imaps://imap.example.com\""
                    .to_owned(),
            );
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            // A host and perhaps a port, or something that only begins like a URL?
            let example = match text.contains('/') {
                true => "imaps://imap.example.com".to_owned(),
                false => format!("imaps://{text}"),
            };
            return Err(format!("\"{text}\" has no scheme; write \"{example}\""));
        };
        let security = match scheme.to_ascii_lowercase().as_str() {
            "imaps" => Security::Implicit,
            "imap+starttls" => Security::StartTls,
            "imap" => Security::Off,
            _ => {
                return Err(format!(
                    "\"{scheme}\" is not a scheme of an upstream; use imaps:// (TLS), imap+starttls:// (STARTTLS demanded) \
                     or imap:// (unencrypted)"
                ));
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(format!(
                "\"{text}\" goes on behind the host; write \"{scheme}://host\" or \"{scheme}://host:port\" only"
            ));
        }
        if !authority.contains('[') && authority.matches(':').count() > 1 {
            return Err(format!(
                "write an IPv6 address in brackets: \"{scheme}://[{authority}]\""
            ));
        }
        let (host, port) = split_port(authority);
        let port = match port {
            None => security.default_port(),
            Some(port) => parse_port(port)?,
        };
        Ok(Self {
            security,
            host: parse_host(host)?,
            port,
        })
    }
}

/// `host:port`, `[v6]:port`, or either without a port.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let colon = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|colon| bracket + colon),
        None => authority.rfind(':'),
    };
    match colon {
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
        None => (authority, None),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port != 0 && !text.starts_with('+'))
        .ok_or_else(|| format!("\"{text}\" is not a port; write a number from 1 to 65535"))
}

fn parse_host(host: &str) -> Result<String, String> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return match inner.parse() {
            Ok(IpAddr::V6(address)) => Ok(address.to_string()),
            _ => Err(format!("\"{host}\" is not an IPv6 address in brackets")),
        };
    }
    if host.is_empty() {
        return Err(
            "the host is missing; write it such as \"imaps://imap.example.com\"".to_owned(),
        );
    }
    if !host.is_ascii() {
        return Err(format!(
            "\"{host}\" is not in ASCII; write an internationalized name in its \"xn--\" form"
        ));
    }
    let name_bytes = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let labels_filled = host
        .strip_suffix('.')
        .unwrap_or(host)
        .split('.')
        .all(|label| !label.is_empty());
    if host.len() > 253 || !host.bytes().all(name_bytes) || !labels_filled {
        return Err(format!("\"{}\" is not a host name", host.escape_default()));
    }
    Ok(host.to_ascii_lowercase())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.security.scheme();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]", self.host)?;
        } else {
            write!(f, "{scheme}://{}", self.host)?;
        }
        if self.port != self.security.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}
