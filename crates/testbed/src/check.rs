//! Whether the books are right: what the database holds, against itself and against what was
//! answered.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cluster::connect;
use crate::http::Endpoint;
use crate::scrape::{Counts, Work};

/// One row for all, then one for each client whose books are wrong: what is stored, beside what follows from its
/// transactions. There may be a million clients, so it is the database that compares. The sums are `numeric`, so as text:
/// they may be beyond a bigint just when something is wrong.
const QUERY: &str = "
    WITH linhas AS (
        SELECT cliente_id, count(*) AS linhas, sum(CASE tipo WHEN 'c' THEN valor ELSE -valor END) AS soma
          FROM transacoes GROUP BY cliente_id),
    contas AS (
        SELECT c.id, c.limite, c.saldo, coalesce(l.soma, 0) AS soma
          FROM clientes c LEFT JOIN linhas l ON l.cliente_id = c.id)
    SELECT NULL::int, (SELECT count(*) FROM clientes), (SELECT coalesce(sum(linhas), 0)::text FROM linhas), NULL
     UNION ALL
    (SELECT id, limite, saldo::text, soma::text FROM contas
      WHERE saldo <> soma OR saldo < -limite::numeric ORDER BY id)";

/// How often the books are read before those who send are held not to stop.
const ATTEMPTS: u32 = 20;

/// How many clients a message names before it only counts them.
const NAMED: usize = 5;

/// What the database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// All rows of transactions.
    pub rows: u64,
    /// All clients.
    pub clients: u64,
    /// Each client whose stored balance is not the sum of its rows, or is below -limit.
    pub faults: Vec<Fault>,
}

/// A client whose books are wrong. Amounts in cents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The client's id.
    pub client: i32,
    /// The limit.
    pub limit: i64,
    /// The stored balance.
    pub balance: String,
    /// Credits less debits.
    pub sum: String,
}

impl Books {
    /// Reads them. `url` is a PostgreSQL URL of somebody who may read the tables.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(url: &str) -> Result<Books> {
        let client = connect(url).await?;
        // What a session may spill is little (sql/settings), and this one has all rows to add up.
        client.batch_execute("SET temp_file_limit = -1").await.context("cannot prepare to read the books")?;
        let rows = client.query(QUERY, &[]).await.context("cannot read the books")?;
        let mut books = Books::default();
        for row in rows {
            let (client, limit): (Option<i32>, i64) = (row.try_get(0)?, row.try_get(1)?);
            let balance: String = row.try_get(2)?;
            match client {
                Some(client) => books.faults.push(Fault { client, limit, balance, sum: row.try_get(3)? }),
                None => {
                    books.clients = limit.unsigned_abs();
                    books.rows = balance.parse().context("the number of rows is no number")?;
                }
            }
        }
        Ok(books)
    }

    /// Reads them together with what the instances have counted up to the same moment.
    ///
    /// A load that ends leaves requests behind: NGINX, waiting for its next slice of CPU, hands on
    /// what it had taken in long after the instances seemed to be done. So the counts are read
    /// before and after, until nothing came in between.
    ///
    /// # Errors
    /// When one of them cannot be read, or the instances do not come to rest.
    pub async fn read_with_counts(url: &str, instances: &[Endpoint]) -> Result<(Books, Counts)> {
        undisturbed(async || Books::read(url).await, async || Counts::read_when_quiet(instances).await).await
    }

    /// Returns what is wrong with them, one sentence each; none when all is right.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.faults.iter().take(NAMED).map(Fault::to_string).collect();
        if self.faults.len() > NAMED {
            problems.push(format!("and {} clients more have wrong books", self.faults.len() - NAMED));
        }
        problems
    }

    /// Returns what is wrong with them, or with what the instances counted from their start until they were
    /// read, if all rows came since then.
    pub fn problems_beside(&self, counted: &Work) -> Vec<String> {
        // A call of unknown outcome may have carried any number of transactions.
        let unknown = if counted.unknown_calls > 0 { u64::MAX / 2 } else { 0 };
        let mut problems = self.problems();
        problems.extend(Books::problem_of_rows(self.rows, counted.accepted, unknown));
        problems
    }

    /// Returns what is wrong between `rows` new transactions and what a load saw: every transaction that was
    /// `acknowledged` is a row, and every further row is one whose outcome is `unknown`.
    pub fn problem_of_rows(rows: u64, acknowledged: u64, unknown: u64) -> Option<String> {
        if rows < acknowledged {
            return Some(format!(
                "{} transactions were acknowledged and are not in the database ({rows} rows, {acknowledged} acknowledged)",
                acknowledged - rows
            ));
        }
        (rows > acknowledged + unknown).then(|| {
            format!("{rows} rows in the database, but only {acknowledged} acknowledged and {unknown} of unknown outcome")
        })
    }
}

/// Reads `books` until `counts` are the same before and after.
async fn undisturbed<B, C: PartialEq>(
    mut books: impl AsyncFnMut() -> Result<B>,
    mut counts: impl AsyncFnMut() -> Result<C>,
) -> Result<(B, C)> {
    let mut before = counts().await?;
    for _ in 0..ATTEMPTS {
        let books = books().await?;
        let after = counts().await?;
        if after == before {
            return Ok((books, after));
        }
        before = after;
    }
    bail!("requests still came in, whenever the books were read; does somebody else send load?")
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fault { client, limit, balance, sum } = self;
        if balance == sum {
            write!(f, "client {client}: the balance {balance} is below -limit ({limit})")
        } else {
            write!(f, "client {client}: the balance is {balance}, the sum of its rows {sum}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(balance: &str, sum: &str) -> Fault {
        Fault { client: 1, limit: 100, balance: balance.into(), sum: sum.into() }
    }

    /// One transaction is applied after the counts were read, and before the books are.
    #[tokio::test]
    async fn books_and_counts_are_of_the_same_moment() {
        let applied = std::cell::Cell::new(10);
        let mut late = Some(1);
        let books = async || {
            applied.set(applied.get() + late.take().unwrap_or(0));
            Ok(applied.get())
        };
        let read = undisturbed(books, async || Ok(applied.get())).await;
        assert_eq!(read.expect("it is quiet in the end"), (11, 11));
    }

    #[tokio::test]
    async fn a_load_that_does_not_end_is_told() {
        let mut applied = 0;
        let counts = async || {
            applied += 1;
            Ok(applied)
        };
        let read = undisturbed(async || Ok(()), counts).await;
        assert!(read.is_err_and(|error| error.to_string().contains("still came in")));
    }

    #[test]
    fn many_faults_are_counted() {
        let books = Books { faults: vec![fault("1", "2"); 7], ..Books::default() };
        let problems = books.problems();
        assert_eq!(problems.len(), NAMED + 1);
        assert_eq!(problems[NAMED], "and 2 clients more have wrong books");
        assert!(Books::default().problems().is_empty());
    }

    #[test]
    fn rows_are_what_was_acknowledged_and_what_may_be() {
        assert_eq!(Books::problem_of_rows(10, 10, 0), None);
        assert_eq!(Books::problem_of_rows(12, 10, 2), None);
        assert!(Books::problem_of_rows(9, 10, 5).is_some_and(|text| text.starts_with("1 transactions")));
        assert!(Books::problem_of_rows(13, 10, 2).is_some());
    }
}
