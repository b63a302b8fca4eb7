//! Clients and a history for a bank that is larger than the contest's: rows as the service would have left them.

use anyhow::{Context, Result};
use tokio_postgres::Client;

/// The clients that every database is made with.
pub const SHIPPED_CLIENTS: u32 = 5;

/// The limit of a client that is made here unless told otherwise, in cents: the contest's first client's.
pub const LIMIT: i64 = 100_000;

/// From so many clients on a change hardly ever meets another one in its page: then room in each page is nothing but more
/// pages, which no longer fit into the server's memory.
const CROWDED: u32 = 10_000;

/// How full their pages are, in percent, in place of the quarter that a few hot rows want (sql/10-tables.sql).
const FILLED: u32 = 80;

/// Makes the clients up to the id `clients`, those that are not there yet, each with `limit` cents and nothing
/// booked. A million take a few seconds. `client` is a session of the superuser.
///
/// # Errors
/// When the database refuses, or the session ends.
pub async fn seed(client: &Client, clients: u32, limit: i64) -> Result<()> {
    if clients >= CROWDED {
        let sql = format!("ALTER TABLE clientes SET (fillfactor = {FILLED})");
        client.batch_execute(&sql).await.context("cannot have fuller pages")?;
    }
    let sql = format!(
        "INSERT INTO clientes (id, limite, saldo)
         SELECT id, {limit}, 0 FROM generate_series({SHIPPED_CLIENTS} + 1, {clients}) AS id ON CONFLICT DO NOTHING"
    );
    fill(client, &sql, "clientes").await.context("cannot make the clients")
}

/// Lays down at least `rows` transactions, the same number for each client up to `clients`, in pairs of a credit and
/// a debit, so that every balance stays what it is. Returns how many there are now. Ten million take about a minute.
///
/// # Errors
/// As for [`seed`].
pub async fn lay_down(client: &Client, clients: u32, rows: u64) -> Result<u64> {
    let pairs = rows.div_ceil(2 * u64::from(clients.max(1)));
    if pairs == 0 {
        return Ok(0);
    }
    // In the order of time, as the service writes them: the clients in turn, so that no two rows of one are neighbours.
    // Their numbers go on behind whatever is there.
    let sql = format!(
        "INSERT INTO transacoes (cliente_id, id, valor, tipo, descricao, realizada_em)
         SELECT cliente, (SELECT max(ultima) FROM clientes) + vez, 1,
                CASE vez % 2 WHEN 1 THEN 'c' ELSE 'd' END::\"char\", 'historia', now()
         FROM (SELECT vez, generate_series(1, {clients}) AS cliente FROM generate_series(1, {pairs} * 2) AS vez) x;
         UPDATE clientes SET ultima = (SELECT max(ultima) FROM clientes) + {pairs} * 2 WHERE id <= {clients}"
    );
    fill(client, &sql, "clientes, transacoes").await.context("cannot lay down a history")?;
    Ok(pairs * 2 * u64::from(clients))
}

/// Has `keys` keys remembered, random ones of the clients up to `clients` in turn, each as if it had been used just now.
/// Ten million take some two minutes.
///
/// # Errors
/// As for [`seed`].
pub async fn remember(client: &Client, clients: u32, keys: u64) -> Result<()> {
    if keys == 0 {
        return Ok(());
    }
    // In the order of the index, whose pages then become as full as those of an index that is built at once.
    let sql = format!(
        "INSERT INTO chaves (valor, saldo, limite, criada_em, cliente_id, resultado, tipo, descricao, chave)
         SELECT 1, 0, {LIMIT}, now(), cliente, 0, 'c', 'historia', chave
         FROM (SELECT 1 + i % {clients} AS cliente, gen_random_uuid()::text AS chave
               FROM generate_series(1, {keys}) AS i) x
         ORDER BY MarcaDaChave(chave, cliente)"
    );
    fill(client, &sql, "chaves").await.context("cannot have keys remembered")
}

/// Fills tables by `sql`, and freezes what is in them: no vacuum rewrites it under a load.
async fn fill(client: &Client, sql: &str, tables: &str) -> Result<()> {
    // Long lists are spilled, and a session may spill little (sql/settings).
    client.batch_execute(&format!("SET temp_file_limit = -1; {sql}")).await?;
    client.batch_execute(&format!("VACUUM (FREEZE, ANALYZE) {tables}")).await.context("cannot vacuum")
}
