//! Measurements with known figures, for the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::result::{Axis, Case, Comparison, Conditions, Expectation, Measurement, Run, ServiceUse};
use super::sampler::{Sample, Waits};
use super::setup::Setup;
use crate::latency::{Latency, Spent};
use testbed::scrape::Work;

/// Right answers per second of the modes direct, serial and batched with 1, 5 and 1,000 clients.
const GOODPUT: [[f64; 3]; 3] = [[290.0, 400.0, 2_610.0], [800.0, 900.0, 2_500.0], [880.0, 930.0, 2_400.0]];

/// Three modes with one, five and a thousand clients, three rounds each. In the last round 2%
/// fewer answers are right than in the first and 2% more than that in the second. The third point
/// of `serial` has no valid run, one of its runs failed, and one run of `direct` has wrong books.
pub(crate) fn experiment() -> Measurement {
    let points = GOODPUT.iter().enumerate().flat_map(|(x, of_series)| {
        of_series.iter().enumerate().map(move |(series, goodput)| point(x, series, *goodput))
    });
    let mut points: Vec<Case> = points.collect();
    points[0].runs[1].problems.push("the balance of client 1 is 5 cents < the sum of its rows".into());
    for run in &mut points[7].runs {
        run.invalid = Some("k6 used 93% of its core".into());
        run.generator_cpu_share = 0.93;
    }
    points[7].runs.pop();
    points[7].failures.push("round 3: PostgreSQL did not start".into());
    Measurement {
        name: "hot".into(),
        title: "One hot client, five, a thousand".into(),
        question: "What does it cost when all requests want the same row?".into(),
        answer: "With one hot client, batched answers {{ goodput('batched', 1) }} requests per second, \
                 {{ (goodput('batched', 1) / goodput('direct', 1)) | times }} times as many as direct."
            .into(),
        expectations: [
            (
                "batched answers at least twice as much as direct",
                "goodput('batched', 1) / goodput('direct', 1) >= 2",
            ),
            (
                "direct gains nothing from more clients",
                "goodput('direct', 1000) / goodput('direct', 1) < 1.5",
            ),
            ("serial stays under 50 ms with a thousand clients", "p99('serial', 1000) < 50"),
        ]
        .map(|(says, holds)| Expectation {
            says: says.into(),
            holds: vec![holds.into()],
            ..Expectation::default()
        })
        .into(),
        conditions: conditions(),
        comparisons: vec![Comparison {
            title: "Figures".into(),
            axes: Some([
                axis("clients", &["1", "5", "1000"]),
                axis("mode", &["direct", "serial", "batched"]),
            ]),
            cases: points,
        }],
        unfinished: String::new(),
    }
}

/// Returns a measurement of several comparisons, each of cases with these settings around what is shipped, in
/// whose two runs so many requests were answered per second.
pub(crate) fn bench(comparisons: &[&[(&str, u64)]]) -> Measurement {
    let declaration = super::declaration::Declaration::bench().expect("bench.toml is right");
    let base: Setup = declaration.base().expect("bench.toml is right");
    let case = |(settings, per_s): &(&str, u64)| {
        let run = Run {
            seconds: 1.0,
            requests: *per_s,
            right: *per_s,
            services: vec![ServiceUse::default(); 4],
            idle_share: 0.1,
            ..Run::default()
        };
        Case {
            label: settings.replace(',', " "),
            settings: base.with(settings).expect("settings").settings(),
            runs: vec![run.clone(), run],
            failures: Vec::new(),
        }
    };
    let comparisons = comparisons.iter().map(|cases| Comparison {
        title: "Test".into(),
        axes: None,
        cases: cases.iter().map(case).collect(),
    });
    let settings = base.settings();
    Measurement {
        question: String::new(),
        answer: String::new(),
        expectations: declaration.expect.clone(),
        conditions: Conditions { base: settings.clone(), shipped: settings, rounds: 2, ..conditions() },
        comparisons: comparisons.collect(),
        ..experiment()
    }
}

