//! The tokens of mailboxes, sealed: what is kept, who may refresh them at a time, and how the last refresh went.
//!
//! All times here are by the database's clock, and what is asked about them is answered in seconds from now: several bridges share the
//! table, and their own clocks may differ. What is sealed is opened elsewhere.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::engine::Engine;
use super::error::{Failure, damaged};
use super::mailboxes::no_such_mailbox;
use super::sql::{Columns, Conn};
use super::{MailboxId, Store, StoreError};

/// Whose tokens: those of a mailbox from a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenId {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The name of the table in the configuration that says where they come from.
    pub provider: String,
}

/// How the last refresh went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Well, or there was none yet.
    Good,
    /// It failed and is tried again.
    Failing,
    /// The authorization server does not accept what is configured.
    Misconfigured,
    /// A person has to log in.
    Revoked,
}

/// Tokens as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// None: there are none yet.
    pub sealed: Option<String>,
    /// Grows with each new `sealed`; 0 before the first.
    pub version: i64,
    /// How the last refresh went.
    pub state: TokenState,
    /// For how many seconds from now the access token is good; negative where it was.
    pub good_for: i64,
    /// For how many seconds it was good when it was new.
    pub lifetime: i64,
    /// When it was new, in seconds since 1970; 0 where there are none.
    pub refreshed_at: i64,
    /// When it ends, in seconds since 1970; 0 where there are none.
    pub expires_at: i64,
    /// What the last trouble was.
    pub last_error: Option<String>,
    /// When that was, in seconds since 1970.
    pub error_at: Option<i64>,
    /// In how many seconds from now the authorization server may be asked again; 0 or less: at once.
    pub retry_in: i64,
    /// How many refreshes have failed since the last one that went well.
    pub attempts: i64,
}

/// New tokens, sealed.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// See the module.
    pub sealed: String,
    /// For how many seconds from now the access token is good.
    pub lifetime: i64,
}

/// A refresh that did not work.
#[derive(Clone, Debug)]
pub struct TokenFailure {
    /// What it came to.
    pub state: TokenState,
    /// What happened, for the operator.
    pub error: String,
    /// Nobody asks again for so many seconds.
    pub retry_in: i64,
}

impl TokenState {
    fn as_text(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Failing => "failing",
            Self::Misconfigured => "misconfigured",
            Self::Revoked => "revoked",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let all = [
            Self::Good,
            Self::Failing,
            Self::Misconfigured,
            Self::Revoked,
        ];
        all.into_iter().find(|state| state.as_text() == text)
    }
}

/// What [`claim`](Store::claim_token) is given.
struct Claim {
    id: TokenId,
    holder: String,
    version: i64,
    seconds: i64,
    at_once: bool,
    engine: Engine,
}

/// What ends a claim.
struct Outcome<T> {
    id: TokenId,
    holder: String,
    version: i64,
    came: T,
    engine: Engine,
}

