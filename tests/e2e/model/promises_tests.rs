//! The model can fail: what would break a promise is seen as that.

use std::collections::HashSet;

use super::promises::{OnDelete, PLAIN, Promises, Quit, Rules, When};

const DESK: usize = 1;

fn promises(on_delete: OnDelete, when: When) -> Promises {
    let rules = Rules {
        on_delete,
        when,
        dispose_undelivered: false,
    };
    let mut promises = Promises::new(rules, &[PLAIN, "desk1"]);
    promises.logged_in(0, 1);
    promises.logged_in(DESK, 1);
    promises
}

fn quit(promises: &mut Promises, client: usize, deleted: &[usize], had: &[usize]) {
    promises.quit_begins(client, deleted, had);
    promises.quit_ends(client, deleted, had, Quit::Done);
}

fn set(tokens: &[usize]) -> HashSet<usize> {
    tokens.iter().copied().collect()
}

#[test]
fn a_message_that_is_kept_from_a_client_is_missed() {
    let mut promises = promises(OnDelete::Hide, When::Never);
    quit(&mut promises, DESK, &[7], &[7]);
    assert!(promises.listed(0, &[7, 8], &set(&[8]), 0).is_err());
    assert!(promises.listed(0, &[7, 8], &set(&[7, 8]), 0).is_ok());
}

#[test]
fn a_message_that_comes_back_to_who_deleted_it_is_noticed() {
    let mut promises = promises(OnDelete::Hide, When::Never);
    quit(&mut promises, 0, &[7], &[]);
    assert!(promises.listed(0, &[7], &set(&[7]), 0).is_err());
    assert!(promises.listed(0, &[7], &set(&[]), 0).is_ok());
}

#[test]
fn a_refused_quit_changes_nothing() {
    let mut promises = promises(OnDelete::Hide, When::Never);
    promises.quit_begins(0, &[7], &[7]);
    promises.quit_ends(0, &[7], &[7], Quit::Refused);
    assert!(promises.listed(0, &[7], &set(&[]), 0).is_err());
}

#[test]
fn a_quit_that_nobody_heard_of_is_done_whole_or_not_at_all() {
    for half in [&[7][..], &[8]] {
        let mut promises = promises(OnDelete::Hide, When::Never);
        promises.quit_begins(0, &[7, 8], &[]);
        promises.quit_ends(0, &[7, 8], &[], Quit::Unheard);
        assert!(promises.listed(0, &[7, 8], &set(half), 0).is_err());
    }
    let mut promises = promises(OnDelete::Hide, When::Never);
    promises.quit_begins(0, &[7, 8], &[]);
    promises.quit_ends(0, &[7, 8], &[], Quit::Unheard);
    assert!(promises.listed(0, &[7, 8], &set(&[]), 0).is_ok());
    // From then on it is known to have been done.
    assert!(promises.listed(0, &[7, 8], &set(&[7, 8]), 0).is_err());
}

#[test]
fn a_disposal_that_somebody_still_lacks_or_that_no_rule_wants_is_noticed() {
    let mut hide = promises(OnDelete::Hide, When::Never);
    quit(&mut hide, 0, &[7], &[7]);
    quit(&mut hide, DESK, &[7], &[7]);
    assert!(hide.may_go(7, 9).is_err());
    let mut dispose = promises(OnDelete::Dispose, When::Never);
    quit(&mut dispose, 0, &[7], &[7]);
    assert!(dispose.may_go(7, 9).is_err());
    assert!(!dispose.must_go(7));
    quit(&mut dispose, DESK, &[], &[7]);
    assert!(dispose.may_go(7, 9).is_ok());
    assert!(dispose.must_go(7));
}

#[test]
fn each_rule_waits_for_what_it_says() {
    let mut any = promises(OnDelete::Hide, When::AnyDeleted);
    let mut delivered = promises(OnDelete::Hide, When::AllDelivered);
    let mut deleted = promises(OnDelete::Hide, When::AllDeleted);
    for promises in [&mut any, &mut delivered, &mut deleted] {
        quit(promises, 0, &[7], &[8]);
        quit(promises, DESK, &[], &[7, 8]);
    }
    assert!(any.must_go(7) && any.may_go(8, 9).is_err());
    assert!(delivered.must_go(7) && delivered.must_go(8));
    assert!(deleted.may_go(7, 9).is_err() && deleted.may_go(8, 9).is_err());
    quit(&mut deleted, DESK, &[7], &[]);
    assert!(deleted.must_go(7));
}

#[test]
fn a_plain_log_in_disposes_until_a_client_has_a_name() {
    let rules = Rules {
        on_delete: OnDelete::Unset,
        when: When::Never,
        dispose_undelivered: false,
    };
    let mut promises = Promises::new(rules, &[PLAIN, "desk1"]);
    promises.logged_in(0, 1);
    quit(&mut promises, 0, &[7], &[]);
    assert!(promises.must_go(7));
    promises.logged_in(DESK, 5);
    quit(&mut promises, 0, &[8], &[]);
    quit(&mut promises, DESK, &[8], &[]);
    assert!(promises.may_go(8, 20).is_err());
}
