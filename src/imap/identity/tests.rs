use super::*;
use crate::imap::script_tests::{uids, upstream};

fn row(n: u32, uid: u32, size: u32) -> String {
    format!(
        "* {n} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \" 1-Jan-1970 00:00:09 +0000\")\n"
    )
}

#[tokio::test]
async fn who_is_there_is_told_and_who_is_not_is_missing() {
    let answer = row(1, 3, 10) + "* 2 FETCH (FLAGS (\\Seen))\n* 7 EXISTS\n" + &row(2, 5, 20);
    let (mut connection, heard) = upstream("IMAP4rev1", &[&(answer + "{tag} OK done\n")]).await;
    let told = connection.identities(&uids(&[5, 4, 3, 5])).await.unwrap();
    assert_eq!(told.len(), 2);
    let five = Identity {
        size: 20,
        internal_date: 9,
        gm_msgid: None,
    };
    assert_eq!(told[&Uid::new(5).unwrap()], five);
    assert_eq!(
        heard.all(),
        ["UID FETCH 3:5 (UID RFC822.SIZE INTERNALDATE)"]
    );
}

#[tokio::test]
async fn a_message_that_nobody_asked_for_is_not_told() {
    let answer = row(1, 3, 10) + &row(2, 9, 20) + "{tag} OK done\n";
    let (mut connection, _) = upstream("IMAP4rev1", &[&answer]).await;
    let told = connection.identities(&uids(&[3])).await.unwrap();
    assert_eq!(told.len(), 1);
}

#[tokio::test]
async fn gmails_ids_are_told_where_there_are_any() {
    let answer = "* 1 FETCH (X-GM-MSGID 1700000000000000007 UID 3 RFC822.SIZE 1 INTERNALDATE \"x\")\n{tag} OK done\n";
    let (mut connection, heard) = upstream("X-GM-EXT-1", &[answer]).await;
    let told = connection.identities(&uids(&[3])).await.unwrap();
    let id = told[&Uid::new(3).unwrap()].gm_msgid;
    assert_eq!(id, Some(1_700_000_000_000_000_007));
    assert!(heard.all()[0].contains("X-GM-MSGID"));
}

#[tokio::test]
async fn half_an_answer_two_answers_and_a_refusal_are_errors() {
    let twice = row(1, 3, 10) + &row(1, 3, 11) + "{tag} OK done\n";
    let half = "* 1 FETCH (UID 3 RFC822.SIZE 1)\n{tag} OK done\n";
    let refused = row(1, 3, 10) + "{tag} NO [INUSE] later\n";
    for (answer, inconsistent) in [(&*twice, true), (half, true), (&*refused, false)] {
        let (mut connection, _) = upstream("IMAP4rev1", &[answer]).await;
        let error = connection.identities(&uids(&[3])).await.unwrap_err();
        match error {
            Error::Inconsistent(_) => assert!(inconsistent, "{answer}"),
            Error::Refused { .. } => assert!(!inconsistent, "{answer}"),
            other => panic!("{answer}: {other}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_about_nobody() {
    let (mut connection, heard) = upstream("IMAP4rev1", &[]).await;
    assert!(connection.identities(&[]).await.unwrap().is_empty());
    assert!(connection.header_hashes(&[]).await.unwrap().is_empty());
    assert!(heard.all().is_empty());
}

/// What is told of the headers of 3, 4 and 5.
async fn hashes(answer: &str) -> Result<HashMap<Uid, i64>, Error> {
    let (mut connection, heard) = upstream("IMAP4rev1", &[answer, "{tag} OK done\n"]).await;
    let told = connection.header_hashes(&uids(&[3, 4, 5])).await;
    assert_eq!(heard.all(), ["UID FETCH 3:5 (UID BODY.PEEK[HEADER])"]);
    if matches!(told, Ok(_) | Err(Error::Refused { .. })) {
        // The connection is good for more.
        assert!(connection.header_hashes(&uids(&[3])).await.is_ok());
    } else {
        assert!(!connection.is_clean());
    }
    told
}

fn header(uid: u32, text: &str) -> String {
    let length = text.replace('\n', "\r\n").len();
    format!("* 1 FETCH (UID {uid} BODY[HEADER] {{{length}}}\n{text})\n")
}

#[tokio::test]
async fn a_hash_is_the_start_of_sha_256_whatever_the_shape_of_the_answer() {
    // printf 'Subject: x\r\n\r\n' | sha256sum
    let expected = i64::from_be_bytes(0xd463_7ae7_1525_a8a0_u64.to_be_bytes());
    let behind = "* 1 FETCH (BODY[HEADER] {14}\nSubject: x\n\n FLAGS (\\Seen) UID 5)\n";
    let answer = header(3, "Subject: x\n\n") + "* 2 FETCH (FLAGS ())\n* OK still here\n" + behind;
    let told = hashes(&(answer + "{tag} OK done\n")).await.unwrap();
    assert_eq!(told.len(), 2);
    for uid in uids(&[3, 5]) {
        assert_eq!(told[&uid], expected, "{:x}", told[&uid]);
    }
    let quoted = "* 1 FETCH (UID 3 BODY[HEADER] \"Subject: x\")\n{tag} OK done\n";
    assert_eq!(hashes(quoted).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_header_and_one_that_is_too_long_have_no_hash() {
    let long = format!("X: {}\n\n", "x".repeat(MOST_HEADER));
    let longest = format!("X: {}\n\n", "x".repeat(MOST_HEADER - 7));
    let answer = header(3, "") + &header(4, &long) + &header(5, &longest) + "{tag} OK done\n";
    let told = hashes(&answer).await.unwrap();
    assert_eq!(told.into_keys().collect::<Vec<_>>(), uids(&[5]));
    for nothing in ["NIL", "\"\""] {
        let answer = format!("* 1 FETCH (UID 3 BODY[HEADER] {nothing})\n{{tag}} OK done\n");
        assert!(hashes(&answer).await.unwrap().is_empty(), "{nothing}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_that_are_not_certain_are_errors() {
    let done = "{tag} OK done\n";
    for answer in [
        header(3, "A: b\n\n") + &header(3, "A: c\n\n") + done,
        "* 1 FETCH (BODY[HEADER] {8}\nA: b\n\n)\n".to_owned() + done,
        "* 1 FETCH (UID 3 BODY[HEADER] {8}\nA: b\n\n BODY[HEADER] \"x\")\n".to_owned() + done,
        "* 1 FETCH (UID 3 BODY[HEADER] {8}\nA: b\n\n".to_owned(),
        "* 1 FETCH (UID 3 BODY[HEADER] (x))\n".to_owned() + done,
        header(3, "A: b\n\n") + "{tag} NO no\n",
    ] {
        assert!(hashes(&answer).await.is_err(), "{answer}");
    }
}
