//! The functions that apply transactions: which of them carries what, and how their rows are read.

use deadpool_postgres::{ClientWrapper, HookError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use traces::format::{CallReport, Locks};

use super::calls::{column, prepare, query};
use super::error::malformed;
use crate::domain::{Applied, ClientId, Kind, Outcome, Rejection, Transaction};
use crate::mailbox::{CallOutcomes, LedgerError, Run};

const ONE: &str = "SELECT * FROM public.InsertTransacao($1, $2, $3, $4)";
const RUN: &str = "SELECT * FROM public.InsertTransacoes($1, $2, $3, $4)";
const BATCH: &str = "SELECT * FROM public.InsertTransacoesEmLote($1, $2, $3, $4, $5)";
const KEYED: &str = "SELECT * FROM public.InsertTransacoesComChaves($1, $2, $3, $4, $5, $6)";
const TRACED: &str = "SELECT * FROM public.InsertTransacoesObservadas($1, $2, $3, $4, $5, $6)";

/// The columns of each for each transaction; those of [`CallReport`] follow, and then, of the last, [`LOCKS`].
const OUTCOME: [&str; 4] = ["ordinal", "resultado", "saldo", "limite"];
const LOCKS: &str = "travas";

/// What a result that is told again is larger by.
const AGAIN: i16 = 10;

/// Which functions an instance applies with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writing {
    /// The cheapest that can carry it.
    Plain,
    /// The one that chooses among them itself, and tells whom the call waited for.
    Traced,
}

/// The elements of some runs, side by side.
#[derive(Default)]
struct Elements<'a> {
    clients: Vec<i32>,
    amounts: Vec<i64>,
    kinds: Vec<i8>,
    descriptions: Vec<&'a str>,
    /// Empty, or one for each transaction, which need not have a key.
    keys: Vec<Option<&'a str>>,
}

impl Writing {
    /// Prepares its calls.
    ///
    /// # Errors
    /// As [`prepare`].
    pub(super) async fn prepare(self, connection: &ClientWrapper) -> Result<(), HookError> {
        let (calls, locks): (&[&str], _) = match self {
            Self::Plain => (&[ONE, RUN, BATCH, KEYED], None),
            Self::Traced => (&[TRACED], Some(LOCKS)),
        };
        let columns: Vec<&str> =
            OUTCOME.into_iter().chain(CallReport::COLUMNS.iter().copied()).chain(locks).collect();
        for sql in calls {
            prepare(connection, sql, &columns).await?;
        }
        Ok(())
    }

    /// Applies the runs.
    pub(super) async fn apply(
        self,
        connection: &ClientWrapper,
        runs: &[Run],
    ) -> Result<CallOutcomes, LedgerError> {
        let size = runs.iter().map(|run| run.transactions.len()).sum();
        let mut transactions = runs.iter().flat_map(|run| &run.transactions);
        let keyed = transactions.any(|transaction| transaction.key.is_some());
        let rows = match (self, runs) {
            (Self::Plain, [Run { client, transactions }]) if !keyed => match transactions.as_slice() {
                [transaction] => apply_one(connection, *client, transaction).await?,
                _ => apply_run(connection, *client, transactions).await?,
            },
            _ => self.apply_batch(connection, Elements::of(runs, size, keyed)).await?,
        };
        self.read_outcomes(&rows, size)
    }

    async fn apply_batch(
        self,
        connection: &ClientWrapper,
        elements: Elements<'_>,
    ) -> Result<Vec<Row>, LedgerError> {
        let Elements { clients, amounts, kinds, descriptions, keys } = elements;
        let ordinals: Vec<i32> = (1..).take(clients.len()).collect();
        let keys = (!keys.is_empty()).then_some(keys);
        let params: [&(dyn ToSql + Sync); 6] = [&clients, &ordinals, &amounts, &kinds, &descriptions, &keys];
        match self {
            Self::Traced => query(connection, TRACED, &params).await,
            Self::Plain if keys.is_some() => query(connection, KEYED, &params).await,
            Self::Plain => query(connection, BATCH, &params[..5]).await,
        }
    }

