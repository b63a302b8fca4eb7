//! The figures of a run. This table is the only place that knows them: the columns of tables and CSV
//! files, the names that formulas may use and the notes on how to read a report come from it.

use super::outside;
use super::result::{Case, Run, ServiceUse};
use crate::latency::{ClientShare, Spent};
use crate::report::text::{BYTES_PER_MB, grouped, significant};

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in formulas and CSV files.
    pub name: &'static str,
    /// The head of its column in a table; figures in a row with the same head share the column.
    pub heading: &'static str,
    /// Its unit; empty for a number.
    pub unit: &'static str,
    /// What it is, in a sentence; empty where the one before says it too.
    pub doc: &'static str,
    /// How it is shown.
    pub show: fn(f64) -> String,
    /// Which tables have it.
    pub tables: Tables,
    /// What a run says; nothing where it does not know: no right answer has no response time.
    pub value: Value,
}

/// Which tables have a figure; all of them leave out what no case knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Every table.
    Every,
    /// Tables of cases side by side.
    Cases,
    /// Tables of points on two axes.
    Points,
    /// None: it is in the CSV file, and formulas may use it.
    Neither,
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// From the run.
    OfRun(fn(&Run) -> Option<f64>),
    /// From each service; formulas cannot name it.
    OfService(fn(&Run, &ServiceUse) -> f64),
    /// From each client that is told apart; formulas cannot name it, and CSV files do not have it.
    OfClient(fn(&ClientShare) -> f64),
}

use Tables::{Cases, Every, Neither, Points};
use Value::{OfClient, OfRun, OfService};

macro_rules! figures {
    ($($name:literal, $heading:literal, $unit:literal, $show:ident, $tables:ident, $doc:literal, $value:expr;)*) => {
        /// All of them, in the order of their columns.
        pub const FIGURES: &[Figure] = &[$(Figure {
            name: $name, heading: $heading, unit: $unit, doc: $doc, show: $show, tables: $tables, value: $value,
        },)*];
    };
}

