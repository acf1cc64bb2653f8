//! A person's log-in on another machine: the device code (RFC 8628).
//!
//! Must not know: how a person is talked to.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::answer::{Outcome, cleaned};
use super::client::{Client, no_device_code};
use super::form::Form;
use super::shown::Shown;
use super::{Address, Granted, OAuthError};
use crate::secret::Secret;

/// Where the server says nothing (RFC 8628, 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);
/// What `slow_down` adds (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest that a person is waited for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A log-in that was begun.
#[derive(Debug)]
pub struct DeviceLogin {
    /// Where the person goes.
    pub address: String,
    /// What the person types there.
    pub user_code: String,
    /// How long that works.
    pub lifetime: Duration,
    code: Secret,
    interval: Duration,
}

/// Why a person's log-in came to nothing. Displays as a sentence.
#[derive(Debug)]
pub enum DeviceError {
    /// The person, or somebody who decides for them, said no.
    Denied,
    /// Nobody did anything in time, as far as is known.
    Expired {
        /// Why that could not be asked at last; none: the server has said so.
        trouble: Option<String>,
    },
    /// There was other trouble.
    Other(OAuthError),
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied => f.write_str("the log-in was denied"),
            Self::Expired { trouble } => {
                f.write_str("the code was not entered in time; begin again")?;
                match trouble {
                    Some(trouble) => write!(
                        f,
                        " (the authorization server could not be asked at last: {trouble})"
                    ),
                    None => Ok(()),
                }
            }
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeviceError {}

#[derive(Deserialize)]
struct Body {
    device_code: Secret,
    user_code: String,
    // Google's name before there was an RFC.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    expires_in: u32,
    #[serde(default)]
    interval: Option<u32>,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Ask again after this.
    Wait(Duration),
    Denied,
    Expired,
    /// It is an error as any other.
    Fail,
}

impl DeviceLogin {
    /// Asks for a code.
    ///
    /// # Errors
    /// The server gives none.
    pub async fn begin(client: &Client) -> Result<Self, OAuthError> {
        let answer = client.device(Form::new()).await?;
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| no_device_code())?;
        // It is shown to a person, who opens it.
        let address: Address = body
            .verification_uri
            .parse()
            .map_err(|_| no_device_code())?;
        let interval = body
            .interval
            .map_or(INTERVAL, |seconds| Duration::from_secs(u64::from(seconds)));
        Ok(Self {
            address: address.to_string(),
            user_code: cleaned(&body.user_code, &Shown::default()),
            lifetime: Duration::from_secs(u64::from(body.expires_in)).min(LONGEST),
            code: body.device_code,
            interval: interval.clamp(*INTERVALS.start(), *INTERVALS.end()),
        })
    }

    /// Waits until the person has decided.
    ///
    /// # Errors
    /// [`DeviceError`]
    pub async fn finish(self, client: &Client) -> Result<Granted, DeviceError> {
        let end = Instant::now() + self.lifetime;
        let mut interval = self.interval;
        loop {
            let mut trouble = None;
            sleep(interval).await;
            let code = self.code.expose();
            let form = Form::new()
                .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
                .with("device_code", code);
            let next = match client.token(form, &[code]).await {
                Ok(Outcome::Granted(granted)) => return Ok(granted),
                Ok(Outcome::Refused(refused)) => match next(&refused.code, interval) {
                    Next::Fail => return Err(DeviceError::Other(refused.error())),
                    next => next,
                },
                // RFC 8628, 3.5: no answer is a reason to ask less often.
                Err(OAuthError::Temporary { why, retry_after }) => {
                    trouble = Some(why);
                    let longer = (interval * 2).min(*INTERVALS.end());
                    Next::Wait(retry_after.unwrap_or_default().max(longer))
                }
                Err(error) => return Err(DeviceError::Other(error)),
            };
            match next {
                Next::Wait(longer) => interval = longer,
                Next::Denied => return Err(DeviceError::Denied),
                Next::Expired | Next::Fail => return Err(DeviceError::Expired { trouble }),
            }
            if Instant::now() + interval > end {
                return Err(DeviceError::Expired { trouble });
            }
        }
    }
}

fn next(error: &str, interval: Duration) -> Next {
    match error {
        "authorization_pending" => Next::Wait(interval),
        "slow_down" => Next::Wait((interval + SLOWER).min(*INTERVALS.end())),
        // The second one is Microsoft's.
        "access_denied" | "authorization_declined" => Next::Denied,
        // The second one is Microsoft's, before 2020.
        "expired_token" | "code_expired" => Next::Expired,
        _ => Next::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_how_often_it_is_asked() {
        let five = Duration::from_secs(5);
        assert_eq!(next("authorization_pending", five), Next::Wait(five));
        assert_eq!(next("slow_down", five), Next::Wait(five * 2));
        let most = Duration::from_secs(60);
        assert_eq!(next("slow_down", most), Next::Wait(most));
        for denied in ["access_denied", "authorization_declined"] {
            assert_eq!(next(denied, five), Next::Denied);
        }
        assert_eq!(next("expired_token", five), Next::Expired);
        assert_eq!(next("invalid_client", five), Next::Fail);
    }
}
