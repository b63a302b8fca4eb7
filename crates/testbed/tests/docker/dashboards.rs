//! Every query of every dashboard is asked of a real Prometheus and a real InfluxDB that watched a
//! real run. One that errors, or whose answer is empty, fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use testbed::docker::{DockerOptions, DockerStack};
use testbed::http::Endpoint;

/// What the overlay has, Grafana's own server apart: it only asks what is asked here.
const OBSERVERS: [&str; 3] = ["prometheus", "influxdb", "postgres-exporter"];
const TARGETS: usize = 5;

/// It is left out, with what is asked of it, where no registry has its image.
const NGINX_EXPORTER: (&str, &str) = ("nginx-exporter", "nginx/nginx-prometheus-exporter:1.4.1");

/// Prometheus scrapes every 5 s; rates need two scrapes of the run.
const SCRAPES_DEADLINE: Duration = Duration::from_secs(30);

/// A server that does not answer by then never will.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// How far back is looked, in seconds.
const WINDOW_SECONDS: u64 = 300;

#[tokio::test]
#[ignore = "needs Docker: make containers"]
async fn every_query_of_every_dashboard_has_an_answer() {
    let Some(_alone) = crate::docker().await else { return };
    let watches_nginx = is_to_be_had(NGINX_EXPORTER.1);
    let services = OBSERVERS.into_iter().chain(watches_nginx.then_some(NGINX_EXPORTER.0)).collect();
    let ports = [(); 2].map(|()| testbed::cluster::free_port().expect("a port is free"));
    let mut options = DockerOptions { overlays: vec!["dev.yml"], services, ..crate::options() };
    for (name, port) in ["PROMETHEUS_PORT", "INFLUXDB_PORT"].into_iter().zip(ports) {
        options.variables.push((name, port.to_string()));
    }
    options.variables.push(("QUICK", "1".to_owned()));
    let stack = crate::start(options).await;
    let [prometheus, influxdb] = ports.map(|port| Endpoint::Tcp(([127, 0, 0, 1], port).into()));

    targets_are_up(&prometheus, watches_nginx).await;
    // Won or lost is for the contest to judge; here it is only watched.
    match play(&stack, "dev").await {
        Ok(_) => println!("  k6 played a quick contest and won"),
        Err(error) => println!("  k6 played a quick contest and lost: this machine is busy\n  {error:#}"),
    }
    targets_are_up(&prometheus, watches_nginx).await;

    let mut asked = 0;
    let mut faults = Vec::new();
    for query in queries().into_iter().filter(|query| watches_nginx || !query.text.contains("nginx")) {
        asked += 1;
        let answer = match &query.language {
            Language::PromQl => ask_prometheus(&prometheus, &query.text).await,
            Language::InfluxQl => ask_influxdb(&influxdb, &query.text).await,
        };
        if let Err(why) = answer {
            faults.push(format!("{}: {}: {why}\n    {}", query.dashboard, query.panel, query.text));
        }
    }
    assert!(faults.is_empty(), "{} of {asked} queries:\n{}", faults.len(), faults.join("\n"));
    println!("  {asked} queries of the dashboards were answered, none of them empty");

    reports_are_written(&stack).await;
    stack.stop().await.expect("it is removed");
}

/// Says whether there is an image of this name, here or where images are fetched from.
fn is_to_be_had(image: &str) -> bool {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let had = docker(&["image", "inspect", image]) || docker(&["pull", "--quiet", image]);
    if !had {
        println!("LEFT OUT: what NGINX counts: there is no image {image}");
    }
    had
}

