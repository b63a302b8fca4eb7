//! The settings of one case, in words: what a declared file, `--case` and `--base` may say.
//!
//! | word                                                     | sets                                          |
//! | -------------------------------------------------------- | --------------------------------------------- |
//! | mode, profile, balancing, split, transport, clients, mix | the stack, its clients and their requests     |
//! | instances                                                | more or fewer than two, who share what two have |
//! | history                                                  | at least so many transactions are there already |
//! | connections                                              | a load by wrk, which saturates                |
//! | users                                                    | a closed load by k6                           |
//! | rate                                                     | an open load by k6, in arrivals per second    |
//! | pace                                                     | `contest`: 340 requests/s, a connection each  |
//! | timeout_ms, zipf, reads                                  | how long k6's users wait, whom and what they ask |
//! | flood                                                    | arrivals per second for client 1, which do not count |
//! | after                                                    | so many seconds of a trickle after the load tell when all is well |
//! | locked                                                   | so many clients' rows are held by somebody else |
//! | keyed                                                    | `true`: each POST of wrk has a random Idempotency-Key; `timed`: one that begins with the time |
//! | keys                                                     | so many keys are remembered already           |
//! | limits                                                   | `contest`, or `large`: nothing is refused     |
//! | fsync_ms                                                 | by how much an fsync is slower                |
//! | guiche                                                   | the service's program                         |
//! | a name in capitals, `pg.` and a name                     | a setting of the service, of PostgreSQL       |

mod requests;
mod words;

pub use requests::{Arrivals, ClientLimits, Keys, Mix};
pub(super) use words::name_of;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use testbed::instance::find_guiche;
use testbed::nginx::Balancing;
use testbed::settings;
use testbed::split::{INSTANCES, Split};
use testbed::stack::Transport;
use testbed::{Mode, Profile};

/// The setting by which instances trace.
pub(crate) const TRACE: &str = "TRACE";

/// What stands for the run's own directory in a setting of the service.
pub(crate) const RUN_DIRECTORY: &str = "{dir}";

/// What stands for the directory of the page that is served meanwhile.
pub(crate) const WATCHED: &str = "{watch}";

/// What stands for the repository's `target` in the path of a program.
const TARGET: &str = "{target}";

/// The split of CPU unless told otherwise. The shipped one is bounded by NGINX once requests are
/// cheap, and then tells nothing about what they cost.
const SPLIT: Split = Split { api: 0.25, nginx: 0.4, postgres: 0.6 };

/// By what all CPU is divided: k6 costs up to 0.2 ms of CPU per request, so on one core it must not
/// be asked for more than some 4,000 a second.
const SCALE: f64 = 5.0;

/// Callers at once: more than these are too many connections, and too much memory, for k6.
const MOST_CALLERS: f64 = 10_000.0;

/// How much longer than its timeout an arrival may keep its user: what k6 itself takes.
const SLACK: f64 = 1.1;

/// The least quota of CPU that the kernel takes, per slice.
const LEAST_QUOTA: Duration = Duration::from_millis(1);

/// The slice of scaled CPU time, unless the smallest quota needs a longer one. With Docker's 100 ms
/// a service with a twentieth of a core runs for 5 ms and then stands still for 95, and every p99
/// would say only that. A fifth of the CPU in a fifth of the slice lets a service do as little as
/// possible at once, while its requests cost what they cost.
const PERIOD: Duration = Duration::from_millis(20);

/// The settings of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// How transactions reach the database.
    pub mode: Mode,
    /// What a commit promises.
    pub profile: Profile,
    /// How NGINX shares out.
    pub balancing: Balancing,
    /// CPU per service, before it is scaled down.
    pub split: Split,
    /// Instances; more or fewer than two share what two have.
    pub instances: usize,
    /// How NGINX reaches the instances.
    pub transport: Transport,
    /// Clients of the bank that the requests are for.
    pub clients: u32,
    /// At least how many transactions they have from the beginning.
    pub history: u64,
    /// How many keys are remembered from the beginning.
    pub keys: u64,
    /// Their limits.
    pub limits: ClientLimits,
    /// Which requests are sent.
    pub mix: Mix,
    /// Whether each POST has a key of its own, and which.
    pub keyed: Keys,
    /// How they come.
    pub arrivals: Arrivals,
    /// How long a user of k6 waits for an answer.
    pub timeout: Duration,
    /// Client n is drawn in proportion to 1/n^zipf.
    pub zipf: f64,
    /// What client 1 is sent besides, in arrivals per second; the load is then for the others alone.
    pub flood: Option<f64>,
    /// For how many seconds a few requests are sent after the load, to tell when all is as it was.
    pub after: u32,
    /// Of the first so many clients somebody else holds the rows while it is measured.
    pub locked: u32,
    /// The share of statements among the requests.
    pub reads: f64,
    /// Whether SQL checks the books afterwards; nothing else keeps a program honest.
    pub books: bool,
    /// What an fsync takes longer.
    pub fsync_delay: Duration,
    /// Settings of the service.
    pub env: BTreeMap<String, String>,
    /// Settings of PostgreSQL.
    pub postgres: BTreeMap<String, String>,
    /// The service's program, where it is not the usual one.
    pub guiche: Option<PathBuf>,
    /// Whether the stack has a core of its own, and the generator and whoever watches have another one.
    /// Then it also tells where time goes: `Server-Timing` and PostgreSQL's log of waits are on.
    pub isolated: bool,
    /// By what the split is divided.
    pub scale: f64,
    /// The slice of CPU time; `None` for the shortest that will do.
    period: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            mode: Mode::default(),
            profile: Profile::default(),
            balancing: Balancing::default(),
            split: SPLIT,
            instances: INSTANCES,
            transport: Transport::default(),
            clients: 5,
            history: 0,
            keys: 0,
            limits: ClientLimits::default(),
            mix: Mix::default(),
            keyed: Keys::Absent,
            arrivals: Arrivals::Closed { users: 64 },
            timeout: Duration::from_secs(15),
            zipf: 0.0,
            flood: None,
            after: 0,
            locked: 0,
            reads: 0.0,
            books: true,
            fsync_delay: Duration::ZERO,
            env: BTreeMap::new(),
            postgres: BTreeMap::new(),
            guiche: None,
            isolated: true,
            scale: SCALE,
            period: None,
        }
    }
}

