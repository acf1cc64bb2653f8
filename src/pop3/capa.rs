//! What CAPA lists (RFC 2449): exactly what this listener does now.
//!
//! It must not decide anything: what is listed follows from the [`Profile`] that
//! the commands themselves obey.

use super::response;
use super::sasl::Mechanism;
use super::session::{Profile, TlsState};

/// The whole answer. `authorization` is whether the client has yet to log in.
pub(super) fn answer(profile: &Profile, authorization: bool, out: &mut Vec<u8>) {
    response::ok("Capability list follows.", out);
    let mut list = |capability: &str| response::line(format_args!("{capability}"), out);
    list("TOP");
    list("UIDL");
    list("RESP-CODES");
    list("AUTH-RESP-CODE");
    list("PIPELINING");
    // Without the argument USER: names and passwords are taken in UTF-8 anyway, but not prepared as RFC 6856 section 2.2 wants it.
    list("UTF8");
    // The bridge itself never removes mail because of its age.
    list("EXPIRE NEVER");
    // Not LOGIN-DELAY: there is none.
    // RFC 2449 section 5: what can be announced before log-in must be after it, too.
    if profile.may_log_in() {
        list("USER");
    }
    let mechanisms: Vec<&str> = profile.shown_mechanisms().map(Mechanism::as_str).collect();
    if !mechanisms.is_empty() {
        list(&["SASL", &mechanisms.join(" ")].join(" "));
    }
    // The exception: STLS is listed only where it is permitted (RFC 2595 section 4).
    if authorization && profile.tls == TlsState::Offered {
        list("STLS");
    }
    list(&["IMPLEMENTATION", &profile.implementation].join(" "));
    response::end(out);
}

/// The answer to AUTH without a mechanism: no RFC has it, but Outlook asks so, and
/// Dovecot answers.
pub(super) fn answer_mechanisms(profile: &Profile, out: &mut Vec<u8>) {
    response::ok("Mechanisms follow.", out);
    for mechanism in profile.shown_mechanisms() {
        response::line(format_args!("{}", mechanism.as_str()), out);
    }
    response::end(out);
}