    /// Puts the rows into their order. What the database says of the whole call is in the first.
    fn read_outcomes(self, rows: &[Row], expected: usize) -> Result<CallOutcomes, LedgerError> {
        let (mut outcomes, mut repeated) = (vec![None; expected], 0);
        for row in rows {
            let ordinal: i32 = column(row, 0)?;
            let place = usize::try_from(ordinal - 1).ok().and_then(|position| outcomes.get_mut(position));
            let Some(place) = place else {
                return Err(malformed(format!(
                    "the database answered for ordinal {ordinal}, which was not sent"
                )));
            };
            let (outcome, again) = read_outcome(row)?;
            *place = Some(outcome);
            repeated += u64::from(again && outcome.is_ok());
        }
        let outcomes: Option<Vec<Outcome>> = outcomes.into_iter().collect();
        let outcomes =
            outcomes.ok_or_else(|| malformed("the database left a transaction without an outcome"))?;
        let first = rows.first().ok_or_else(|| malformed("the database gave no row"))?;
        // The database measures with a clock that may step back.
        let figure =
            |position| Ok(u64::try_from(column::<i32>(first, OUTCOME.len() + position)?).unwrap_or(0));
        let report = CallReport::read(figure)?;
        let locks = match self {
            Self::Plain => None,
            Self::Traced => {
                let locks: Vec<i64> = column(first, OUTCOME.len() + CallReport::COLUMNS.len())?;
                Locks::read(&locks).map(Box::new)
            }
        };
        Ok(CallOutcomes { outcomes, repeated, report, locks })
    }
}

impl<'a> Elements<'a> {
    fn of(runs: &'a [Run], size: usize, keyed: bool) -> Self {
        let mut elements = Self {
            clients: Vec::with_capacity(size),
            amounts: Vec::with_capacity(size),
            kinds: Vec::with_capacity(size),
            descriptions: Vec::with_capacity(size),
            keys: Vec::with_capacity(if keyed { size } else { 0 }),
        };
        for run in runs {
            for transaction in &run.transactions {
                elements.clients.push(run.client.get());
                elements.amounts.push(transaction.amount.cents());
                elements.kinds.push(letter(transaction));
                elements.descriptions.push(transaction.description.as_str());
                if keyed {
                    elements.keys.push(transaction.key.as_ref().map(|key| key.as_str()));
                }
            }
        }
        elements
    }
}

async fn apply_one(
    connection: &ClientWrapper,
    client: ClientId,
    transaction: &Transaction,
) -> Result<Vec<Row>, LedgerError> {
    let amount = transaction.amount.cents();
    let kind = letter(transaction);
    let description = transaction.description.as_str();
    query(connection, ONE, &[&client.get(), &amount, &kind, &description]).await
}

async fn apply_run(
    connection: &ClientWrapper,
    client: ClientId,
    transactions: &[Transaction],
) -> Result<Vec<Row>, LedgerError> {
    let amounts: Vec<i64> = transactions.iter().map(|transaction| transaction.amount.cents()).collect();
    let kinds: Vec<i8> = transactions.iter().map(letter).collect();
    let descriptions: Vec<&str> = transactions.iter().map(|t| t.description.as_str()).collect();
    query(connection, RUN, &[&client.get(), &amounts, &kinds, &descriptions]).await
}

/// Reads an outcome, and whether it is a first one that is told again.
fn read_outcome(row: &Row) -> Result<(Outcome, bool), LedgerError> {
    let code = column::<i16>(row, 1)?;
    let again = code >= AGAIN;
    let outcome = match if again { code - AGAIN } else { code } {
        0 => Ok(Applied { balance: column(row, 2)?, credit_limit: column(row, 3)? }),
        1 => Err(Rejection::LimitExceeded),
        2 => Err(Rejection::BalanceOverflow),
        3 => Err(Rejection::UnknownClient),
        4 => Err(Rejection::KeyReused),
        _ => return Err(malformed(format!("the database answered with the unknown result {code}"))),
    };
    Ok((outcome, again))
}

/// The kind as PostgreSQL's `"char"`.
fn letter(transaction: &Transaction) -> i8 {
    match transaction.kind {
        Kind::Credit => b'c' as i8,
        Kind::Debit => b'd' as i8,
    }
}
