//! How long one waits for whom, by a clock that stands still.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_waits_ten_seconds_for_others_and_then_no_longer() {
    let shelf = Shelf::new(2);
    let reading = shelf.permit(Purpose::Bodies).await;
    let began = Instant::now();
    let (of_bodies, of_all) = shelf.permit(Purpose::Bodies).await;
    assert_eq!(began.elapsed(), PATIENCE);
    assert!(of_bodies.is_none() && of_all.is_none(), "beyond the cap");
    // A list has its place all the while.
    let (_, of_list) = shelf.permit(Purpose::Care).await;
    assert!(of_list.is_some() && began.elapsed() == PATIENCE);
    // Who has waited elsewhere before waits half as long.
    shelf.permit(Purpose::LateBodies).await;
    assert_eq!(began.elapsed(), PATIENCE + PATIENCE / 2);
    drop(reading);
    let (of_bodies, of_all) = shelf.permit(Purpose::Bodies).await;
    assert!(of_bodies.is_some() && of_all.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_for_as_long_as_it_takes() {
    let shelf = Arc::new(Shelf::new(1));
    let at_work = shelf.permit(Purpose::Care).await;
    let waiting = shelf.permit(Purpose::Care);
    let waited = timeout(PATIENCE * 100, waiting).await;
    assert!(waited.is_err());
    drop(at_work);
    assert!(shelf.permit(Purpose::Care).await.1.is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_at_the_door_for_log_ins_that_have_no_end() {
    let shelf = Shelf::new(2);
    let began = Instant::now();
    let first = shelf.turn_at_the_door().await;
    let second = shelf.turn_at_the_door().await;
    assert!(first.is_some() && second.is_some() && began.elapsed().is_zero());
    assert!(shelf.turn_at_the_door().await.is_none());
    assert_eq!(began.elapsed(), DOORSTEP);
    drop(second);
    assert!(shelf.turn_at_the_door().await.is_some());
    assert_eq!(began.elapsed(), DOORSTEP);
}

#[tokio::test(start_paused = true)]
async fn messages_leave_one_of_the_connections_to_lists_and_only_to_those() {
    let in_use = |lasts| Use {
        credential: Credential::Configured,
        accepted: Instant::now(),
        lasts,
    };
    for (most, for_bodies) in [(1, 1), (2, 1), (4, 3)] {
        let shelf = Shelf::new(most);
        assert_eq!(shelf.place_for_bodies(), for_bodies);
        shelf.stock().used.push(in_use(true));
        assert_eq!((shelf.place_for_bodies(), shelf.lasting()), (for_bodies, 1));
        // A list that is under way has the one.
        shelf.stock().used.push(in_use(false));
        assert_eq!((shelf.place_for_bodies(), shelf.lasting()), (most, 1));
    }
}
