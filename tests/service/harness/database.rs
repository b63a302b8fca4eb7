//! A database for each test, in a cluster that they share.

use std::sync::atomic::{AtomicU32, Ordering};

use testbed::check::Books;
use testbed::cluster::connect;
use testbed::stack::Engine;
use testbed::{Cluster, ClusterOptions, Profile};
use tokio::sync::OnceCell;
use tokio_postgres::types::FromSqlOwned;

use super::until;

/// Sessions for as many instances as there are tests at a time.
const MAX_CONNECTIONS: &str = "500";

/// Starts a cluster that this test may stop, kill or damage.
pub(crate) async fn own_cluster(profile: Profile, settings: &[(&str, &str)]) -> Cluster {
    cluster(profile, settings, None).await
}

/// Starts a copy of one, which follows it by the name `standby`.
pub(crate) async fn standby_of(primary: &Cluster) -> Cluster {
    let primary = primary.admin_url("postgres") + " application_name=standby";
    cluster(Profile::Durable, &[], Some(primary)).await
}

async fn cluster(profile: Profile, settings: &[(&str, &str)], primary: Option<String>) -> Cluster {
    let mut all = vec![("max_connections".to_owned(), MAX_CONNECTIONS.to_owned())];
    all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let options = ClusterOptions { profile, settings: all, primary, ..ClusterOptions::default() };
    Cluster::start(&options).await.expect("a private PostgreSQL starts")
}

/// The cluster of all tests that leave it alone. It ends with this process.
async fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(|| own_cluster(Profile::Durable, &[])).await
}

/// A database with the five clients of the contest, all at zero.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    name: String,
    admin_url: String,
    api_url: String,
}

/// One transaction as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) client: i32,
    pub(crate) amount: i64,
    pub(crate) kind: char,
    pub(crate) description: String,
}

impl Database {
    /// A fresh one in the shared cluster.
    pub(crate) async fn create() -> Self {
        Self::create_in(shared_cluster().await).await
    }

