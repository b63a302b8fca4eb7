//! The service as a child process, and its log.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;
use testbed::Proxy;
use testbed::process::{Launch, Process};
use testbed::rundir::RunDir;

use super::{Address, Connection, Database, Metrics, PATIENCE, Request, Response, until};

/// Every value of `MODE`.
pub(crate) const MODES: [&str; 3] = ["direct", "serial", "batched"];

/// A directory for logs and sockets, removed when this process has ended.
pub(crate) fn run_directory() -> &'static Path {
    static DIRECTORY: OnceLock<RunDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| RunDir::create().expect("a run directory")).path()
}

/// An instance to be started: the settings of a test over defaults that suit a test.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Launcher {
    /// One with no setting at all.
    pub(crate) fn bare() -> Self {
        Self { variables: Vec::new(), arguments: Vec::new() }
    }

    /// One on this address of a database.
    pub(crate) fn on(database_url: &str) -> Self {
        Self::bare()
            .set("LISTEN", "127.0.0.1:0")
            .set("METRICS_LISTEN", "127.0.0.1:0")
            .set("LOG_FORMAT", "json")
            .set("WORKERS", "1")
            .set("DATABASE_URL", database_url)
            // What a test has wait for a row is to stay where it is.
            .set("ROW_WAITS", 0)
            // Locks that a test holds on purpose are not to time out on a busy machine.
            .deadlines(20_000, 22_000, 25_000)
    }

    /// One whose database is not there: nothing listens on port 1.
    pub(crate) fn without_database() -> Self {
        Self::on("postgresql://guiche:guiche@127.0.0.1:1/rinha")
    }

    /// Sets a variable; the last value counts.
    pub(crate) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds an argument to its command line.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// In a mode, with as many connections in each: callers of a held row are seen to wait where each has a session.
    pub(crate) fn mode(self, mode: &str) -> Self {
        self.set("MODE", mode).set("POOL_SIZE", 16)
    }

    /// With the deadlines that the service has by itself.
    pub(crate) fn default_deadlines(self) -> Self {
        self.deadlines(5_000, 6_000, 10_000)
    }

    /// Sets the three nested deadlines, in milliseconds.
    pub(crate) fn deadlines(self, statement: u32, call: u32, answer: u32) -> Self {
        self.set("STATEMENT_TIMEOUT_MS", statement)
            .set("CALL_DEADLINE_MS", call)
            .set("ANSWER_DEADLINE_MS", answer)
    }

    /// Starts it and waits until it takes transactions.
    pub(crate) async fn start(self) -> Guiche {
        let guiche = self.start_listening().await;
        guiche.until_logged("ready").await;
        guiche
    }

    /// Starts it and waits until it listens; it may still be without a database.
    pub(crate) async fn start_listening(self) -> Guiche {
        let (process, log) = self.spawn();
        let mut guiche = Guiche { process, log, address: Address::Unix(PathBuf::new()), metrics: None };
        guiche.address = parse_address(&guiche.until_logged("listening").await);
        if self.variables.iter().any(|(name, _)| name == "METRICS_LISTEN") {
            guiche.metrics = Some(parse_address(&guiche.until_logged("serving metrics").await));
        }
        guiche
    }

    /// Starts one that is expected to end by itself: how it did, and all that it wrote.
    pub(crate) async fn run_to_end(self) -> (ExitStatus, String) {
        let (process, log) = self.spawn();
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
        let text = std::fs::read_to_string(log).expect("its log is there");
        (ended.unwrap_or_else(|_| panic!("it still runs: {text}")), text)
    }

    fn spawn(&self) -> (Process, PathBuf) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("guiche-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let log = run_directory().join(format!("{name}.log"));
        let mut launch = Launch::new(&name, env!("CARGO_BIN_EXE_guiche"), &log).args(&self.arguments);
        for (variable, value) in &self.variables {
            launch = launch.env(variable, value);
        }
        (launch.spawn().expect("the instance is started"), log)
    }
}

fn parse_address(event: &Value) -> Address {
    let address = event["fields"]["address"].as_str().expect("an address is logged");
    match address.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => Address::Tcp(address.parse().expect("an address with a port")),
    }
}

/// A running instance. Dropped, it is stopped.
pub(crate) struct Guiche {
    process: Process,
    log: PathBuf,
    address: Address,
    metrics: Option<Address>,
}

impl Guiche {
    /// One with the settings that a test usually wants.
    pub(crate) async fn on(database: &Database) -> Self {
        Self::launcher(database).start().await
    }

