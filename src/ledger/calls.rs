//! The stored functions: their texts, their parameters, and how their rows are read. [`super::writing`] has those that
//! apply.
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

use super::error::{failed, malformed};
use crate::domain::{BankStatement, ClientId, Entry, Kind};
use crate::mailbox::LedgerError;

const REMOVE_KEYS: &str = "SELECT * FROM public.ApagaChaves($1, $2, $3)";
const STATEMENT: &str = "SELECT * FROM public.GetSaldoClienteById($1)";
const STATEMENTS: &str = "SELECT * FROM public.GetSaldosDeClientes($1)";
const HELD: &str = "SELECT * FROM public.ClientesPresos($1)";
pub(super) const STATE: &str = "SELECT * FROM public.EstadoDoBanco()";
const STATE_COLUMNS: [&str; 8] = [
    "perfil",
    "tem_clientes",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "so_leitura",
    "papel_alterado",
    "repartido",
];

/// Of one client's statement those behind the first.
const STATEMENT_COLUMNS: [&str; 8] =
    ["ordinal", "saldo", "limite", "data_extrato", "valores", "tipos", "descricoes", "realizadas_em"];

/// Prepares the calls that read, as [`prepare`] does.
///
/// # Errors
/// As there.
pub(super) async fn prepare_all(connection: &ClientWrapper) -> Result<(), HookError> {
    prepare(connection, STATEMENT, &STATEMENT_COLUMNS[1..]).await?;
    prepare(connection, STATEMENTS, &STATEMENT_COLUMNS).await?;
    prepare(connection, HELD, &["cliente_id"]).await?;
    prepare(connection, STATE, &STATE_COLUMNS).await
}

/// Prepares a call, so that a connection's first request costs what the others do, and compares the function's columns
/// with those that are read here by position.
///
/// # Errors
/// When the database refuses it, or its function is not that of this program.
pub(super) async fn prepare(
    connection: &ClientWrapper,
    sql: &str,
    columns: &[&str],
) -> Result<(), HookError> {
    let statement = connection.prepare_cached(sql).await.map_err(HookError::Backend)?;
    check_columns(sql, &statement, columns)
}

fn check_columns(sql: &str, statement: &Statement, expected: &[&str]) -> Result<(), HookError> {
    let found: Vec<&str> = statement.columns().iter().map(|column| column.name()).collect();
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.join(", "), expected.join(", "));
    Err(HookError::message(format!(
        "{sql:?} has the columns {found} in place of {expected}: run sql/20-functions.sql and those behind it of this version"
    )))
}

/// Reads the clients' statements, all of one snapshot, in their order; the functions give no row for a client that does
/// not exist.
pub(super) async fn statements(
    connection: &ClientWrapper,
    clients: &[ClientId],
) -> Result<Vec<Option<BankStatement>>, LedgerError> {
    if let [client] = clients {
        let rows = query(connection, STATEMENT, &[&client.get()]).await?;
        return Ok(vec![rows.first().map(|row| read_statement(row, 0)).transpose()?]);
    }
    let ids: Vec<i32> = clients.iter().map(|client| client.get()).collect();
    let mut statements: Vec<Option<BankStatement>> = clients.iter().map(|_| None).collect();
    for row in &query(connection, STATEMENTS, &[&ids]).await? {
        let ordinal: i32 = column(row, 0)?;
        let own =
            usize::try_from(ordinal).ok().and_then(|ordinal| statements.get_mut(ordinal.checked_sub(1)?));
        *own.ok_or_else(|| {
            malformed(format!("the database answered with statement {ordinal}, not asked for"))
        })? = Some(read_statement(row, 1)?);
    }
    Ok(statements)
}

/// Reads a statement from its row, whose columns begin at `first`; a client without transactions has no arrays.
fn read_statement(row: &Row, first: usize) -> Result<BankStatement, LedgerError> {
    let amounts: Vec<i64> = column::<Option<_>>(row, first + 3)?.unwrap_or_default();
    let kinds: Vec<i8> = column::<Option<_>>(row, first + 4)?.unwrap_or_default();
    let descriptions: Vec<String> = column::<Option<_>>(row, first + 5)?.unwrap_or_default();
    let times: Vec<OffsetDateTime> = column::<Option<_>>(row, first + 6)?.unwrap_or_default();
    if [kinds.len(), descriptions.len(), times.len()] != [amounts.len(); 3] {
        return Err(malformed("the arrays of a statement have different lengths"));
    }
    let latest = amounts.into_iter().zip(kinds).zip(descriptions).zip(times);
    let latest = latest.map(|(((amount, kind), description), performed_at)| {
        Ok(Entry { amount, kind: read_kind(kind)?, description, performed_at })
    });
    Ok(BankStatement {
        balance: column(row, first)?,
        credit_limit: column(row, first + 1)?,
        issued_at: column(row, first + 2)?,
        latest: latest.collect::<Result<_, LedgerError>>()?,
    })
}

/// Removes at most `most` keys of each server that are older than `kept`, of those since a time or of all; returns how
/// many at most, and up to which time, where there were any.
pub(super) async fn remove_keys(
    connection: &ClientWrapper,
    kept: Duration,
    most: i32,
    since: Option<OffsetDateTime>,
) -> Result<(i32, Option<OffsetDateTime>), LedgerError> {
    let seconds = i32::try_from(kept.as_secs()).unwrap_or(i32::MAX);
    let rows = query(connection, REMOVE_KEYS, &[&seconds, &most, &since]).await?;
    let mut all = (0, None);
    // A row of each server. As long as one of them has more, all go on from where the slowest is.
    for row in &rows {
        let (removed, until): (i32, Option<OffsetDateTime>) = (column(row, 0)?, column(row, 1)?);
        all = (all.0.max(removed), all.1.into_iter().chain(until).min());
    }
    Ok(all)
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

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    position: usize,
) -> Result<T, LedgerError> {
    row.try_get(position).map_err(|error| malformed(error.to_string()))
}

fn read_kind(letter: i8) -> Result<Kind, LedgerError> {
    match letter as u8 {
        b'c' => Ok(Kind::Credit),
        b'd' => Ok(Kind::Debit),
        other => Err(malformed(format!("the database holds a transaction of kind {other}"))),
    }
}
