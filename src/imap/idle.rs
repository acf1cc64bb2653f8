//! Waiting for mail: IDLE (RFC 2177).
//!
//! Must not know: what is done about it.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Response};
use super::error::Error;
use super::reply::{Reply, split_word};

impl Connection {
    /// Waits until something arrives in the open folder, for `limit` at most; whether something has. RFC 2177 wants a limit below 29
    /// minutes.
    ///
    /// # Errors
    /// [`Error::Lacks`] without IDLE; what any command can give.
    pub async fn idle(&mut self, limit: Duration) -> Result<bool, Error> {
        if !self.capabilities().has("IDLE") {
            return Err(Error::Lacks("IDLE"));
        }
        let deadline = Instant::now() + limit;
        let pending = self.begin("IDLE", "IDLE").await?;
        // It is silence that is wanted.
        let patience = self.transport().set_patience(limit);
        let waited = self.wait_for_mail(&pending.tag, deadline).await;
        self.transport().set_patience(patience);
        let arrived = match waited? {
            Ok(arrived) => arrived,
            Err(reply) if reply.is_ok() => {
                return Err(Error::Protocol("an end of IDLE that nobody asked for"));
            }
            Err(refusal) => {
                let refused = self.settle_demanding(&pending, Ok(refusal));
                return refused.map(|_| false);
            }
        };
        let done = async {
            let transport = self.transport();
            transport.write_all(b"DONE\r\n").await?;
            transport.flush().await
        };
        done.await.map_err(Error::from)?;
        self.finish(&pending, |_| Ok(())).await?;
        Ok(arrived)
    }

    /// Whether something has arrived, or how the upstream has ended it by itself.
    async fn wait_for_mail(
        &mut self,
        tag: &str,
        deadline: Instant,
    ) -> Result<Result<bool, Reply>, Error> {
        let (mut is_idle, mut arrived) = (false, false);
        loop {
            // Before the upstream has agreed, its patience is the usual one: it is cut off by the caller's next command.
            let response = match timeout_at(deadline, self.idle_response(tag)).await {
                Ok(response) => response?,
                Err(_) if is_idle => return Ok(Ok(arrived)),
                Err(_) => return Err(Error::Timeout("IDLE")),
            };
            match response {
                Heard::Continue => is_idle = true,
                Heard::Arrived => arrived = true,
                Heard::Other => {}
                Heard::Ended(reply) => return Ok(Err(reply)),
            }
            if is_idle && arrived {
                return Ok(Ok(true));
            }
        }
    }

    async fn idle_response(&mut self, tag: &str) -> Result<Heard, Error> {
        let line = self.transport().line().await?;
        if line.content.starts_with(b"+") {
            return Ok(Heard::Continue);
        }
        match self.classify(line, tag)? {
            Response::Tagged(reply) => Ok(Heard::Ended(reply)),
            Response::Status(_) => Ok(Heard::Other),
            Response::Data(line) => {
                let whole = self.transport().whole(line).await?;
                let (_, rest) = split_word(whole.get(2..).unwrap_or_default());
                match rest.trim_ascii_end().eq_ignore_ascii_case(b"EXISTS") {
                    true => Ok(Heard::Arrived),
                    false => Ok(Heard::Other),
                }
            }
        }
    }
}

enum Heard {
    Continue,
    Arrived,
    Ended(Reply),
    Other,
}

#[cfg(test)]
mod tests {
    use super::super::meaning::Pressure;
    use super::super::script_tests::upstream;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_idle_keeps_its_meaning_and_the_connection() {
        for before in ["", "+ idling\n"] {
            let answer = format!("{before}{{tag}} NO [THROTTLED] enough\n");
            let (mut connection, _) = upstream("IDLE", &[&answer]).await;
            let error = connection.idle(MINUTE).await.unwrap_err();
            assert!(matches!(
                &error,
                Error::Refused {
                    command: "IDLE",
                    ..
                }
            ));
            assert_eq!(error.pressure(), Some(Pressure::Throttled));
            assert!(connection.is_clean());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_that_ends_well_by_itself_is_not_understood() {
        let (mut connection, _) = upstream("IDLE", &["+ idling\n{tag} OK done\n"]).await;
        let error = connection.idle(MINUTE).await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)) && !connection.is_clean());
    }
}
