use super::*;
use crate::policy::budget::hour_of;

const NOW: i64 = 1_800_000_000;

fn meter(allowed: u64) -> Meter {
    let meter = Meter::new("google".to_owned(), allowed);
    meter.belongs_to(MailboxId::made_up(1), "info");
    meter
}

fn hours(bytes: u64) -> [Hour; 1] {
    let hour = hour_of(NOW);
    [Hour { hour, bytes }]
}

#[tokio::test(start_paused = true)]
async fn what_has_come_counts_before_it_is_written_and_once_after_that() {
    let meter = meter(1000);
    meter.set(hours(700));
    meter.add(50);
    assert_eq!(meter.allowance(NOW), Allowance::Messages { ahead: 50 });
    meter.add(50);
    assert_eq!(
        (meter.total(NOW), meter.allowance(NOW)),
        (800, Allowance::Messages { ahead: 0 })
    );
    // While 100 are on their way to the store, 5 more come.
    let on_their_way = meter.unwritten();
    meter.add(5);
    meter.written(on_their_way, hours(800));
    assert_eq!((meter.total(NOW), meter.unwritten()), (805, 5));
    // Another instance has added to it.
    meter.written(5, hours(950));
    assert_eq!(meter.total(NOW), 950);
    let Allowance::Lists { seconds } = meter.allowance(NOW) else {
        panic!("it is reached");
    };
    assert!((86_401..=90_000).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn little_is_written_late_and_much_soon() {
    let meter = meter(1 << 30);
    assert!(
        meter.is_due(false),
        "what was spent before is not known yet"
    );
    meter.set([]);
    assert!(!meter.is_due(true), "there is nothing to write");
    meter.add(100);
    assert!(!meter.is_due(false) && meter.is_due(true));
    tokio::time::advance(LITTLE_LATER).await;
    assert!(meter.is_due(false));
    meter.written(100, []);
    meter.add(MUCH - 1);
    assert!(!meter.is_due(false));
    meter.add(1);
    assert!(meter.is_due(false));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_said_grows_old_where_others_may_add_to_it() {
    let meter = meter(1000);
    let limit = Duration::from_secs(10);
    assert!(meter.is_older(None));
    meter.set([]);
    assert!(!meter.is_older(None) && !meter.is_older(Some(limit)));
    tokio::time::advance(limit * 2).await;
    assert!(!meter.is_older(None) && meter.is_older(Some(limit)));
}

#[test]
fn a_meter_is_kept_while_something_would_be_lost_with_it() {
    let stranger = Meter::new("google".to_owned(), 1000);
    stranger.add(100);
    assert!(stranger.is_forgettable());
    let meter = meter(1000);
    assert!(meter.is_forgettable());
    meter.add(100);
    assert!(!meter.is_forgettable());
    meter.written(100, hours(900));
    assert!(meter.is_forgettable());
    // The log was told that the limit is near, and is to be told once.
    meter.note_level(NOW);
    assert!(!meter.is_forgettable());
    meter.set([]);
    meter.note_level(NOW);
    assert!(meter.is_forgettable());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_waited_for_once_in_a_while_and_what_it_has_said_counts() {
    let limit = Some(Duration::from_secs(10));
    let silent = std::future::pending::<Result<Vec<Hour>, StoreError>>;
    let meter = meter(1000);
    let began = Instant::now();
    assert!(meter.look(limit, silent()).await.is_err(), "never known");
    assert_eq!(began.elapsed(), PATIENCE);
    meter.set(hours(700));
    tokio::time::advance(Duration::from_secs(11)).await;
    // Two at the same time wait together.
    let began = Instant::now();
    let both = tokio::join!(meter.look(limit, silent()), meter.look(limit, silent()));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(began.elapsed(), PATIENCE);
    // Who comes next does not wait at all, until some time later.
    meter.look(limit, silent()).await.unwrap();
    assert_eq!((began.elapsed(), meter.total(NOW)), (PATIENCE, 700));
    tokio::time::advance(Duration::from_secs(11)).await;
    let answers = async { Ok(hours(900)) };
    meter.look(limit, answers).await.unwrap();
    assert_eq!(meter.total(NOW), 900);
    // Another one's turn is waited for as long, and no longer.
    tokio::time::advance(Duration::from_secs(11)).await;
    let _turn = meter.turn().await;
    let began = Instant::now();
    meter.look(limit, silent()).await.unwrap();
    assert_eq!(began.elapsed(), PATIENCE);
}
