//! A client that is told at once why it is not served, where it can be told.
//!
//! Must not know: why.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;

use super::refusals;
use super::wire::Wire;
use crate::metrics::Refused;
use crate::pop3;

/// Says `-ERR` instead of a greeting, by TLS where the listener starts with it (`tls`), and closes the connection; by `deadline` it is
/// over, whatever was said.
pub async fn turn_away(
    mut wire: Wire,
    tls: Option<Arc<ServerConfig>>,
    why: Refused,
    deadline: Instant,
) {
    if let Some(tls) = tls
        && wire.start_tls(tls, deadline).await.is_err()
    {
        return;
    }
    pop3::turn_away(&refusals::of_turned_away(why), &mut wire.out);
    if let Ok(Ok(())) = timeout_at(deadline, wire.send()).await {
        let _ = timeout_at(deadline, wire.close(true)).await;
    }
}
