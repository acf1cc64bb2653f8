//! What the authorization server of the tests (`oauth_server`) knows, and what it answers.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::oauth_crypto::{ServiceAccount, challenge_of, http_date};

/// What popbridge is called here.
pub const CLIENT_ID: &str = "popbridge-test";
/// What proves it, where it has one.
pub const CLIENT_SECRET: &str = "client-secret-9f2c";

/// What the token endpoint does instead of its work.
#[derive(Clone, Debug)]
pub enum Failure {
    /// An error of RFC 6749, 5.2, with a description.
    Error(&'static str, &'static str),
    /// No answer for so long, and then a good one.
    Slow(Duration),
    /// A status without an answer, and `Retry-After` where it is not empty.
    Status(u16, &'static str),
    /// 200 with a page for people.
    NotJson,
    /// 200 with a mebibyte.
    Huge,
    /// 200 with these words.
    Words(&'static str),
}

/// One request as it came in: the path, and its query or form.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub form: HashMap<String, String>,
}

/// What is known of a token that was given out.
pub(super) struct Token {
    user: String,
    until: Instant,
}

pub(super) struct Code {
    user: String,
    challenge: String,
    redirect: String,
}

pub(super) struct Device {
    pub(super) user_code: String,
    /// None: nobody has decided yet.
    pub(super) decision: Option<Result<String, ()>>,
    pub(super) expired: bool,
    pub(super) slow_downs: u32,
}

pub(super) struct State {
    pub(super) lifetime: Duration,
    pub(super) rotate: bool,
    pub(super) failure: Option<(Failure, usize)>,
    /// How far this server's clock is ahead, in seconds.
    pub(super) ahead: i64,
    pub(super) asked: Vec<Asked>,
    pub(super) access: HashMap<String, Token>,
    pub(super) refresh: HashMap<String, String>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) devices: HashMap<String, Device>,
    pub(super) given: Vec<String>,
    pub(super) account: Option<ServiceAccount>,
    /// What the authorization endpoint answers instead of a code.
    pub(super) deny: bool,
    /// Discovery tells of no device codes.
    pub(super) no_devices: bool,
    /// Where discovery says that they are, instead of here.
    pub(super) devices_at: Option<&'static str>,
    /// With what words device codes are refused.
    pub(super) device_refusal: Option<&'static str>,
    /// Sent back instead of the state that was given.
    pub(super) wrong_state: bool,
    /// What discovery says instead of this server's address.
    pub(super) wrong_issuer: bool,
    /// How clients may prove who they are, as discovery says it.
    pub(super) methods: &'static [&'static str],
    pub(super) numbers: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(3600),
            rotate: false,
            failure: None,
            ahead: 0,
            asked: Vec::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            devices: HashMap::new(),
            given: Vec::new(),
            account: None,
            deny: false,
            no_devices: false,
            devices_at: None,
            device_refusal: None,
            wrong_state: false,
            wrong_issuer: false,
            methods: &["client_secret_basic", "client_secret_post"],
            numbers: 0,
        }
    }

    fn unguessable(&mut self, what: &str) -> String {
        self.numbers += 1;
        let name = format!("{what}-{:04}-3b1f77d2", self.numbers);
        self.given.push(name.clone());
        name
    }

    pub(super) fn new_access(&mut self, user: &str) -> String {
        let name = self.unguessable("access");
        let token = Token {
            user: user.to_owned(),
            until: Instant::now() + self.lifetime,
        };
        self.access.insert(name.clone(), token);
        name
    }

    pub(super) fn new_refresh(&mut self, user: &str) -> String {
        let name = self.unguessable("refresh");
        self.refresh.insert(name.clone(), user.to_owned());
        name
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(now.expect("a clock").as_secs()).expect("a time") + self.ahead
    }

    fn granted(&mut self, user: &str, refresh: Option<String>) -> (u16, Value) {
        let access = self.new_access(user);
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": self.lifetime.as_secs(),
        });
        if let Some(refresh) = refresh {
            answer["refresh_token"] = refresh.into();
        }
        (200, answer)
    }

    fn token(&mut self, form: &HashMap<String, String>) -> (u16, Value) {
        let of = |key: &str| form.get(key).cloned().unwrap_or_default();
        match of("grant_type").as_str() {
            "authorization_code" => {
                let Some(code) = self.codes.remove(&of("code")) else {
                    return refusal("invalid_grant", "no such code");
                };
                if challenge_of(&of("code_verifier")) != code.challenge {
                    return refusal("invalid_grant", "the verifier does not fit");
                }
                if of("redirect_uri") != code.redirect {
                    return refusal("invalid_grant", "another redirect_uri");
                }
                let refresh = self.new_refresh(&code.user);
                self.granted(&code.user, Some(refresh))
            }
            "refresh_token" => {
                let old = of("refresh_token");
                let Some(user) = self.refresh.get(&old).cloned() else {
                    return refusal("invalid_grant", "Token has been expired or revoked.");
                };
                let next = self.rotate.then(|| {
                    self.refresh.remove(&old);
                    self.new_refresh(&user)
                });
                self.granted(&user, next)
            }
            "urn:ietf:params:oauth:grant-type:device_code" => self.device_token(&of("device_code")),
            "client_credentials" => match of("client_secret") == CLIENT_SECRET {
                true => self.granted("the-application", None),
                false => refusal(
                    "invalid_client",
                    "AADSTS7000215: Invalid client secret provided.",
                ),
            },
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let now = self.now();
                let Some(account) = &self.account else {
                    return refusal("invalid_grant", "no such account");
                };
                match account.check(&of("assertion"), now) {
                    Ok(user) => self.granted(&user, None),
                    Err(why) => refusal("invalid_grant", why),
                }
            }
            _ => refusal("unsupported_grant_type", ""),
        }
    }

    fn device_token(&mut self, code: &str) -> (u16, Value) {
        let Some(device) = self.devices.get_mut(code) else {
            return refusal("invalid_grant", "no such device code");
        };
        if device.expired {
            return refusal("expired_token", "");
        }
        if device.slow_downs > 0 {
            device.slow_downs -= 1;
            return refusal("slow_down", "");
        }
        match device.decision.clone() {
            None => refusal("authorization_pending", ""),
            Some(Err(())) => refusal("access_denied", ""),
            Some(Ok(user)) => {
                self.devices.remove(code);
                let refresh = self.new_refresh(&user);
                self.granted(&user, Some(refresh))
            }
        }
    }

    /// RFC 7662; also with the names that Dovecot looks for.
    pub(super) fn introspected(&self, token: &str) -> Value {
        match self.access.get(token) {
            Some(token) if token.until > Instant::now() => json!({
                "active": true, "username": token.user, "email": token.user, "sub": token.user,
                "client_id": CLIENT_ID, "scope": "mail", "token_type": "Bearer",
            }),
            _ => json!({ "active": false }),
        }
    }
}

