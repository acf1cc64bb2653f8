//! docs/recipes: the files and the commands of each page, as they are written there, against servers of the tests. A recipe is set up by
//! nothing but its page; what a test says besides is what plays the rest of the world, and what it is called there.

mod gmail;
mod haproxy;
mod info;
mod microsoft;
mod moving;
mod page;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::imap_peer::{Flow, Peer};
use crate::support::oauth_server::OAuthServer;

/// Lets in nobody but who has a token of this server for `user`, to this mailbox.
fn opened_by_tokens(
    peer: Peer,
    server: &Arc<OAuthServer>,
    mailbox: &'static str,
    user: &'static str,
) -> Peer {
    let server = Arc::clone(server);
    let peer = peer.on("LOGIN", |conn, cmd| {
        conn.tagged(cmd, "NO [AUTHENTICATIONFAILED] no passwords");
        Flow::Done
    });
    peer.on("AUTHENTICATE", move |conn, cmd| {
        let Some(response) = conn.sasl_response(cmd) else {
            return Flow::End;
        };
        let message = STANDARD.decode(response).expect("base64");
        let message = String::from_utf8(message).expect("UTF-8");
        let token = message
            .strip_prefix(&format!("user={mailbox}\x01auth=Bearer "))
            .and_then(|rest| rest.strip_suffix("\x01\x01"));
        let whose = token.and_then(|token| server.user_of(token));
        if !cmd.has("XOAUTH2") || whose.as_deref() != Some(user) {
            conn.tagged(cmd, "NO [AUTHENTICATIONFAILED] Invalid credentials");
            return Flow::Done;
        }
        conn.tagged(cmd, "OK Success");
        Flow::LoggedIn
    })
}
