//! What a session does about a log-in: lets the client in, or tells it, the log and the metrics why not.
//!
//! Must not know: how a password is checked (see `enter`).

use tokio::time::sleep;
use tracing::{Span, debug, info, warn};

use super::{Driver, shown};
use crate::bridge::enter::Barred;
use crate::bridge::refusals;
use crate::metrics::LoginOutcome;
use crate::pop3::{Login, Presented, Refusal};
use crate::telemetry;

impl Driver {
    /// Carries the log-in out; the refusal is for the client.
    pub(super) async fn log_in(&mut self, login: Login) -> Result<(), Refusal> {
        self.attempts += 1;
        let pulse = self.visitor.wire.pulse();
        let entered = Box::pin(self.bridge.enter(&login, &pulse)).await;
        let barred = match entered {
            Ok(mailbox) => {
                self.bridge.metrics.login(LoginOutcome::Ok);
                // In every line of the session from here on.
                Span::current().record("account", shown(mailbox.client()));
                info!(
                    upstream = mailbox.upstream().name,
                    mechanism = login.mechanism.as_str(),
                    encrypted = self.visitor.wire.is_encrypted(),
                    "logged in"
                );
                self.mailbox = Some(mailbox);
                return Ok(());
            }
            Err(barred) => barred,
        };
        // Nobody has vouched for this name: a log is not the place to store a long one.
        let account = shown(&login.user);
        match &barred {
            Barred::NoUpstream => {
                info!(
                    account,
                    "the log-in name belongs to no client and to no upstream: no domains = [...] fits it"
                );
                self.refused(&login, LoginOutcome::NoUpstream).await;
            }
            Barred::BadName => {
                info!(
                    account,
                    "the log-in name is too long, or names no client behind the separator"
                );
                self.refused(&login, LoginOutcome::NoUpstream).await;
            }
            Barred::WrongPassword => {
                match &login.presented {
                    Presented::Password(_) => info!(
                        account,
                        "a wrong password for a client that the bridge knows"
                    ),
                    Presented::Token(_) => info!(
                        account,
                        "a token for a client that has a password of its own here: tokens are passed through to upstreams only"
                    ),
                }
                self.refused(&login, LoginOutcome::Rejected).await;
            }
            Barred::Rejected { upstream, trouble } => {
                info!(upstream, account, error = %trouble, "the upstream does not accept the log-in");
                self.refused(&login, LoginOutcome::Rejected).await;
            }
            Barred::InUse => {
                info!(account, "another session of this client has the maildrop");
                self.bridge.metrics.login(LoginOutcome::InUse);
            }
            Barred::Unknown(trouble) if trouble.is_logged() => {
                debug!(account, error = %trouble, "the log-in is not checked");
                self.bridge.metrics.login(LoginOutcome::Unavailable);
            }
            Barred::Unknown(trouble) => {
                warn!(account, error = %trouble, "the log-in could not be checked");
                self.bridge.metrics.login(LoginOutcome::Unavailable);
            }
        }
        Err(refusals::of_login(&barred))
    }

    /// A wrong user name or password: one line for fail2ban, then a pause that makes guessing slow.
    async fn refused(&mut self, login: &Login, outcome: LoginOutcome) {
        self.bridge.metrics.login(outcome);
        let local = self.visitor.wire.local().unwrap_or(self.visitor.peer);
        let line = telemetry::login_failed_line(
            &login.user,
            login.mechanism.as_str(),
            self.attempts,
            self.since.elapsed().as_secs(),
            self.visitor.peer.ip(),
            local.ip(),
            &self.visitor.id,
        );
        info!(target: telemetry::LOGIN_TARGET, "{line}");
        sleep(self.bridge.limits.auth_failure_delay).await;
    }
}
