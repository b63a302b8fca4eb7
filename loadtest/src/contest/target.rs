//! The service before the contest: it must be ready in time, and new.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use testbed::http::{Answer, Endpoint};

/// The contest polls the first client's statement this often …
const POLL: Duration = Duration::from_secs(2);

/// … for this long.
const READY_WITHIN: Duration = Duration::from_secs(40);

/// The contest's clients: id and limit in cents. Client 6 must not exist.
const CLIENTS: [(u32, i64); 5] = [(1, 100_000), (2, 80_000), (3, 1_000_000), (4, 10_000_000), (5, 500_000)];

/// A service to be played against.
#[derive(Clone, Debug)]
pub struct Target {
    url: String,
    authority: String,
}

impl Target {
    /// Returns the service at `url`: `http://HOST:PORT`, or without the port 80.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn new(url: &str) -> Result<Target> {
        let url = url.trim_end_matches('/').to_owned();
        let authority = url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.contains('/'));
        let authority = authority.with_context(|| format!("{url} is not of the form http://HOST:PORT"))?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Target { authority, url })
    }

    /// Returns its address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it answers, as the contest does.
    ///
    /// # Errors
    /// When it has not within 40 s; the error says what came instead.
    pub async fn until_ready(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let why = match self.statement(1).await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => format!("it answers {}", answer.status),
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() + POLL > READY_WITHIN {
                bail!("{} is not ready after {READY_WITHIN:?}: {why}", self.url);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes sure that nobody has played against it yet: five clients with their limits and
    /// nothing on them, and no sixth.
    ///
    /// # Errors
    /// When it is otherwise; the error says how.
    pub async fn check_new(&self) -> Result<()> {
        for (client, limit) in CLIENTS {
            let answer = self.statement(client).await?;
            check_statement(&answer, limit)
                .with_context(|| format!("client {client} at {} is not as the contest needs it", self.url))?;
        }
        let status = self.statement(6).await?.status;
        ensure!(status == 404, "client 6 at {} must not exist, but its statement answers {status}", self.url);
        Ok(())
    }

    async fn statement(&self, client: u32) -> Result<Answer> {
        let mut addresses = tokio::net::lookup_host(&self.authority)
            .await
            .with_context(|| format!("cannot find {}", self.authority))?;
        let address = addresses.next().with_context(|| format!("{} has no address", self.authority))?;
        Endpoint::Tcp(address).get(&format!("/clientes/{client}/extrato")).await
    }
}

fn check_statement(answer: &Answer, limit: i64) -> Result<()> {
    ensure!(answer.status == 200, "its statement answers {}", answer.status);
    let statement: Value = serde_json::from_str(&answer.body).context("what it answers is no JSON")?;
    let of_balance =
        |name: &str| statement["saldo"][name].as_i64().context("what it answers is no statement");
    let total = of_balance("total")?;
    ensure!(total == 0, "its balance is {total}, and the contest begins at zero: start the service anew");
    let answered = of_balance("limite")?;
    ensure!(answered == limit, "its limit is {answered} instead of {limit}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_port() {
        let authority = |url| Target::new(url).map(|target| target.authority).ok();
        assert_eq!(authority("http://127.0.0.1:9999/").as_deref(), Some("127.0.0.1:9999"));
        assert_eq!(authority("http://localhost").as_deref(), Some("localhost:80"));
        assert_eq!(authority("http://[::1]:9999").as_deref(), Some("[::1]:9999"));
        assert_eq!(authority("http://[::1]").as_deref(), Some("[::1]:80"));
        for bad in ["", "localhost:9999", "https://localhost", "http://", "http://localhost/clientes"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_new_is_refused() {
        let answer = |status, total, limit| Answer {
            status,
            body: format!(
                r#"{{"saldo": {{"total": {total}, "data_extrato": "x", "limite": {limit}}}, "ultimas_transacoes": []}}"#
            ),
        };
        check_statement(&answer(200, 0, 80_000), 80_000).expect("it is new");
        for (answer, says) in [
            (answer(404, 0, 80_000), "answers 404"),
            (answer(200, -1, 80_000), "its balance is -1"),
            (answer(200, 0, 1), "its limit is 1 instead of 80000"),
            (Answer { status: 200, body: "[]".into() }, "no statement"),
        ] {
            let error = check_statement(&answer, 80_000).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
