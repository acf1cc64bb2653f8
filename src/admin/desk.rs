//! The status page: what is asked for, by whom, and what is answered.
//!
//! Whoever may read gets the page, the part of it that changes, or the same for programs. What changes something comes by POST, from a form
//! of this page or from a program that shows the token. Must not know: how the page looks, what an action does.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use serde_json::json;
use tracing::info;

use super::access::{Asker, COOKIE, Gate, Pass, fits, is_of_this_page};
use super::answers::{KeptOut, as_json, html, to_the_page};
use super::logins::{Logins, Way};
use super::page::{self, Visitor};
use super::{Peer, json};
use crate::bridge::Bridge;
use crate::oauth::form_field;
use crate::secret::Secret;
use crate::telemetry::recent;

/// Longer than any form: addresses that come back from an authorization server have a few thousand characters.
const FORM: usize = 16 * 1024;

/// What the page is about.
pub struct Desk {
    /// What it tells of, and what its actions change.
    pub bridge: Arc<Bridge>,
    /// Log-ins for accounts that are begun on it.
    pub logins: Logins,
}

#[derive(Clone)]
struct Office {
    access: Arc<Gate>,
    desk: Arc<Desk>,
}

/// What came of an action, in a sentence.
enum Done {
    Yes(String),
    /// There is nothing to act on.
    NotThere(String),
    No(String),
}

pub(super) fn routes(access: Arc<Gate>, desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(whole))
        .route("/live", get(live))
        .route("/status.json", get(document))
        .route("/log-in", post(log_in))
        .route("/log-out", post(log_out))
        .route("/reset", post(reset))
        .route("/end", post(end))
        .route("/oauth/begin", post(oauth_begin))
        .route("/oauth/paste", post(oauth_paste))
        .route("/oauth/end", post(oauth_end))
        .layer(DefaultBodyLimit::max(FORM))
        .with_state(Office { access, desk })
}

async fn whole(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
) -> Response<Body> {
    let asker = match office.reader(peer, &fields) {
        Ok(asker) => asker,
        Err(kept_out) => return kept_out.as_page(&office.access),
    };
    let notice = match &asker {
        Asker::Browser(pass) => office.access.told(pass),
        _ => None,
    };
    let content = office.content(&asker).await;
    let visitor = office.visitor(&asker);
    html(
        StatusCode::OK,
        page::whole(visitor, notice.as_deref(), &content),
    )
}

async fn live(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
) -> Response<Body> {
    match office.reader(peer, &fields) {
        Ok(asker) => html(StatusCode::OK, office.content(&asker).await),
        Err(kept_out) => kept_out.as_json(),
    }
}

async fn document(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
) -> Response<Body> {
    if let Err(kept_out) = office.reader(peer, &fields) {
        return kept_out.as_json();
    }
    let seen = office.desk.bridge.overview().await;
    as_json(StatusCode::OK, &json::document(&seen, &recent()))
}

async fn log_in(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    if !is_of_this_page(&fields) {
        return KeptOut::Foreign.as_json();
    }
    let shown = Secret::new(form_field(&form, "token").unwrap_or_default());
    drop(Secret::new(form));
    // People copy more than the token.
    match office.access.log_in(peer, shown.expose().trim()) {
        Ok(id) => {
            info!(peer = %peer, "somebody has logged in to the status page");
            // Over plain HTTP a browser would keep none that says Secure.
            let secure = match fields.get("x-forwarded-proto").map(HeaderValue::as_bytes) {
                Some(b"https") => "; Secure",
                _ => "",
            };
            let cookie = format!(
                "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}",
                id.expose()
            );
            to_the_page(Some(&cookie))
        }
        Err(barred) => KeptOut::Barred(barred).as_page(&office.access),
    }
}