fn refusal(error: &str, description: &str) -> (u16, Value) {
    let status = if error == "invalid_client" { 401 } else { 400 };
    (
        status,
        json!({ "error": error, "error_description": description }),
    )
}

impl State {
    pub(super) fn next_failure(&mut self) -> Option<Failure> {
        let (failure, left) = self.failure.as_mut()?;
        let failure = failure.clone();
        *left -= 1;
        if *left == 0 {
            self.failure = None;
        }
        Some(failure)
    }

    pub(super) fn token_response(&mut self, form: &HashMap<String, String>) -> Response<Body> {
        let (status, answer) = match form.get("client_id").map_or(CLIENT_ID, String::as_str) {
            CLIENT_ID => self.token(form),
            _ => refusal("invalid_client", "no such client"),
        };
        as_json(status, &answer, self.date())
    }

    /// What the field `Date` says where it is not the machine's time.
    pub(super) fn date(&self) -> Option<String> {
        (self.ahead != 0).then(|| http_date(self.now()))
    }

    /// The user agrees, or not, at once.
    pub(super) fn redirect(&mut self, form: &HashMap<String, String>) -> Response<Body> {
        let of = |key: &str| form.get(key).cloned().unwrap_or_default();
        assert_eq!(of("code_challenge_method"), "S256");
        assert_eq!(
            (of("response_type").as_str(), of("client_id").as_str()),
            ("code", CLIENT_ID)
        );
        let back = of("redirect_uri");
        let given = if self.wrong_state {
            "another".to_owned()
        } else {
            of("state")
        };
        let outcome = match self.deny {
            true => "error=access_denied&error_description=The+user+said+no".to_owned(),
            false => {
                let name = self.unguessable("code");
                let code = Code {
                    user: of("login_hint"),
                    challenge: of("code_challenge"),
                    redirect: back.clone(),
                };
                self.codes.insert(name.clone(), code);
                format!("code={name}")
            }
        };
        let response = Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, format!("{back}?{outcome}&state={given}"));
        response.body(Body::empty()).expect("a response")
    }

    pub(super) fn new_device(&mut self, here: &str) -> Response<Body> {
        if let Some(words) = self.device_refusal {
            let (status, answer) = refusal("invalid_client", words);
            return as_json(status, &answer, None);
        }
        let code = self.unguessable("device");
        let device = Device {
            user_code: format!("WDJB-{:04}", self.numbers),
            decision: None,
            expired: false,
            slow_downs: 0,
        };
        let answer = json!({
            "device_code": code, "user_code": device.user_code,
            "verification_uri": format!("{here}/activate"), "expires_in": 900, "interval": 1,
        });
        self.devices.clear();
        self.devices.insert(code, device);
        as_json(200, &answer, None)
    }
}

pub(super) fn as_json(status: u16, answer: &Value, date: Option<String>) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(date) = date {
        response = response.header(header::DATE, date);
    }
    response
        .body(Body::from(answer.to_string()))
        .expect("a response")
}

pub(super) fn failed(failure: Failure, date: Option<String>) -> Response<Body> {
    match failure {
        Failure::Error(error, description) => {
            let (status, answer) = refusal(error, description);
            as_json(status, &answer, date)
        }
        Failure::Status(status, retry_after) => {
            let mut response = Response::builder().status(status);
            if !retry_after.is_empty() {
                response = response.header(header::RETRY_AFTER, retry_after);
            }
            response.body(Body::empty()).expect("a response")
        }
        Failure::NotJson => Response::new(Body::from(
            "<html>Please log in to the hotel's network</html>",
        )),
        Failure::Huge => Response::new(Body::from("x".repeat(1 << 20))),
        Failure::Words(words) => Response::new(Body::from(words)),
        Failure::Slow(_) => unreachable!("it is late, not wrong"),
    }
}
