//! Values that people write with a unit or in a notation: durations, sizes, dates, networks.
//!
//! Each parser takes the text and answers the value, or words that say how to write it. They must not know which key the
//! text belongs to.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use time::{Date, Month};

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

/// A [`duration`] of hours or days, in whole seconds within `range`.
pub(super) fn age(text: &str, range: RangeInclusive<i64>) -> Result<i64, String> {
    let duration = duration(text)?;
    match i64::try_from(duration.as_secs()) {
        Ok(seconds) if range.contains(&seconds) && duration.subsec_nanos() == 0 => Ok(seconds),
        _ => Err(format!(
            "\"{text}\" is out of range; write {} to {}",
            in_words(*range.start()),
            in_words(*range.end())
        )),
    }
}

/// Seconds in the largest unit that fits.
fn in_words(seconds: i64) -> String {
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)];
    let fits = units
        .iter()
        .find(|(_, size)| seconds >= *size && seconds % size == 0);
    match fits {
        Some((unit, size)) => format!("{}{unit}", seconds / size),
        None => format!("{seconds}s"),
    }
}

/// A day such as `2026-01-31`: the seconds since 1970 at which it begins in UTC.
pub(super) fn date(text: &str) -> Result<i64, String> {
    let help =
        || format!("\"{text}\" is not a date; write year, month and day, such as \"2026-01-31\"");
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let parts = (text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-')
        .then(|| Some((number(0..4)?, number(5..7)?, number(8..10)?)))
        .flatten();
    let (year, month, day) = parts.ok_or_else(help)?;
    let month = u8::try_from(month)
        .ok()
        .and_then(|month| Month::try_from(month).ok());
    let day = u8::try_from(day).ok();
    let date = month
        .zip(day)
        .and_then(|(month, day)| Date::from_calendar_date(i32::from(year), month, day).ok())
        .ok_or_else(help)?;
    Ok(date.midnight().assume_utc().unix_timestamp())
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
