//! An authorization server in the test's process, on a free port: every grant that popbridge knows, OpenID configuration, introspection for
//! Dovecot (RFC 7662), and switches for its bad days. It has a thread and a runtime of its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::oneshot;

use super::oauth_crypto::ServiceAccount;
pub use super::oauth_world::{Asked, CLIENT_ID, CLIENT_SECRET, Failure};
use super::oauth_world::{State, as_json, failed};

pub struct OAuthServer {
    port: u16,
    state: Arc<Mutex<State>>,
    _end: oneshot::Sender<Infallible>,
}

impl OAuthServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("non-blocking");
        let state = Arc::new(Mutex::new(State::new()));
        let (end, ended) = oneshot::channel::<Infallible>();
        let world = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, port, world) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            port,
            state,
            _end: end,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("state")
    }

    /// `http://127.0.0.1:PORT` and a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A table `[oauth.NAME]` that leads here by OpenID configuration, with more keys.
    pub fn table(&self, name: &str, keys: &str) -> String {
        let issuer = self.url("");
        format!("[oauth.{name}]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n{keys}\n")
    }

    /// A table of a service account; its JSON file is made in `folder`.
    pub fn service_account_table(&self, name: &str, folder: &Path) -> String {
        let file = self.service_account(folder);
        format!(
            "[oauth.{name}]\npreset = \"google\"\ngrant = \"service-account\"\ntoken_url = \"{}\"\nservice_account_file = \"{}\"\n",
            self.url("/token"),
            file.display()
        )
    }

    /// Makes a service account and its JSON file in `folder`.
    pub fn service_account(&self, folder: &Path) -> PathBuf {
        let account = ServiceAccount::new();
        let file = account.write(folder, &self.url("/token"));
        self.state().account = Some(account);
        file
    }

    /// How long tokens are good from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// Whether a refresh gives a new refresh token and ends the old one.
    pub fn set_rotation(&self, rotate: bool) {
        self.state().rotate = rotate;
    }

    /// From now on the token endpoint does this instead.
    pub fn fail(&self, failure: Failure) {
        self.state().failure = Some((failure, usize::MAX));
    }

    /// The next so many times only.
    pub fn fail_times(&self, times: usize, failure: Failure) {
        self.state().failure = Some((failure, times));
    }

    /// No failures any more.
    pub fn recover(&self) {
        self.state().failure = None;
    }

    /// The user says no from now on.
    pub fn deny(&self) {
        self.state().deny = true;
    }

    /// From now on discovery tells of no device codes.
    pub fn hide_devices(&self) {
        self.state().no_devices = true;
    }

    /// From now on discovery says that device codes are there.
    pub fn devices_at(&self, address: &'static str) {
        self.state().devices_at = Some(address);
    }

    /// Device codes are refused with these words from now on.
    pub fn refuse_devices(&self, words: &'static str) {
        self.state().device_refusal = Some(words);
    }

    /// Redirects come back with another state from now on.
    pub fn mix_states_up(&self) {
        self.state().wrong_state = true;
    }

    /// Discovery names another issuer from now on.
    pub fn pretend_another_issuer(&self) {
        self.state().wrong_issuer = true;
    }

    /// From now on discovery says that a client's secret belongs into the field `Authorization`.
    pub fn demand_basic(&self) {
        self.state().methods = &["client_secret_basic"];
    }

    /// This server's clock is so many seconds ahead of the machine's.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.state().ahead = seconds;
    }

    /// Ends all access tokens at once, as if their time were over.
    pub fn expire_access(&self) {
        self.state().access.clear();
    }

    /// The same with those that there were before `meanwhile`: what is given out while that runs stays good.
    pub fn expire_access_of_before(&self, meanwhile: impl FnOnce()) {
        let before: Vec<String> = self.state().access.keys().cloned().collect();
        meanwhile();
        let mut state = self.state();
        for token in before {
            state.access.remove(&token);
        }
    }

    /// Ends all grants: refreshing is `invalid_grant` from now on. Access tokens live on.
    pub fn revoke(&self) {
        self.state().refresh.clear();
    }

    /// A refresh token for `user`, as if they had logged in.
    pub fn refresh_token(&self, user: &str) -> String {
        self.state().new_refresh(user)
    }

    /// An access token for `user`, good for the set lifetime.
    pub fn access_token(&self, user: &str) -> String {
        self.state().new_access(user)
    }

    /// The user decides about the device code that was asked for last.
    pub fn decide(&self, decision: Result<&str, ()>) {
        let mut state = self.state();
        let device = state.devices.values_mut().next().expect("a device code");
        device.decision = Some(decision.map(str::to_owned));
    }

    /// The device code that was asked for last is too old.
    pub fn expire_device(&self) {
        let mut state = self.state();
        let device = state.devices.values_mut().next().expect("a device code");
        device.expired = true;
    }

    /// The next so many polls are told to slow down.
    pub fn slow_device_down(&self, times: u32) {
        let mut state = self.state();
        let device = state.devices.values_mut().next().expect("a device code");
        device.slow_downs = times;
    }

    /// Whose an access token is, while it is good.
    pub fn user_of(&self, token: &str) -> Option<String> {
        let known = self.state().introspected(token);
        known["username"].as_str().map(str::to_owned)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How often a token was asked for by this grant type, whatever the answer was.
    pub fn grants(&self, kind: &str) -> usize {
        let of_kind = |asked: &&Asked| asked.form.get("grant_type").is_some_and(|g| g == kind);
        self.state().asked.iter().filter(of_kind).count()
    }

    /// How often a refresh was asked for.
    pub fn refreshes(&self) -> usize {
        self.grants("refresh_token")
    }

    /// Everything that must be in no log: codes, tokens, verifiers, states, assertions, the client's secret.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state();
        let mut all = state.given.clone();
        all.push(CLIENT_SECRET.to_owned());
        for asked in &state.asked {
            let secret = ["code_verifier", "assertion", "device_code", "code"];
            all.extend(
                secret
                    .iter()
                    .filter_map(|key| asked.form.get(*key).cloned()),
            );
        }
        all
    }
}

