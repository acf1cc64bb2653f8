//! The messages of XOAUTH2 and OAUTHBEARER: for whom a token is, and the token (RFC 7628; XOAUTH2 is Google's, and has no RFC).
//!
//! It must not know whether the token is any good. Nothing is kept of host and port, which are there for servers with many names.

/// A user name and a token that is visible ASCII without spaces; empty where the message has an empty one.
pub(super) type Found<'a> = (String, &'a str);

/// `user=U ^A auth=Bearer T ^A ^A`.
pub(super) fn xoauth2(message: &[u8]) -> Option<Found<'_>> {
    let fields = Fields::parse(str::from_utf8(message).ok()?)?;
    Some((fields.user?.to_owned(), fields.token?))
}

/// `n,a=U, ^A host=H ^A port=P ^A auth=Bearer T ^A ^A` (RFC 7628, 3.1). There may be other fields; without a name nobody would know
/// whom to ask.
pub(super) fn oauthbearer(message: &[u8]) -> Option<Found<'_>> {
    let (header, rest) = str::from_utf8(message).ok()?.split_once('\u{1}')?;
    let mut parts = header.split(',');
    // The second stands for a client that could bind the channel and has seen that the server cannot.
    let (Some("n" | "y"), Some(name), Some(""), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let user = unescaped(name.strip_prefix("a=")?)?;
    Some((user, Fields::parse(rest)?.token?))
}

#[derive(Default)]
struct Fields<'a> {
    user: Option<&'a str>,
    token: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut found = Self::default();
        for field in text.strip_suffix("\u{1}\u{1}")?.split('\u{1}') {
            let (key, value) = field.split_once('=')?;
            let before = match key {
                "user" => found.user.replace(value),
                "auth" => found.token.replace(token(value)?),
                _ => None,
            };
            // Which of two would be meant?
            if before.is_some() {
                return None;
            }
        }
        Some(found)
    }
}

/// `Bearer T` (RFC 6750, 2.1).
fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let is_token =
        scheme.eq_ignore_ascii_case("Bearer") && token.bytes().all(|o| o.is_ascii_graphic());
    is_token.then_some(token)
}

/// A name whose `,` and `=` were written as `=2C` and `=3D` (RFC 5801, 4).
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (char, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        plain.push(char);
        plain.push_str(rest);
    }
    Some(plain)
}
