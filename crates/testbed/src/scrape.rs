//! What the instances count: their `/metrics`, added up over the instances and subtracted over
//! time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::http::Endpoint;

/// The label that tells instances apart, which adding them up removes.
const INSTANCE: &str = "instance_name";

/// How long the instances may take to finish what they have, once nothing new comes.
const QUIET_DEADLINE: Duration = Duration::from_secs(15);

/// How often they are asked whether they have.
const QUIET_POLL: Duration = Duration::from_millis(25);

/// A series: its name and its other labels.
type Series = (String, BTreeMap<String, String>);

/// The values of all series at one moment, or their differences between two.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<Series, f64>);

/// Two readings are the same when nothing was asked for in between.
impl PartialEq for Counts {
    fn eq(&self, other: &Counts) -> bool {
        self.of_requests() == other.of_requests()
    }
}

impl Counts {
    /// Reads all `instances` and adds them up.
    ///
    /// # Errors
    /// When one does not answer, or not with metrics.
    pub async fn read(instances: &[Endpoint]) -> Result<Counts> {
        let mut counts = Counts::default();
        for instance in instances {
            let answer = instance.get("/metrics").await?;
            ensure!(answer.status == 200, "{instance} answers {} to GET /metrics", answer.status);
            counts.add(&answer.body).with_context(|| format!("the metrics of {instance}"))?;
        }
        Ok(counts)
    }

    /// Does the same once nothing waits or is worked on any more, and nothing is counted any more.
    ///
    /// # Errors
    /// As for [`Counts::read`], and when there is no quiet within 15 s.
    pub async fn read_when_quiet(instances: &[Endpoint]) -> Result<Counts> {
        let deadline = Instant::now() + QUIET_DEADLINE;
        let mut last = Counts::read(instances).await?;
        loop {
            // A condition that nothing announces: two readings apart that are the same.
            tokio::time::sleep(QUIET_POLL).await;
            let now = Counts::read(instances).await?;
            let busy = now.get("guiche_mailbox_depth", &[]) + now.get("guiche_pool_connections_in_use", &[]);
            if busy == 0.0 && now == last {
                return Ok(now);
            }
            if Instant::now() >= deadline {
                bail!("the instances are still busy {QUIET_DEADLINE:?} after the last request");
            }
            last = now;
        }
    }

    /// The series that stand still while nothing is asked for.
    fn of_requests(&self) -> Vec<(&Series, &f64)> {
        let goes_on = |name: &str| name.starts_with("process_") || name.starts_with("guiche_event_loop_");
        self.0.iter().filter(|(series, _)| !goes_on(&series.0)).collect()
    }

    /// Returns what was counted since `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let difference = |(series, value): (&Series, &f64)| {
            (series.clone(), value - earlier.0.get(series).copied().unwrap_or(0.0))
        };
        Counts(self.0.iter().map(difference).collect())
    }

    /// Returns the sum of all series of that name that have these labels; 0 when there is none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &Series| {
            series.0 == name
                && labels.iter().all(|(label, value)| series.1.get(*label).is_some_and(|own| own == value))
        };
        self.0.iter().filter(|(series, _)| has(series)).map(|(_, value)| value).sum()
    }

    /// Returns the sums of all series of that name, by the value of one label.
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for ((_, labels), value) in self.0.iter().filter(|((own, _), _)| own == name) {
            *sums.entry(labels.get(label).cloned().unwrap_or_default()).or_default() += value;
        }
        sums
    }

    fn add(&mut self, text: &str) -> Result<()> {
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (series, value) = parse(line).with_context(|| format!("{line:?} is no sample"))?;
            *self.0.entry(series).or_default() += value;
        }
        Ok(())
    }
}

/// Reads one sample: `name{label="value",…} number`. The service's label values are plain words.
fn parse(line: &str) -> Option<(Series, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(((series.to_owned(), BTreeMap::new()), value));
    };
    let labels = labels.strip_suffix('}')?.split(',').filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    });
    let mut labels: BTreeMap<String, String> = labels.collect::<Option<_>>()?;
    labels.remove(INSTANCE);
    Some(((name.to_owned(), labels), value))
}

/// What both instances did in some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Transactions applied.
    pub accepted: u64,
    /// Transactions refused: beyond the limit, or beyond the range of a balance.
    pub refused: u64,
    /// Transactions of clients that do not exist.
    pub unknown_client: u64,
    /// Calls that carried transactions.
    pub calls: u64,
    /// Clients that these calls spanned, added up.
    pub clients_of_calls: u64,
    /// Time that these calls waited for row locks, as the function reports it, in seconds.
    pub lock_wait_s: f64,
    /// Time that they worked with their locks, as the function reports it, in seconds.
    pub work_s: f64,
    /// Statements answered.
    pub statements: u64,
    /// Requests refused because a bound was reached.
    pub sheds: u64,
    /// Requests whose caller left before they were sent.
    pub abandoned: u64,
    /// Calls that brought no answer.
    pub failed_calls: u64,
    /// Of these, calls of which nobody knows whether they were applied.
    pub unknown_calls: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
}

