//! How full a mailbox is (RFC 9208, before that RFC 2087), where the upstream tells.
//!
//! Must not know: what the figures are for, how often they are asked.

use imap_proto::Response as Parsed;
use imap_proto::rfc2087::{QuotaResource, QuotaResourceName};

use super::connection::{Connection, Untagged, quoted};
use super::error::Error;
use super::{grammar, set};

/// The unit of the resource STORAGE, in octets.
const UNIT: u64 = 1024;

/// How full a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Octets that are used.
    pub used: u64,
    /// Octets that may be used, more than 0. Less than what is used, where the limit was lowered.
    pub limit: u64,
}

impl Quota {
    /// Whether less of it is left than of the other one, in parts of the whole.
    fn is_fuller_than(&self, other: &Self) -> bool {
        let part = |quota: &Self, of: &Self| u128::from(quota.used) * u128::from(of.limit);
        part(self, other) > part(other, self)
    }
}

impl Connection {
    /// Whether the upstream can say how full mailboxes are.
    pub fn offers_quota(&self) -> bool {
        self.capabilities().has("QUOTA")
    }

    /// How full the mailbox is that has this folder (its name as on the wire): of several limits the one that is reached first. `None` where
    /// there is no limit in octets.
    ///
    /// # Errors
    /// What any command can give. After a refusal, or where the answer is not understood, the connection can be used as before.
    pub async fn quota(&mut self, folder: &str) -> Result<Option<Quota>, Error> {
        let mut fullest: Option<Quota> = None;
        let mut is_understood = true;
        let command = format!("GETQUOTAROOT {}", quoted(folder));
        self.command("GETQUOTAROOT", &command, |untagged| {
            if let Untagged::Data(data) = untagged
                && set::is(data, b"QUOTA")
            {
                match storage(data) {
                    Some(limits) => fullest = limits.into_iter().chain(fullest).reduce(fuller),
                    None => is_understood = false,
                }
            }
            Ok(())
        })
        .await?;
        match is_understood {
            true => Ok(fullest),
            false => Err(Error::Protocol("a QUOTA response")),
        }
    }
}

fn fuller(one: Quota, other: Quota) -> Quota {
    if other.is_fuller_than(&one) {
        other
    } else {
        one
    }
}

/// The limits in octets of one QUOTA response. One of 0 is no limit, but what some servers say where there is none.
fn storage(data: &[u8]) -> Option<Vec<Quota>> {
    let Some(Parsed::Quota(quota)) = grammar::read(data) else {
        return None;
    };
    let storage = |resource: &QuotaResource<'_>| {
        let is_storage = resource.name == QuotaResourceName::Storage;
        (is_storage && resource.limit > 0).then(|| Quota {
            used: resource.usage.saturating_mul(UNIT),
            limit: resource.limit.saturating_mul(UNIT),
        })
    };
    Some(quota.resources.iter().filter_map(storage).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::script_tests::upstream;

    async fn told(answer: &str) -> Result<Option<Quota>, Error> {
        let (mut connection, heard) = upstream("IMAP4rev1 QUOTA", &[answer]).await;
        assert!(connection.offers_quota());
        let told = connection.quota("a \"b\"").await;
        assert_eq!(heard.all(), ["GETQUOTAROOT \"a \\\"b\\\"\""]);
        assert!(connection.is_clean());
        told
    }

    fn kib(used: u64, limit: u64) -> Option<Quota> {
        Some(Quota {
            used: used * 1024,
            limit: limit * 1024,
        })
    }

    #[tokio::test]
    async fn the_storage_is_told_in_octets() {
        // Gmail, Dovecot, Cyrus.
        for answer in [
            "* QUOTAROOT \"INBOX\" \"\"\n* QUOTA \"\" (STORAGE 38 15728640)\n{tag} OK Success\n",
            "* QUOTAROOT INBOX \"User quota\"\n* QUOTA \"User quota\" (STORAGE 38 15728640 MESSAGE 2 1000)\n{tag} OK done\n",
            "* QUOTAROOT INBOX user.ann\n* QUOTA user.ann (MESSAGE 999 1000 storage 38 15728640)\n{tag} OK Completed\n",
            "* quotaroot INBOX {3}\nann\n* quota {3}\nann (STORAGE 38 15728640)\n{tag} OK done\n",
        ] {
            assert_eq!(told(answer).await.unwrap(), kib(38, 15_728_640), "{answer}");
        }
    }

    #[tokio::test]
    async fn of_several_limits_the_one_counts_that_is_reached_first() {
        let answer = "* QUOTAROOT INBOX ann domain\n* QUOTA ann (STORAGE 10 100)\n* QUOTA domain (STORAGE 900 1000)\n\
                      * QUOTA other (STORAGE 0 1)\n{tag} OK done\n";
        assert_eq!(told(answer).await.unwrap(), kib(900, 1000));
    }

    #[tokio::test]
    async fn where_there_is_no_limit_in_octets_there_is_none() {
        for answer in [
            "* QUOTAROOT INBOX\n{tag} OK done\n",
            "* QUOTAROOT INBOX \"\"\n* QUOTA \"\" ()\n{tag} OK done\n",
            "* QUOTAROOT INBOX \"\"\n* QUOTA \"\" (MESSAGE 7 10)\n{tag} OK done\n",
            "* QUOTAROOT INBOX \"\"\n* QUOTA \"\" (STORAGE 7 0)\n{tag} OK done\n",
        ] {
            assert_eq!(told(answer).await.unwrap(), None, "{answer}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        for answer in [
            "{tag} NO [NOPERM] not yours\n",
            "{tag} BAD what\n",
            "* QUOTA \"\" (STORAGE much 10)\n{tag} OK done\n",
            "* QUOTA \"\" (STORAGE 1 99999999999999999999999)\n{tag} OK done\n",
            "* QUOTA\n{tag} OK done\n",
        ] {
            assert!(told(answer).await.is_err(), "{answer}");
        }
    }

    #[tokio::test]
    async fn figures_without_end_are_as_large_as_can_be() {
        let answer = format!(
            "* QUOTA \"\" (STORAGE {0} {0})\n{{tag}} OK done\n",
            u64::MAX
        );
        let told = told(&answer).await.unwrap().unwrap();
        assert_eq!((told.used, told.limit), (u64::MAX, u64::MAX));
    }
}
