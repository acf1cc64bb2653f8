use super::*;

/// The beginning of an hour.
const NOW: i64 = 500_000 * HOUR;
const ALLOWED: u64 = 1000;

fn spent(hours: &[(i64, u64)]) -> Spent {
    let hour = hour_of(NOW);
    Spent::new(hours.iter().map(|(ago, bytes)| (hour - ago, *bytes)))
}

#[test]
fn read_ahead_ends_at_eighty_percent_and_messages_wait_from_ninety_five_on() {
    for (bytes, level) in [
        (0, Level::All),
        (799, Level::All),
        (800, Level::Asked),
        (949, Level::Asked),
        (950, Level::Lists),
        (u64::MAX, Level::Lists),
    ] {
        assert_eq!(
            spent(&[(0, bytes)]).level(ALLOWED, 0, NOW),
            level,
            "{bytes}"
        );
        assert_eq!(spent(&[]).level(ALLOWED, bytes, NOW), level, "{bytes}");
    }
    assert_eq!(spent(&[(20, 500)]).level(ALLOWED, 450, NOW), Level::Lists);
}

#[test]
fn an_hour_counts_until_all_of_it_is_a_day_past() {
    let spent = spent(&[(0, 1000)]);
    for (later, counts) in [
        (0, true),
        // Its last second was less than 24 hours before.
        (24 * HOUR, true),
        (25 * HOUR - 1, true),
        (25 * HOUR, false),
    ] {
        assert_eq!(spent.total(NOW + later) > 0, counts, "{later}");
    }
}

#[test]
fn messages_can_be_had_again_when_enough_hours_have_gone() {
    let spent = spent(&[(20, 300), (10, 300), (1, 600)]);
    // 1200 of 1000: without the first hour there are 900.
    assert_eq!(spent.free_at(ALLOWED, 0, NOW), NOW + 5 * HOUR);
    // With 100 more the second one has to go, too.
    assert_eq!(spent.free_at(ALLOWED, 100, NOW), NOW + 15 * HOUR);
    // What has come just now stays for a day.
    assert_eq!(spent.free_at(ALLOWED, 5000, NOW), NOW + 25 * HOUR);
    for free in [NOW + 5 * HOUR, NOW + 15 * HOUR] {
        assert_ne!(spent.level(ALLOWED, 0, free), Level::Lists);
    }
    assert_eq!(spent.level(ALLOWED, 0, NOW + 5 * HOUR - 1), Level::Lists);
    assert_eq!(Spent::default().free_at(ALLOWED, 0, NOW), NOW);
}

#[test]
fn parts_are_reckoned_without_overflow() {
    assert_eq!(percent(u64::MAX, u64::MAX), 100);
    assert_eq!(percent(u64::MAX, 1), u64::MAX);
    assert_eq!(percent(7, 0), 700);
    assert_eq!(until_near(u64::MAX, 10), 0);
    assert_eq!(until_near(3, 10), 5);
    assert!(until_near(0, u64::MAX) > u64::MAX / 2);
    assert_eq!(spent(&[(0, u64::MAX), (1, u64::MAX)]).total(NOW), u64::MAX);
}

/// When these log-ins begin, of all that come at these times; none: it is refused.
fn begin(times: &[u64], interval: u64, patience: u64) -> Vec<Option<u64>> {
    let mut next = 0;
    let turn = |now: &u64| {
        let (wait, then) = log_in_turn(next, *now, interval, patience)?;
        next = then;
        Some(now + wait)
    };
    times.iter().map(turn).collect()
}

#[test]
fn log_ins_that_come_at_once_begin_one_after_the_other() {
    let times = [1000; 5];
    let begun = begin(&times, 200, 8000);
    assert_eq!(begun, [1000, 1200, 1400, 1600, 1800].map(Some));
}

#[test]
fn a_log_in_that_comes_alone_does_not_wait() {
    assert_eq!(
        begin(&[1000, 1200, 5000, 5100], 200, 8000),
        [1000, 1200, 5000, 5200].map(Some)
    );
}

#[test]
fn who_would_wait_too_long_takes_no_place() {
    let begun = begin(&[0, 0, 0, 0, 400], 200, 450);
    // The fourth would begin at 600.
    assert_eq!(begun, [Some(0), Some(200), Some(400), None, Some(600)]);
}
