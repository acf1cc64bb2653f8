use super::*;
use crate::imap::script_tests::{Heard, upstream};
use crate::maildrop::{Message, UidValidity};

const EXAMINED: &str = "* 2 EXISTS\n* OK [UIDVALIDITY 7] x\n* OK [UIDNEXT 9] x\n{tag} OK done\n";

fn rows(first_id: u64) -> String {
    let date = " 1-Jan-1970 00:00:01 +0000";
    (1..=2)
        .map(|n| {
            let id = first_id + n;
            format!("* {n} FETCH (UID {n} RFC822.SIZE 5 INTERNALDATE \"{date}\" X-GM-MSGID {id})\n")
        })
        .chain(["{tag} OK done\n".to_owned()])
        .collect()
}

/// What a store gave back of the folder.
fn known(uids: [u32; 2], uid_next: u32, gm_msgids: Option<Vec<u64>>) -> Option<Arc<Index>> {
    let message = |uid| Message {
        uid: Uid::new(uid).unwrap(),
        size: 5,
        internal_date: 1,
    };
    Some(Arc::new(Index {
        uid_validity: UidValidity::new(7).unwrap(),
        uid_next: Some(uid_next),
        highest_modseq: None,
        messages: uids.map(message).to_vec(),
        gm_msgids,
        email_ids: None,
    }))
}

async fn refreshed(
    capabilities: &str,
    answers: &[&str],
    known: Option<Arc<Index>>,
) -> (Arc<Index>, Listed, Heard) {
    let (mut connection, heard) = upstream(capabilities, answers).await;
    let (index, how) = refresh(&mut connection, "INBOX", known).await.unwrap();
    (index, how, heard)
}

#[tokio::test]
async fn what_is_known_in_part_or_out_of_order_is_listed_whole() {
    let (listed, ids) = (rows(100), Some(vec![101, 102]));
    for known in [
        known([1, 2], 9, None),
        known([1, 2], 9, Some(vec![101, 0])),
        known([1, 2], 9, Some(vec![101])),
        known([2, 1], 9, ids.clone()),
        known([1, 1], 9, ids.clone()),
    ] {
        let (index, how, heard) = refreshed("X-GM-EXT-1", &[EXAMINED, &listed], known).await;
        assert!(matches!(how, Listed::Distrusted(_)), "{how:?}");
        assert_eq!(index.gm_msgids, ids);
        assert!(heard.all()[1].starts_with("UID FETCH 1:*"));
    }
}

#[tokio::test]
async fn what_is_known_and_still_true_costs_one_command() {
    let known = known([1, 2], 9, Some(vec![101, 102]));
    let (index, how, heard) = refreshed("X-GM-EXT-1", &[EXAMINED], known.clone()).await;
    assert_eq!((Some(index), how), (known, Listed::Hit));
    assert_eq!(heard.all(), ["EXAMINE \"INBOX\""]);
}

#[tokio::test]
async fn what_goes_while_the_last_one_left_is_looked_at_is_gone_from_the_list() {
    let one_left = EXAMINED.replace("* 2 EXISTS", "* 1 EXISTS");
    let row = rows(100).lines().next().unwrap().to_owned();
    let row_and_done = format!("{row}\n{{tag}} OK done\n");
    let uid = "* 1 FETCH (UID 1)\n{tag} OK done\n";
    let another = row.replace("UID 1 ", "UID 9 ");
    let another = format!("{another}\n{{tag}} OK done\n");
    for (news, left) in [
        ("* 1 EXPUNGE", [].as_slice()),
        ("* 1 EXPUNGE\n* 1 EXISTS", &[9]),
    ] {
        let row_and_news = format!("{row}\n{news}\n{{tag}} OK done\n");
        let answers = [
            one_left.as_str(),
            &row_and_done,
            uid,
            &row_and_news,
            &another,
        ];
        let known = known([1, 2], 9, Some(vec![101, 102]));
        let (index, ..) = refreshed("X-GM-EXT-1", &answers, known).await;
        let uids: Vec<u32> = index.messages.iter().map(|one| one.uid.get()).collect();
        assert_eq!(uids, left, "{news}");
    }
}

#[tokio::test]
async fn a_last_known_message_that_is_not_told_when_it_is_asked_for_makes_the_list_distrusted() {
    let one_left = EXAMINED.replace("* 2 EXISTS", "* 1 EXISTS");
    let row = rows(100).lines().next().unwrap().to_owned();
    let row_and_done = format!("{row}\n{{tag}} OK done\n");
    let uid = "* 1 FETCH (UID 1)\n{tag} OK done\n";
    let answers = [one_left.as_str(), &row_and_done, uid, DONE, &row_and_done];
    let known = known([1, 2], 9, Some(vec![101, 102]));
    let (index, how, heard) = refreshed("X-GM-EXT-1", &answers, known).await;
    let why = "the last known message that is left was not told";
    assert_eq!(
        (how, listed_uids(&index)),
        (Listed::Distrusted(why), vec![1])
    );
    assert_eq!(heard.all().len(), 5);
}

