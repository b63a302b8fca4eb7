//! A queue that a test builds behind a row which it holds itself.

use super::database::Lock;
use super::{Connection, Database, Guiche, Request, Response, until};

/// Callers of one instance. The first waits in the database, for a row that the test holds; the others wait
/// behind it, in the order in which they came.
pub(crate) struct Queue<'a> {
    guiche: &'a Guiche,
    database: &'a Database,
    lock: Lock,
    callers: Vec<Connection>,
}

impl Guiche {
    /// Holds the row of a client, has one of its transactions wait for it, and returns once it does.
    pub(crate) async fn hold<'a>(
        &'a self,
        database: &'a Database,
        client: i32,
        first: &Request,
    ) -> Queue<'a> {
        let in_database = database.waiting().await;
        let queue = self.hold_or_queue(database, client, first).await;
        until("the request waits for the row", async || database.waiting().await > in_database).await;
        queue
    }

    /// As [`Guiche::hold`], but the transaction may as well wait in its mailbox.
    pub(crate) async fn hold_or_queue<'a>(
        &'a self,
        database: &'a Database,
        client: i32,
        first: &Request,
    ) -> Queue<'a> {
        let lock = database.lock(client).await;
        let mut queue = Queue { guiche: self, database, lock, callers: Vec::new() };
        queue.push(first).await;
        queue
    }
}

impl Queue<'_> {
    /// Adds a caller, and returns once its request waits: in a mailbox, or past those for a row as well.
    pub(crate) async fn push(&mut self, request: &Request) {
        let waiting = async || (self.guiche.depth().await, self.database.waiting().await);
        let (queued, in_database) = waiting().await;
        self.callers.push(self.guiche.begin(request).await);
        until("the request waits", async || {
            let now = waiting().await;
            now.0 > queued || now.1 > in_database
        })
        .await;
    }

    /// Adds a caller for each request.
    pub(crate) async fn push_all(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            self.push(&request).await;
        }
    }

    /// Has the callers at these positions leave, the last position first.
    pub(crate) fn leave(&mut self, positions: &[usize]) {
        for position in positions {
            drop(self.callers.remove(*position));
        }
    }

    /// The answer of the first caller, while the row is still held.
    pub(crate) async fn first_answer(&mut self) -> Response {
        self.callers[0].receive().await.expect("an answer")
    }

    /// The answers of all callers, while the row is still held.
    pub(crate) async fn answers(&mut self) -> Vec<Response> {
        let answers = self.callers.iter_mut().map(Connection::receive);
        let answers = futures_util::future::join_all(answers).await;
        answers.into_iter().map(|answer| answer.expect("an answer")).collect()
    }

    /// Lets go of the row.
    pub(crate) async fn let_go(&self) {
        self.lock.let_go().await;
    }

    /// Lets go of the row, and returns what each caller is answered.
    pub(crate) async fn release(mut self) -> Vec<Response> {
        self.let_go().await;
        self.answers().await
    }

    /// Lets go of the row, and returns the balance that each caller is told.
    pub(crate) async fn balances(self) -> Vec<i64> {
        self.release().await.iter().map(Response::balance).collect()
    }

    /// Lets go of the row, and returns the balances in their order: past the mailboxes it is the database
    /// that decides who is first.
    pub(crate) async fn sorted_balances(self) -> Vec<i64> {
        let mut balances = self.balances().await;
        balances.sort_unstable();
        balances
    }
}
