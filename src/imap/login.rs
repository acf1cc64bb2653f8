//! The log-ins that the IMAP crate cannot do: AUTHENTICATE, with the message in the command itself where the upstream takes it there
//! (SASL-IR, RFC 4959), and LOGIN with literals (RFC 7888) for what cannot be quoted.
//!
//! Whatever an upstream says before `+` is noted by the transport and does not disturb. Nobody is in before all was sent: an upstream
//! that says OK earlier has checked nothing.
//! Must not know: the IMAP crate, why somebody logs in.

use zeroize::Zeroizing;

use super::challenge::Complaint;
use super::error::Error;
use super::reply::{Capabilities, Reply};
use super::sasl::{Claim, Mechanism, quoted};
use super::transport::{Heard, Transport};

/// Of a letter that the IMAP crate never uses.
const TAG: &str = "S0001";
/// Servers take command lines of so many octets at least (RFC 2683, 3.2.1.5). A message that is longer, because a token may be, goes
/// where lines may be longer: behind `+`.
const LONGEST_COMMAND: usize = 8000;
/// With LITERAL- so many octets need not be asked for (RFC 7888, 5); no password has more.
const LONGEST_UNASKED: usize = 4096;

/// Whether LOGIN can quote user and password: letters beyond ASCII cannot be (RFC 3501, 9: CHAR).
pub(super) fn can_be_quoted(claim: &Claim<'_>) -> bool {
    claim.user.is_ascii() && claim.secret.is_ascii()
}

/// Logs in. The secrets are withheld by the transport already.
///
/// # Errors
/// [`Error::LoginRefused`], [`Error::TokenRefused`]; [`Error::Insecure`] where the upstream lets somebody in without having seen
/// what shows that they may; what [`Transport::answer_by_hand`] can give.
pub(super) async fn log_in(
    transport: &mut Transport,
    claim: &Claim<'_>,
    offered: &Capabilities,
) -> Result<(), Error> {
    transport.begin_by_hand(TAG)?;
    match claim.mechanism {
        Mechanism::Login => login(transport, claim, offered).await,
        _ => authenticate(transport, claim, offered).await,
    }
}

async fn authenticate(
    transport: &mut Transport,
    claim: &Claim<'_>,
    offered: &Capabilities,
) -> Result<(), Error> {
    let message = claim.message();
    let start = format!("{TAG} AUTHENTICATE {}", claim.mechanism.name());
    let at_once = offered.has("SASL-IR") && start.len() + 1 + message.len() + 2 <= LONGEST_COMMAND;
    let command: &[&str] = match at_once {
        true => &[&start, " ", &message],
        false => &[&start],
    };
    say(transport, command).await?;
    // Once behind `+`: also where it was in the command, as a server may offer SASL-IR and not know it.
    let mut was_asked = false;
    let mut complaint = None;
    loop {
        match transport.answer_by_hand().await? {
            Heard::Answered(reply) => return conclude(reply, at_once || was_asked, complaint),
            Heard::Asked(_) if complaint.is_some() => {
                return Err(Error::Protocol("a question behind the last one"));
            }
            Heard::Asked(challenge) => {
                let dummy = claim.mechanism.dummy().filter(|_| at_once || was_asked);
                let has_secret = |text: &[u8]| transport.has_secret(text);
                match (dummy, Complaint::parse(&challenge, has_secret)) {
                    (Some(dummy), Some(said)) => {
                        complaint = Some(said);
                        say(transport, &[dummy]).await?;
                    }
                    _ if !was_asked => {
                        was_asked = true;
                        say(transport, &[&message]).await?;
                    }
                    // Not in the form that anybody could read.
                    (Some(dummy), None) => {
                        complaint = Some(Complaint::default());
                        say(transport, &[dummy]).await?;
                    }
                    (None, _) => return Err(Error::Protocol("the password was asked for twice")),
                }
            }
        }
    }
}

async fn login(
    transport: &mut Transport,
    claim: &Claim<'_>,
    offered: &Capabilities,
) -> Result<(), Error> {
    let unasked = offered.has("LITERAL+") || offered.has("LITERAL-");
    // Room for all, as nobody would wipe what it had to be moved from.
    let room = 64 + 2 * (claim.user.len() + claim.secret.len());
    let mut command = Zeroizing::new(String::with_capacity(room));
    // Where the upstream has to ask for what follows.
    let mut ends = Vec::new();
    command.extend([TAG, " LOGIN"]);
    for text in [claim.user, claim.secret] {
        if text.is_ascii() {
            command.extend([" \"", &Zeroizing::new(quoted(text)), "\""]);
            continue;
        }
        let length = text.len();
        if unasked && length <= LONGEST_UNASKED {
            command.push_str(&format!(" {{{length}+}}\r\n"));
        } else {
            command.push_str(&format!(" {{{length}}}\r\n"));
            ends.push(command.len());
        }
        command.push_str(text);
    }
    command.push_str("\r\n");
    let all = command.len();
    ends.push(all);
    let mut sent = 0;
    for end in ends {
        transport
            .send_by_hand(&command.as_bytes()[sent..end])
            .await?;
        sent = end;
        match transport.answer_by_hand().await? {
            Heard::Answered(reply) => return conclude(reply, sent == all, None),
            Heard::Asked(_) => {}
        }
    }
    Err(Error::Protocol("a question behind the last one"))
}

/// Sends a line of these parts, in one piece.
async fn say(transport: &mut Transport, parts: &[&str]) -> Result<(), Error> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut line = Zeroizing::new(String::with_capacity(length + 2));
    line.extend(parts.iter().copied());
    line.push_str("\r\n");
    transport.send_by_hand(line.as_bytes()).await
}

/// What the tagged answer means, given whether the upstream had everything by then, and what it had against a token.
fn conclude(reply: Reply, had_all: bool, complaint: Option<Complaint>) -> Result<(), Error> {
    match (reply.is_ok(), complaint) {
        (true, _) if !had_all => Err(Error::Insecure(
            "the upstream accepted the log-in without asking for the password",
        )),
        (true, Some(_)) => Err(Error::Protocol("a token was refused and then accepted")),
        (true, None) => Ok(()),
        (false, Some(complaint)) => Err(Error::TokenRefused {
            complaint: Box::new(complaint),
            reply,
        }),
        (false, None) => Err(Error::LoginRefused(reply)),
    }
}

#[cfg(test)]
mod tests;
