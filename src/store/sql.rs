//! Small things around statements that all of the store uses.
//!
//! Texts always go to the database as parameters. Numbers of long lists are written into the statement itself: thousands of numbered
//! parameters are slow in SQLite, and a number cannot be anything but a number.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::error::{Failure, damaged};
use crate::maildrop::{Seq, Uid, UidValidity};

/// A connection to either engine.
pub(super) type Conn = sqlx::AnyConnection;

/// What a piece of work with a connection is.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Rows in one statement.
pub(super) const CHUNK: usize = 500;

/// Runs a statement without parameters.
pub(super) async fn execute(conn: &mut Conn, statement: &'static str) -> Result<(), Failure> {
    sqlx::query(statement).execute(&mut *conn).await?;
    Ok(())
}

/// The one number that a statement gives.
pub(super) async fn count(conn: &mut Conn, statement: &'static str) -> Result<i64, Failure> {
    let row = sqlx::query(statement).fetch_one(&mut *conn).await?;
    Ok(row.try_get(0)?)
}

/// A statement with numbers written into it, run once.
pub(super) async fn execute_with(
    conn: &mut Conn,
    statement: String,
    texts: Vec<String>,
) -> Result<u64, Failure> {
    // Safe: `statement` is made of literals and of numbers only.
    let mut query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
    for text in texts {
        query = query.bind(text);
    }
    Ok(query.execute(&mut *conn).await?.rows_affected())
}

/// `1,2,3`
pub(super) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::new();
    for number in numbers {
        if !text.is_empty() {
            text.push(',');
        }
        // A String takes everything.
        let _ = write!(text, "{number}");
    }
    text
}

/// Numbers of messages as [`list`] wants them.
pub(super) fn numbers(seqs: &[Seq]) -> impl Iterator<Item = i64> + '_ {
    seqs.iter().map(|seq| i64::from(seq.get()))
}

/// Rows of a multi-row VALUES in the making: numbers in the text, texts as parameters.
#[derive(Default)]
pub(super) struct Values {
    text: String,
    texts: Vec<String>,
    span: Option<(u32, u32)>,
}

impl Values {
    /// Begins a row with the number of the message that it is about.
    pub(super) fn of(&mut self, seq: Seq) -> &mut Self {
        let seq = seq.get();
        let (first, last) = self.span.unwrap_or((seq, seq));
        self.span = Some((first.min(seq), last.max(seq)));
        self.row().number(seq)
    }

    /// `FROM v WHERE` the rows of `v` are about these messages of the folder. PostgreSQL, which knows nothing yet of a table that has just
    /// been filled, would read all of the folder if it were not told between which numbers they are.
    pub(super) fn joined(&self, folder: i64) -> String {
        let (first, last) = self.span.unwrap_or_default();
        format!(
            "FROM v WHERE message.folder_id = {folder} AND message.seq = v.seq AND message.seq BETWEEN {first} AND {last}"
        )
    }

    /// Begins a row.
    pub(super) fn row(&mut self) -> &mut Self {
        self.text
            .push_str(if self.text.is_empty() { "(" } else { "),(" });
        self
    }

    pub(super) fn number(&mut self, number: impl Into<i64>) -> &mut Self {
        let _ = write!(self.comma().text, "{}", number.into());
        self
    }

    pub(super) fn optional(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    pub(super) fn text(&mut self, text: Option<&str>) -> &mut Self {
        let Some(text) = text else {
            return self.null();
        };
        self.texts.push(text.to_owned());
        let number = self.texts.len();
        let _ = write!(self.comma().text, "${number}");
        self
    }

    fn null(&mut self) -> &mut Self {
        self.comma().text.push_str("NULL");
        self
    }

    fn comma(&mut self) -> &mut Self {
        if !self.text.ends_with('(') {
            self.text.push(',');
        }
        self
    }

    /// Runs `before (row),(row) after`; without a row, nothing.
    pub(super) async fn run(
        self,
        conn: &mut Conn,
        before: &str,
        after: &str,
    ) -> Result<u64, Failure> {
        if self.text.is_empty() {
            return Ok(0);
        }
        let statement = format!("{before}{}){after}", self.text);
        execute_with(conn, statement, self.texts).await
    }
}

/// Reads columns as what they mean.
pub(super) trait Columns {
    fn int(&self, column: usize) -> Result<i64, Failure>;
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Failure>;
    fn string(&self, column: usize) -> Result<String, Failure>;
    fn maybe_string(&self, column: usize) -> Result<Option<String>, Failure>;
    fn u32(&self, column: usize) -> Result<u32, Failure>;
    fn seq(&self, column: usize) -> Result<Seq, Failure>;
    fn maybe_seq(&self, column: usize) -> Result<Option<Seq>, Failure>;
    fn uid(&self, column: usize) -> Result<Uid, Failure>;
    fn uid_validity(&self, column: usize) -> Result<UidValidity, Failure>;
}

impl Columns for AnyRow {
    fn int(&self, column: usize) -> Result<i64, Failure> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Failure> {
        Ok(self.try_get(column)?)
    }

    fn string(&self, column: usize) -> Result<String, Failure> {
        Ok(self.try_get(column)?)
    }

    fn maybe_string(&self, column: usize) -> Result<Option<String>, Failure> {
        Ok(self.try_get(column)?)
    }

    fn u32(&self, column: usize) -> Result<u32, Failure> {
        u32::try_from(self.int(column)?).map_err(|_| damaged("a number is out of its range"))
    }

    fn seq(&self, column: usize) -> Result<Seq, Failure> {
        Seq::new(self.u32(column)?).ok_or_else(|| damaged("a message has the number 0"))
    }

    fn maybe_seq(&self, column: usize) -> Result<Option<Seq>, Failure> {
        let there = self.maybe_int(column)?.is_some();
        there.then(|| self.seq(column)).transpose()
    }

    fn uid(&self, column: usize) -> Result<Uid, Failure> {
        Uid::new(self.u32(column)?).ok_or_else(|| damaged("a message has the UID 0"))
    }

    fn uid_validity(&self, column: usize) -> Result<UidValidity, Failure> {
        UidValidity::new(self.u32(column)?).ok_or_else(|| damaged("a folder has the UIDVALIDITY 0"))
    }
}

/// In lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Undoes [`hex`].
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != bytes.len() * 2 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