#[tokio::test]
async fn a_known_uid_with_another_id_is_another_message() {
    let known = known([1, 2], 8, Some(vec![101, 102]));
    let listed = rows(200);
    let answers = [EXAMINED, &listed, &listed];
    let (index, how, _) = refreshed("X-GM-EXT-1", &answers, known).await;
    assert!(matches!(how, Listed::Distrusted(_)), "{how:?}");
    assert_eq!(index.gm_msgids, Some(vec![201, 202]));
}

#[tokio::test]
async fn ids_that_the_upstream_no_longer_has_do_not_make_the_list_distrusted() {
    let known = known([1, 2], 8, Some(vec![101, 102]));
    let listed = rows(100);
    let (index, how, heard) = refreshed("IMAP4rev1", &[EXAMINED, &listed], known).await;
    assert_eq!((how, &index.gm_msgids), (Listed::Delta, &None));
    assert!(!heard.all()[1].contains("X-GM-MSGID"));
}

/// An upstream in UIDONLY mode with a folder of these UIDs.
fn by_uid(uids: &[u32]) -> String {
    let date = " 1-Jan-1970 00:00:01 +0000";
    let row = |uid: &u32| format!("* {uid} UIDFETCH (RFC822.SIZE 5 INTERNALDATE \"{date}\")\n");
    uids.iter().map(row).collect()
}

const ENABLED: &str = "* ENABLED UIDONLY\n{tag} OK done\n";
const UIDONLY: &str = "ENABLE UIDONLY";
const DONE: &str = "{tag} OK done\n";

fn examined(exists: usize, uid_next: u32) -> String {
    EXAMINED
        .replace("* 2 EXISTS", &format!("* {exists} EXISTS"))
        .replace("UIDNEXT 9", &format!("UIDNEXT {uid_next}"))
}

fn listed_uids(index: &Index) -> Vec<u32> {
    index.messages.iter().map(|one| one.uid.get()).collect()
}

#[tokio::test]
async fn without_positions_the_difference_is_believed_when_the_last_arrival_was_told() {
    let (whole, news) = (examined(3, 10), by_uid(&[2, 9]) + DONE);
    let answers = [ENABLED, &whole, &news];
    let (index, how, heard) = refreshed(UIDONLY, &answers, known([1, 2], 9, None)).await;
    assert_eq!((how, listed_uids(&index)), (Listed::Delta, vec![1, 2, 9]));
    assert!(heard.all()[2].starts_with("UID FETCH 2:4294967295 ("));
    // One that arrived is not told, one that was there is gone, and the count is the same.
    let (whole, news) = (examined(3, 11), by_uid(&[2, 9]) + DONE);
    let (uids, again) = (
        "* 2 UIDFETCH (UID 2)\n* 9 UIDFETCH (UID 9)\n* 10 UIDFETCH (UID 10)\n{tag} OK done\n",
        by_uid(&[2, 9, 10]) + DONE,
    );
    let answers = [ENABLED, &whole, &news, uids, &again];
    let (index, how, heard) = refreshed(UIDONLY, &answers, known([1, 2], 9, None)).await;
    assert!(matches!(how, Listed::Distrusted(_)), "{how:?}");
    assert_eq!(listed_uids(&index), [2, 9, 10]);
    assert_eq!(heard.all()[3], "UID FETCH 1:4294967295 (UID)");
}

#[tokio::test]
async fn what_vanishes_during_a_list_without_positions_is_not_in_it() {
    let (whole, news) = (examined(3, 10), by_uid(&[2, 9]) + "* VANISHED 2\n" + DONE);
    let (uids, last) = (
        "* 1 UIDFETCH (UID 1)\n* 9 UIDFETCH (UID 9)\n{tag} OK done\n",
        by_uid(&[1]) + DONE,
    );
    let answers = [ENABLED, &whole, &news, uids, &last];
    let (index, how, _) = refreshed(UIDONLY, &answers, known([1, 2], 9, None)).await;
    assert_eq!((how, listed_uids(&index)), (Listed::Delta, vec![1, 9]));
}

