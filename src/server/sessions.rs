//! The sessions of one listener as tasks: a panic ends its own session and is counted, and all end in order when the bridge does.
//!
//! Must not know: what a session does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tracing::{error, warn};

use crate::metrics::Metrics;

/// See the module.
pub(super) struct Sessions {
    tasks: JoinSet<()>,
    metrics: Arc<Metrics>,
}

impl Sessions {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            tasks: JoinSet::new(),
            metrics,
        }
    }

    /// Runs a session in a task of its own.
    pub(super) fn start(&mut self, session: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(session);
    }

    /// Waits until a session has ended; for ever where there is none.
    pub(super) async fn one_ended(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.note(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended, for `patience` at most; those that have not are cut.
    pub(super) async fn drain(mut self, patience: Duration) {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.note(ended);
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            warn!(
                sessions = self.tasks.len(),
                "sessions were cut because they did not end in time"
            );
            self.tasks.shutdown().await;
        }
    }

    fn note(&self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|failure| failure.is_panic()) {
            self.metrics.session_panicked();
            error!("a session ended in a panic; please report it with the lines above");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn panics(metrics: &Metrics) -> bool {
        metrics
            .render()
            .contains("\npopbridge_session_panics_total 1\n")
    }

    #[tokio::test]
    async fn a_session_that_panics_ends_alone_and_is_counted() {
        let metrics = Arc::new(Metrics::new());
        let mut sessions = Sessions::new(Arc::clone(&metrics));
        let (say, heard) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        sessions.start(async move {
            let word: u32 = heard.await.unwrap();
            answer.send(word).unwrap();
        });
        sessions.start(async { panic!("on purpose") });
        sessions.one_ended().await;
        assert!(panics(&metrics));
        say.send(7).unwrap();
        sessions.one_ended().await;
        assert_eq!(answered.await, Ok(7), "the other session went on");
        assert!(panics(&metrics), "an orderly end is no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_do_not_end_are_cut_when_patience_is_over() {
        let mut sessions = Sessions::new(Arc::new(Metrics::new()));
        let (held, dropped) = oneshot::channel::<()>();
        sessions.start(async move {
            let _held = held;
            std::future::pending().await
        });
        sessions.start(async {});
        sessions.drain(Duration::from_secs(10)).await;
        assert!(dropped.await.is_err(), "what it held is free");
    }
}
