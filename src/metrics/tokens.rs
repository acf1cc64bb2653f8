//! The metrics of configured accounts' tokens. Only names that the operator gave become labels.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::labels::Label as _;
use super::{Metrics, Registrar, TokenRefresh};

/// The families, for all accounts.
#[derive(Debug)]
pub(super) struct Families {
    expiry: IntGaugeVec,
    refreshes: IntCounterVec,
    revoked: IntGaugeVec,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        Self {
            expiry: family.gauges(
                "token_expiry_timestamp_seconds",
                "When the account's access token ends; it is refreshed before.",
                &["account"],
            ),
            refreshes: family.counters(
                "token_refreshes_total",
                "Access tokens asked for at an authorization server.",
                &["account", "outcome"],
            ),
            revoked: family.gauges(
                "token_revoked",
                "1 where a person has to log in for the account, otherwise 0.",
                &["account"],
            ),
        }
    }
}

impl Families {
    /// Takes away what is of an account.
    pub(super) fn forget(&self, account: &str) {
        for family in [&self.expiry, &self.revoked] {
            // It was there, or else there is nothing to take away.
            let _ = family.remove_label_values(&[account]);
        }
        for outcome in TokenRefresh::ALL {
            let _ = self
                .refreshes
                .remove_label_values(&[account, outcome.as_str()]);
        }
    }
}

impl Metrics {
    /// An account has tokens; every value of the counter is there from then on.
    pub fn has_tokens(&self, account: &str) {
        let families = &self.tokens;
        families.revoked.with_label_values(&[account]).set(0);
        for outcome in TokenRefresh::ALL {
            let both = [account, outcome.as_str()];
            families.refreshes.with_label_values(&both).inc_by(0);
        }
    }

    /// An account's access token that was found, ending at this time in seconds since 1970, and whether there can be no further one.
    pub fn token(&self, account: &str, expiry: i64, is_revoked: bool) {
        let families = &self.tokens;
        families.expiry.with_label_values(&[account]).set(expiry);
        let revoked = families.revoked.with_label_values(&[account]);
        revoked.set(i64::from(is_revoked));
    }

    /// A person has to log in for an account.
    pub fn token_revoked(&self, account: &str) {
        self.tokens.revoked.with_label_values(&[account]).set(1);
    }

    /// An authorization server was asked for an account's token.
    pub fn token_refresh(&self, account: &str, outcome: TokenRefresh) {
        let both = [account, outcome.as_str()];
        self.tokens.refreshes.with_label_values(&both).inc();
    }
}
