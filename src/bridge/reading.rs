//! Making sure that messages are read which were listed, and where they can be read.
//!
//! Must not know: sessions, what is read of them.

use std::time::Instant;

use super::known::Known;
use super::pool::Lease;
use super::trouble::Trouble;
use crate::imap::{Error, Identity, Target};
use crate::maildrop::{Item, Place, Uid};

/// Where a message is read, and what it was when it was listed.
pub(super) fn whereabouts<'a>(known: &'a Known, item: &Item) -> Option<(&'a Place, Target)> {
    let place = known.contents.place(item)?;
    let register = known.folder_of(place)?.register.as_ref()?;
    let position = register.position_of_uid(item.uid)?;
    let listed = register.index.messages.get(position)?;
    let target = Target {
        uid: listed.uid,
        size: listed.size,
        internal_date: listed.internal_date,
        gm_msgid: register.gm_msgid(position),
    };
    Some((place, target))
}

/// Makes sure that the messages' folder is open and that their UIDs still are the messages that were listed: the connection may have been
/// opened before they came, or after UIDs were given a second time. Gives those that are known not to be there any more.
///
/// # Errors
/// [`Error::Inconsistent`] where another message has one of the UIDs; what a command can give.
pub(super) async fn open(
    lease: &mut Lease,
    place: &Place,
    targets: &[Target],
    listed_at: Instant,
) -> Result<Vec<Uid>, Trouble> {
    let are_in_step = targets
        .iter()
        .all(|target| lease.still_has(&place.folder, place.uid_validity, target));
    if are_in_step {
        return Ok(Vec::new());
    }
    let uids: Vec<Uid> = targets.iter().map(|target| target.uid).collect();
    let mut is_new = false;
    loop {
        if is_new || !lease.has_opened(&place.folder, place.uid_validity, listed_at) {
            let examined = lease.examine(&place.folder, true).await?;
            if examined.uid_validity != place.uid_validity {
                return Err(Error::Inconsistent("UIDVALIDITY changed during the session").into());
            }
            is_new = true;
        }
        let now = lease.identities(&uids).await?;
        let mut missing = Vec::new();
        for target in targets {
            let now = now.get(&target.uid).map(|now| match lease.is_utf8() {
                // RFC 6855: what was listed may be the size of another form.
                true => Identity {
                    size: target.size,
                    ..*now
                },
                false => *now,
            });
            match now {
                Some(now) if target.is(&now) => {}
                Some(_) => {
                    return Err(Error::Inconsistent("another message has this UID now").into());
                }
                None => missing.push(target.uid),
            }
        }
        if missing.is_empty() || is_new {
            return Ok(missing);
        }
        // It may have been opened while the upstream did not show everything.
        is_new = true;
    }
}
