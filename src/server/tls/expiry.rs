//! When a certificate ends (RFC 5280, 4.1.2.5). Of its DER only what leads there is read.
//!
//! Pure. Must not know: whether anybody trusts the certificate.

use time::{Date, Month, Time};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, `[0]`, which version 1 does not have.
const VERSION: u8 = 0xa0;

/// The end of its validity, in seconds since 1970; `None` where it cannot be found.
pub(super) fn ends(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, behind)) = element(rest, VERSION) {
        rest = behind;
    }
    // The serial number, the signature's algorithm, the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = element(rest, tag)?;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, end) = time_of(validity)?;
    let (end, _) = time_of(end)?;
    end
}

/// A time, if it is one that a certificate may have, and what is behind it.
fn time_of(input: &[u8]) -> Option<(Option<i64>, &[u8])> {
    if let Some((text, rest)) = element(input, UTC_TIME) {
        return Some((utc(text), rest));
    }
    let (text, rest) = element(input, GENERALIZED_TIME)?;
    Some((generalized(text), rest))
}

/// `YYMMDDHHMMSSZ`, from 1950 to 2049.
fn utc(text: &[u8]) -> Option<i64> {
    let (year, rest) = text.split_at_checked(2)?;
    let year = number(year)?;
    seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)
}

/// `YYYYMMDDHHMMSSZ`.
fn generalized(text: &[u8]) -> Option<i64> {
    let (year, rest) = text.split_at_checked(4)?;
    seconds(number(year)?, rest)
}

fn seconds(year: i32, rest: &[u8]) -> Option<i64> {
    let mut parts = rest
        .strip_suffix(b"Z")
        .filter(|digits| digits.len() == 10)?
        .chunks(2);
    let mut part = || u8::try_from(number(parts.next()?)?).ok();
    let (month, day) = (Month::try_from(part()?).ok()?, part()?);
    let (hour, minute, second) = (part()?, part()?, part()?);
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

fn number(digits: &[u8]) -> Option<i32> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// What is in the element that `input` begins with, if it has this tag, and what is behind it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = input.split_at_checked(2)?;
    let [found, first] = *head else { return None };
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // In so many octets; no certificate is longer than four can say.
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(year, month, day);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        made.der().to_vec()
    }

    #[test]
    fn the_end_is_found_in_either_form() {
        // UTCTime to 2049, GeneralizedTime from 2050 on.
        assert_eq!(ends(&certificate(2027, 3, 1)), Some(1_803_859_200));
        assert_eq!(ends(&certificate(2050, 1, 1)), Some(2_524_608_000));
        assert_eq!(ends(&certificate(4096, 1, 1)), Some(67_090_118_400));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(2027, 3, 1);
        for length in 0..whole.len() {
            // Short of its own length, whatever that leads to.
            assert_eq!(ends(&whole[..length]), None);
        }
        assert_eq!(utc(b"270301000000Z"), Some(1_803_859_200));
        for wrong in [
            &b"2703010000Z"[..],
            b"270301000000",
            b"27+301000000Z",
            b"271301000000Z",
        ] {
            assert_eq!(utc(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_too_odd(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ends(&octets);
        }
    }
}