/// Returns a run of ten seconds, its right answers per second given.
pub(crate) fn run(goodput: f64) -> Run {
    let (right, shed) = ((10.0 * goodput).round() as u64, 100);
    let sample = |at_s, row_lock| Sample { at_s, active: 8, row_lock, wal: 1, ..Sample::default() };
    let services = ["api1", "api2", "nginx", "db"].map(|service| ServiceUse {
        service: service.into(),
        cpu_share: 0.25,
        throttled_share: 0.1,
        anonymous_peak_bytes: 8 << 20,
        ..ServiceUse::default()
    });
    Run {
        round: 0,
        seconds: 10.0,
        requests: right + shed,
        right,
        shed,
        shed_p99_ms: Some(5.0),
        unwell_s: Some(0.5),
        latency_ms: Latency {
            p50: 10_000.0 / goodput,
            p95: 30_000.0 / goodput,
            p98: 35_000.0 / goodput,
            p99: 40_000.0 / goodput,
            max: 99_000.0 / goodput,
        },
        spent_ms: Spent { queue: 2.0, connection: 0.25, database: 3.0, lock: 1.5, work: 0.5 },
        generator_cpu_share: 0.5,
        services: services.into(),
        work: Work { accepted: right, calls: right / 4, ..Work::default() },
        waits: Waits {
            samples: 2,
            active_mean: 8.0,
            row_lock_mean: 4.0,
            row_lock_max: 7,
            wal_mean: 1.5,
            other_mean: 0.5,
            other_events: BTreeMap::new(),
        },
        samples: vec![sample(0.0, 3), sample(0.2, 5)],
        commits_per_s: goodput / 4.0,
        rows_per_s: goodput,
        ..Run::default()
    }
}

fn point(x: usize, series: usize, goodput: f64) -> Case {
    let runs = [1.0, 1.02, 0.98].into_iter().zip(0..);
    let runs = runs.map(|(factor, round)| {
        let mut run = Run { round, ..run(goodput * factor) };
        // Who does not batch waits for the lock, and more so the fewer rows there are.
        let lock = [[30.0, 1.0, 0.4], [18.0, 3.0, 0.3], [0.4, 0.2, 0.1]][x][series] * factor;
        run.waits = Waits {
            samples: 50,
            active_mean: lock + 3.2,
            row_lock_mean: lock,
            row_lock_max: 2 * lock as u32,
            wal_mean: 1.9,
            other_mean: 0.4,
            other_events: others(),
        };
        run
    });
    let label = format!("clients {} · {}", ["1", "5", "1000"][x], ["direct", "serial", "batched"][series]);
    let settings = [("profile".into(), "durable".into()), ("users".into(), "64".into())];
    Case { label, settings: settings.into(), runs: runs.collect(), failures: Vec::new() }
}

fn others() -> BTreeMap<String, f64> {
    [("LWLock:LockManager", 0.3), ("IO:DataFileRead", 0.08), ("IPC:Other", 0.02)]
        .map(|(event, mean)| (event.to_owned(), mean))
        .into()
}

fn axis(label: &str, values: &[&str]) -> Axis {
    Axis { label: label.into(), values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn conditions() -> Conditions {
    Conditions {
        started_at: "2026-01-02T03:04:05Z".into(),
        took_s: 600.0,
        machine: "2 CPUs".into(),
        commit: String::new(),
        versions: ["PostgreSQL 15.8", "NGINX 1.22.1", "k6 1.1.0", "guiche 0.1.0"].map(str::to_owned).into(),
        disk: "ext4; an fsync takes 1.2 ms".into(),
        envelope: "The four services share 0.50 CPU on one core; k6 has the other core.".into(),
        base: vec![("profile".into(), "durable".into()), ("users".into(), "64".into())],
        shipped: Vec::new(),
        rounds: 3,
        warm_up_s: 2,
        measured_s: 10,
    }
}

/// A directory that is gone when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Returns a new one, empty; two tests take two names.
    pub(crate) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("guiche-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
