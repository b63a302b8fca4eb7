//! What callers did and were told, and what the database holds in the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use testbed::cluster::connect;

/// A request from its sending to its answer. Times are microseconds since the history began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Whose bank account it was for.
    pub client: i32,
    /// When it was sent.
    pub start: u64,
    /// When its answer, or that there is none, was known.
    pub end: u64,
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub told: Told,
}

/// What a caller asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A transaction: cents, less than zero for a debit, and the description that no other one has.
    Transaction {
        /// What it adds to the balance, in cents.
        cents: i64,
        /// Its own.
        description: String,
        /// Whether it was asked again under its key until it was answered.
        #[serde(default)]
        keyed: bool,
    },
    /// A statement.
    Statement,
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// 200 to a transaction, with the balance after it.
    Applied(i64),
    /// 422: it would have passed the limit.
    OverLimit,
    /// 503, or 408: nothing was applied.
    Refused,
    /// 504: it may have been applied.
    Unknown,
    /// No answer: it may have been applied.
    Unanswered,
    /// 200 to a statement: the balance and the latest descriptions, the newest first.
    Statement(i64, Vec<String>),
    /// Any other answer; there should be none.
    Wrong(u16),
}

impl Told {
    /// Returns whether it leaves open what became of a transaction, or says that nothing did.
    pub fn may_be_asked_again(&self) -> bool {
        matches!(self, Told::Refused | Told::Unknown | Told::Unanswered)
    }
}

impl Call {
    /// Returns whether it was answered, and by a word on what was asked.
    pub fn is_answered(&self) -> bool {
        !self.told.may_be_asked_again() && !matches!(self.told, Told::Wrong(_))
    }
}

/// A client's account in the end, its rows in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The limit, in cents.
    pub limit: i64,
    /// The stored balance.
    pub balance: i64,
    /// Cents and description of each row.
    pub rows: Vec<(i64, String)>,
}

/// Everything that is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In any order.
    pub calls: Vec<Call>,
    /// By client.
    pub accounts: BTreeMap<i32, Account>,
}

/// A line of a history's file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Call(Call),
    Account(i32, Account),
}

/// Returns the accounts as the database holds them.
///
/// # Errors
/// When it cannot be read.
pub async fn accounts(url: &str) -> Result<BTreeMap<i32, Account>> {
    let client = connect(url).await?;
    let mut accounts = BTreeMap::<i32, Account>::new();
    for row in client.query("SELECT id, limite, saldo FROM clientes", &[]).await.context("cannot read")? {
        let account = Account { limit: row.try_get(1)?, balance: row.try_get(2)?, rows: Vec::new() };
        accounts.insert(row.try_get(0)?, account);
    }
    // A client's ids are given out while its row is locked, so they are in the order of application.
    let sql = "SELECT cliente_id, CASE tipo WHEN 'c' THEN valor ELSE -valor END, descricao
               FROM transacoes ORDER BY cliente_id, id";
    for row in client.query(sql, &[]).await.context("cannot read")? {
        let account = accounts.entry(row.try_get(0)?).or_default();
        account.rows.push((row.try_get(1)?, row.try_get(2)?));
    }
    Ok(accounts)
}

impl History {
    /// Writes it, a line of JSON for each call and account.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(failed)?);
        let accounts = self.accounts.iter().map(|(client, account)| Line::Account(*client, account.clone()));
        for line in accounts.chain(self.calls.iter().cloned().map(Line::Call)) {
            serde_json::to_writer(&mut file, &line).with_context(failed)?;
            file.write_all(b"\n").with_context(failed)?;
        }
        file.flush().with_context(failed)
    }

    /// Reads what [`History::write`] wrote.
    ///
    /// # Errors
    /// When it is no such file; says which line is wrong.
    pub fn read(path: &Path) -> Result<History> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut history = History::default();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let wrong = || format!("{}, line {}: is no line of a history", path.display(), number + 1);
            match serde_json::from_str(&line.with_context(wrong)?).with_context(wrong)? {
                Line::Call(call) => history.calls.push(call),
                Line::Account(client, account) => drop(history.accounts.insert(client, account)),
            }
        }
        Ok(history)
    }
}