    /// The same, to be given more settings.
    pub(crate) fn launcher(database: &Database) -> Launcher {
        Launcher::on(database.api_url())
    }

    /// The same, reaching its database through a proxy.
    pub(crate) fn behind(proxy: &Proxy, database: &Database) -> Launcher {
        Launcher::on(&database.url_through(proxy))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The unix socket that it listens at.
    pub(crate) fn socket(&self) -> &Path {
        match &self.address {
            Address::Unix(path) => path,
            Address::Tcp(address) => panic!("it listens at {address}"),
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(&self.address).await.expect("the instance takes connections")
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Request) -> Response {
        self.connect().await.ask(request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask(&Request::get(path)).await
    }

    pub(crate) async fn statement(&self, client: i64) -> Response {
        self.ask(&Request::statement(client)).await
    }

    pub(crate) async fn credit(&self, client: i64, amount: i64, description: &str) -> Response {
        self.ask(&Request::transaction(client, amount, "c", description)).await
    }

    /// Credits a client as a caller does who has to: under a key, again and again until it is answered. Returns the
    /// balance. For an instance whose deadlines are short, so that a busy machine may miss them at any time.
    pub(crate) async fn book(&self, client: i64, amount: i64, description: &str) -> i64 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let key = format!("\"booked {}\"", NEXT.fetch_add(1, Ordering::Relaxed));
        let request = Request::transaction(client, amount, "c", description).header("Idempotency-Key", &key);
        let mut booked = None;
        until("it is booked", async || {
            booked = Some(self.ask(&request).await).filter(|response| response.status == 200);
            booked.is_some()
        })
        .await;
        booked.expect("it was just booked").balance()
    }

    pub(crate) async fn debit(&self, client: i64, amount: i64, description: &str) -> Response {
        self.ask(&Request::transaction(client, amount, "d", description)).await
    }

    /// Sends a request whose answer is waited for later.
    pub(crate) async fn begin(&self, request: &Request) -> Connection {
        let mut connection = self.connect().await;
        connection.send(request).await.expect("the instance takes the request");
        connection
    }

    /// Sends a transaction that is to wait in a mailbox, and returns once it does.
    pub(crate) async fn queue(&self, request: &Request) -> Connection {
        let before = self.depth().await;
        let connection = self.begin(request).await;
        until("the request waits in its mailbox", async || self.depth().await > before).await;
        connection
    }

    /// Requests that wait in mailboxes.
    pub(crate) async fn depth(&self) -> u64 {
        self.metrics().await.get("guiche_mailbox_depth")
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::new(self.ask_metrics(&Request::get("/metrics")).await.text())
    }

    /// Where its metrics are served.
    pub(crate) fn metrics_address(&self) -> &Address {
        self.metrics.as_ref().expect("it serves metrics")
    }

    /// Sends a request there.
    pub(crate) async fn ask_metrics(&self, request: &Request) -> Response {
        let mut connection = Connection::open(self.metrics_address()).await.expect("metrics are served");
        connection.ask(request).await.expect("metrics are answered")
    }

    /// One metric of now.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        self.metrics().await.get(name)
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Every event that it has logged as JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The events whose message starts so.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let starts =
            |event: &Value| event["fields"]["message"].as_str().is_some_and(|text| text.starts_with(message));
        self.events().into_iter().filter(starts).collect()
    }

    /// Waits until it has logged an event whose message starts so, and returns the first.
    pub(crate) async fn until_logged(&self, message: &str) -> Value {
        let mut found = None;
        until(&format!("it logs {message:?}"), async || {
            found = self.logged(message).into_iter().next();
            assert!(found.is_some() || self.process.exit_status().is_none(), "{}", self.process.obituary());
            found.is_some()
        })
        .await;
        found.expect("it was just found")
    }

    /// Waits until client 1's statement is answered again: whoever looks whether the database is there may have
    /// waited as long as it was away.
    pub(crate) async fn until_it_answers(&self) {
        until("it answers again", async || self.statement(1).await.status == 200).await;
    }

    /// Waits until `/readyz` is what it should be.
    pub(crate) async fn until_ready(&self) {
        until("it is ready", async || self.get("/readyz").await.status == 200).await;
    }

    /// Waits until `/readyz` says that it is not, and why.
    pub(crate) async fn until_not_ready(&self, why: &str) {
        until(&format!("it is not ready: {why}"), async || {
            let answer = self.get("/readyz").await;
            answer.status == 503 && answer.text().contains(why)
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended.unwrap_or_else(|_| panic!("it still runs: {:?}", self.process.obituary()))
    }

    /// Kills it at once (`SIGKILL`).
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await;
    }
}
