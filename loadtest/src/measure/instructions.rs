//! What an instance does by itself for a transaction, in instructions.
//!
//! A cost of less than a percent cannot be told from the noise of time. callgrind executes a program
//! and counts: its instructions are the same from one run to the next, to a fraction of a thousandth.
//! What the kernel and the other services do is not among them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::setup::{Keys, Setup};
use testbed::cluster::{Cluster, ClusterOptions};
use testbed::http::Endpoint;
use testbed::instance::{Instance, configured};
use testbed::process::Launch;
use testbed::rundir::RunDir;
use testbed::stack::DATABASE;

/// About what a count takes.
pub(super) const ESTIMATE: Duration = Duration::from_secs(15);

/// How many transactions a count sends, one after the other: first so many, then so many to a
/// fresh instance. What its start and its end take is in both, and not in the difference.
pub const TRANSACTIONS: [u32; 2] = [300, 1_300];

/// The instance's name.
const NAME: &str = "webapi1-guiche";

const PATH: &str = "/clientes/1/transacoes";
const TRANSACTION: &str = r#"{"valor": 1, "tipo": "c", "descricao": "x"}"#;

/// valgrind's callgrind.
#[derive(Clone, Debug)]
pub struct Callgrind {
    valgrind: PathBuf,
}

impl Callgrind {
    /// Returns the one that is installed.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Callgrind> {
        let valgrind = testbed::programs::find("valgrind")
            .context("valgrind is not installed (Debian: apt install valgrind)")?;
        Ok(Callgrind { valgrind })
    }

    /// Returns the instructions of one instance for each transaction, where they come one at a time, each on
    /// a connection of its own. `transactions` are how many are sent, see [`TRANSACTIONS`].
    ///
    /// # Errors
    /// When the stack does not start, or a transaction is not accepted.
    pub async fn count(&self, case: &Setup, transactions: [u32; 2]) -> Result<f64> {
        let dir = RunDir::create()?;
        let options = ClusterOptions {
            profile: case.profile,
            settings: case.postgres_settings().collect(),
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start_in(dir.path(), &options).await?;
        cluster.create_database(DATABASE).await?;
        let url = cluster.api_url(DATABASE);
        let fewer = self.total(case, &url, dir.path(), transactions[0]).await?;
        let more = self.total(case, &url, dir.path(), transactions[1]).await?;
        Ok((more as f64 - fewer as f64) / f64::from(transactions[1] - transactions[0]))
    }

    /// Returns the instructions of an instance from its start to its end, for so many transactions.
    async fn total(&self, case: &Setup, url: &str, directory: &Path, transactions: u32) -> Result<u64> {
        let counts = directory.join("callgrind.out");
        let launch = Launch::new(NAME, &self.valgrind, directory.join("callgrind.log"))
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(case.program()?);
        let launch = configured(launch, NAME, url, case.profile, case.mode)
            .env("WORKERS", "1") // as within the limits
            .envs(case.env_in(directory));
        let instance = Instance::start(launch, Endpoint::Unix(directory.join("callgrind.sock"))).await?;
        for number in 0..transactions {
            // The other instance's are others.
            let key = format!("Idempotency-Key: \"{transactions}-{number}\"");
            let headers: &[&str] = if case.keyed != Keys::Absent { &[&key] } else { &[] };
            let answer = instance.endpoint.post_with(PATH, headers, TRANSACTION).await?;
            ensure!(answer.status == 200, "a transaction was answered {}: {}", answer.status, answer.body);
        }
        instance.stop().await?;
        let text =
            fs::read_to_string(&counts).with_context(|| format!("cannot read {}", counts.display()))?;
        parse(&text).with_context(|| format!("there is no total in {}", counts.display()))
    }
}

/// Reads `totals: 123` at the end of what callgrind writes.
fn parse(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_word() {
        assert_eq!(parse("events: Ir\nsummary: 7\n\nfn=(1) main\n1 5\n\ntotals: 7\n"), Some(7));
        assert_eq!(parse("events: Ir\nfn=(1) main\n"), None);
        assert_eq!(parse("totals: many"), None);
    }
}