impl Setup {
    /// Returns what is sent before anything is measured.
    pub fn of_warm_up(&self) -> Setup {
        let mix = if self.mix == Mix::Statements { Mix::Balanced } else { self.mix };
        Setup { mix, ..self.clone() }
    }

    /// Divides the CPU of all services by `scale`, given out in slices of `period_ms`; `None` leaves
    /// what there is.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn scale(&mut self, scale: Option<f64>, period_ms: Option<u64>) -> Result<()> {
        self.scale = scale.unwrap_or(self.scale);
        ensure!((1.0..=50.0).contains(&self.scale), "scale is {}, expected 1 to 50", self.scale);
        self.period = period_ms.map(Duration::from_millis).or(self.period);
        if let Some(period) = self.period {
            let millis = period.as_millis();
            ensure!((5..=100).contains(&millis), "period_ms is {millis}, expected 5 to 100");
        }
        Ok(())
    }

    /// Fails when its settings do not go together.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<()> {
        // Another program may have others.
        if self.guiche.is_none() {
            self.env.iter().try_for_each(|(name, value)| settings::check(name, value)).map_err(Error::msg)?;
        }
        let trace = self.env.get(TRACE).map_or("off", String::as_str);
        ensure!(
            trace == "off" || [RUN_DIRECTORY, WATCHED].iter().any(|place| trace.contains(place)),
            "each run would write over the trace of the one before it: TRACE={{dir}}/{{instance}}.jsonl keeps all"
        );
        let by_wrk = matches!(self.arrivals, Arrivals::Saturating { .. });
        ensure!(
            !by_wrk || (self.zipf == 0.0 && self.reads == 0.0 && self.flood.is_none()),
            "zipf, reads and flood are drawn by k6: they go with users or rate"
        );
        ensure!(by_wrk || self.keyed == Keys::Absent, "keys are given by wrk: keyed goes with connections");
        let past_the_service = matches!(self.arrivals, Arrivals::Batches { .. });
        ensure!(
            !past_the_service || !self.books,
            "what goes past the instances they do not count: add books=false"
        );
        ensure!(
            !past_the_service || self.mix != Mix::Statements,
            "batches are of transactions: mix=statements goes with connections"
        );
        ensure!(self.flood.is_none() || self.clients > 1, "a flood is told from the load of other clients");
        let callers = self.callers() + self.flood.map_or(0, |rate| self.callers_at(rate));
        ensure!(
            f64::from(callers) <= MOST_CALLERS,
            "{callers} callers may wait at once, and k6 plays {MOST_CALLERS}: rate times timeout_ms is too much"
        );
        // To the microsecond, which is what the kernel takes.
        let micros = self.period().as_secs_f64() * 1e6 * self.scaled_split().least(self.instances);
        let least = Duration::from_micros(micros.round() as u64);
        ensure!(least >= LEAST_QUOTA, "the smallest share is {least:?} per slice, and the kernel takes 1 ms");
        Ok(())
    }

    /// Returns how many callers may wait for an answer at once. Of an open load they are as many as can
    /// arrive before the first one gives up: whatever the service does, there is one for every arrival, so
    /// that an arrival without one is k6's failure.
    pub fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Closed { users } => users,
            Arrivals::Open { rate } => self.callers_at(rate),
            Arrivals::Saturating { connections } => connections,
            Arrivals::Contest | Arrivals::Batches { .. } => 1,
        }
    }

    /// Returns how many callers of an open load of `rate` may wait at once.
    pub fn callers_at(&self, rate: f64) -> u32 {
        (rate * self.timeout.as_secs_f64() * SLACK).floor() as u32 + 1
    }

    /// Returns what each service has, scaled down.
    pub fn scaled_split(&self) -> Split {
        self.split.divided_by(self.scale)
    }

    /// Returns the slice in which it is given out.
    pub fn period(&self) -> Duration {
        let least = self.scaled_split().least(self.instances);
        self.period.unwrap_or_else(|| PERIOD.max(LEAST_QUOTA.div_f64(least)))
    }

    /// Returns settings of the service for a run in `directory`.
    pub fn env_in(&self, directory: &Path) -> Vec<(String, String)> {
        let directory = directory.display().to_string();
        let of_run =
            |(name, value): (&String, &String)| (name.clone(), value.replace(RUN_DIRECTORY, &directory));
        self.env.iter().map(of_run).collect()
    }

    /// Returns settings of PostgreSQL.
    pub fn postgres_settings(&self) -> impl Iterator<Item = (String, String)> {
        self.postgres.clone().into_iter()
    }

    /// Returns the service's program.
    ///
    /// # Errors
    /// When there is none; says how to build it.
    pub fn program(&self) -> Result<PathBuf> {
        let Some(asked) = &self.guiche else { return find_guiche(None) };
        match asked.strip_prefix(TARGET) {
            Ok(of_target) => find_guiche(Some(&testbed::repository_root().join("target").join(of_target)))
                .context("a build to compare with is missing: make untraced null_ledger"),
            Err(_) => find_guiche(Some(asked)),
        }
    }
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
