//! Waiting for mail: IDLE (RFC 2177).
//!
//! Must not know: what is done about it.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Response};
use super::error::Error;
use super::reply::split_word;

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
        let arrived = waited?;
        let done = async {
            let transport = self.transport();
            transport.write_all(b"DONE\r\n").await?;
            transport.flush().await
        };
        done.await.map_err(Error::from)?;
        self.finish(&pending, |_| Ok(())).await?;
        Ok(arrived)
    }

    async fn wait_for_mail(&mut self, tag: &str, deadline: Instant) -> Result<bool, Error> {
        let (mut is_idle, mut arrived) = (false, false);
        loop {
            // Before the upstream has agreed, its patience is the usual one: it is cut off by the caller's next command.
            let response = match timeout_at(deadline, self.idle_response(tag)).await {
                Ok(response) => response?,
                Err(_) if is_idle => return Ok(arrived),
                Err(_) => return Err(Error::Timeout("IDLE")),
            };
            match response {
                Heard::Continue => is_idle = true,
                Heard::Arrived => arrived = true,
                Heard::Other => {}
            }
            if is_idle && arrived {
                return Ok(true);
            }
        }
    }

    async fn idle_response(&mut self, tag: &str) -> Result<Heard, Error> {
        let line = self.transport().line().await?;
        if line.content.starts_with(b"+") {
            return Ok(Heard::Continue);
        }
        match self.classify(line, tag)? {
            Response::Tagged(_) => Err(Error::Protocol("an end of IDLE that nobody asked for")),
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
    Other,
}
