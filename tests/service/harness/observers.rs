//! Programs of others that watch the service: Prometheus, exporters, InfluxDB. `.ci/install promtool` has them all.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use testbed::http::Endpoint;
use testbed::process::{Launch, Process};

use super::{run_directory, until};

/// A running one.
pub(crate) struct Observer {
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    _process: Process,
}

impl Observer {
    /// Starts a program, which is to answer 200 for the path `ready` at the address that `launch` tells it, and may
    /// write to a directory of its own. A port that was free a moment ago may be taken by now: then another one is tried.
    pub(crate) async fn start(
        name: &str,
        ready: &str,
        launch: impl Fn(Launch, SocketAddr, &Path) -> Launch,
    ) -> Self {
        let program = testbed::programs::find(name);
        let program = program.unwrap_or_else(|| panic!("{name} is not there: .ci/install promtool"));
        for _ in 0..5 {
            let port = testbed::cluster::free_port().expect("a port is free");
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let directory = run_directory().join(format!("{name}-{port}"));
            fs::create_dir_all(&directory).expect("it can be made");
            let launch = launch(Launch::new(name, &program, directory.join("log")), address, &directory);
            let process = launch.spawn().expect("it starts");
            let endpoint = Endpoint::Tcp(address);
            let mut answers = false;
            until("an observer is ready or has ended", async || {
                answers = endpoint.get(ready).await.is_ok_and(|answer| [200, 204].contains(&answer.status));
                answers || process.exit_status().is_some()
            })
            .await;
            if answers {
                return Self { address, endpoint, _process: process };
            }
        }
        panic!("{name} found no port");
    }

    async fn json(&self, path: &str, query: &str) -> Value {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.endpoint.get(&format!("{path}{escaped}")).await.expect("it answers");
        serde_json::from_str(&answer.body).expect("it answers in JSON")
    }
}

/// One with the project's rules.
pub(crate) struct Prometheus(Observer);

impl Prometheus {
    /// Starts one that looks at these addresses, by job, each second.
    pub(crate) async fn watch(jobs: &[(&str, Vec<String>)]) -> Self {
        Self::watch_with(jobs, "exemplar-storage").await
    }

    /// The same with a feature that has to be asked for.
    pub(crate) async fn watch_with(jobs: &[(&str, Vec<String>)], feature: &str) -> Self {
        let jobs: Vec<_> = jobs.iter().map(|(name, targets)| {
            serde_json::json!({ "job_name": name, "static_configs": [{ "targets": targets }] })
        }).collect();
        let rules = testbed::repository_root().join("compose/prometheus/rules.yml");
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": jobs,
        });
        let launch = |launch: Launch, address, directory: &Path| {
            let file = directory.join("prometheus.yml");
            fs::write(&file, config.to_string()).expect("it can be written");
            launch
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .arg(format!("--enable-feature={feature}"))
        };
        Self(Observer::start("prometheus", "/-/ready", launch).await)
    }

    /// Returns the first finite number that a query gives now, or else one that is none, if it gives any.
    pub(crate) async fn ask(&self, query: &str) -> Option<f64> {
        let answer = self.0.json("/api/v1/query?query=", query).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array()?;
        let numbers = series.iter().filter_map(|one| one["value"][1].as_str()?.parse::<f64>().ok());
        numbers.reduce(|found, next| if found.is_finite() { found } else { next })
    }
}

/// What k6 writes to while it plays.
pub(crate) struct InfluxDb(Observer);

impl InfluxDb {
    pub(crate) async fn start() -> Self {
        let launch = |launch: Launch, address, directory: &Path| {
            let (file, at) = (directory.join("influxdb.conf"), directory.display());
            let config = format!(
                "reporting-disabled = true\nbind-address = '127.0.0.1:0'\n[meta]\ndir = '{at}/meta'\n\
                 [data]\ndir = '{at}/data'\nwal-dir = '{at}/wal'\nquery-log-enabled = false\n\
                 [http]\nbind-address = '{address}'\nlog-enabled = false\n"
            );
            fs::write(&file, config).expect("it can be written");
            launch.arg("run").arg("-config").arg(file)
        };
        Self(Observer::start("influxd", "/ping", launch).await)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns the largest number that a query gives.
    pub(crate) async fn ask(&self, query: &str) -> Option<f64> {
        let answer = self.0.json("/query?db=k6&q=", query).await;
        let series = answer["results"][0]["series"].as_array()?.iter();
        let rows = series.filter_map(|one| one["values"].as_array()).flatten();
        rows.filter_map(|row| row[1].as_f64()).reduce(f64::max)
    }
}
