//! The key of the store's keyed hashes.
//!
//! Must not know: what is hashed.

use super::error::{Failure, damaged};
use super::sql::{self, Columns, Conn};
use super::{Store, StoreError};

impl Store {
    /// The key of the store's keyed hashes, made at random once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn secret_key(&self) -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        aws_lc_rs::rand::fill(&mut fresh)
            .map_err(|_| StoreError::Unavailable("no random numbers".to_owned()))?;
        self.write_to(Vec::new(), fresh, |fresh, conn| {
            Box::pin(keep_key(fresh, conn))
        })
        .await
    }
}

async fn keep_key(fresh: &[u8; 32], conn: &mut Conn) -> Result<[u8; 32], Failure> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('secret_key', $1) ON CONFLICT (name) DO NOTHING",
    )
    .bind(sql::hex(fresh))
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'secret_key'")
        .fetch_one(&mut *conn)
        .await?;
    sql::unhex(&row.string(0)?).ok_or_else(|| damaged("the key of its hashes is not one"))
}
