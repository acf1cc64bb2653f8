//! INTERNALDATE (RFC 3501, 9: date-time) to seconds since 1970.
//!
//! Pure. Must not know: the clock or what the date is used for.

use time::{Date, Month, Time, UtcOffset};

/// Reads `17-Jul-1996 02:44:25 -0700` (a leading space instead of the day's first digit is usual). `None` where it is no date.
pub(super) fn internal_date(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let (date, clock, zone) = (words.next()?, words.next()?, words.next()?);
    let mut date = date.splitn(3, '-');
    let day = date.next()?.parse().ok()?;
    let month = month(date.next()?)?;
    let year = date.next()?.parse().ok()?;
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let (sign, digits) = (zone.get(..1)?, zone.get(1..)?);
    let zone: i32 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    let zone = (zone / 100 * 60 + zone % 100) * 60 * if sign == "-" { -1 } else { 1 };
    // A leap second is the second before it: the date only has to be the same each time.
    let time = Time::from_hms(hour, minute, second.min(59)).ok()?;
    let offset = UtcOffset::from_whole_seconds(zone).ok()?;
    Some(
        Date::from_calendar_date(year, month, day)
            .ok()?
            .with_time(time)
            .assume_offset(offset)
            .unix_timestamp(),
    )
}

fn month(name: &str) -> Option<Month> {
    use Month::{
        April, August, December, February, January, July, June, March, May, November, October,
        September,
    };
    let months = [
        January, February, March, April, May, June, July, August, September, October, November,
        December,
    ];
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let at = names
        .iter()
        .position(|known| name.eq_ignore_ascii_case(known))?;
    months.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::internal_date;

    #[test]
    fn dates_are_read_with_their_zone() {
        assert_eq!(
            internal_date("17-Jul-1996 02:44:25 -0700"),
            Some(837_596_665)
        );
        assert_eq!(internal_date(" 1-Jan-1970 00:00:00 +0000"), Some(0));
        assert_eq!(internal_date(" 1-jan-1970 01:00:60 +0100"), Some(59));
        assert_eq!(
            internal_date("01-Feb-2026 00:00:00 +1345"),
            internal_date("31-Jan-2026 10:15:00 +0000")
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "x",
            "32-Jul-1996 02:44:25 -0700",
            "17-Foo-1996 02:44:25 +0000",
            "17-Jul-1996 25:44:25 +0000",
            "17-Jul-1996 02:44:25 +\u{e9}00",
            "17-Jul-1996 02:44:25",
        ] {
            assert_eq!(internal_date(text), None, "{text}");
        }
    }
}