#[tokio::test]
async fn without_positions_one_that_comes_during_the_list_does_not_hide_that_another_went_before() {
    // 1 went before the folder was opened, 9 came; 10 comes behind the rows.
    let (whole, news) = (examined(2, 10), by_uid(&[2, 9]) + "* 3 EXISTS\n" + DONE);
    let (more, uids) = (
        by_uid(&[9, 10]) + DONE,
        "* 2 UIDFETCH (UID 2)\n* 9 UIDFETCH (UID 9)\n* 10 UIDFETCH (UID 10)\n{tag} OK done\n",
    );
    let answers = [ENABLED, &whole, &news, &more, uids];
    let (index, how, _) = refreshed(UIDONLY, &answers, known([1, 2], 9, None)).await;
    assert_eq!((how, listed_uids(&index)), (Listed::Delta, vec![2, 9, 10]));
    // Where messages come all the time, the UIDs tell.
    let mut answers = vec![ENABLED.to_owned(), whole];
    for n in 0..5 {
        let rows = by_uid(&[if n == 0 { 2 } else { 8 + n }, 9 + n]);
        answers.push(format!("{rows}* {} EXISTS\n{DONE}", n + 3));
    }
    let uids = (10..=14).map(|uid| format!("* {uid} UIDFETCH (UID {uid})\n"));
    answers.push(
        "* 2 UIDFETCH (UID 2)\n* 9 UIDFETCH (UID 9)\n".to_owned()
            + &uids.collect::<String>()
            + DONE,
    );
    answers.push(by_uid(&[2, 9, 10, 11, 12, 13, 14]) + DONE);
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let (index, ..) = refreshed(UIDONLY, &answers, known([1, 2], 9, None)).await;
    assert_eq!(listed_uids(&index), [2, 9, 10, 11, 12, 13, 14]);
}

#[tokio::test]
async fn a_list_that_the_upstream_cuts_at_its_limit_is_gone_on_with() {
    let whole = examined(5, 10);
    let portions = [
        by_uid(&[8, 9]) + "{tag} OK [MESSAGELIMIT 2 8] in part\n",
        by_uid(&[3, 5]) + "{tag} OK [MESSAGELIMIT 2 3] in part\n",
        by_uid(&[1]) + DONE,
    ];
    let [a, b, c] = &portions;
    let (index, how, heard) = refreshed(UIDONLY, &[ENABLED, &whole, a, b, c], None).await;
    assert_eq!(
        (how, listed_uids(&index)),
        (Listed::Cold, vec![1, 3, 5, 8, 9])
    );
    let ranges = heard.all()[2..]
        .iter()
        .map(|command| command.split(' ').nth(2).unwrap().to_owned())
        .collect::<Vec<_>>();
    assert_eq!(ranges, ["1:4294967295", "1:7", "1:2"]);
}

#[tokio::test]
async fn what_a_cut_list_of_uids_has_not_told_is_not_gone() {
    // 1, 2, 3 and 4 were known; 4 went. The UIDs come in two portions.
    let message = |uid| Message {
        uid: Uid::new(uid).unwrap(),
        size: 5,
        internal_date: 1,
    };
    let mut index = Index::clone(&known([1, 2], 9, None).unwrap());
    index.messages = [1, 2, 3, 4].map(message).to_vec();
    let (whole, news) = (examined(3, 9), by_uid(&[3]) + DONE);
    let uids = [
        "* 2 UIDFETCH (UID 2)\n* 3 UIDFETCH (UID 3)\n{tag} OK [MESSAGELIMIT 2 2] in part\n",
        "* 1 UIDFETCH (UID 1)\n{tag} OK done\n",
    ];
    let last = by_uid(&[3]) + DONE;
    let answers = [ENABLED, &whole, &news, uids[0], uids[1], &last];
    let (index, how, _) = refreshed(UIDONLY, &answers, Some(Arc::new(index))).await;
    assert_eq!((how, listed_uids(&index)), (Listed::Delta, vec![1, 2, 3]));
}

#[tokio::test]
async fn a_list_that_is_cut_without_a_place_or_without_an_end_is_an_error() {
    let whole = examined(5, 10);
    let nowhere = by_uid(&[8, 9]) + "{tag} OK [MESSAGELIMIT 2] in part\n";
    let again = by_uid(&[8, 9]) + "{tag} OK [MESSAGELIMIT 2 8] in part\n";
    // A refusal is none that was done in part, even if it says where it stopped.
    let refused = again.replace(" OK [MESS", " NO [MESS");
    let rest = by_uid(&[1, 3, 5]) + DONE;
    for answers in [[&nowhere, &nowhere], [&again, &again], [&refused, &rest]] {
        let answers = [ENABLED, &whole, answers[0], answers[1]];
        let (mut connection, _) = upstream(UIDONLY, &answers).await;
        let outcome = refresh(&mut connection, "INBOX", None).await;
        let is_told = matches!(outcome, Err(Error::Refused { .. } | Error::Inconsistent(_)));
        assert!(is_told, "{outcome:?}");
    }
}