#[rustfmt::skip]
figures! {
    "requests", "requests/s", "1/s", whole, Cases, "Requests that were answered. A star marks cases in which the load generator, or a machine with nothing left to give, may have set the pace", OfRun(|run| run.per_s(run.requests));
    "goodput", "goodput/s", "1/s", whole, Points, "Right answers: 200, and 422 for a limit", OfRun(|run| run.per_s(run.right));
    "accepted", "accepted/s", "1/s", whole, Cases, "Transactions as the instances count them", OfRun(|run| run.per_s(run.work.accepted));
    "refused", "refused/s", "1/s", whole, Cases, "Transactions beyond a client's limit, likewise", OfRun(|run| run.per_s(run.work.refused));
    "p50", "p50/p98/p99/max ms", "ms", millis, Every, "Response times as the load generator sees them; k6 counts those of right answers", OfRun(|run| run.answered(run.latency_ms.p50));
    "p98", "p50/p98/p99/max ms", "ms", millis, Every, "", OfRun(|run| run.answered(run.latency_ms.p98));
    "p99", "p50/p98/p99/max ms", "ms", millis, Every, "", OfRun(|run| run.answered(run.latency_ms.p99));
    "latency_max", "p50/p98/p99/max ms", "ms", millis, Every, "", OfRun(|run| run.answered(run.latency_ms.max));
    "p95", "p95 ms", "ms", millis, Neither, "95% of the response times were at most this", OfRun(|run| run.answered(run.latency_ms.p95));
    "errors", "errors", "", whole, Cases, "Answers other than 2xx and 422, and connections that failed", OfRun(|run| Some((run.shed + run.wrong) as f64));
    "status_400", "≥ 400/s", "1/s", whole, Cases, "Answers of 400 and above, 422 included: from outside nobody knows which are right", OfRun(|run| run.per_s(run.refusals?));
    "shed", "shed/s", "1/s", whole, Points, "Answers of 503: refused at once because a bound was reached", OfRun(|run| run.per_s(run.shed));
    "shed_p99", "shed p99 ms", "ms", millis, Points, "In what time 99% of these came", OfRun(|run| run.shed_p99_ms);
    "each_share", "each client’s right %", "%", tenths, Points, "Of what is sent for each client that is not flooded, the share that is answered right", OfClient(|one| 100.0 * share(one));
    "each_p99", "each client’s p99 ms", "ms", millis, Points, "The p99 of each of them", OfClient(|one| one.p99_ms.unwrap_or(f64::NAN));
    "least_share", "least share", "", significant, Neither, "The share of the client that gets least", OfRun(|run| run.each.iter().map(share).reduce(f64::min));
    "longest_p99", "longest p99", "ms", millis, Neither, "The p99 of the client that waits longest", OfRun(|run| run.each.iter().map(|one| one.p99_ms.unwrap_or(f64::INFINITY)).reduce(f64::max));
    "unwell", "normal after s", "s", tenths, Every, "From the load's end to the last answer that was wrong or took over 250 ms, of 20 requests/s that are sent then", OfRun(|run| run.unwell_s);
    "wrong", "wrong", "", whole, Neither, "Answers that were neither right nor shed, and those that did not come", OfRun(|run| Some(run.wrong as f64));
    "dropped", "dropped", "", whole, Neither, "Iterations that k6 could not start in time", OfRun(|run| Some(run.dropped as f64));
    "cpu_us", "CPU µs/request", "µs", whole, Every, "CPU of the four services for one request, by the cgroups' accounting", OfRun(|run| per_request(run, |one| one.cpu_share));
    "cpu", "api/api/nginx/db", "µs", tenths, Cases, "The same of each: two instances, NGINX, PostgreSQL", OfService(|run, one| one.cpu_share * run.seconds * 1e6 / run.requests as f64);
    "nginx_us", "NGINX µs", "µs", tenths, Neither, "That of NGINX alone", OfRun(|run| of_services(run, |name| name == "nginx"));
    "instances_us", "instances µs", "µs", tenths, Neither, "That of the instances together", OfRun(|run| of_services(run, |name| name != "nginx" && name != "db"));
    "database_us", "PostgreSQL µs", "µs", tenths, Neither, "That of PostgreSQL alone", OfRun(|run| of_services(run, |name| name == "db"));
    "cpu_share", "CPUs", "", tenths, Neither, "CPUs that a service used, on average", OfService(|_, one| one.cpu_share);
    "throttled", "throttled %", "%", whole, Cases, "Slices of 100 ms in which a service had used up its quota and had to wait for the next: a request that falls into such a wait takes up to 100 ms less the quota longer, which is what p98 and p99 of a saturated service show", OfService(|_, one| 100.0 * one.throttled_share);
    "memory_mb", "MB", "MB", whole, Cases, "The largest anonymous memory of a service", OfService(|_, one| megabytes(one.anonymous_peak_bytes));
    "instance_mb", "instance MB", "MB", tenths, Neither, "The largest anonymous memory of an instance", OfRun(|run| run.services.iter().take(run.services.len().saturating_sub(2)).map(|one| megabytes(one.anonymous_peak_bytes)).reduce(f64::max));
    "stack_mb", "stack MB", "MB", whole, Neither, "The memory of all services, shared buffers included", OfRun(|run| run.services.iter().map(|one| megabytes(one.anonymous_peak_bytes + one.shared_peak_bytes)).reduce(|one, other| one + other));
    "batch", "batch", "", tenths, Every, "Transactions in one call", OfRun(|run| (run.work.calls > 0).then(|| run.work.mean_batch()));
    "call_lock_us", "lock/work µs", "µs", whole, Cases, "What the stored function reports for a call: waiting for its row locks, and working with them", OfRun(|run| (run.work.calls > 0).then(|| run.work.lock_wait_us()));
    "call_work_us", "lock/work µs", "µs", whole, Cases, "", OfRun(|run| (run.work.calls > 0).then(|| run.work.work_us()));
    "active", "sessions", "", tenths, Points, "PostgreSQL's sessions with a call under way, on average, sampled several times a second", OfRun(|run| Some(run.waits.active_mean));
    "running", "running", "", tenths, Neither, "Of these, sessions that wait for nothing that PostgreSQL knows of, which includes waiting for a CPU", OfRun(|run| Some((run.waits.active_mean - run.waits.row_lock_mean - run.waits.wal_mean - run.waits.other_mean).max(0.0)));
    "lock_waiters", "row lock ∅/max", "", tenths, Every, "PostgreSQL's sessions that wait for a row lock, on average and at most: for the holder's transaction, or in the queue of the row", OfRun(|run| Some(run.waits.row_lock_mean));
    "lock_waiters_max", "row lock ∅/max", "", tenths, Every, "", OfRun(|run| Some(run.waits.row_lock_max.into()));
    "wal_waiters", "WAL ∅", "", tenths, Every, "Sessions that wait for the log to be written or synced, on average", OfRun(|run| Some(run.waits.wal_mean));
    "other_waiters", "other ∅", "", tenths, Points, "Sessions that wait for anything else. LWLock:LockManager is the table of all locks itself, which a long queue for one row keeps busy", OfRun(|run| Some(run.waits.other_mean));
    "lock_ms", "lock ms", "ms", significant, Points, "Means of a right answer inside the instances, from Server-Timing: waiting for row locks …", OfRun(|run| spent(run, |spent| spent.lock));
    "db_ms", "db ms", "ms", significant, Points, "… in the database, round trip and lock and work included …", OfRun(|run| spent(run, |spent| spent.database));
    "queue_ms", "queue ms", "ms", significant, Points, "… in its mailbox", OfRun(|run| spent(run, |spent| spent.queue));
    "connection_ms", "connection ms", "ms", significant, Neither, "… waiting for a connection", OfRun(|run| spent(run, |spent| spent.connection));
    "work_ms", "work ms", "ms", significant, Neither, "… working with the locks", OfRun(|run| spent(run, |spent| spent.work));
    "commits", "commits/s", "1/s", whole, Points, "Commits, by the database's own count", OfRun(|run| Some(run.commits_per_s));
    "rows_per_s", "rows/s", "1/s", whole, Neither, "Rows inserted and updated, likewise", OfRun(|run| Some(run.rows_per_s));
    "load_percent", "load %", "%", whole, Every, "CPU of the load generator, as a share of one core, outside the limits", OfRun(|run| Some(100.0 * run.generator_cpu_share));
    "idle_percent", "idle %", "%", whole, Neither, "CPU of the machine that nobody wanted", OfRun(|run| Some(100.0 * run.idle_share));
    "instructions", "instructions", "", whole, Every, "What callgrind counts of an instance's own for a transaction that is alone, on a connection of its own, without limits; they tell what is too little for time to tell. A program in untraced is the same with everything of tracing compiled out", OfRun(|run| run.instructions);
    "seconds", "seconds", "s", tenths, Neither, "How long was measured", OfRun(|run| Some(run.seconds));
    "answered", "answered", "", whole, Neither, "Requests of the measured interval", OfRun(|run| Some(run.requests as f64));
    "right", "right", "", whole, Neither, "Right answers of the measured interval", OfRun(|run| Some(run.right as f64));
    "logged_lock_waits", "logged waits", "", whole, Neither, "Waits for a lock of more than deadlock_timeout in PostgreSQL's log", OfRun(|run| Some(run.logged_lock_waits as f64));
    "unknown_client", "unknown client", "", whole, Neither, "Transactions for a client that is not there", OfRun(|run| Some(run.work.unknown_client as f64));
    "statements", "statements", "", whole, Neither, "Statements as the instances count them", OfRun(|run| Some(run.work.statements as f64));
    "calls", "calls", "", whole, Neither, "Calls of the database", OfRun(|run| Some(run.work.calls as f64));
    "clients_of_calls", "clients of calls", "", whole, Neither, "Clients in these calls, summed up", OfRun(|run| Some(run.work.clients_of_calls as f64));
    "sheds_counted", "sheds", "", whole, Neither, "Requests that the instances shed, by their own count", OfRun(|run| Some(run.work.sheds as f64));
    "abandoned", "abandoned", "", whole, Neither, "Requests that nobody waited for any more", OfRun(|run| Some(run.work.abandoned as f64));
    "failed_calls", "failed calls", "", whole, Neither, "Calls that failed", OfRun(|run| Some(run.work.failed_calls as f64));
    "lock_wait_s", "lock s", "s", significant, Neither, "What all calls waited for row locks", OfRun(|run| Some(run.work.lock_wait_s));
    "work_s", "work s", "s", significant, Neither, "What all calls worked with them", OfRun(|run| Some(run.work.work_s));
}

