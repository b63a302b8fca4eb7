//! Who looks at an instance's metrics asks for what is there: dashboards, rules, and the page that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Database, Guiche, Request, assert_page_ends_with};

#[tokio::test]
async fn dashboards_and_rules_ask_for_metrics_that_exist() {
    let metrics = Guiche::on(&Database::create().await).await.metrics().await;
    let mut known: BTreeSet<String> = metrics
        .names()
        .into_iter()
        .map(|series| series.split('{').next().unwrap_or_default().to_owned())
        .collect();
    assert!(known.len() > 50, "{known:?}");
    let rules = rules();
    known.extend(rules.iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())));
    known.extend(exporters_metrics());

    let panels = queries_of_dashboards("expr");
    let of_rules = rules.iter().map(|rule| {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a rule has a name");
        (name.to_owned(), rule["expr"].as_str().expect("a rule has an expression").to_owned())
    });
    let mut wrong = Vec::new();
    for (asker, query) in panels.iter().cloned().chain(of_rules) {
        let unknown = names(&query).filter(|name| !known.contains(*name));
        wrong.extend(unknown.map(|name| format!("{asker} asks for {name}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_page_of_metrics_says_what_is_there() {
    let guiche = Guiche::on(&Database::create().await).await;
    let open_metrics = Request::get("/metrics").header("Accept", "application/openmetrics-text");
    let table = table(&guiche.ask_metrics(&open_metrics).await.text());
    assert_page_ends_with("docs/metrics.md", &table);
}

/// What the page says of each metric.
#[derive(Default)]
struct Family<'a> {
    help: &'a str,
    kind: &'a str,
    unit: &'a str,
    /// Its labels, each with the values that it may have.
    labels: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

fn table(open_metrics: &str) -> String {
    let (mut order, mut families) = (Vec::new(), BTreeMap::<&str, Family<'_>>::new());
    for line in open_metrics.lines() {
        if let Some((what, name, text)) = line.strip_prefix("# ").and_then(split_in_three) {
            let family = families.entry(name).or_default();
            match what {
                "HELP" => {
                    order.push(name);
                    family.help = text.trim_end_matches('.');
                }
                "TYPE" => family.kind = text,
                _ => family.unit = text,
            }
        } else if let (Some((_, labels)), Some(family)) = (line.split_once('{'), order.last()) {
            let (labels, _) = labels.split_once('}').expect("labels end");
            for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                if !["instance_name", "le"].contains(&label) {
                    let values =
                        families.get_mut(family).expect("it is known").labels.entry(label).or_default();
                    values.insert(value.trim_matches('"'));
                }
            }
        }
    }
    let mut table = String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for name in order {
        let Family { help, kind, unit, labels } = &families[name];
        let suffix = match *kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let label = |(label, values): (&&str, &BTreeSet<&str>)| match *kind {
            // Those of one instance.
            "info" => format!("`{label}`"),
            _ => format!("`{label}`: {}", values.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        let labels = labels.iter().map(label).collect::<Vec<_>>().join("; ");
        table += &format!("| `{name}{suffix}` | {kind} | {unit} | {labels} | {help} |\n");
    }
    table
}

fn split_in_three(text: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = text.split_once(' ')?;
    let (second, third) = rest.split_once(' ')?;
    Some((first, second, third))
}

/// The service's own metrics, and those of its process, that a query names.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let own = |name: &&str| ["guiche_", "guiche:", "process_"].iter().any(|prefix| name.starts_with(prefix));
    query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).filter(own)
}

/// The queries of all dashboards, each with its panel: Prometheus' are in the field `expr`, InfluxDB's in `query`.
pub(crate) fn queries_of_dashboards(field: &str) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for file in fs::read_dir(root().join("compose/grafana/dashboards")).expect("it is there") {
        let dashboard: Value =
            serde_json::from_str(&read(&file.expect("it is readable").path())).expect("it is JSON");
        for panel in dashboard["panels"].as_array().expect("it has panels") {
            let asker = format!("{}: {}", dashboard["title"], panel["title"]);
            let targets = panel["targets"].as_array().into_iter().flatten();
            queries.extend(
                targets.filter_map(|target| Some((asker.clone(), target[field].as_str()?.to_owned()))),
            );
        }
    }
    assert!(queries.len() > 15, "the dashboards were not found");
    queries
}

/// All rules, those that record and those that alert.
fn rules() -> Vec<Value> {
    let groups = yaml(&root().join("compose/prometheus/rules.yml"))["groups"].take();
    let groups = groups.as_array().cloned().unwrap_or_default();
    let rules: Vec<Value> =
        groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect();
    assert!(rules.len() > 10, "the rules were not found");
    rules
}

/// What postgres-exporter shows for its queries.
fn exporters_metrics() -> Vec<String> {
    let queries = yaml(&root().join("compose/postgres-exporter/queries.yml"));
    let mut metrics = Vec::new();
    for (name, query) in queries.as_object().expect("queries by name") {
        let columns = query["metrics"].as_array().into_iter().flatten().filter_map(Value::as_object);
        metrics.extend(columns.flat_map(|column| column.keys()).map(|column| format!("{name}_{column}")));
    }
    metrics
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    testbed::repository_root()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
