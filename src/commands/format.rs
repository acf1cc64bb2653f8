//! Text for people: tables and times.
//!
//! Pure. Must not know what is shown.

use time::OffsetDateTime;

/// Columns as wide as their widest cell, two spaces apart, without spaces at the ends of lines.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `2026-01-31 07:05` in UTC; "-" for no time.
pub(super) fn time(seconds: Option<i64>) -> String {
    parts(seconds).map_or_else(
        || "-".to_owned(),
        |(date, time, _)| format!("{date} {time}"),
    )
}

/// `2026-01-31T07:05:09Z` (RFC 3339), for programs.
pub(super) fn rfc3339(seconds: Option<i64>) -> Option<String> {
    let (date, time, second) = parts(seconds)?;
    Some(format!("{date}T{time}:{second:02}Z"))
}

fn parts(seconds: Option<i64>) -> Option<(String, String, u8)> {
    let at = OffsetDateTime::from_unix_timestamp(seconds?).ok()?;
    let date = format!(
        "{:04}-{:02}-{:02}",
        at.year(),
        u8::from(at.month()),
        at.day()
    );
    Some((
        date,
        format!("{:02}:{:02}", at.hour(), at.minute()),
        at.second(),
    ))
}

/// A name on a person's terminal: what could command it is left out.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// `1 message`, `2 messages`.
pub(super) fn count(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Octets in the largest unit of which there is one: `14.2 GiB`.
pub(super) fn octets(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut shown = format!("{n} B");
    let mut unit = 1_u64;
    for name in UNITS {
        unit *= 1024;
        if n < unit {
            break;
        }
        // Rounded down: what is nearly full is not shown as full.
        let tenths = u128::from(n) * 10 / u128::from(unit);
        shown = format!("{}.{} {name}", tenths / 10, tenths % 10);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_said_in_the_unit_that_fits() {
        assert_eq!(octets(0), "0 B");
        assert_eq!(octets(1023), "1023 B");
        assert_eq!(octets(1024), "1.0 KiB");
        assert_eq!(octets((1 << 20) - 1), "1023.9 KiB");
        assert_eq!(octets(15 << 30), "15.0 GiB");
        assert_eq!(octets(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [
            row(&["A", "BB", "C"]),
            row(&["ääää", "", "x"]),
            row(&["a", "b", ""]),
        ];
        assert_eq!(table(&rows), "A     BB  C\nääää      x\na     b\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn times_are_in_utc_with_leading_zeros() {
        assert_eq!(time(Some(1_769_843_109)), "2026-01-31 07:05");
        assert_eq!(
            rfc3339(Some(1_769_843_109)).as_deref(),
            Some("2026-01-31T07:05:09Z")
        );
        assert_eq!(time(None), "-");
        assert_eq!(rfc3339(Some(i64::MAX)), None);
    }

    #[test]
    fn a_name_cannot_command_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\n"), "a[2Jbc");
    }
}