impl Store {
    /// The tokens of a mailbox from a provider. `None`: there have never been any.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token(&self, id: &TokenId) -> Result<Option<StoredToken>, StoreError> {
        let input = (id.clone(), self.0.engine);
        self.read(input, |(id, engine), conn| {
            Box::pin(find(id, *engine, conn))
        })
        .await
    }

    /// The right to refresh the tokens, for so many seconds: one at a time has it. `None` where another has it, where they have another
    /// `version` by now than the caller knows (0: none yet), or where the time to ask again has not come
    /// and it is not to be `at_once`.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] if there is no such mailbox, and others.
    pub async fn claim_token(
        &self,
        id: &TokenId,
        holder: &str,
        version: i64,
        seconds: i64,
        at_once: bool,
    ) -> Result<Option<StoredToken>, StoreError> {
        let claim = Claim {
            id: id.clone(),
            holder: holder.to_owned(),
            version,
            seconds,
            at_once,
            engine: self.0.engine,
        };
        self.write_to(Vec::new(), claim, |claim, conn| Box::pin(take(claim, conn)))
            .await
    }

    /// Keeps refreshed tokens and ends the claim; gives their version. Nothing is kept, and `None` comes back, where the version is not
    /// the one that was refreshed any more, or where the claim has run out meanwhile. In the latter case they are kept all the same if they
    /// were `rotated`: the authorization server takes no other refresh token any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn keep_token(
        &self,
        id: &TokenId,
        holder: &str,
        version: i64,
        new: &NewToken,
        rotated: bool,
    ) -> Result<Option<i64>, StoreError> {
        let outcome = self.outcome(id, holder, version, (new.clone(), rotated));
        self.write_to(Vec::new(), outcome, |outcome, conn| {
            Box::pin(keep(outcome, conn))
        })
        .await
    }

    /// Writes down that a refresh has failed, and ends the claim. The tokens stay. Nothing happens, and `false` comes back, where there are
    /// others by now.
    ///
    /// # Errors
    /// See [`StoreError`]; the claim runs out by itself then.
    pub async fn fail_token(
        &self,
        id: &TokenId,
        holder: &str,
        version: i64,
        failure: &TokenFailure,
    ) -> Result<bool, StoreError> {
        let outcome = self.outcome(id, holder, version, failure.clone());
        self.write_to(Vec::new(), outcome, |outcome, conn| {
            Box::pin(fail(outcome, conn))
        })
        .await
    }

    /// Puts what a person's log-in has given in the place of whatever there was; gives its version.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`] if there is no such mailbox, and others.
    pub async fn replace_token(&self, id: &TokenId, new: &NewToken) -> Result<i64, StoreError> {
        let outcome = self.outcome(id, "", 0, new.clone());
        self.write_to(Vec::new(), outcome, |outcome, conn| {
            Box::pin(replace(outcome, conn))
        })
        .await
    }

    /// Ends all claims: whoever held one is not there any more. For the one `serve` of a SQLite store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_all_token_claims(&self) -> Result<(), StoreError> {
        self.write_to(Vec::new(), (), |(), conn| {
            Box::pin(super::sql::execute(
                conn,
                "UPDATE token SET holder = '', claimed_until = 0 WHERE claimed_until > 0",
            ))
        })
        .await
    }

    fn outcome<T>(&self, id: &TokenId, holder: &str, version: i64, came: T) -> Outcome<T> {
        Outcome {
            id: id.clone(),
            holder: holder.to_owned(),
            version,
            came,
            engine: self.0.engine,
        }
    }
}

/// `{now}` stands for the database's clock, `{row}` for the columns that [`token_of`] reads.
fn timed(statement: &str, engine: Engine) -> AssertSqlSafe<String> {
    const ROW: &str = "sealed, version, state, expires_at - {now}, expires_at - refreshed_at, refreshed_at, expires_at, last_error, \
                       error_at, retry_at - {now}, attempts";
    let statement = statement.replace("{row}", ROW);
    AssertSqlSafe(statement.replace("{now}", engine.clock()))
}

async fn find(
    id: &TokenId,
    engine: Engine,
    conn: &mut Conn,
) -> Result<Option<StoredToken>, Failure> {
    let statement = "SELECT {row} FROM token WHERE mailbox_id = $1 AND provider = $2";
    let row = sqlx::query(timed(statement, engine))
        .bind(id.mailbox.0)
        .bind(id.provider.clone())
        .fetch_optional(&mut *conn)
        .await?;
    row.map(|row| token_of(&row)).transpose()
}

fn token_of(row: &AnyRow) -> Result<StoredToken, Failure> {
    let state = TokenState::from_text(&row.string(2)?);
    Ok(StoredToken {
        sealed: row.maybe_string(0)?,
        version: row.int(1)?,
        state: state.ok_or_else(|| damaged("tokens are in no known state"))?,
        good_for: row.int(3)?,
        lifetime: row.int(4)?,
        refreshed_at: row.int(5)?,
        expires_at: row.int(6)?,
        last_error: row.maybe_string(7)?,
        error_at: row.maybe_int(8)?,
        retry_in: row.int(9)?,
        attempts: row.int(10)?,
    })
}