impl Work {
    /// Returns what is counted in `counts`.
    pub fn of(counts: &Counts) -> Work {
        let count = |name: &str, labels: &[(&str, &str)]| counts.get(name, labels).max(0.0).round() as u64;
        let outcome = |name| count("guiche_transactions_total", &[("outcome", name)]);
        let answers = counts.by_label("guiche_http_request_duration_seconds_count", "status");
        let answers = answers.into_iter().filter(|(_, count)| *count > 0.0);
        Work {
            accepted: outcome("applied"),
            refused: outcome("limit_exceeded") + outcome("balance_overflow"),
            unknown_client: outcome("unknown_client"),
            calls: count("guiche_flushes_total", &[]),
            clients_of_calls: count("guiche_batch_clients_sum", &[]),
            lock_wait_s: counts.get("guiche_lock_wait_seconds_total", &[]),
            work_s: counts.get("guiche_work_seconds_total", &[]),
            statements: count("guiche_statements_total", &[]),
            sheds: count("guiche_sheds_total", &[]),
            abandoned: count("guiche_abandoned_total", &[]),
            failed_calls: count("guiche_database_failures_total", &[]),
            unknown_calls: count("guiche_database_failures_total", &[("fate", "unknown")]),
            answers: answers
                .filter_map(|(status, count)| Some((status.parse().ok()?, count.round() as u64)))
                .collect(),
        }
    }

    /// Transactions in a call, on average; 0 without calls.
    pub fn mean_batch(&self) -> f64 {
        per(self.calls, (self.accepted + self.refused + self.unknown_client) as f64)
    }

    /// Returns the microseconds that a call waited for row locks, on average.
    pub fn lock_wait_us(&self) -> f64 {
        per(self.calls, self.lock_wait_s * 1e6)
    }

    /// Returns the microseconds that a call worked with its locks, on average.
    pub fn work_us(&self) -> f64 {
        per(self.calls, self.work_s * 1e6)
    }

    /// Answers that are neither a success (2xx) nor a refusal that the contest knows (422).
    pub fn errors(&self) -> u64 {
        let wrong = |status: &u16| !(200..300).contains(status) && *status != 422;
        self.answers.iter().filter(|(status, _)| wrong(status)).map(|(_, count)| count).sum()
    }
}

fn per(calls: u64, total: f64) -> f64 {
    if calls == 0 { 0.0 } else { total / calls as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(texts: &[&str]) -> Counts {
        let mut counts = Counts::default();
        texts.iter().for_each(|text| counts.add(text).expect(text));
        counts
    }

    const BEFORE: &str = r#"# TYPE guiche_http_request_duration_seconds histogram
guiche_http_request_duration_seconds_count{instance_name="one",route="transacoes",status="200"} 10
guiche_flushes_total{instance_name="one"} 2
# EOF
"#;

    const AFTER: &str = r#"guiche_http_request_duration_seconds_count{instance_name="one",route="transacoes",status="200"} 40
guiche_http_request_duration_seconds_count{instance_name="one",route="transacoes",status="422"} 5
guiche_http_request_duration_seconds_count{instance_name="one",route="extrato",status="200"} 1
guiche_http_request_duration_seconds_count{instance_name="one",route="transacoes",status="503"} 3
guiche_flushes_total{instance_name="one"} 12
guiche_transactions_total{outcome="applied",instance_name="one"} 30
guiche_transactions_total{outcome="limit_exceeded",instance_name="one"} 5
guiche_lock_wait_seconds_total{instance_name="one"} 0.002
"#;

    #[test]
    fn differences_are_per_series() {
        let (before, after) = (counts(&[BEFORE]), counts(&[AFTER]));
        let since = after.since(&before);
        assert_eq!(since.get("guiche_flushes_total", &[]), 10.0);
        assert_eq!(since.get("guiche_http_request_duration_seconds_count", &[("status", "200")]), 31.0);
        assert_eq!(
            since.get(
                "guiche_http_request_duration_seconds_count",
                &[("status", "200"), ("route", "extrato")]
            ),
            1.0
        );
        assert_eq!(since.get("guiche_absent_total", &[]), 0.0);
    }

    #[test]
    fn instances_add_up() {
        let two = AFTER.replace("\"one\"", "\"two\"");
        let both = counts(&[AFTER, &two]);
        assert_eq!(both.get("guiche_flushes_total", &[]), 24.0);
        assert_eq!(both.0.len(), counts(&[AFTER]).0.len());
    }

    #[test]
    fn work_is_told_in_its_units() {
        let work = Work::of(&counts(&[AFTER]).since(&counts(&[BEFORE])));
        assert_eq!((work.accepted, work.refused, work.calls), (30, 5, 10));
        assert_eq!((work.mean_batch(), work.lock_wait_us()), (3.5, 200.0));
        assert_eq!(work.answers, [(200, 31), (422, 5), (503, 3)].into());
        assert_eq!(work.errors(), 3);
        assert_eq!(Work::default().mean_batch(), 0.0);
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for line in ["guiche_x", "guiche_x{a=\"b\" 1", "guiche_x{a} 1", "guiche_x one"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
