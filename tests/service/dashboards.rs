//! What the service's dashboard shows: a real Prometheus watches real instances, and is asked every query.
//! (What other programs show is asked in containers: `make containers`.)

use std::fs;

use serde_json::Value;
use testbed::http::Endpoint;
use testbed::process::{Launch, Process};

use crate::harness::{Address, Connection, Database, Guiche, Load, Request, run_directory, until};
use crate::watchers::queries_of_dashboards;

/// How far a rate looks back, in the place of Grafana's variable.
const WINDOW: &str = "10s";

#[tokio::test]
async fn every_query_of_the_service_has_an_answer() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("PASSIVATE_AFTER_MS", 50).start().await;
    let prometheus = Prometheus::watch("every-query", &[&guiche]).await;
    let load = Load::start("n", &[guiche.address()], 2);
    let queries = queries_of_dashboards().into_iter();
    // NGINX's and PostgreSQL's counts come by exporters.
    let mut left: Vec<_> = queries
        .filter(|(panel, query)| panel.starts_with("\"guiche: the service\"") && !query.contains("nginx"))
        .map(|(panel, query)| {
            let query = query.replace("$__rate_interval", WINDOW).replace("$instance", ".+");
            assert!(!query.contains('$'), "{panel}: a variable that this test does not know: {query}");
            (panel, query)
        })
        .collect();
    assert!(left.len() > 45, "{left:?}");
    until("every query has a number", async || {
        assert_eq!(guiche.statement(1).await.status, 200);
        let mut unanswered = Vec::new();
        for (panel, query) in left.drain(..) {
            if prometheus.ask(&query).await.is_none() {
                unanswered.push((panel, query));
            }
        }
        left = unanswered;
        left.is_empty()
    })
    .await;
    load.stop().await;
}

/// Two at a time are let in of sixteen: who is refused is refused fast, which is no merit.
#[tokio::test]
async fn an_overload_is_seen_on_the_dashboard() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("REQUESTS_IN_FLIGHT", 2).start().await;
    let prometheus = Prometheus::watch("overload", &[&guiche]).await;
    let callers: Vec<_> =
        (0..16).map(|client| tokio::spawn(call(guiche.address().clone(), client))).collect();
    let good = "status!~\"408|5..\",";
    let queries = queries_of_dashboards();
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

/// A running Prometheus, with the project's rules.
struct Prometheus {
    endpoint: Endpoint,
    _process: Process,
}

impl Prometheus {
    /// Starts one that looks at these instances each second. A port that was free a moment ago may be taken by now:
    /// then another one is tried.
    async fn watch(name: &str, instances: &[&Guiche]) -> Self {
        let program = testbed::programs::find("prometheus").expect("it is there: .ci/install promtool");
        let directory = run_directory().join(name);
        fs::create_dir_all(&directory).expect("it can be made");
        let targets: Vec<String> = instances.iter().map(|it| it.metrics_address().to_string()).collect();
        let rules = testbed::repository_root().join("compose/prometheus/rules.yml");
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": [{ "job_name": "guiche", "static_configs": [{ "targets": targets }] }],
        });
        let file = directory.join("prometheus.yml");
        fs::write(&file, config.to_string()).expect("it can be written");
        for attempt in 0..5 {
            let port = testbed::cluster::free_port().expect("a port is free");
            let process = Launch::new("prometheus", &program, directory.join("log"))
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", directory.join(format!("data-{attempt}")).display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .spawn()
                .expect("it starts");
            let endpoint = Endpoint::Tcp(([127, 0, 0, 1], port).into());
            let mut ready = false;
            until("Prometheus is ready or has ended", async || {
                ready = endpoint.get("/-/ready").await.is_ok_and(|answer| answer.status == 200);
                ready || process.exit_status().is_some()
            })
            .await;
            if ready {
                return Self { endpoint, _process: process };
            }
        }
        panic!("Prometheus found no port");
    }

    /// Returns the first finite number that a query gives now.
    async fn ask(&self, query: &str) -> Option<f64> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.endpoint.get(&format!("/api/v1/query?query={escaped}")).await.ok()?;
        let answer: Value = serde_json::from_str(&answer.body).expect("it answers in JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array()?;
        let numbers = series.iter().filter_map(|one| one["value"][1].as_str()?.parse::<f64>().ok());
        numbers.into_iter().find(|number| number.is_finite())
    }
}