#[tokio::test]
async fn emailids_are_listed_where_the_upstream_has_them_and_learnt_once() {
    let rows = |ids: [&str; 2]| {
        let date = " 1-Jan-1970 00:00:01 +0000";
        let row = |(n, id): (usize, &&str)| {
            let n = n + 1;
            format!("* {n} FETCH (UID {n} RFC822.SIZE 5 INTERNALDATE \"{date}\"{id})\n")
        };
        ids.iter().enumerate().map(row).collect::<String>() + DONE
    };
    let both = rows([" EMAILID (Ma-1)", " EMAILID (M_b2)"]);
    let (index, how, heard) =
        refreshed("OBJECTID", &[EXAMINED, &both], known([1, 2], 9, None)).await;
    assert_eq!(how, Listed::Distrusted("EMAILID was not asked for before"));
    let ids = index.email_ids.clone().unwrap();
    assert!(ids[0] != ids[1] && !ids.contains(&0), "{ids:?}");
    assert!(heard.all()[1].ends_with("(UID RFC822.SIZE INTERNALDATE EMAILID)"));
    // Whoever has none is listed all the same, and another one makes no other message.
    let partly = rows(["", " EMAILID (X)"]);
    let (whole, before) = (examined(2, 10), Some(Arc::clone(&index)));
    let (later, how, _) = refreshed("OBJECTID", &[&whole, &partly], before).await;
    assert_eq!((how, &later.email_ids), (Listed::Delta, &index.email_ids));
    let (cold, ..) = refreshed("OBJECTID", &[EXAMINED, &partly], None).await;
    assert_eq!(cold.email_ids.as_ref().unwrap()[0], 0);
    // With X-GM-MSGID there is no need of it.
    let gmail = rows([" X-GM-MSGID 1", " X-GM-MSGID 2"]);
    let (index, ..) = refreshed("OBJECTID X-GM-EXT-1", &[EXAMINED, &gmail], None).await;
    assert_eq!(
        (&index.email_ids, &index.gm_msgids),
        (&None, &Some(vec![1, 2]))
    );
}

#[tokio::test]
async fn emailids_that_the_upstream_does_not_offer_for_a_while_are_kept() {
    let both = Index {
        email_ids: Some(vec![5, 6]),
        ..Index::clone(&known([1, 2], 9, None).unwrap())
    };
    let date = " 1-Jan-1970 00:00:01 +0000";
    let row =
        |n, uid, id| format!("* {n} FETCH (UID {uid} RFC822.SIZE 5 INTERNALDATE \"{date}\"{id})\n");
    let (three, four) = (examined(3, 10), examined(4, 11));
    let without = row(2, 2, "") + &row(3, 9, "") + DONE;
    let (index, how, heard) =
        refreshed("IMAP4rev1", &[&three, &without], Some(Arc::new(both))).await;
    assert_eq!(
        (how, &index.email_ids),
        (Listed::Delta, &Some(vec![5, 6, 0]))
    );
    assert!(!heard.all()[1].contains("EMAILID"));
    // Offered again: what was not known is learnt as it is told.
    let with = row(3, 9, " EMAILID (M9)") + &row(4, 10, " EMAILID (M10)") + DONE;
    let (index, how, _) = refreshed("OBJECTID", &[&four, &with], Some(index)).await;
    let ids = index.email_ids.clone().unwrap();
    assert_eq!((how, &ids[..2]), (Listed::Delta, &[5, 6][..]));
    assert!(ids[2] != 0 && ids[3] != 0, "{ids:?}");
}

#[tokio::test]
async fn an_upstream_that_offers_emailids_and_refuses_them_is_not_asked_for_them_again() {
    let rows = |count: u32| {
        let row = |n| {
            let date = " 1-Jan-1970 00:00:01 +0000";
            format!("* {n} FETCH (UID {n} RFC822.SIZE 5 INTERNALDATE \"{date}\")\n")
        };
        (1..=count).map(row).collect::<String>() + DONE
    };
    // A message arrives while it refuses.
    let bad = "* 3 EXISTS\n{tag} BAD what is EMAILID\n";
    let (listed, one_more) = (rows(3), rows(4));
    let last: Vec<&str> = one_more.lines().skip(2).collect();
    let last = last.join("\n") + "\n";
    let again = examined(4, 9);
    let (mut connection, heard) =
        upstream("OBJECTID", &[EXAMINED, bad, &listed, &again, &last]).await;
    let (index, how) = refresh(&mut connection, "INBOX", None).await.unwrap();
    assert_eq!((how, index.messages.len()), (Listed::Cold, 3));
    assert_eq!(index.email_ids, None);
    let (index, _) = list(&mut connection, "INBOX", Some(index)).await.unwrap();
    assert_eq!(index.messages.len(), 4);
    let asked = heard
        .all()
        .into_iter()
        .filter(|one| one.contains("EMAILID"));
    assert_eq!(asked.count(), 1);
}
