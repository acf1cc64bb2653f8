//! One suite for both engines: each test below runs on a new SQLite file and on a new database of a real PostgreSQL.

mod budgets;
mod clients;
mod disposals;
mod leases;
mod measured;
mod opening;
mod quotas;
mod registers;
mod remembered;
mod size;
#[allow(
    unreachable_pub,
    reason = "the tool box is public to the end-to-end tests"
)]
pub(crate) mod support;
mod tokens;
mod troubles;
mod watched;

/// Makes two tests of each function here that takes a [`support::Place`].
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::store::tests::support::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::store::tests::support::Place::postgres()).await;
            })*
        }
    };
}
use on_both_engines;
