//! What is laid over the stack to watch it: Prometheus' rules, played by its own tool, and what postgres-exporter
//! asks of this PostgreSQL.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testbed::cluster::connect;
use testbed::{Cluster, ClusterOptions};

#[test]
fn the_rules_are_good_and_each_alarm_sounds_when_it_should() {
    for arguments in [["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]] {
        let command =
            Command::new("promtool").args(arguments).current_dir(compose().join("prometheus")).output();
        let output = command.expect("promtool is there: .ci/install promtool");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_is_played() {
    let read =
        |name: &str| std::fs::read_to_string(compose().join("prometheus").join(name)).expect("it is there");
    let played = read("rules_test.yml");
    let rules = read("rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8, "{alerts:?}");
    for alert in alerts {
        let sounds = played.contains(&format!("- alertname: {alert}\n"));
        assert!(
            sounds && played.contains(&format!("{{ alertname: {alert}, ")),
            "{alert} sounds, and is silent"
        );
    }
}

/// Whatever its version, as the role that asks: one query that fails would take the whole scrape with it.
#[tokio::test]
async fn the_exporters_queries_give_a_number_for_each_metric() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("rinha").await.expect("a database");
    let read = |name: &str| {
        std::fs::read_to_string(compose().join("postgres-exporter").join(name)).expect("it is there")
    };
    let admin = connect(&cluster.admin_url("rinha")).await.expect("it runs");
    admin.batch_execute(&read("monitor.sql")).await.expect("the role is made");
    admin.batch_execute("SET ROLE monitor").await.expect("it may be taken on");
    let queries: Value = serde_saphyr::from_str(&read("queries.yml")).expect("it is YAML");
    let queries = queries.as_object().expect("queries by name");
    assert!(queries.len() >= 4, "{queries:?}");
    for (name, query) in queries {
        let sql = query["query"].as_str().expect("it has a query");
        let rows = admin.query(sql, &[]).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(!rows.is_empty(), "{name} gives no row");
        for (column, metric) in
            query["metrics"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten()
        {
            for row in &rows {
                let told = if metric["usage"] == "LABEL" {
                    row.try_get::<_, String>(&**column).is_ok()
                } else {
                    row.try_get::<_, f64>(&**column).is_ok()
                };
                assert!(told, "{name} gives no {column}: {row:?}");
            }
        }
    }
}

fn compose() -> PathBuf {
    testbed::repository_root().join("compose")
}