impl Figure {
    /// Returns the figure of that name that a run has by itself.
    pub fn of_run(name: &str) -> Option<&'static Figure> {
        FIGURES.iter().find(|one| one.name == name && matches!(one.value, OfRun(_)))
    }

    /// Returns what a run says: one value, or one for each service or client. What is not known is left out.
    pub fn values(&self, run: &Run) -> Vec<f64> {
        if run.outside && !outside::FIGURES.split(' ').any(|name| name == self.name) {
            return Vec::new();
        }
        let values = match self.value {
            OfRun(of) => of(run).into_iter().collect(),
            OfClient(of) => run.each.iter().map(of).collect(),
            OfService(of) => run.services.iter().map(|service| of(run, service)).collect::<Vec<_>>(),
        };
        values.into_iter().filter(|value| value.is_finite()).collect()
    }

    /// Returns the figure of a case over its valid runs, once or for each service or client; empty where it is not
    /// known.
    pub fn of(&self, case: &Case) -> Vec<Spread> {
        let runs: Vec<Vec<f64>> = case.valid().map(|run| self.values(run)).collect();
        let count = runs.iter().map(Vec::len).max().unwrap_or(0);
        let spread = |index| Spread::of(runs.iter().filter_map(|run| run.get(index).copied()).collect());
        (0..count).map(spread).collect()
    }
}

