//! One question to an authorization server, and its answer: bounded in size and time, on a connection of its own.
//!
//! Redirects are not followed and proxies not used: what is sent is meant for that server only. Nothing of what is sent or received is
//! logged. Must not know: what is asked.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::{Address, OAuthError};
use crate::secret::Secret;
use crate::trust::{ClientTlsError, client_config};

/// Many times as long as answers with tokens and OpenID configurations are.
const MAX_BODY: usize = 64 * 1024;
/// Nobody is believed who wants to be asked again in a year.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The way to one authorization server.
#[derive(Debug)]
pub(super) struct Http {
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// When the server wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// The server's clock, in seconds since 1970.
    pub(super) date: Option<i64>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Anything that bytes go through.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Http {
    /// Reads files: the system's authorities and those in `ca`.
    pub(super) fn new(ca: Option<&Path>, timeout: Duration) -> Result<Self, ClientTlsError> {
        Ok(Self {
            tls: client_config(ca)?,
            timeout,
        })
    }

    pub(super) async fn get(&self, to: &Address) -> Result<Answer, OAuthError> {
        let request = Request::builder().method(Method::GET);
        self.ask(to, request, String::new()).await
    }

    /// Sends a form; `authorization` is what the field of that name says.
    pub(super) async fn post(
        &self,
        to: &Address,
        form: &Secret,
        authorization: Option<&Secret>,
    ) -> Result<Answer, OAuthError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(words) = authorization {
            let mut value = HeaderValue::from_str(words.expose())
                .map_err(|_| trouble(to, "the client's secret does not fit into a header"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        self.ask(to, request, form.expose().to_owned()).await
    }

    async fn ask(
        &self,
        to: &Address,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<Answer, OAuthError> {
        let request = request
            .uri(to.path())
            .header(header::HOST, to.authority())
            .header(header::ACCEPT, "application/json")
            .header(
                header::USER_AGENT,
                concat!("popbridge/", env!("CARGO_PKG_VERSION")),
            )
            .body(body)
            .map_err(|error| trouble(to, &error.to_string()))?;
        let answer = tokio::time::timeout(self.timeout, self.exchange(to, request)).await;
        answer.unwrap_or_else(|_| {
            let words = format!("no answer within {} seconds", self.timeout.as_secs());
            Err(trouble(to, &words))
        })
    }

    async fn exchange(&self, to: &Address, request: Request<String>) -> Result<Answer, OAuthError> {
        let wrong = |error: hyper::Error| trouble(to, &error.to_string());
        let stream = self.connect(to).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(wrong)?;
        // Ends with this function, however that ends.
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its errors are the request's, too.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(wrong)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let temporary = |what: &str| OAuthError::Temporary {
            why: format!("{}: {what}", to.authority()),
            retry_after,
        };
        // Whatever comes behind it: a page for people, perhaps a long one, or half of it.
        match status {
            429 | 500.. => return Err(temporary(&format!("status {status}"))),
            100..200 | 300..400 => {
                let words = format!("status {status}; redirects are not followed");
                return Err(temporary(&words));
            }
            _ => {}
        }
        Ok(Answer {
            status,
            retry_after,
            date: date(response.headers()).and_then(seconds),
            body: read(response).await.map_err(|why| temporary(&why))?,
        })
    }

    async fn connect(&self, to: &Address) -> Result<Box<dyn Stream>, OAuthError> {
        let socket = TcpStream::connect((to.host(), to.port()))
            .await
            .map_err(|error| trouble(to, &format!("cannot connect: {error}")))?;
        if !to.is_encrypted() {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(to.host().to_owned())
            .map_err(|_| trouble(to, "this is no host name"))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, socket)
            .await
            .map_err(|error| trouble(to, &format!("TLS: {error}")))?;
        Ok(Box::new(stream))
    }
}

fn trouble(to: &Address, what: &str) -> OAuthError {
    OAuthError::Temporary {
        why: format!("{}: {what}", to.authority()),
        retry_after: None,
    }
}

async fn read(response: Response<Incoming>) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut body = response.into_body();
    // As large as it can get, so that it does not move and leave a copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BODY));
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(piece) = frame.data_ref() else {
            continue;
        };
        if content.len() + piece.len() > MAX_BODY {
            return Err(format!("an answer of more than {} KiB", MAX_BODY / 1024));
        }
        content.extend_from_slice(piece);
    }
    Ok(content)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, header::DATE)?).ok()
}

fn seconds(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// RFC 9110, 10.2.3: seconds, or a date, which is compared with the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, header::RETRY_AFTER)?;
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            // Over already: at once.
            until.duration_since(date(headers)?).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a server that answers with this and hangs up.
    async fn answered(with: Vec<u8>) -> Result<Answer, OAuthError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            // Whoever has heard enough may be gone.
            let _ = stream.write_all(&with).await;
        });
        let http = Http::new(None, Duration::from_secs(20)).unwrap();
        let address = format!("http://127.0.0.1:{port}/token");
        let answer = http.get(&address.parse().unwrap()).await;
        server.abort();
        answer
    }

    #[tokio::test]
    async fn the_time_to_ask_again_counts_however_long_the_page_is_and_where_it_breaks_off() {
        for (status, words) in [
            (503, "status 503"),
            (429, "status 429"),
            (302, "redirects are not followed"),
            (403, ""),
        ] {
            let head = format!(
                "HTTP/1.1 {status} No\r\nRetry-After: 17\r\nContent-Length: 1000000\r\n\r\n"
            );
            for page in [0, 100, 1_000_000] {
                let answer = [head.as_bytes(), &vec![b'x'; page]].concat();
                let Err(OAuthError::Temporary { why, retry_after }) = answered(answer).await else {
                    panic!("{status}, {page}");
                };
                assert!(why.contains(words), "{why}");
                assert_eq!(
                    retry_after,
                    Some(Duration::from_secs(17)),
                    "{status}: {why}"
                );
            }
        }
    }

    fn wait(fields: &[(header::HeaderName, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.clone(), value.parse().unwrap());
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_time_to_ask_again_is_told_in_seconds_or_as_a_date_by_the_servers_clock() {
        let (retry, date) = (header::RETRY_AFTER, header::DATE);
        assert_eq!(wait(&[(retry.clone(), "120")]), Some(120));
        let now = (date, "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = (retry.clone(), "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(wait(&[now.clone(), later.clone()]), Some(30));
        let before = (retry.clone(), "Sun, 06 Nov 1994 08:00:00 GMT");
        assert_eq!(wait(&[now, before]), Some(0));
        assert_eq!(wait(&[later]), None, "by which clock?");
        assert_eq!(wait(&[(retry.clone(), "soon")]), None);
        assert_eq!(wait(&[(retry, "99999999999")]), Some(86_400));
        assert_eq!(wait(&[]), None);
    }
}
