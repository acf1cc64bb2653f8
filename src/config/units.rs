//! Values that people write with a unit or in a notation: durations, sizes, networks.
//!
//! Each parser takes the text and answers the value, or words that say how to write it. They must not know which key the
//! text belongs to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

/// `500ms`, `30s`, `10m`, `12h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let help = || {
        format!(
            "\"{text}\" is not a duration; write a number and ms, s, m, h or d, such as \"30s\""
        )
    };
    let number: u64 = number.parse().map_err(|_| help())?;
    let seconds_per_unit = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(help()),
    };
    number
        .checked_mul(seconds_per_unit)
        .map(Duration::from_secs)
        .ok_or_else(help)
}

/// `4096B`, `512KiB`, `64MiB`, `2GiB`, in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let help = || {
        format!(
            "\"{text}\" is not a size; write a number and B, KiB, MiB or GiB, such as \"64MiB\""
        )
    };
    let number: u64 = number.parse().map_err(|_| help())?;
    let bytes_per_unit = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(help()),
    };
    number.checked_mul(bytes_per_unit).ok_or_else(help)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

/// A network such as `192.168.10.0/24`, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        format!("\"{text}\" is not a network; write it such as \"192.168.10.0/24\" or \"fd00::/8\", or a single address")
    })?;
    // "192.168.10.5/24" may mean the host or the whole network: what lets passwords pass unencrypted is not guessed.
    if network.trunc() != network {
        return Err(format!(
            "\"{text}\" has bits set beyond its prefix; write \"{}\" for the network or \"{}\" for the one address",
            network.trunc(),
            network.addr()
        ));
    }
    Ok(network)
}

/// An address to listen on such as `127.0.0.1:1110` or `[::]:995`.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("\"{text}\" is not an IP address and a port; write it such as \"127.0.0.1:1110\" or \"[::]:995\"")
    })
}
