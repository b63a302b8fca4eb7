//! How a database is connected to.

use anyhow::{Context, Result};
use tokio_postgres::NoTls;

/// Connects to the database at `url`; the connection closes when the client is dropped.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("cannot connect to PostgreSQL")?;
    // Its error also reaches whoever uses the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
