//! The message about a refused log-in, as Dovecot writes it and fail2ban reads it.

use std::fmt::Write;
use std::net::IpAddr;

/// More of a user name than this is no help, and a log is not the place to store it.
const MAX_USER: usize = 128;

/// The message about a refused log-in.
///
/// `user` is what the client said, `mechanism` the name of a SASL mechanism or "PASS", `attempts` how often the client was
/// refused on this connection, `secs` how long the connection is open, `rip` the client's address, `lip` the bridge's, `session`
/// an id that is in the session's other events, too. Whatever `user` is, it can neither end its field nor the line: all but
/// ASCII letters, digits and `.-_@+` becomes `\xNN`, and what is beyond 128 characters of that is cut off.
#[must_use]
pub fn login_failed_line(
    user: &str,
    mechanism: &str,
    attempts: u32,
    secs: u64,
    rip: IpAddr,
    lip: IpAddr,
    session: &str,
) -> String {
    format!(
        "Aborted login (auth failed, {attempts} attempts in {secs} secs): user=<{}>, method={}, rip={}, lip={}, session=<{}>",
        escaped(user),
        escaped(mechanism),
        // As fail2ban has to ban it: "192.0.2.1", not "::ffff:192.0.2.1".
        rip.to_canonical(),
        lip.to_canonical(),
        escaped(session),
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if escaped.len() >= MAX_USER {
            escaped.push_str("...");
            break;
        }
        if byte.is_ascii_alphanumeric() || b".-_@+".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str) -> String {
        let rip = "::ffff:192.0.2.1".parse().unwrap();
        let lip = "127.0.0.1".parse().unwrap();
        login_failed_line(user, "PLAIN", 1, 2, rip, lip, "abc")
    }

    #[test]
    fn a_refused_log_in_reads_like_dovecots() {
        assert_eq!(
            line("bob.o-k_1+x@example.com"),
            "Aborted login (auth failed, 1 attempts in 2 secs): user=<bob.o-k_1+x@example.com>, method=PLAIN, rip=192.0.2.1, \
             lip=127.0.0.1, session=<abc>"
        );
    }

    #[test]
    fn a_user_name_forges_neither_field_nor_line() {
        let cases = [
            ("x>, rip=1.2.3.4", "x\\x3e\\x2c\\x20rip\\x3d1.2.3.4"),
            ("x\r\ny", "x\\x0d\\x0ay"),
            ("\x1b[31m\0", "\\x1b\\x5b31m\\x00"),
            ("ä\\<", "\\xc3\\xa4\\x5c\\x3c"),
            ("", ""),
        ];
        for (user, written) in cases {
            assert!(
                line(user).contains(&format!("user=<{written}>, method=")),
                "{}",
                line(user)
            );
        }
    }

    #[test]
    fn a_long_user_name_is_cut() {
        let of = |user: &str| line(user).len() - line("").len();
        assert_eq!(of(&"x".repeat(128)), 128);
        assert_eq!(of(&"x".repeat(10_000)), 131);
        assert!(of(&"\u{1f4a9}".repeat(10_000)) < 140);
    }
}
