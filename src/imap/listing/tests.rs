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