async fn serve(listener: TcpListener, port: u16, state: Arc<Mutex<State>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let state = Arc::clone(&state);
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(answer(request.map(Body::new), port, &state).await) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Whoever hangs up early is not this server's business.
            let _ = connection.await;
        });
    }
}

fn parameters(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

/// `application/x-www-form-urlencoded`, undone.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(&tail[..2]).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Id and secret out of the field `Authorization` (RFC 6749, 2.3.1).
fn basic(pair: &str) -> [(String, String); 3] {
    let pair = STANDARD.decode(pair).expect("base64");
    let pair = String::from_utf8(pair).expect("UTF-8");
    let (id, secret) = pair.split_once(':').expect("id:secret");
    [
        ("client_id".to_owned(), decoded(id)),
        ("client_secret".to_owned(), decoded(secret)),
        ("basic".to_owned(), "yes".to_owned()),
    ]
}

async fn answer(request: Request<Body>, port: u16, state: &Mutex<State>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut form = parameters(head.uri.query().unwrap_or_default());
    form.extend(parameters(&body));
    let bearer = head.headers.get(header::AUTHORIZATION);
    if let Some(token) = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ")) {
        form.insert("token".to_owned(), token.to_owned());
    }
    if let Some(pair) = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Basic ")) {
        form.extend(basic(pair));
    }
    let path = head.uri.path().to_owned();
    let mut late = Duration::ZERO;
    let response = {
        let mut state = state.lock().expect("state");
        state.asked.push(Asked {
            path: path.clone(),
            form: form.clone(),
        });
        let here = format!("http://127.0.0.1:{port}");
        match (path.as_str(), head.method) {
            ("/token", Method::POST) => match state.next_failure() {
                Some(Failure::Slow(delay)) => {
                    late = delay;
                    state.token_response(&form)
                }
                Some(failure) => failed(failure, state.date()),
                None => state.token_response(&form),
            },
            ("/authorize", Method::GET) => state.redirect(&form),
            ("/device", Method::POST) => state.new_device(&here),
            ("/introspect", _) => {
                let token = form.get("token").cloned().unwrap_or_default();
                as_json(200, &state.introspected(&token), None)
            }
            ("/.well-known/openid-configuration", Method::GET) => {
                let issuer = if state.wrong_issuer {
                    "https://evil.example"
                } else {
                    &here
                };
                let mut all = json!({
                    "issuer": issuer, "authorization_endpoint": format!("{here}/authorize"),
                    "token_endpoint": format!("{here}/token"),
                    "device_authorization_endpoint": format!("{here}/device"),
                    "introspection_endpoint": format!("{here}/introspect"),
                    "token_endpoint_auth_methods_supported": state.methods,
                });
                if let Some(elsewhere) = state.devices_at {
                    all["device_authorization_endpoint"] = elsewhere.into();
                }
                if state.no_devices {
                    all["device_authorization_endpoint"].take();
                }
                as_json(200, &all, None)
            }
            _ => as_json(404, &json!({}), None),
        }
    };
    tokio::time::sleep(late).await;
    response
}
