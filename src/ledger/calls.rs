//! The stored functions: their texts, their parameters, and how their rows are read.
//!
//! Each is a bare `SELECT * FROM public.f(…)` outside a transaction block, with one client as its first
//! argument or with parallel arrays keyed by an ordinal: the shapes that Citus delegates and
//! PL/Proxy routes or splits. One statement is one database transaction, and its rows are only
//! looked at when `ReadyForQuery` has come, which is after the commit.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, HookError};
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use traces::format::CallReport;

use super::error::{failed, malformed};
use crate::domain::{Applied, BankStatement, ClientId, Entry, Kind, Outcome, Rejection, Transaction};
use crate::mailbox::{CallOutcomes, LedgerError, Run};

const ONE: &str = "SELECT * FROM public.InsertTransacao($1, $2, $3, $4)";
const RUN: &str = "SELECT * FROM public.InsertTransacoes($1, $2, $3, $4)";
const BATCH: &str = "SELECT * FROM public.InsertTransacoesEmLote($1, $2, $3, $4, $5)";
const KEYED: &str = "SELECT * FROM public.InsertTransacoesComChaves($1, $2, $3, $4, $5, $6)";
const REMOVE_KEYS: &str = "SELECT * FROM public.ApagaChaves($1, $2, $3)";
const STATEMENT: &str = "SELECT * FROM public.GetSaldoClienteById($1)";
const HELD: &str = "SELECT * FROM public.ClientesPresos($1)";
pub(super) const STATE: &str = "SELECT * FROM public.EstadoDoBanco()";
const STATE_COLUMNS: [&str; 7] = [
    "perfil",
    "tem_clientes",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "so_leitura",
    "papel_alterado",
];

/// The columns of a writing function for each transaction; those of [`CallReport`] follow.
const OUTCOME: [&str; 4] = ["ordinal", "resultado", "saldo", "limite"];

/// What a result that is told again is larger by.
const AGAIN: i16 = 10;

const STATEMENT_COLUMNS: [&str; 7] =
    ["saldo", "limite", "data_extrato", "valor", "tipo", "descricao", "realizada_em"];

/// Prepares every call, so that a connection's first request costs what the others do, and compares
/// the columns of each function with those that are read here by position.
///
/// # Errors
/// When the database refuses one, or its functions are not those of this program.
pub(super) async fn prepare_all(connection: &ClientWrapper) -> Result<(), HookError> {
    let written: Vec<&str> = OUTCOME.iter().chain(CallReport::COLUMNS).copied().collect();
    for (sql, columns) in [
        (ONE, &written[..]),
        (RUN, &written),
        (BATCH, &written),
        (KEYED, &written),
        (STATEMENT, &STATEMENT_COLUMNS),
        (HELD, &["cliente_id"]),
        (STATE, &STATE_COLUMNS),
    ] {
        let statement = connection.prepare_cached(sql).await.map_err(HookError::Backend)?;
        check_columns(sql, &statement, columns)?;
    }
    Ok(())
}

fn check_columns(sql: &str, statement: &Statement, expected: &[&str]) -> Result<(), HookError> {
    let found: Vec<&str> = statement.columns().iter().map(|column| column.name()).collect();
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.join(", "), expected.join(", "));
    Err(HookError::message(format!(
        "{sql:?} has the columns {found} in place of {expected}: run sql/20-functions.sql and sql/25-keys.sql of this version"
    )))
}

/// Applies the runs with the cheapest function that can carry them.
pub(super) async fn apply(connection: &ClientWrapper, runs: &[Run]) -> Result<CallOutcomes, LedgerError> {
    let keyed = runs.iter().flat_map(|run| &run.transactions).any(|transaction| transaction.key.is_some());
    match runs {
        [Run { client, transactions }] if !keyed => match transactions.as_slice() {
            [transaction] => apply_one(connection, *client, transaction).await,
            _ => apply_run(connection, *client, transactions).await,
        },
        _ => apply_batch(connection, runs, keyed).await,
    }
}

async fn apply_one(
    connection: &ClientWrapper,
    client: ClientId,
    transaction: &Transaction,
) -> Result<CallOutcomes, LedgerError> {
    let amount = transaction.amount.cents();
    let kind = letter(transaction);
    let description = transaction.description.as_str();
    let rows = query(connection, ONE, &[&client.get(), &amount, &kind, &description]).await?;
    read_outcomes(&rows, 1)
}

async fn apply_run(
    connection: &ClientWrapper,
    client: ClientId,
    transactions: &[Transaction],
) -> Result<CallOutcomes, LedgerError> {
    let amounts: Vec<i64> = transactions.iter().map(|transaction| transaction.amount.cents()).collect();
    let kinds: Vec<i8> = transactions.iter().map(letter).collect();
    let descriptions: Vec<&str> = transactions.iter().map(|t| t.description.as_str()).collect();
    let rows = query(connection, RUN, &[&client.get(), &amounts, &kinds, &descriptions]).await?;
    read_outcomes(&rows, transactions.len())
}

