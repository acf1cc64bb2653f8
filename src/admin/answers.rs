//! What the operator's listener answers: pages and documents with what browsers are to make of them, and why somebody is kept out.
//!
//! Pure. Must not know: what is asked for.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::access::{Barred, Gate};
use super::page;

/// Why somebody is kept out.
pub(super) enum KeptOut {
    /// Nobody in particular.
    Stranger {
        is_here: bool,
        has_token: bool,
    },
    Barred(Barred),
    /// What was sent is of another page, or of this one as it was for somebody else.
    Foreign,
}

impl KeptOut {
    fn status(&self) -> StatusCode {
        match self {
            Self::Stranger {
                has_token: true, ..
            }
            | Self::Barred(Barred::Wrong) => StatusCode::UNAUTHORIZED,
            Self::Barred(Barred::Wait(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Stranger { .. } | Self::Barred(Barred::Closed(_)) | Self::Foreign => {
                StatusCode::FORBIDDEN
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Stranger {
                has_token: true, ..
            } => "This takes the admin token.".to_owned(),
            Self::Stranger {
                is_here: true,
                has_token: false,
            } => "This machine shows the page to itself only, under the name localhost or the address 127.0.0.1. For all others [admin] in the \
                  configuration has to say where a token is (token_file, token_env or token_credential)."
                .to_owned(),
            Self::Stranger { .. } => "For this [admin] in the configuration has to say where a token is (token_file, token_env or \
                                      token_credential)."
                .to_owned(),
            Self::Barred(Barred::Wrong) => "That is not the admin token.".to_owned(),
            Self::Barred(Barred::Wait(seconds)) => {
                format!("Wrong tokens came from where you are; wait {seconds} s and try again.")
            }
            Self::Barred(Barred::Closed(why)) => format!("Nobody can be let in: {why}."),
            Self::Foreign => "This was not sent by the page as it is for you now; go back to it and try again.".to_owned(),
        }
    }

    /// For a person, who may be able to show the token.
    pub(super) fn as_page(&self, access: &Gate) -> Response<Body> {
        let asks = access.has_token() && !matches!(self, Self::Foreign);
        self.with_fields(html(self.status(), page::door(&self.words(), asks)))
    }

    pub(super) fn as_json(&self) -> Response<Body> {
        let answer = json!({ "done": false, "words": self.words() });
        self.with_fields(as_json(self.status(), &answer))
    }

    fn with_fields(&self, mut response: Response<Body>) -> Response<Body> {
        let fields = response.headers_mut();
        match self {
            Self::Barred(Barred::Wait(seconds)) => {
                fields.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            _ if self.status() == StatusCode::UNAUTHORIZED => {
                let how = HeaderValue::from_static("Bearer realm=\"popbridge\"");
                fields.insert(header::WWW_AUTHENTICATE, how);
            }
            _ => {}
        }
        response
    }
}

/// For somebody who may not read the metrics.
pub(super) fn kept_from_metrics(barred: Option<Barred>) -> Response<Body> {
    let kept_out = match barred {
        Some(barred) => KeptOut::Barred(barred),
        None => KeptOut::Stranger {
            is_here: false,
            has_token: true,
        },
    };
    kept_out.as_json()
}

pub(super) fn html(status: StatusCode, text: String) -> Response<Body> {
    respond(status, "text/html; charset=utf-8", text)
}

pub(super) fn as_json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    respond(status, "application/json", format!("{value:#}\n"))
}

/// After a form: the page anew, so that going back or loading it again does nothing again.
pub(super) fn to_the_page(cookie: Option<&str>) -> Response<Body> {
    let mut response = respond(StatusCode::SEE_OTHER, "text/plain", String::new());
    let fields = response.headers_mut();
    fields.insert(header::LOCATION, HeaderValue::from_static("/"));
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        fields.insert(header::SET_COOKIE, cookie);
    }
    response
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        fields.insert(name, HeaderValue::from_static(value));
    };
    set("content-type", kind);
    // It is of this moment, and for whoever has asked.
    set("cache-control", "no-store");
    set("x-content-type-options", "nosniff");
    // Not "no-referrer": browsers would send forms without saying from which origin.
    set("referrer-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    if let Ok(policy) = HeaderValue::from_str(&page::POLICY) {
        fields.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
