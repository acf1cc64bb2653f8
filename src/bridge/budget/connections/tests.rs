//! What is counted in memory.

use super::*;
use crate::store::tests::support::Place;

const HOST: &str = "imap.example:993";

/// The right to one more connection to the host, which may have so many; none where that is no limit to this one.
async fn claim(connections: &Arc<Connections>, host: Option<usize>) -> Result<Pass, Claimed> {
    let caps = Caps {
        host,
        ..Caps::default()
    };
    let mut waiter = connections.waiter();
    let claimed = connections.claim("imap.example:993/ann", HOST, caps, &mut waiter);
    claimed.await.unwrap()
}

#[tokio::test]
async fn a_connection_in_place_of_one_that_was_lost_counts_as_well() {
    let place = Place::sqlite();
    let connections = Arc::new(Connections::new(place.open().await, "one".to_owned()));
    let lost = claim(&connections, Some(1)).await.ok().unwrap();
    assert!(claim(&connections, Some(1)).await.is_err());
    let instead = claim(&connections, None).await.ok().unwrap();
    drop(lost);
    assert!(claim(&connections, Some(1)).await.is_err(), "there is one");
    drop(instead);
    assert!(claim(&connections, Some(1)).await.is_ok(), "there is none");
}