impl Case {
    /// Returns a figure over the valid runs by its name; nothing where it is not known.
    pub fn figure(&self, name: &str) -> Option<Spread> {
        Figure::of_run(name)?.of(self).first().copied()
    }
}

impl Run {
    fn per_s(&self, count: u64) -> Option<f64> {
        Some(count as f64 / self.seconds)
    }

    fn answered(&self, value: f64) -> Option<f64> {
        (self.right > 0).then_some(value)
    }
}

/// A figure over several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Returns that of one value for each round; all zero without any.
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return Spread::default() };
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Spread { median, least: *least, most: *most }
    }

    /// Returns half the way from the least to the most, as a percentage of the median.
    pub fn percent(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { 50.0 * (self.most - self.least) / self.median }
    }
}

fn per_request(run: &Run, of: fn(&ServiceUse) -> f64) -> Option<f64> {
    Some(run.services.iter().map(of).sum::<f64>() * run.seconds * 1e6 / run.requests as f64)
}

/// Returns the CPU of some services for a request, in microseconds.
fn of_services(run: &Run, is_one: fn(&str) -> bool) -> Option<f64> {
    let own = run.services.iter().filter(|one| is_one(&one.service));
    Some(own.map(|one| one.cpu_share).sum::<f64>() * run.seconds * 1e6 / run.requests as f64)
}

/// Returns a part of the time; without `Server-Timing` nobody knows where it went.
fn spent(run: &Run, of: fn(&Spent) -> f64) -> Option<f64> {
    (run.spent_ms != Spent::default()).then(|| of(&run.spent_ms))
}

fn share(one: &ClientShare) -> f64 {
    one.right as f64 / one.asked as f64
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / BYTES_PER_MB as f64
}

/// Shows a whole number, with a comma between its thousands.
pub fn whole(value: f64) -> String {
    grouped(value.round().max(0.0) as u64)
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

/// Shows milliseconds; two or three digits are enough.
fn millis(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.1}"),
        v => whole(v),
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