    /// A fresh one in a cluster of the test's own.
    pub(crate) async fn create_in(cluster: &Cluster) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.create_database(&name).await.expect("a database is made");
        let (admin_url, api_url) = (cluster.admin_url(&name), cluster.api_url(&name));
        Self { name, admin_url, api_url }
    }

    /// The same in a server that is a copy of its own.
    pub(crate) fn copied_to(&self, cluster: &Cluster) -> Self {
        let (admin_url, api_url) = (cluster.admin_url(&self.name), cluster.api_url(&self.name));
        Self { name: self.name.clone(), admin_url, api_url }
    }

    /// A bank on two servers with PL/Proxy in front: what the service connects to, where only the superuser's queries
    /// see all rows, and the two, of which the first has the even clients. All are databases of one cluster, or the
    /// second of a test's `own`. Says why it is left out, where PL/Proxy is not installed.
    pub(crate) async fn create_on_two(own: Option<&Cluster>) -> Option<(Self, [Self; 2])> {
        let cluster = shared_cluster().await;
        let clusters = [cluster, own.unwrap_or(cluster)];
        if let Err(why) = cluster.ensure_extension("plproxy", "make servers").await {
            eprintln!("left out, because {why}");
            return None;
        }
        let shards = [Self::create_in(clusters[0]).await, Self::create_in(clusters[1]).await];
        for (number, (shard, others)) in shards.iter().zip(["id % 2 = 1", "id % 2 = 0"]).enumerate() {
            shard.execute(&format!("DELETE FROM clientes WHERE {others}")).await;
            clusters[number].be_part(&shard.name, number, 2).await.expect("it is told which it is");
        }
        let name = format!("{}_front", shards[0].name);
        let at = |(shard, cluster): (&Self, &Cluster)| {
            let (socket, port) = (cluster.socket_dir(), cluster.port());
            format!("host={} port={port} dbname={}", socket.display(), shard.name)
        };
        let addresses: Vec<String> = shards.iter().zip(clusters).map(at).collect();
        cluster.create_front(&name, &addresses).await.expect("a front is made");
        let (admin_url, api_url) = (cluster.admin_url(&name), cluster.api_url(&name));
        Some((Self { name, admin_url, api_url }, shards))
    }

    /// A bank whose clients are on two workers of a Citus cluster of the test's own: what the service connects to, the
    /// worker that has client 1, and the cluster, which must outlive them. Says why it is left out, where Citus is not
    /// installed.
    pub(crate) async fn create_on_citus() -> Option<(Self, Self, Vec<Cluster>)> {
        if let Err(why) = Cluster::check_library(&ClusterOptions::default(), "citus") {
            eprintln!("left out, because {why}");
            return None;
        }
        let settings = Engine::Citus.settings();
        let [one, two, front] = [
            own_cluster(Profile::Durable, settings),
            own_cluster(Profile::Durable, settings),
            own_cluster(Profile::Durable, settings),
        ];
        let (front, workers) = (front.await, vec![one.await, two.await]);
        front.create_coordinator("rinha", &workers).await.expect("a coordinator is made");
        let on = |cluster: &Cluster| Self {
            name: "rinha".to_owned(),
            admin_url: cluster.admin_url("rinha"),
            api_url: cluster.api_url("rinha"),
        };
        let sql = "SELECT groupid = (SELECT groupid FROM pg_dist_local_group) FROM pg_dist_placement
                   WHERE shardid = get_shard_id_for_distribution_column('clientes', 1)";
        let [bank, one, two] = [on(&front), on(&workers[0]), on(&workers[1])];
        let owner = if one.value(sql).await { one } else { two };
        Some((bank, owner, workers.into_iter().chain([front]).collect()))
    }

    /// How the service connects.
    pub(crate) fn api_url(&self) -> &str {
        &self.api_url
    }

    /// The path of the server's socket, for a proxy.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        let part = |key: &str| self.api_url.split(' ').find_map(|pair| pair.strip_prefix(key));
        let (directory, port) = (part("host=").expect("a host"), part("port=").expect("a port"));
        format!("{directory}/.s.PGSQL.{port}").into()
    }

    /// How the superuser connects.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Its name in the cluster.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A session of the superuser.
    pub(crate) async fn admin(&self) -> tokio_postgres::Client {
        connect(&self.admin_url).await.expect("the superuser connects")
    }

    /// A session of the service's role.
    pub(crate) async fn api(&self) -> tokio_postgres::Client {
        connect(&self.api_url).await.expect("the service's role connects")
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        self.admin().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The one value of the one row of a query, as the superuser sees it.
    pub(crate) async fn value<T: FromSqlOwned>(&self, sql: &str) -> T {
        let row = self.admin().await.query_one(sql, &[]).await;
        row.and_then(|row| row.try_get(0)).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub(crate) async fn balance(&self, client: i32) -> i64 {
        self.value(&format!("SELECT saldo FROM clientes WHERE id = {client}")).await
    }

    /// A client's transactions in the order in which they were applied.
    pub(crate) async fn rows_of(&self, client: i32) -> Vec<Row> {
        self.rows().await.into_iter().filter(|row| row.client == client).collect()
    }

    /// All transactions, each client's in the order in which they were applied.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let sql = "SELECT cliente_id, valor, tipo, descricao FROM transacoes ORDER BY cliente_id, id";
        let rows = self.admin().await.query(sql, &[]).await.expect("rows are read");
        let row = |row: tokio_postgres::Row| Row {
            client: row.get(0),
            amount: row.get(1),
            kind: char::from(row.get::<_, i8>(2) as u8),
            description: row.get(3),
        };
        rows.into_iter().map(row).collect()
    }

    /// The descriptions of a client's transactions in the order in which they were applied.
    pub(crate) async fn descriptions(&self, client: i32) -> Vec<String> {
        self.rows_of(client).await.into_iter().map(|row| row.description).collect()
    }

    /// Asserts that each balance is the sum of its transactions and within its limit.
    pub(crate) async fn assert_books(&self) {
        let books = Books::read(&self.admin_url).await.expect("the books are read");
        assert_eq!(books.problems(), Vec::<String>::new());
    }

    /// Locks a client's row: transactions on it wait until the lock is released.
    pub(crate) async fn lock(&self, client: i32) -> Lock {
        self.lock_with(&format!("SELECT FROM clientes WHERE id = {client} FOR UPDATE")).await
    }

    async fn lock_with(&self, sql: &str) -> Lock {
        let session = self.admin().await;
        session.batch_execute(&format!("BEGIN; {sql}")).await.expect("the lock is had");
        Lock { session }
    }

    /// How many of the service's sessions wait for a lock right now.
    pub(crate) async fn waiting(&self) -> i64 {
        self.sessions("AND wait_event_type = 'Lock'").await
    }

    /// Waits until `count` of the service's sessions wait for a lock.
    pub(crate) async fn until_waiting(&self, count: i64) {
        let (session, sql) = (self.admin().await, self.count_sessions("AND wait_event_type = 'Lock'"));
        until("a call waits for the lock", async || {
            let row = session.query_one(&sql, &[]).await.expect("sessions are counted");
            row.get::<_, i64>(0) == count
        })
        .await;
    }

    /// How many sessions the service has here, `condition` being more SQL on `pg_stat_activity`.
    pub(crate) async fn sessions(&self, condition: &str) -> i64 {
        self.value(&self.count_sessions(condition)).await
    }

    /// Changes a setting of its whole server, whose processes read it soon.
    pub(crate) async fn alter_system(&self, change: &str) {
        self.execute(&format!("ALTER SYSTEM {change}")).await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// Has every commit of its server from now on wait for a standby that never answers.
    pub(crate) async fn have_commits_wait(&self) {
        const WAITING: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        self.alter_system("SET synchronous_standby_names = 'nobody'").await;
        // They wait once the checkpointer has read it, whose word it is.
        let probe = self.admin().await;
        let probing = tokio::spawn(async move {
            while probe.batch_execute("SELECT pg_logical_emit_message(true, '', '')").await.is_ok() {}
        });
        let count = format!("SELECT count(*) {WAITING}");
        until("a commit waits for the standby", async || self.value::<i64>(&count).await == 1).await;
        self.execute(&format!("SELECT pg_terminate_backend(pid) {WAITING}")).await;
        probing.await.expect("it ends with its session");
    }

    /// Has them wait no more, those that do included.
    pub(crate) async fn have_commits_go_on(&self) {
        self.alter_system("RESET synchronous_standby_names").await;
    }

    /// Waits until a commit of the service waits for the standby.
    pub(crate) async fn until_a_commit_waits(&self) {
        until("the commit waits for the standby", async || {
            self.sessions("AND wait_event = 'SyncRep'").await == 1
        })
        .await;
    }

    fn count_sessions(&self, condition: &str) -> String {
        let name = &self.name;
        format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = '{name}' AND usename = 'guiche' {condition}"
        )
    }
}

/// A row lock of the test's own session.
pub(crate) struct Lock {
    session: tokio_postgres::Client,
}

impl Lock {
    /// Lets go of it.
    pub(crate) async fn release(self) {
        self.let_go().await;
    }

    pub(super) async fn let_go(&self) {
        self.session.batch_execute("COMMIT").await.expect("the lock is released");
    }
}
