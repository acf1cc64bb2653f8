//! The PROXY protocol, versions 1 and 2: what a proxy or load balancer says before everything else about where a connection comes from
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Without I/O: octets in, how many more are wanted out, and never more than belong to the header, as what follows it may be a TLS
//! handshake. Must not know: sockets, who may say so.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// No header of either version is shorter: `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// The longest header of version 2, of which the specification lets 65,551 octets be. What follows the addresses is not looked at; the
/// largest of it are names and certificates' subjects.
const LONGEST: usize = 4096;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 without the addresses.
const FIXED: usize = 16;

/// What there is of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least so many octets more belong to it; never 0.
    Wants(usize),
    /// It is whole.
    Whole(Source),
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From there, through the proxy.
    Client(SocketAddr),
    /// From the proxy itself, which looks whether somebody answers, or from somewhere that it cannot name.
    Proxy,
}

/// Why something is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It begins like neither version.
    Start,
    /// A version 1 line that does not end, or is not made of protocol, addresses and ports.
    Line,
    /// Another version than 2, or a command that it does not have.
    Version,
    /// A protocol that is not TCP.
    Protocol,
    /// Longer than is taken, or too short for its addresses.
    Length,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "what came first is no PROXY header",
            Self::Line => "the PROXY line is not made as version 1 wants it",
            Self::Version => "the PROXY header is of a version or with a command that is not known",
            Self::Protocol => "the PROXY header is not about TCP",
            Self::Length => "the PROXY header is too long or too short",
        })
    }
}

/// Looks at the first octets of a connection.
///
/// # Errors
/// [`Bad`], as soon as it is certain.
pub fn header(octets: &[u8]) -> Result<Step, Bad> {
    let start = octets.get(..SIGNATURE.len()).unwrap_or(octets);
    if SIGNATURE.starts_with(start) {
        return match octets.get(..FIXED) {
            Some(fixed) => version_2(fixed, octets),
            None => Ok(Step::Wants(least(octets, FIXED))),
        };
    }
    let start = octets.get(..6).unwrap_or(octets);
    if b"PROXY ".starts_with(start) {
        return version_1(octets);
    }
    Err(Bad::Start)
}

/// What is wanted at least as long as it may be the shortest header.
fn least(octets: &[u8], whole: usize) -> usize {
    match octets.len() {
        len @ 0..SHORTEST => SHORTEST - len,
        len => whole.saturating_sub(len).max(1),
    }
}

fn version_1(octets: &[u8]) -> Result<Step, Bad> {
    let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
        return match octets.len() {
            0..SHORTEST => Ok(Step::Wants(least(octets, SHORTEST))),
            LONGEST_LINE.. => Err(Bad::Line),
            _ if octets.ends_with(b"\r") => Ok(Step::Wants(1)),
            len => Ok(Step::Wants(2.min(LONGEST_LINE - len))),
        };
    };
    // Nobody reads beyond the end.
    let line = octets.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line
        .filter(|_| end + 1 == octets.len())
        .and_then(|line| str::from_utf8(line).ok());
    let words: Vec<&str> = line.ok_or(Bad::Line)?.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(Step::Whole(Source::Proxy)),
        ["PROXY", protocol, source, destination, from, to] => {
            let is_right = match *protocol {
                "TCP4" => is_ip::<Ipv4Addr>(source) && is_ip::<Ipv4Addr>(destination),
                "TCP6" => is_ip::<Ipv6Addr>(source) && is_ip::<Ipv6Addr>(destination),
                _ => return Err(Bad::Protocol),
            };
            let address = source.parse::<IpAddr>().map_err(|_| Bad::Line)?;
            let (from, to) = (port(from), port(to));
            match (is_right, from, to) {
                (true, Some(from), Some(_)) => Ok(Step::Whole(client(address, from))),
                _ => Err(Bad::Line),
            }
        }
        _ => Err(Bad::Line),
    }
}

fn is_ip<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// Digits without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok()).flatten()
}

fn version_2(fixed: &[u8], octets: &[u8]) -> Result<Step, Bad> {
    let [.., version_and_command, family_and_protocol, high, low] = fixed else {
        return Err(Bad::Start);
    };
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Bad::Version),
    };
    let whole = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if whole > LONGEST {
        return Err(Bad::Length);
    }
    let rest = match octets.get(FIXED..whole) {
        Some(rest) if whole == octets.len() => rest,
        Some(_) => return Err(Bad::Length),
        None => return Ok(Step::Wants(whole - octets.len())),
    };
    if is_local {
        return Ok(Step::Whole(Source::Proxy));
    }
    let source = match family_and_protocol {
        // Unspecified; a socket of the proxy's own machine.
        0x00 | 0x31 => return Ok(Step::Whole(Source::Proxy)),
        0x11 => {
            let rest = rest.get(..12).ok_or(Bad::Length)?;
            let address: [u8; 4] = first(rest).ok_or(Bad::Length)?;
            client(Ipv4Addr::from(address).into(), port_at(rest, 8)?)
        }
        0x21 => {
            let rest = rest.get(..36).ok_or(Bad::Length)?;
            let address: [u8; 16] = first(rest).ok_or(Bad::Length)?;
            client(Ipv6Addr::from(address).into(), port_at(rest, 32)?)
        }
        _ => return Err(Bad::Protocol),
    };
    Ok(Step::Whole(source))
}

fn first<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    octets.get(..N)?.try_into().ok()
}

fn port_at(octets: &[u8], at: usize) -> Result<u16, Bad> {
    let port = octets.get(at..).and_then(first::<2>);
    port.map(u16::from_be_bytes).ok_or(Bad::Length)
}

fn client(address: IpAddr, port: u16) -> Source {
    // An IPv4 client of a proxy that listens on IPv6 is an IPv4 client.
    Source::Client(SocketAddr::new(address.to_canonical(), port))
}
