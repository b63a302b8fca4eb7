//! The figures of a point: what its valid runs come to.

use super::result::{Point, PointRun, Spent};
use crate::bench::result::Figure;

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Right answers per second.
    Goodput,
    /// Answers of 503 per second.
    Shed,
    /// Milliseconds within which half of the right answers came.
    P50,
    /// Milliseconds within which 99% of the right answers came.
    P99,
    /// PostgreSQL sessions with a call under way, on average.
    Active,
    /// Of these, sessions that wait for nothing.
    Running,
    /// Of these, sessions that wait for a row lock.
    LockWaiters,
    /// Of these, sessions that wait for the log.
    WalWaiters,
    /// Of these, sessions that wait for anything else.
    OtherWaiters,
    /// Transactions in one call, on average.
    Batch,
    /// Milliseconds of a right answer in its mailbox, on average.
    QueueMs,
    /// Milliseconds of a right answer waiting for a connection, on average.
    ConnectionMs,
    /// Milliseconds of a right answer in the database, on average.
    DbMs,
    /// Of these, waiting for row locks.
    LockMs,
    /// Of these, working with the locks.
    WorkMs,
    /// Commits per second.
    Commits,
    /// Microseconds of CPU for a request, of all services together.
    CpuUs,
    /// k6's CPU as a percentage of its core.
    K6Percent,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 18] = [
        Metric::Goodput,
        Metric::Shed,
        Metric::P50,
        Metric::P99,
        Metric::Active,
        Metric::Running,
        Metric::LockWaiters,
        Metric::WalWaiters,
        Metric::OtherWaiters,
        Metric::Batch,
        Metric::QueueMs,
        Metric::ConnectionMs,
        Metric::DbMs,
        Metric::LockMs,
        Metric::WorkMs,
        Metric::Commits,
        Metric::CpuUs,
        Metric::K6Percent,
    ];

    /// Its name in a declared experiment.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Goodput => "goodput",
            Metric::Shed => "shed",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
            Metric::Active => "active",
            Metric::Running => "running",
            Metric::LockWaiters => "lock_waiters",
            Metric::WalWaiters => "wal_waiters",
            Metric::OtherWaiters => "other_waiters",
            Metric::Batch => "batch",
            Metric::QueueMs => "queue_ms",
            Metric::ConnectionMs => "connection_ms",
            Metric::DbMs => "db_ms",
            Metric::LockMs => "lock_ms",
            Metric::WorkMs => "work_ms",
            Metric::Commits => "commits",
            Metric::CpuUs => "cpu_us",
            Metric::K6Percent => "k6_percent",
        }
    }

    /// The metric of that name.
    pub fn of_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What a run says; `None` where it says nothing: no right answer has no response time, no
    /// call has no batch, and without `Server-Timing` nobody knows where the time went.
    pub fn of(self, run: &PointRun) -> Option<f64> {
        let answered = |ms: f64| (run.right > 0).then_some(ms);
        let spent = |of: fn(&Spent) -> f64| (run.spent_ms != Spent::default()).then(|| of(&run.spent_ms));
        let waits = &run.waits;
        let value = match self {
            Metric::Goodput => run.goodput(),
            Metric::Shed => run.shed as f64 / run.seconds,
            Metric::P50 => answered(run.latency_ms.p50)?,
            Metric::P99 => answered(run.latency_ms.p99)?,
            Metric::Active => waits.active_mean,
            Metric::Running => {
                let waiting = waits.row_lock_mean + waits.wal_mean + waits.other_mean;
                (waits.active_mean - waiting).max(0.0)
            }
            Metric::LockWaiters => waits.row_lock_mean,
            Metric::WalWaiters => waits.wal_mean,
            Metric::OtherWaiters => waits.other_mean,
            Metric::Batch => (run.work.calls > 0).then(|| run.work.mean_batch())?,
            Metric::QueueMs => spent(|spent| spent.queue)?,
            Metric::ConnectionMs => spent(|spent| spent.connection)?,
            Metric::DbMs => spent(|spent| spent.database)?,
            Metric::LockMs => spent(|spent| spent.lock)?,
            Metric::WorkMs => spent(|spent| spent.work)?,
            Metric::Commits => run.commits_per_s,
            Metric::CpuUs => {
                let share: f64 = run.services.iter().map(|service| service.cpu_share).sum();
                share * run.seconds * 1e6 / run.requests as f64
            }
            Metric::K6Percent => 100.0 * run.k6_cpu_share,
        };
        value.is_finite().then_some(value)
    }
}

impl Point {
    /// The median of a metric over the valid runs, and its smallest and largest value; `None`
    /// where no valid run has it.
    pub fn figure(&self, metric: Metric) -> Option<Figure> {
        let values: Vec<f64> = self.valid().filter_map(|run| metric.of(run)).collect();
        (!values.is_empty()).then(|| Figure::of(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::{experiment, run};

    #[test]
    fn names_are_read_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::of_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::of_name("speed"), None);
    }

    #[test]
    fn a_figure_is_of_the_valid_runs() {
        let mut point = experiment().points[0].clone();
        point.runs = [300.0, 100.0, 200.0, 9_000.0].map(run).into();
        point.runs[3].invalid = Some("k6 dropped 3 iterations".into());
        let figure = point.figure(Metric::Goodput).expect("three valid runs");
        assert_eq!(figure, Figure { median: 200.0, least: 100.0, most: 300.0 });
        point.runs.iter_mut().for_each(|run| run.invalid = Some("no".into()));
        assert_eq!(point.figure(Metric::Goodput), None);
    }

    #[test]
    fn every_metric_is_told_in_its_unit() {
        let run = run(1_000.0);
        let expected = [
            (Metric::Goodput, 1_000.0),
            (Metric::Shed, 10.0),
            (Metric::P50, 10.0),
            (Metric::P99, 40.0),
            (Metric::Active, 8.0),
            (Metric::Running, 2.0),
            (Metric::LockWaiters, 4.0),
            (Metric::WalWaiters, 1.5),
            (Metric::OtherWaiters, 0.5),
            (Metric::Batch, 4.0),
            (Metric::QueueMs, 2.0),
            (Metric::ConnectionMs, 0.25),
            (Metric::DbMs, 3.0),
            (Metric::LockMs, 1.5),
            (Metric::WorkMs, 0.5),
            (Metric::Commits, 250.0),
            (Metric::CpuUs, 1.0 / 1_010.0 * 1e6),
            (Metric::K6Percent, 50.0),
        ];
        for (metric, value) in expected {
            let told = metric.of(&run).unwrap_or(f64::NAN);
            assert!((told - value).abs() < 1e-6, "{}: {told} is not {value}", metric.name());
        }
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        let none = PointRun { seconds: 10.0, ..PointRun::default() };
        for metric in [Metric::P99, Metric::Batch, Metric::DbMs, Metric::CpuUs] {
            assert_eq!(metric.of(&none), None, "{}", metric.name());
        }
        assert_eq!(Metric::Goodput.of(&none), Some(0.0));
        assert_eq!(Metric::Goodput.of(&PointRun::default()), None);
    }
}
