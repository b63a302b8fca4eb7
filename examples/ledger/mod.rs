//! A ledger for programs that ask what the rest of an instance costs.

use guiche::domain::{Applied, BankStatement, ClientId};
use guiche::mailbox::{CallOutcomes, Ledger, LedgerConnection, LedgerError, LocalFuture, RowWait, Run};
use time::OffsetDateTime;

/// A ledger that says yes to everything and keeps nothing.
pub(crate) struct Paper;

impl Ledger for Paper {
    fn connect(&self, _server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async { Ok(Box::new(Paper) as Box<dyn LedgerConnection>) })
    }
}

impl LedgerConnection for Paper {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        _: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        let outcome = Ok(Applied { balance: 0, credit_limit: 0 });
        let transactions = runs.iter().map(|run| run.transactions.len()).sum();
        Box::pin(async move {
            Ok(CallOutcomes { outcomes: vec![outcome; transactions], ..CallOutcomes::default() })
        })
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        let issued_at = OffsetDateTime::now_utc();
        let empty = BankStatement { balance: 0, credit_limit: 0, issued_at, latest: Vec::new() };
        Box::pin(async move { Ok(vec![Some(empty); clients.len()]) })
    }
}
