use proptest::prelude::*;

use super::*;
use crate::imap::script_tests::{uids, upstream};

fn wanted(numbers: &[u32]) -> Vec<Wanted> {
    let uids = uids(numbers).into_iter();
    uids.map(|uid| Wanted { uid, most: 100 }).collect()
}

fn body(uid: u32, text: &str) -> String {
    let length = text.replace('\n', "\r\n").len();
    format!("* {uid} FETCH (UID {uid} BODY[] {{{length}}}\n{text})\n")
}

/// All that comes, and how it ends.
async fn all(
    connection: &mut Connection,
    wanted: Vec<Wanted>,
) -> (Vec<(u32, Option<String>)>, Result<(), Error>) {
    let mut got = Vec::new();
    let mut bodies = connection.begin_bodies(wanted, Part::Whole).await.unwrap();
    let end = loop {
        match bodies.next().await {
            Ok(Some(one)) => {
                let text = |octets: Bytes| String::from_utf8(octets.to_vec()).unwrap();
                got.push((one.uid.get(), one.octets.map(text)));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(bodies.next().await.unwrap(), None);
    (got, end)
}

fn some(uid: u32, text: &str) -> (u32, Option<String>) {
    (uid, Some(text.to_owned()))
}

#[tokio::test]
async fn messages_come_in_the_upstreams_order_between_its_news() {
    let answer = body(5, "five\n")
        + "* 9 EXISTS\n* 1 FETCH (FLAGS (\\Seen) UID 4)\n"
        + "* 3 FETCH (BODY[] {3}\nsix UID 6)\n"
        + "* OK [ALERT] soon\n"
        + "* 7 FETCH (UID 7 BODY[] \"seven\")\n{tag} OK done\n";
    let (mut connection, heard) = upstream("IMAP4rev1", &[&answer]).await;
    let (got, end) = all(&mut connection, wanted(&[5, 6, 7, 8])).await;
    assert_eq!(got, [some(5, "five\r\n"), some(6, "six"), some(7, "seven")]);
    assert!(end.is_ok() && connection.is_clean());
    assert_eq!(heard.all(), ["UID FETCH 5:8 (UID BODY.PEEK[])"]);
}

#[tokio::test]
async fn a_message_that_nothing_follows_is_not_given_out() {
    let cut = body(5, "five") + &body(6, "six");
    for (end, expected) in [
        ("", "the upstream hangs up"),
        ("{tag} NO [SERVERBUG] oh\n", "it refuses the rest"),
        ("* BYE enough\n", "it says good-bye"),
    ] {
        let (mut connection, _) = upstream("IMAP4rev1", &[&(cut.clone() + end)]).await;
        let mut bodies = connection
            .begin_bodies(wanted(&[5, 6]), Part::Whole)
            .await
            .unwrap();
        assert_eq!(bodies.next().await.unwrap().unwrap().uid.get(), 5);
        if !end.is_empty() {
            assert!(bodies.next().await.is_err(), "{expected}");
        }
    }
}

#[tokio::test]
async fn a_message_cut_inside_is_never_given_out() {
    let whole = body(5, "five") + &body(6, "a longer one\n");
    // The upstream hangs up at the next command's tag at the latest; every cut is inside the second message or its response.
    let start = whole.find("a longer").unwrap();
    for cut in start..whole.len() - 1 {
        let (mut connection, _) = upstream("IMAP4rev1", &[&whole[..cut]]).await;
        connection
            .transport()
            .set_patience(std::time::Duration::from_millis(1));
        let (got, end) = all(&mut connection, wanted(&[5, 6])).await;
        assert_eq!(got, [some(5, "five")], "cut at {cut}");
        assert!(end.is_err() && !connection.is_clean());
    }
}

#[tokio::test]
async fn what_is_longer_than_wanted_is_passed_over_or_ends_the_connection() {
    let long = "x".repeat(101);
    let answer = body(5, &long) + &body(6, "six") + "{tag} OK done\n";
    let (mut connection, _) = upstream("IMAP4rev1", &[&answer]).await;
    let (got, end) = all(&mut connection, wanted(&[5, 6])).await;
    assert_eq!(got, [(5, None), some(6, "six")]);
    assert!(end.is_ok());

    let endless = "* 5 FETCH (UID 5 BODY[] {4000000000}\n";
    let (mut connection, _) = upstream("IMAP4rev1", &[endless]).await;
    let (got, end) = all(&mut connection, wanted(&[5, 6])).await;
    assert!(got.is_empty() && matches!(end, Err(Error::TooLong(_))));
}

#[tokio::test]
async fn what_was_not_asked_for_is_an_error() {
    for answer in [
        body(7, "seven"),
        body(5, "five") + &body(5, "five again"),
        "* 5 FETCH (UID 5 BODY[]<3> {4}\nfive)\n".to_owned(),
        "* 5 FETCH (BODY[] {4}\nfive)\n".to_owned(),
        "* 5 FETCH (UID 5 BODY[] {4}\nfive BODY[] {4}\nfive)\n".to_owned(),
    ] {
        let answer = answer + "{tag} OK done\n";
        let (mut connection, _) = upstream("IMAP4rev1", &[&answer]).await;
        let (_, end) = all(&mut connection, wanted(&[5, 6])).await;
        assert!(matches!(end, Err(Error::Protocol(_))), "{answer} {end:?}");
        assert!(!connection.is_clean());
    }
}

#[tokio::test]
async fn nil_and_an_empty_body_are_no_message() {
    let answer = "* 5 FETCH (UID 5 BODY[] NIL)\n* 6 FETCH (UID 6 BODY[] {0}\n)\n* 7 FETCH (UID 7 BODY[] \"\")\n{tag} OK done\n";
    let (mut connection, _) = upstream("IMAP4rev1", &[answer]).await;
    let (got, end) = all(&mut connection, wanted(&[5, 6, 7])).await;
    assert_eq!(got, [(5, None), (6, None), (7, None)]);
    assert!(end.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bodies_of_any_length_come_octet_for_octet(lengths in prop::collection::vec(1usize..40_000, 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let texts: Vec<String> = lengths.iter().enumerate()
                .map(|(n, length)| (0..*length).map(|at| char::from(b'a' + ((at * 7 + n) % 26) as u8)).collect())
                .collect();
            let numbers: Vec<u32> = (1..).take(texts.len()).collect();
            let mut answer: String = numbers.iter().zip(&texts).map(|(n, text)| body(*n, text)).collect();
            answer.push_str("{tag} OK done\n");
            let (mut connection, _) = upstream("IMAP4rev1", &[&answer]).await;
            let wanted = uids(&numbers).into_iter().map(|uid| Wanted { uid, most: 40_000 }).collect();
            let (got, end) = all(&mut connection, wanted).await;
            assert!(end.is_ok());
            let expected: Vec<_> = numbers.iter().zip(&texts).map(|(n, text)| some(*n, text)).collect();
            assert_eq!(got, expected);
        });
    }
}
