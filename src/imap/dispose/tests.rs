use super::*;
use crate::imap::script_tests::{Heard, uids, upstream};
use crate::imap::set::uid_sets;

const SELECTED: &str = "* 4 EXISTS\n* OK [UIDVALIDITY 7] x\n* OK [PERMANENTFLAGS (\\Deleted \\Seen $Done)] x\n{tag} OK [READ-WRITE] done\n";
const OK: &str = "{tag} OK done\n";

fn to() -> Destinations {
    Destinations {
        trash: Trash::SpecialUse,
        archive: Archive::SpecialUse,
        expunge_without_uidplus: false,
    }
}

/// A message of ten times its UID's octets and its UID as its date.
fn target(uid: u32) -> Target {
    Target {
        uid: Uid::new(uid).unwrap(),
        size: uid * 10,
        internal_date: i64::from(uid),
        gm_msgid: None,
    }
}

fn row(uid: u32, second: u32, size: u32) -> String {
    format!(
        "* 1 FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \" 1-Jan-1970 00:00:{second:02} +0000\")\n"
    )
}

async fn acted(
    answers: &[&str],
    targets: &[Target],
    plan: &Removal,
) -> (Result<(), Error>, Acted, Heard) {
    acted_within("UIDPLUS MOVE", answers, targets, plan).await
}

async fn acted_within(
    capabilities: &str,
    answers: &[&str],
    targets: &[Target],
    plan: &Removal,
) -> (Result<(), Error>, Acted, Heard) {
    let (mut connection, heard) = upstream(capabilities, answers).await;
    let mut acted = Acted::default();
    let generation = UidValidity::new(7).unwrap();
    let outcome = connection
        .act("INBOX", generation, targets, plan, &mut acted)
        .await;
    (outcome, acted, heard)
}

#[tokio::test]
async fn only_messages_that_are_still_the_same_are_touched() {
    // 1 is the same, 2 has another date, 3 another size, 4 is gone.
    let now = row(1, 1, 10) + &row(2, 3, 20) + &row(3, 3, 31) + OK;
    let targets = [4, 3, 2, 1, 1].map(target);
    let answers = [SELECTED, &now, OK, OK];
    let (outcome, acted, heard) = acted(&answers, &targets, &Removal::UidExpunge).await;
    outcome.unwrap();
    assert_eq!(acted.done, uids(&[1]));
    assert_eq!(acted.mismatched, uids(&[2, 3]));
    assert_eq!(acted.absent, uids(&[4]));
    let expected = [
        "SELECT \"INBOX\"",
        "UID FETCH 1:4 (UID RFC822.SIZE INTERNALDATE)",
        "UID STORE 1 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 1",
    ];
    assert_eq!(heard.all(), expected);
}

#[test]
fn gmails_id_counts_more_than_a_size_and_no_id_makes_up_for_another_date() {
    let identity = |size, internal_date, gm_msgid| Identity {
        size,
        internal_date,
        gm_msgid,
    };
    let listed = Target {
        gm_msgid: Some(5),
        ..target(1)
    };
    assert!(listed.is(&identity(11, 1, Some(5))));
    assert!(!listed.is(&identity(10, 1, Some(6))));
    assert!(!listed.is(&identity(10, 2, Some(5))));
    assert!(listed.is(&identity(10, 1, None)) && !listed.is(&identity(11, 1, None)));
    assert!(target(1).is(&identity(10, 1, Some(5))) && !target(1).is(&identity(11, 1, Some(5))));
}

#[tokio::test]
async fn where_none_is_left_nothing_is_changed() {
    let answers = [SELECTED, OK];
    for plan in [Removal::UidExpunge, Removal::BareExpunge] {
        let (outcome, acted, heard) = acted(&answers, &[target(1)], &plan).await;
        outcome.unwrap();
        assert_eq!(acted.absent, uids(&[1]));
        assert_eq!(heard.all().len(), 2);
    }
    let (outcome, acted, heard) = acted(&[], &[], &Removal::UidExpunge).await;
    outcome.unwrap();
    assert_eq!((acted, heard.all().len()), (Acted::default(), 0));
}

#[tokio::test]
async fn what_was_done_before_a_batch_failed_is_told() {
    let count = u32::try_from(BATCH).unwrap();
    let (mut first, mut second) = (String::new(), String::new());
    for uid in 1..=count + 1 {
        let told = if uid <= count {
            &mut first
        } else {
            &mut second
        };
        told.push_str(&row(uid, uid % 60, uid * 10));
    }
    let targets: Vec<Target> = (1..=count + 1)
        .map(|uid| Target {
            internal_date: i64::from(uid % 60),
            ..target(uid)
        })
        .collect();
    let (first, second) = (first + OK, second + OK);
    let answers = [SELECTED, &first, OK, &second, "{tag} NO [INUSE] later\n"];
    let plan = Removal::Move("Trash".to_owned());
    let (outcome, acted, heard) = acted(&answers, &targets, &plan).await;
    assert!(matches!(outcome, Err(Error::Refused { .. })));
    assert_eq!(acted.done.len(), BATCH);
    let moves = [2, 4].map(|at| heard.all()[at].clone());
    assert_eq!(
        moves,
        ["UID MOVE 1:600 \"Trash\"", "UID MOVE 601 \"Trash\""]
    );
}