/// Waits until all targets have been scraped without an error.
async fn targets_are_up(prometheus: &Endpoint, watches_nginx: bool) {
    let wanted = TARGETS - usize::from(!watches_nginx);
    let begin = Instant::now();
    loop {
        let targets = json(prometheus, "/api/v1/targets?state=active").await;
        let targets = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let well = targets.iter().filter(|target| target["health"] == "up").count();
        if targets.len() == TARGETS && well == wanted {
            println!("  {wanted} of {TARGETS} targets of Prometheus are up");
            return;
        }
        assert!(begin.elapsed() < SCRAPES_DEADLINE, "targets: {targets:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn play(stack: &DockerStack, mode: &str) -> anyhow::Result<String> {
    let compose = stack.compose.clone().variable("K6_MODE", mode).variable("K6_USER", owner());
    compose.run(&["run", "--rm", "-T", "k6"]).await
}

/// In the mode `prod` k6 leaves a page and a summary behind. The books are not empty any more, so
/// it loses this contest.
async fn reports_are_written(stack: &DockerStack) {
    let begin = SystemTime::now();
    let directory = testbed::repository_root().join("reports");
    fs::create_dir_all(&directory).expect("the directory can be made");
    let _lost = play(stack, "prod").await;
    for (name, contains) in [("k6.html", "<html"), ("k6.json", "acknowledged")] {
        let path = directory.join(name);
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
        assert!(written.is_ok_and(|at| at >= begin - Duration::from_secs(1)), "{name} was not written");
        let text = fs::read_to_string(&path).expect("it is text");
        assert!(text.contains(contains), "{name} is not what it should be");
        println!("  k6 wrote {} ({} kB)", path.display(), text.len() / 1024);
    }
}

/// Who owns the repository, so that the reports are not root's.
fn owner() -> String {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(testbed::repository_root()).expect("it is there");
    format!("{}:{}", metadata.uid(), metadata.gid())
}

enum Language {
    PromQl,
    InfluxQl,
}

struct Query {
    dashboard: String,
    panel: String,
    language: Language,
    text: String,
}

/// All queries of all dashboards, with Grafana's variables filled in.
fn queries() -> Vec<Query> {
    let directory = testbed::repository_root().join("compose/grafana/dashboards");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| entry.expect("it is readable").path())
        .collect();
    files.sort();
    let mut queries = Vec::new();
    let mut uids = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("it is text");
        let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
        assert!(uids.insert(dashboard["uid"].to_string()), "{} has another's uid", file.display());
        let title = dashboard["title"].as_str().expect("it has a title").to_owned();
        let panels = dashboard["panels"].as_array().expect("it has panels");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            queries.extend(queries_of(&title, panel));
        }
    }
    assert!(uids.len() >= 3 && queries.len() > 60, "the dashboards were not found");
    queries
}

fn queries_of(dashboard: &str, panel: &Value) -> Vec<Query> {
    let title = panel["title"].as_str().expect("a panel has a title");
    let targets = panel["targets"].as_array().expect("a panel has queries");
    assert!(!targets.is_empty(), "{title} asks nothing");
    let query = |target: &Value| {
        let (language, text) = match target["datasource"]["uid"].as_str() {
            Some("prometheus") => (Language::PromQl, &target["expr"]),
            Some("influxdb") => (Language::InfluxQl, &target["query"]),
            other => panic!("{title}: {other:?} is not provisioned"),
        };
        let text = filled_in(text.as_str().expect("a target has a query"));
        assert!(!text.contains('$'), "{title}: a variable that this test does not know: {text}");
        Query { dashboard: dashboard.to_owned(), panel: title.to_owned(), language, text }
    };
    targets.iter().map(query).collect()
}

fn filled_in(query: &str) -> String {
    [
        ("$__rate_interval", "20s"),
        ("$__interval_ms", "5000"),
        ("$__interval", "5s"),
        ("$timeFilter", "time > now() - 5m"),
        ("$instance", ".+"),
    ]
    .into_iter()
    .fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

/// An error, or no number at all in the window, is a fault.
async fn ask_prometheus(prometheus: &Endpoint, query: &str) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs();
    let path = format!(
        "/api/v1/query_range?query={}&start={}&end={now}&step=5",
        percent_encoded(query),
        now - WINDOW_SECONDS
    );
    let answer = json(prometheus, &path).await;
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let mut values = series.iter().filter_map(|one| one["values"].as_array()).flatten();
    let number =
        |pair: &Value| pair[1].as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite);
    if values.any(number) { Ok(()) } else { Err(format!("nothing, in {} series", series.len())) }
}

async fn ask_influxdb(influxdb: &Endpoint, query: &str) -> Result<(), String> {
    let answer = json(influxdb, &format!("/query?db=k6&q={}", percent_encoded(query))).await;
    let result = &answer["results"][0];
    if let Some(error) = answer["error"].as_str().or(result["error"].as_str()) {
        return Err(error.to_owned());
    }
    let rows = result["series"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["values"].as_array())
        .flatten();
    let mut numbers = rows.filter_map(|row| row.get(1)?.as_f64());
    if numbers.any(|number| number > 0.0) { Ok(()) } else { Err("nothing above zero".to_owned()) }
}

/// Asks again while there is no answer: a server that has just taken in a run can be busy.
async fn json(server: &Endpoint, path: &str) -> Value {
    let begin = Instant::now();
    let answer = loop {
        match server.get(path).await {
            Ok(answer) => break answer,
            Err(error) => assert!(begin.elapsed() < ANSWER_DEADLINE, "{error:#}"),
        }
    };
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.body))
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