async fn take(claim: &Claim, conn: &mut Conn) -> Result<Option<StoredToken>, Failure> {
    make(&claim.id, conn).await?;
    let statement = "UPDATE token SET holder = $3, claimed_until = {now} + $4 \
                     WHERE mailbox_id = $1 AND provider = $2 AND version = $5 AND claimed_until <= {now} \
                     AND (retry_at <= {now} OR $6 = 1) \
                     RETURNING {row}";
    let row = sqlx::query(timed(statement, claim.engine))
        .bind(claim.id.mailbox.0)
        .bind(claim.id.provider.clone())
        .bind(claim.holder.clone())
        .bind(claim.seconds)
        .bind(claim.version)
        .bind(i64::from(claim.at_once))
        .fetch_optional(&mut *conn)
        .await?;
    row.map(|row| token_of(&row)).transpose()
}

/// The row, where there is none yet.
async fn make(id: &TokenId, conn: &mut Conn) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO token (mailbox_id, provider, state) VALUES ($1, $2, $3) ON CONFLICT (mailbox_id, provider) DO NOTHING",
    )
    .bind(id.mailbox.0)
    .bind(id.provider.clone())
    .bind(TokenState::Good.as_text())
    .execute(&mut *conn)
    .await
    .map_err(Failure::from)
    .map_err(|failure| match failure.lacks_its_parent() {
        true => no_such_mailbox(id.mailbox),
        false => failure,
    })?;
    Ok(())
}

/// What new tokens make of a row; whatever it said of trouble stays to be read.
const RENEWED: &str = "sealed = $3, version = version + 1, state = $4, refreshed_at = {now}, expires_at = {now} + $5, retry_at = 0, \
                       attempts = 0, holder = '', claimed_until = 0";

async fn keep(
    outcome: &Outcome<(NewToken, bool)>,
    conn: &mut Conn,
) -> Result<Option<i64>, Failure> {
    let (new, rotated) = &outcome.came;
    let statement = format!(
        "UPDATE token SET {RENEWED} WHERE mailbox_id = $1 AND provider = $2 AND version = $6 \
         AND ((holder = $7 AND claimed_until > {{now}}) OR $8 = 1) RETURNING version"
    );
    let row = sqlx::query(timed(&statement, outcome.engine))
        .bind(outcome.id.mailbox.0)
        .bind(outcome.id.provider.clone())
        .bind(new.sealed.clone())
        .bind(TokenState::Good.as_text())
        .bind(new.lifetime)
        .bind(outcome.version)
        .bind(outcome.holder.clone())
        .bind(i64::from(*rotated))
        .fetch_optional(&mut *conn)
        .await?;
    row.map(|row| row.int(0)).transpose()
}

async fn fail(outcome: &Outcome<TokenFailure>, conn: &mut Conn) -> Result<bool, Failure> {
    let TokenFailure {
        state,
        error,
        retry_in,
    } = &outcome.came;
    let statement = "UPDATE token SET state = $3, last_error = $4, error_at = {now}, retry_at = {now} + $5, attempts = attempts + 1, \
                     holder = '', claimed_until = 0 \
                     WHERE mailbox_id = $1 AND provider = $2 AND version = $6 AND holder = $7";
    let done = sqlx::query(timed(statement, outcome.engine))
        .bind(outcome.id.mailbox.0)
        .bind(outcome.id.provider.clone())
        .bind(state.as_text())
        .bind(error.clone())
        .bind(*retry_in)
        .bind(outcome.version)
        .bind(outcome.holder.clone())
        .execute(&mut *conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn replace(outcome: &Outcome<NewToken>, conn: &mut Conn) -> Result<i64, Failure> {
    make(&outcome.id, conn).await?;
    let statement = format!(
        "UPDATE token SET {RENEWED}, last_error = NULL, error_at = NULL WHERE mailbox_id = $1 AND provider = $2 RETURNING version"
    );
    let row = sqlx::query(timed(&statement, outcome.engine))
        .bind(outcome.id.mailbox.0)
        .bind(outcome.id.provider.clone())
        .bind(outcome.came.sealed.clone())
        .bind(TokenState::Good.as_text())
        .bind(outcome.came.lifetime)
        .fetch_one(&mut *conn)
        .await?;
    row.int(0)
}