#[tokio::test]
async fn what_was_done_before_a_command_of_the_same_batch_failed_is_told() {
    let [first, second, third] = [1, 2, 3].map(|uid| row(uid, uid, uid * 10) + OK);
    let failed = "{tag} NO [INUSE] later\n";
    let answers = [SELECTED, &first, &second, &third, OK, OK, failed];
    let targets = [1, 2, 3].map(target);
    for (plan, done) in [
        (Removal::UidExpunge, &[1][..]),
        (Removal::Move("Trash".to_owned()), &[1, 2]),
    ] {
        let capabilities = "UIDPLUS MOVE MESSAGELIMIT=1";
        let told = acted_within(capabilities, &answers, &targets, &plan).await;
        let (outcome, acted, _) = told;
        assert!(matches!(outcome, Err(Error::Refused { .. })), "{plan}");
        assert_eq!(acted.done, uids(done), "{plan}");
    }
}

#[test]
fn a_batch_fits_into_one_set_however_scattered() {
    let scattered: Vec<Uid> = (0..u32::try_from(BATCH).unwrap())
        .map(|n| Uid::new(4_000_000_000 + 2 * n).unwrap())
        .collect();
    assert_eq!(uid_sets(&scattered).len(), 1);
}

#[tokio::test]
async fn nothing_is_touched_in_another_folder_or_one_that_does_not_take_it() {
    let other = SELECTED.replace("UIDVALIDITY 7", "UIDVALIDITY 8");
    let read_only = SELECTED.replace("READ-WRITE", "READ-ONLY");
    let flag = |name: &str| Removal::Store(name.to_owned());
    for (answer, plan) in [
        (other.as_str(), Removal::UidExpunge),
        (&read_only, Removal::UidExpunge),
        (SELECTED, flag("$Other")),
        (SELECTED, flag("\\Flagged")),
    ] {
        let (outcome, acted, heard) = acted(&[answer], &[target(1)], &plan).await;
        let error = outcome.unwrap_err();
        match (&error, &plan) {
            (Error::FlagNotKept(_), Removal::Store(_))
            | (Error::Inconsistent(_) | Error::Refused { .. }, Removal::UidExpunge) => {}
            _ => panic!("{plan}: {error}"),
        }
        assert_eq!((acted, heard.all().len()), (Acted::default(), 1));
    }
}

#[tokio::test]
async fn a_folder_is_not_emptied_into_itself() {
    for plan in [
        Removal::Move("inbox".to_owned()),
        Removal::CopyExpunge("INBOX".to_owned()),
    ] {
        let (outcome, _, heard) = acted(&[], &[target(1)], &plan).await;
        assert!(matches!(outcome, Err(Error::SameFolder(_))));
        assert!(heard.all().is_empty());
    }
}

#[tokio::test]
async fn a_flag_is_stored_where_the_folder_keeps_it_or_says_nothing_of_it() {
    let silent = "* 4 EXISTS\n* OK [UIDVALIDITY 7] x\n{tag} OK done\n";
    let now = row(1, 1, 10) + OK;
    for (answer, flag) in [
        (SELECTED, "\\Seen"),
        (SELECTED, "$done"),
        (silent, "$Other"),
    ] {
        let plan = Removal::Store(flag.to_owned());
        let (outcome, acted, heard) = acted(&[answer, &now, OK], &[target(1)], &plan).await;
        outcome.unwrap();
        assert_eq!(acted.done, uids(&[1]));
        let expected = format!("UID STORE 1 +FLAGS.SILENT ({flag})");
        assert_eq!(heard.all()[2], expected);
    }
}

/// What an upstream with these folders and capabilities is going to be asked.
async fn planned(capabilities: &str, folders: &str, action: Action) -> Result<Removal, Error> {
    let listed = format!("{folders}{OK}");
    let (mut connection, _) = upstream(capabilities, &[&listed]).await;
    connection.plan(&action, &to()).await
}

#[tokio::test]
async fn the_archive_is_found_by_its_use_and_on_gmail_by_all() {
    let all = "* LIST (\\All) \"/\" \"[Gmail]/All Mail\"\n";
    let both = format!("{all}* LIST (\\Archive) \"/\" Old\n");
    let closed = format!("{all}* LIST (\\Archive \\Noselect) \"/\" Old\n");
    let moved = |name: &str| Removal::Move(name.to_owned());
    for (folders, expected) in [
        (all, moved("[Gmail]/All Mail")),
        (&both, moved("Old")),
        (&closed, moved("[Gmail]/All Mail")),
    ] {
        let plan = planned("MOVE", folders, Action::Archive).await;
        assert_eq!(plan.unwrap(), expected, "{folders}");
    }
    let copied = planned("UIDPLUS", all, Action::Archive).await.unwrap();
    assert_eq!(copied, Removal::CopyExpunge("[Gmail]/All Mail".to_owned()));
    let nowhere = planned("MOVE", "* LIST () \"/\" Archive\n", Action::Archive).await;
    let error = nowhere.unwrap_err().to_string();
    assert_eq!(error, "there is no folder \\Archive or \\All");
}

#[tokio::test]
async fn without_uidplus_and_move_nothing_leaves_its_folder_but_flags_are_set() {
    for action in [Action::Expunge, Action::Trash, Action::Archive] {
        let plan = planned("IMAP4rev1", "", action).await;
        assert!(matches!(plan, Err(Error::NoSafeRemoval)));
    }
    let seen = planned("IMAP4rev1", "", Action::Seen).await.unwrap();
    assert_eq!(seen, Removal::Store("\\Seen".to_owned()));
    let flag = Action::Flag("$Done".to_owned());
    let flag = planned("IMAP4rev1", "", flag).await.unwrap();
    assert_eq!(flag, Removal::Store("$Done".to_owned()));
}

#[tokio::test]
async fn what_is_no_keyword_is_never_sent() {
    for text in ["a) b", "\\Deleted", "a\r\nA1 EXPUNGE"] {
        let plan = planned("IMAP4rev1", "", Action::Flag(text.to_owned())).await;
        assert!(matches!(plan, Err(Error::FlagNotKept(_))), "{text}");
    }
}
