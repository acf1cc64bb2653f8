use crate::imap::set::uid_sets;
use proptest::prelude::*;

use super::*;
use crate::imap::script_tests::{uids, upstream};

fn pairs(words: &str, asked: &[u32]) -> Option<Vec<(u32, u32)>> {
    let (uid_validity, pairs) = copyuid(words, &uids(asked))?;
    assert_eq!(uid_validity.get(), 9);
    Some(pairs.iter().map(|(a, b)| (a.get(), b.get())).collect())
}

#[test]
fn every_copy_is_paired_with_its_original() {
    let expected = Some(vec![(304, 3956), (319, 3957), (320, 3958)]);
    let asked = [304, 319, 320, 400];
    assert_eq!(pairs("9 304,319:320 3956:3958", &asked), expected);
    assert_eq!(pairs("9 304,320:319 3958:3956", &asked), expected);
    let swapped = Some(vec![(304, 2), (319, 1)]);
    assert_eq!(pairs("9 319,304 1:2", &asked), swapped);
}

#[test]
fn what_does_not_pair_is_not_believed() {
    for words in [
        "",
        "9",
        "9 1",
        "0 1 1",
        "9 1:2 5",
        "9 1 5:6",
        "9 7 5",
        "9 1,1 5:6",
        "9 0 5",
        "9 1:4294967295 1:4294967295",
        "9 1,2,3,4 5:8",
        "9 * 5",
        "9 1 5 6",
        "9 1, 5,6",
    ] {
        assert_eq!(pairs(words, &[1, 2, 3]), None, "{words}");
    }
}

proptest! {
    #[test]
    fn sets_as_we_write_them_are_read_again(numbers in prop::collection::btree_set(1u32..2000, 1..300)) {
        let uids = uids(&numbers.into_iter().collect::<Vec<_>>());
        let set = uid_sets(&uids).join(",");
        prop_assert_eq!(expanded(&set, uids.len()), Some(uids.clone()));
        prop_assert_eq!(expanded(&set, uids.len() - 1), None);
    }

    #[test]
    fn no_words_make_it_panic(words in "[0-9:,* -]{0,40}") {
        let _ = copyuid(&words, &uids(&[1, 2, 3]));
    }
}

#[tokio::test]
async fn copies_are_told_and_what_is_gone_is_not_among_them() {
    for answer in [
        "{tag} OK [COPYUID 9 3,5 1:2] done\n",
        "* OK [COPYUID 9 3,5 1:2] done\n{tag} OK done\n",
    ] {
        let (mut connection, heard) = upstream("UIDPLUS", &[answer]).await;
        let mut copied = Copied::default();
        let wanted = uids(&[5, 3, 4]);
        connection.copy(&wanted, "Hold", &mut copied).await.unwrap();
        assert_eq!(copied.uid_validity, UidValidity::new(9));
        let [three, five, one, two] = [3, 5, 1, 2].map(|n| Uid::new(n).unwrap());
        assert_eq!(copied.pairs, [(three, one), (five, two)]);
        assert_eq!(heard.all(), ["UID COPY 3:5 \"Hold\""]);
    }
    let (mut connection, _) = upstream("UIDPLUS", &["{tag} OK nothing to do\n"]).await;
    let mut copied = Copied::default();
    let outcome = connection.copy(&uids(&[3]), "Hold", &mut copied).await;
    assert!(outcome.is_ok() && copied == Copied::default());
}

#[tokio::test]
async fn without_uidplus_nothing_is_copied() {
    let (mut connection, heard) = upstream("MOVE", &[]).await;
    let mut copied = Copied::default();
    let outcome = connection.copy(&uids(&[3]), "Hold", &mut copied).await;
    assert!(matches!(outcome, Err(Error::Lacks(_))));
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn a_folder_that_is_not_there_and_nonsense_are_errors() {
    let (mut connection, _) = upstream(
        "UIDPLUS",
        &[
            "{tag} NO [TRYCREATE] no such folder\n",
            "{tag} OK [COPYUID 9 4 1] done\n",
        ],
    )
    .await;
    let mut copied = Copied::default();
    let outcome = connection.copy(&uids(&[3]), "Hold", &mut copied).await;
    let Err(Error::Refused { reply, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reply.code_name(), Some("TRYCREATE"));
    let outcome = connection.copy(&uids(&[3]), "Hold", &mut copied).await;
    assert!(matches!(outcome, Err(Error::Protocol(_))));
    assert!(copied.pairs.is_empty());
}

#[tokio::test]
async fn making_a_folder_that_is_there_is_fine() {
    let listed = "* LIST () \"/\" Hold\n{tag} OK done\n";
    for (answers, made) in [
        (&["{tag} OK done\n"][..], true),
        (&["{tag} NO [ALREADYEXISTS] it is\n"], true),
        (&["{tag} NO Mailbox exists\n", listed], true),
        (&["{tag} NO no\n", "{tag} OK done\n"], false),
        (&["{tag} BAD what?\n", "{tag} OK done\n"], false),
    ] {
        let (mut connection, heard) = upstream("IMAP4rev1", answers).await;
        let outcome = connection.create("Hold").await;
        assert_eq!(outcome.is_ok(), made, "{answers:?}: {outcome:?}");
        assert_eq!(heard.all()[0], "CREATE \"Hold\"");
    }
}
