//! What a session does about a log-in: lets the client in, or tells it, the log and the metrics why not.
//!
//! Must not know: how a password is checked (see `enter`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{Span, debug, info, warn};

use super::{Driver, shown};
use crate::auth::throttle::{Denied, Turn};
use crate::auth::{Kind, Origin, Sealed};
use crate::bridge::enter::Barred;
use crate::bridge::refusals;
use crate::bridge::visitor::told;
use crate::metrics::LoginOutcome;
use crate::pop3::{Login, Presented, Refusal};
use crate::telemetry;

impl Driver {
    /// Carries the log-in out; the refusal is for the client.
    pub(super) async fn log_in(&mut self, login: Login) -> Result<(), Refusal> {
        self.attempts += 1;
        let mailbox = self.bridge.mailbox_meant(&login.user);
        let (kind, secret) = match &login.presented {
            Presented::Password(password) => (Kind::Password, password),
            Presented::Token(token) => (Kind::Token, token),
        };
        let sealed = self.bridge.verifier.sealed("", &mailbox, kind, secret);
        let turn = match self.turn(&mailbox, &sealed).await? {
            Ok(turn) => turn,
            Err(denied) => return Err(self.denied(&login, denied).await),
        };
        let began = Instant::now();
        let pulse = self.visitor.wire.pulse();
        let entered = Box::pin(self.bridge.enter(&login, &pulse)).await;
        let barred = match entered {
            Ok(mailbox) => {
                self.bridge.throttle.succeeded(turn);
                self.bridge.metrics.login(LoginOutcome::Ok);
                // In every line of the session from here on.
                Span::current().record("account", shown(mailbox.client()));
                info!(
                    upstream = mailbox.upstream().name,
                    mechanism = login.mechanism.as_str(),
                    encrypted = self.visitor.wire.is_encrypted(),
                    "logged in"
                );
                self.stay
                    .belongs_to(mailbox.client(), mailbox.account_name());
                self.mailbox = Some(mailbox);
                return Ok(());
            }
            Err(barred) => barred,
        };
        // Nobody has vouched for this name: a log is not the place to store a long one.
        let account = shown(&login.user);
        match &barred {
            Barred::InUse => self.bridge.throttle.succeeded(turn),
            // It says nothing about what was shown.
            Barred::Unknown(_) | Barred::NotSetUp => drop(turn),
            _ => self.bridge.throttle.failed(turn, sealed),
        }
        match &barred {
            Barred::NoUpstream => {
                info!(
                    account,
                    "the log-in name belongs to no client and to no upstream: no domains = [...] fits it"
                );
                self.refused(&login, LoginOutcome::NoUpstream, began).await;
            }
            Barred::NotSetUp => {
                warn!(
                    account,
                    "nobody can log in: there is no [upstream.NAME] in the configuration yet"
                );
                self.bridge.metrics.login(LoginOutcome::Unavailable);
            }
            Barred::BadName => {
                info!(
                    account,
                    "the log-in name is too long, or names no client behind the separator"
                );
                self.refused(&login, LoginOutcome::NoUpstream, began).await;
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
                self.refused(&login, LoginOutcome::Rejected, began).await;
            }
            Barred::Rejected { upstream, trouble } => {
                info!(upstream, account, error = %trouble, "the upstream does not accept the log-in");
                self.refused(&login, LoginOutcome::Rejected, began).await;
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

    /// Waits for the turn to have a password looked at; refused only when the bridge ends.
    async fn turn(
        &mut self,
        mailbox: &str,
        shown: &Sealed,
    ) -> Result<Result<Turn, Denied>, Refusal> {
        let bridge = Arc::clone(&self.bridge);
        let origin = Origin::of(self.visitor.peer.ip());
        let first = bridge.limits().auth_failure_delay;
        let turn = tokio::select! {
            turn = bridge.throttle.turn(origin, mailbox, shown, first) => turn,
            () = told(&mut self.visitor.shutdown) => return Err(refusals::temporary()),
        };
        if turn.as_ref().map_or(true, |turn| turn.waited) {
            bridge.metrics.delayed_login();
        }
        Ok(turn)
    }

    /// The password was not looked at.
    async fn denied(&mut self, login: &Login, denied: Denied) -> Refusal {
        // Not the line for fail2ban: this client may have done nothing wrong.
        let account = shown(&login.user);
        match denied {
            Denied::TooSoon(_) => info!(
                account,
                "a log-in was not looked at, because too many from this address or to this mailbox were wrong before"
            ),
            Denied::Crowded => info!(
                account,
                "a log-in was not looked at, because too many from this address are being looked at"
            ),
        }
        self.bridge.metrics.login(LoginOutcome::TooSoon);
        self.hold_back(Instant::now()).await;
        refusals::of_denied(denied)
    }

    /// A wrong user name or password: one line for fail2ban, then a pause that makes guessing slow.
    async fn refused(&mut self, login: &Login, outcome: LoginOutcome, began: Instant) {
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
        self.hold_back(began).await;
    }

    /// Waits until a whole number of pauses has passed since then, so that the time of the answer does not tell how long the look at the
    /// password took, and so what it was compared with; or until the bridge ends.
    async fn hold_back(&mut self, began: Instant) {
        let pause = self.bridge.limits().auth_failure_delay;
        if let Some(left) = until_whole(began.elapsed(), pause) {
            tokio::select! {
                () = sleep_until(Instant::now() + left) => {}
                () = told(&mut self.visitor.shutdown) => {}
            }
        }
    }
}

/// What is left to the next whole number of pauses; none where there is no pause.
fn until_whole(elapsed: Duration, pause: Duration) -> Option<Duration> {
    let into = elapsed.as_nanos().checked_rem(pause.as_nanos())?;
    let left = pause.as_nanos() - into;
    Some(Duration::from_nanos(
        u64::try_from(left).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_back_for_one_pause_or_a_whole_number_of_them() {
        let pause = Duration::from_secs(2);
        for (took, answered) in [(0, 2), (1, 2), (300, 2), (1999, 2), (2000, 4), (2001, 4)] {
            let took = Duration::from_millis(took);
            let left = until_whole(took, pause).unwrap();
            assert_eq!(took + left, Duration::from_secs(answered));
        }
        assert_eq!(until_whole(pause, Duration::ZERO), None);
    }
}
