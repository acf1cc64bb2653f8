//! Waits for a browser that is redirected to this machine (RFC 8252, 7.3).
//!
//! Every page in that browser and every user of this machine can ask here, too: what comes is only read and handed on, and a few
//! connections at a time are listened to for a short while. Must not know: what a code is.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::secret::Secret;

/// Longer than any redirect; Microsoft's codes have up to two thousand characters.
const MAX_HEAD: usize = 16 * 1024;
/// For a request to come, or an answer to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// Browsers open some in advance.
const CONNECTIONS: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    /// For browsers to which `localhost` is `::1`.
    also: Option<TcpListener>,
    port: u16,
    readers: JoinSet<Option<Visit>>,
}

/// A browser that was redirected here and waits for an answer.
#[derive(Debug)]
pub struct Visit {
    /// What stands behind the `?`: perhaps a code.
    pub query: Secret,
    stream: TcpStream,
}

impl Loopback {
    /// Listens on a free port.
    ///
    /// # Errors
    /// The system's.
    pub async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            also: TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok(),
            listener,
            port,
            readers: JoinSet::new(),
        })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next browser that was redirected here. Can be dropped and called again.
    pub async fn visit(&mut self) -> Visit {
        loop {
            let has_room = self.readers.len() < CONNECTIONS;
            let accepted = tokio::select! {
                Some(read) = self.readers.join_next() => match read {
                    Ok(Some(visit)) => return visit,
                    _ => continue,
                },
                accepted = self.listener.accept(), if has_room => accepted,
                Some(accepted) = accept(self.also.as_ref()), if has_room => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.readers.spawn(async move {
                        let visit = timeout(PATIENCE, read(stream)).await;
                        visit.ok().flatten()
                    });
                }
                // Out of descriptors, most likely: a moment's patience instead of a busy loop.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn accept(
    listener: Option<&TcpListener>,
) -> Option<io::Result<(TcpStream, std::net::SocketAddr)>> {
    Some(listener?.accept().await)
}

/// A request that is a redirect; all others are answered here.
async fn read(mut stream: TcpStream) -> Option<Visit> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let query = line
        .strip_prefix("GET /?")
        .and_then(|rest| rest.split_once(' '))
        .map(|(query, _)| Secret::new(query.to_owned()));
    match query {
        Some(query) => Some(Visit { query, stream }),
        // Such as "/favicon.ico".
        None => {
            respond(stream, "404 Not Found", "There is nothing here.").await;
            None
        }
    }
}

impl Visit {
    /// Tells the person in front of the browser what became of it.
    pub async fn answer(self, is_well: bool, words: &str) {
        let status = if is_well { "200 OK" } else { "400 Bad Request" };
        respond(self.stream, status, words).await;
    }
}

async fn respond(mut stream: TcpStream, status: &str, words: &str) {
    let body = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>popbridge</title><p>{words}</p></html>\n"
    );
    // The address has the code in it: it is to go nowhere else.
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // A browser that is gone needs no answer.
    let _ = timeout(PATIENCE, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer_to(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_keeps_no_browser_waiting() {
        let mut loopback = Loopback::bind().await.unwrap();
        let port = loopback.port();
        let _silent = ask(port, "").await;
        let icon = ask(port, "GET /favicon.ico HTTP/1.1\r\n\r\n").await;
        let browser = ask(port, "GET /?code=1&state=2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let visit = loopback.visit().await;
        assert_eq!(visit.query.expose(), "code=1&state=2");
        assert!(!format!("{visit:?}").contains("code=1"), "{visit:?}");
        visit.answer(true, "Thanks.").await;
        let answer = answer_to(browser).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("<p>Thanks.</p>") && answer.contains("no-store"));
        // Answered by whoever waits for the next one.
        let waiting = tokio::spawn(async move { loopback.visit().await.query });
        assert!(answer_to(icon).await.starts_with("HTTP/1.1 404 "));
        ask(port, "GET /?x HTTP/1.1\r\n\r\n").await;
        assert_eq!(waiting.await.unwrap().expose(), "x");
    }

    #[tokio::test]
    async fn what_is_no_request_is_dropped() {
        let mut loopback = Loopback::bind().await.unwrap();
        let port = loopback.port();
        let waiting = tokio::spawn(async move { loopback.visit().await.query });
        let long = ask(port, &format!("GET /?{}", "x".repeat(MAX_HEAD))).await;
        let post = ask(port, "POST /?code=1 HTTP/1.1\r\n\r\n").await;
        let garbage = ask(port, "\u{ff}\r\n\r\n").await;
        assert!(answer_to(post).await.starts_with("HTTP/1.1 404 "));
        assert!(answer_to(garbage).await.starts_with("HTTP/1.1 404 "));
        let mut rest = Vec::new();
        // A reset or an end: nothing is said.
        let mut long = long;
        let _ = long.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        ask(port, "GET /?y HTTP/1.1\r\n\r\n").await;
        assert_eq!(waiting.await.unwrap().expose(), "y");
    }
}