/// Applies any runs; with `keyed` it sends keys along, of which a transaction need not have one.
async fn apply_batch(
    connection: &ClientWrapper,
    runs: &[Run],
    keyed: bool,
) -> Result<CallOutcomes, LedgerError> {
    let size = runs.iter().map(|run| run.transactions.len()).sum();
    let mut clients: Vec<i32> = Vec::with_capacity(size);
    let mut amounts: Vec<i64> = Vec::with_capacity(size);
    let mut kinds: Vec<i8> = Vec::with_capacity(size);
    let mut descriptions: Vec<&str> = Vec::with_capacity(size);
    let mut keys: Vec<Option<&str>> = Vec::with_capacity(if keyed { size } else { 0 });
    for run in runs {
        for transaction in &run.transactions {
            clients.push(run.client.get());
            amounts.push(transaction.amount.cents());
            kinds.push(letter(transaction));
            descriptions.push(transaction.description.as_str());
            if keyed {
                keys.push(transaction.key.as_ref().map(|key| key.as_str()));
            }
        }
    }
    let ordinals: Vec<i32> = (1..).take(size).collect();
    let params: [&(dyn ToSql + Sync); 6] = [&clients, &ordinals, &amounts, &kinds, &descriptions, &keys];
    let rows = match keyed {
        true => query(connection, KEYED, &params).await?,
        false => query(connection, BATCH, &params[..5]).await?,
    };
    read_outcomes(&rows, size)
}

/// Reads one client's statement; the function gives no row for a client that does not exist.
pub(super) async fn statement(
    connection: &ClientWrapper,
    client: ClientId,
) -> Result<Option<BankStatement>, LedgerError> {
    let rows = query(connection, STATEMENT, &[&client.get()]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut statement = BankStatement {
        balance: column(first, 0)?,
        credit_limit: column(first, 1)?,
        issued_at: column::<OffsetDateTime>(first, 2)?,
        latest: Vec::with_capacity(rows.len()),
    };
    for row in &rows {
        // A client without transactions has one row, with nothing but its own columns.
        if let Some(amount) = column::<Option<i64>>(row, 3)? {
            let kind = read_kind(column(row, 4)?)?;
            let description = column(row, 5)?;
            statement.latest.push(Entry { amount, kind, description, performed_at: column(row, 6)? });
        }
    }
    Ok(Some(statement))
}

/// Removes at most `most` keys that are older than `kept`, of those since a time or of all; returns how many, and up
/// to which time, where there were any.
pub(super) async fn remove_keys(
    connection: &ClientWrapper,
    kept: Duration,
    most: i32,
    since: Option<OffsetDateTime>,
) -> Result<(i32, Option<OffsetDateTime>), LedgerError> {
    let seconds = i32::try_from(kept.as_secs()).unwrap_or(i32::MAX);
    let rows = query(connection, REMOVE_KEYS, &[&seconds, &most, &since]).await?;
    let row = rows.first().ok_or_else(|| malformed("ApagaChaves gave no row"))?;
    Ok((column(row, 0)?, column(row, 1)?))
}

/// Asks whose of the clients' rows are held by others than the service's own calls.
pub(super) async fn held(
    connection: &ClientWrapper,
    clients: &[ClientId],
) -> Result<Vec<ClientId>, LedgerError> {
    let ids: Vec<i32> = clients.iter().map(|client| client.get()).collect();
    let rows = query(connection, HELD, &[&ids]).await?;
    let held: Vec<i32> = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
    Ok(clients.iter().copied().filter(|client| held.contains(&client.get())).collect())
}

/// Runs a prepared statement to its end, which is after its commit.
pub(super) async fn query(
    connection: &ClientWrapper,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, LedgerError> {
    let statement = connection.prepare_cached(sql).await.map_err(|error| failed(&error))?;
    connection.query(&statement, params).await.map_err(|error| failed(&error))
}

/// Puts the rows into their order. What the database says of the whole call is in the first.
fn read_outcomes(rows: &[Row], expected: usize) -> Result<CallOutcomes, LedgerError> {
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
    let outcomes = outcomes.ok_or_else(|| malformed("the database left a transaction without an outcome"))?;
    let first = rows.first().ok_or_else(|| malformed("the database gave no row"))?;
    // The database measures with a clock that may step back.
    let figure = |position| Ok(u64::try_from(column::<i32>(first, OUTCOME.len() + position)?).unwrap_or(0));
    Ok(CallOutcomes { outcomes, repeated, report: CallReport::read(figure)? })
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

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    position: usize,
) -> Result<T, LedgerError> {
    row.try_get(position).map_err(|error| malformed(error.to_string()))
}

/// The kind as PostgreSQL's `"char"`.
fn letter(transaction: &Transaction) -> i8 {
    match transaction.kind {
        Kind::Credit => b'c' as i8,
        Kind::Debit => b'd' as i8,
    }
}

fn read_kind(letter: i8) -> Result<Kind, LedgerError> {
    match letter as u8 {
        b'c' => Ok(Kind::Credit),
        b'd' => Ok(Kind::Debit),
        other => Err(malformed(format!("the database holds a transaction of kind {other}"))),
    }
}