async fn log_out(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    match office.actor(peer, &fields, &form) {
        Ok(Some(pass)) => office.access.log_out(&pass),
        Ok(None) => {}
        Err(kept_out) => return kept_out.as_page(&office.access),
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    to_the_page(Some(&gone))
}

async fn reset(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    let desk = Arc::clone(&office.desk);
    let action = async move |client: String| match desk.bridge.reset_client(&client).await {
        Ok(true) => Done::Yes(format!(
            "What {client} has had and deleted is forgotten: at its next log-in it gets everything that is still there."
        )),
        Ok(false) => Done::NotThere(format!("There is no client {client}.")),
        Err(trouble) => Done::No(format!("{client} was not reset: {trouble}.")),
    };
    office.act(peer, &fields, &form, "client", action).await
}

async fn end(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    let desk = Arc::clone(&office.desk);
    let action = async move |session: String| match desk.bridge.end_session(&session) {
        true => Done::Yes(format!("The session {session} ends.")),
        false => Done::NotThere("That session has ended already.".to_owned()),
    };
    office.act(peer, &fields, &form, "session", action).await
}

async fn oauth_begin(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    let desk = Arc::clone(&office.desk);
    let way = match form_field(&form, "way").as_deref() {
        Some("code") => Way::Code,
        _ => Way::Device,
    };
    let action = async move |account: String| match desk.logins.begin(&account, way).await {
        Ok(()) => Done::Yes(format!("A log-in for {account} has begun; see there.")),
        Err(why) => Done::No(format!("No log-in for {account}: {why}.")),
    };
    office.act(peer, &fields, &form, "account", action).await
}

async fn oauth_paste(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    let desk = Arc::clone(&office.desk);
    let pasted = Secret::new(form_field(&form, "pasted").unwrap_or_default());
    let action = async move |account: String| match desk.logins.paste(&account, pasted) {
        true => Done::Yes(format!("Taken; {account} tells what comes of it.")),
        false => Done::NotThere(format!("No log-in for {account} waits for that.")),
    };
    office.act(peer, &fields, &form, "account", action).await
}

async fn oauth_end(
    State(office): State<Office>,
    Extension(Peer(peer)): Extension<Peer>,
    fields: HeaderMap,
    form: String,
) -> Response<Body> {
    let desk = Arc::clone(&office.desk);
    let action = async move |account: String| match desk.logins.end(&account) {
        true => Done::Yes(format!("The log-in for {account} is over.")),
        false => Done::NotThere(format!("There is no log-in for {account}.")),
    };
    office.act(peer, &fields, &form, "account", action).await
}

impl Office {
    /// Who reads.
    fn reader(&self, peer: IpAddr, fields: &HeaderMap) -> Result<Asker, KeptOut> {
        match self.access.asker(peer, fields) {
            Ok(Asker::Stranger) => Err(KeptOut::Stranger {
                is_here: peer.to_canonical().is_loopback(),
                has_token: self.access.has_token(),
            }),
            Ok(asker) => Ok(asker),
            Err(barred) => Err(KeptOut::Barred(barred)),
        }
    }

    /// Who acts: a browser, or none: a program.
    fn actor(&self, peer: IpAddr, fields: &HeaderMap, form: &str) -> Result<Option<Pass>, KeptOut> {
        if !is_of_this_page(fields) {
            return Err(KeptOut::Foreign);
        }
        match self.access.asker(peer, fields) {
            Ok(Asker::Program) => Ok(None),
            Ok(Asker::Browser(pass)) => {
                let key = Secret::new(form_field(form, "key").unwrap_or_default());
                match fits(&pass, key.expose()) {
                    true => Ok(Some(pass)),
                    false => Err(KeptOut::Foreign),
                }
            }
            Ok(Asker::Near | Asker::Stranger) => Err(KeptOut::Stranger {
                is_here: false,
                has_token: self.access.has_token(),
            }),
            Err(barred) => Err(KeptOut::Barred(barred)),
        }
    }

    /// Does what a form or a program asks for, to what the field `on` names; the answer goes to whoever asked.
    async fn act(
        &self,
        peer: IpAddr,
        fields: &HeaderMap,
        form: &str,
        on: &str,
        action: impl AsyncFnOnce(String) -> Done,
    ) -> Response<Body> {
        let pass = match self.actor(peer, fields, form) {
            Ok(pass) => pass,
            Err(kept_out) if fields.contains_key(header::COOKIE) => {
                return kept_out.as_page(&self.access);
            }
            Err(kept_out) => return kept_out.as_json(),
        };
        let done = match form_field(form, on) {
            Some(name) => action(name).await,
            None => Done::NotThere(format!("The form has no {on}.")),
        };
        let (status, words) = match done {
            Done::Yes(words) => (StatusCode::OK, words),
            Done::NotThere(words) => (StatusCode::NOT_FOUND, words),
            Done::No(words) => (StatusCode::CONFLICT, words),
        };
        match pass {
            Some(pass) => {
                self.access.tell(&pass, words);
                to_the_page(None)
            }
            None => as_json(
                status,
                &json!({ "done": status == StatusCode::OK, "words": words }),
            ),
        }
    }

    fn visitor<'a>(&self, asker: &'a Asker) -> Visitor<'a> {
        match asker {
            Asker::Browser(pass) => Visitor::Operator(&pass.key),
            _ if self.access.has_token() => Visitor::Reader,
            _ => Visitor::ReaderForEver,
        }
    }

    async fn content(&self, asker: &Asker) -> String {
        let seen = self.desk.bridge.overview().await;
        let logins = self.desk.logins.stages();
        page::content(&seen, &recent(), &logins, self.visitor(asker))
    }
}
