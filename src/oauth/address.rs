//! The address of an authorization server: `https://host[:port]/path`.
//!
//! Unencrypted only to this machine: what goes there is secret. It must not open anything.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longer than any address in use.
const MAX_LENGTH: usize = 2048;

/// An address that secrets may be sent to. Parsed from text by [`FromStr`]; the error is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    encrypted: bool,
    host: String,
    port: u16,
    /// Path and query, beginning with `/`.
    path: String,
    text: String,
}

impl Address {
    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// A DNS name in ASCII, or an IP address without brackets. The server's certificate must be for it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port, not 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` field of a request says.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        &rest[..rest.find(['/', '?']).unwrap_or(rest.len())]
    }

    /// Path and query, as a request has them.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // First of all, so that no other message repeats a password.
        if text.contains('@') {
            return Err("an address with \"@\" in it is not accepted here".to_owned());
        }
        let wrong = || {
            format!(
                "\"{}\" is not an address; write it such as \"https://login.example.com/token\"",
                text.escape_default()
            )
        };
        let usable = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if text.len() > MAX_LENGTH || !text.bytes().all(usable) || text.contains('#') {
            return Err(wrong());
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let encrypted = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = host_and_port(authority).ok_or_else(wrong)?;
        let address = Self {
            encrypted,
            port: port.unwrap_or(if encrypted { 443 } else { 80 }),
            path: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            },
            text: text.to_owned(),
            host,
        };
        if !encrypted && !is_loopback(&address.host) {
            return Err(format!(
                "\"{text}\" is not encrypted, and secrets would cross the network; use https://"
            ));
        }
        Ok(address)
    }
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(fits) {
        return None;
    }
    let port = match port {
        "" => None,
        port => {
            let digits = port.strip_prefix(':')?;
            let all = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.parse().ok().filter(|port| all && *port != 0)?;
            Some(port)
        }
    };
    Some((host.to_ascii_lowercase(), port))
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_address_has_a_host_a_port_and_a_path() {
        let token = address("https://Login.example.com/a/token?x=1");
        assert_eq!((token.host(), token.port()), ("login.example.com", 443));
        assert_eq!(token.path(), "/a/token?x=1");
        assert_eq!(token.authority(), "Login.example.com");
        let local = address("http://127.0.0.1:8080");
        assert_eq!((local.port(), local.path()), (8080, "/"));
        assert_eq!(local.authority(), "127.0.0.1:8080");
        assert_eq!(address("http://[::1]:81/x").host(), "::1");
        assert_eq!(address("https://a?b").path(), "/?b");
    }

    #[test]
    fn secrets_leave_this_machine_encrypted_only() {
        for text in ["http://localhost/", "http://127.9.9.9/", "http://[::1]/"] {
            assert!(!address(text).is_encrypted());
        }
        for text in ["http://login.example.com/token", "http://10.0.0.1/token"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("is not encrypted"), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let wrong = [
            "",
            "login.example.com",
            "ftp://a/",
            "https://",
            "https:///token",
            "https://a:0/",
            "https://a:+1/",
            "https://a:99999/",
            "https://[::1/",
            "https://[::1]x/",
            "https://a b/",
            "https://a/\r\nX: y",
            "https://a/#x",
            "https://ä/",
        ];
        for text in wrong {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let error = "https://u:secret@a/".parse::<Address>().unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
