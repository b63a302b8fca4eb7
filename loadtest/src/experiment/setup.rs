//! The settings of one point, in words: those of a [`Case`] of the benchmark, and an experiment's
//! own.
//!
//! | word                                                                | sets                     |
//! | ------------------------------------------------------------------- | ------------------------ |
//! | mode, profile, clients, balancing, split, transport, mix            | as in the benchmark      |
//! | a setting of the service in capitals, `pg.` and one of PostgreSQL   | as in the benchmark      |
//! | users                                                               | a closed load            |
//! | rate                                                                | an open load, per second |
//! | timeout_ms                                                          | how long a user waits    |
//! | zipf                                                                | how unlike clients are   |
//! | reads                                                               | the share of statements  |
//! | fsync_ms                                                            | by how much fsync is slower |

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::case::Case;
use testbed::split::Split;

/// The settings of a [`Case`] that an experiment has too.
const OF_CASE: [&str; 7] = ["mode", "profile", "clients", "balancing", "split", "transport", "mix"];

/// An experiment's own.
const OWN: [&str; 6] = ["users", "rate", "timeout_ms", "zipf", "reads", "fsync_ms"];

/// The split of CPU unless told otherwise. The shipped one is bounded by NGINX once requests are
/// cheap, and then tells nothing about what they cost.
const SPLIT: Split = Split { api: 0.25, nginx: 0.4, postgres: 0.6 };

/// By what all CPU is divided: k6 costs up to 0.2 ms of CPU per request, so on one core it must not
/// be asked for more than some 4,000 a second.
const SCALE: f64 = 5.0;

/// Callers at once: NGINX has 2048 connections, and a request takes two.
const MOST_CALLERS: f64 = 1_000.0;

/// How much longer than its timeout an arrival may keep its user: what k6 itself takes.
const SLACK: f64 = 1.1;

/// The least quota of CPU that the kernel takes, per slice.
const LEAST_QUOTA: Duration = Duration::from_millis(1);

/// The slice of CPU time, unless the smallest quota needs a longer one. With Docker's 100 ms a
/// service with a twentieth of a core runs for 5 ms and then stands still for 95, and every p99
/// would say only that. A fifth of the CPU in a fifth of the slice lets a service do as little as
/// possible at once, while its requests cost what they cost.
const PERIOD: Duration = Duration::from_millis(20);

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// From so many users, each with a connection that is kept; the next as soon as one has its
    /// answer.
    Closed {
        /// How many.
        users: u32,
    },
    /// So many a second, whatever the answers take.
    Open {
        /// How many.
        rate: f64,
    },
}

/// The settings of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The stack's.
    pub case: Case,
    /// How requests come.
    pub arrivals: Arrivals,
    /// How long a user waits for an answer.
    pub timeout: Duration,
    /// Client n is drawn in proportion to 1/n^zipf.
    pub zipf: f64,
    /// The share of statements among the requests.
    pub reads: f64,
    /// What an fsync takes longer.
    pub fsync_delay: Duration,
    /// By what the split of the case is divided.
    pub scale: f64,
    /// The slice of CPU time; `None` for the shortest that will do.
    period: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            case: Case { split: SPLIT, ..Case::default() },
            arrivals: Arrivals::Closed { users: 64 },
            timeout: Duration::from_secs(15),
            zipf: 0.0,
            reads: 0.0,
            fsync_delay: Duration::ZERO,
            scale: SCALE,
            period: None,
        }
    }
}

impl Setup {
    /// Divides the CPU of all services by `scale`, given out in slices of `period_ms`; `None` is
    /// the default.
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

    /// Sets all of `key=value`, separated by commas.
    ///
    /// # Errors
    /// The first that is unknown or out of range.
    pub fn set_all(&mut self, settings: &str) -> Result<()> {
        for setting in settings.split(',').map(str::trim) {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("{setting:?} is not key=value"))?;
            self.set(key, value)?;
        }
        Ok(())
    }

    /// Sets one.
    ///
    /// # Errors
    /// When it is unknown or out of range.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let own = || format!("{key}={value}");
        match key {
            "users" => {
                let users = within(value, 1.0, MOST_CALLERS).with_context(own)?;
                ensure!(users.fract() == 0.0, "users={value}: expected a whole number");
                self.arrivals = Arrivals::Closed { users: users as u32 };
            }
            "rate" => {
                self.arrivals = Arrivals::Open { rate: within(value, 0.1, 20_000.0).with_context(own)? }
            }
            "timeout_ms" => self.timeout = millis(within(value, 10.0, 60_000.0).with_context(own)?),
            "zipf" => self.zipf = within(value, 0.0, 10.0).with_context(own)?,
            "reads" => self.reads = within(value, 0.0, 1.0).with_context(own)?,
            "fsync_ms" => self.fsync_delay = millis(within(value, 0.0, 1_000.0).with_context(own)?),
            _ if OF_CASE.contains(&key) || key.starts_with("pg.") || is_variable(key) => {
                ensure!(!value.contains(','), "{key}={value}: a value has no comma");
                self.case = self.case.with(&own())?;
            }
            _ => bail!(
                "{key}={value}: {key:?} is none of {}, {}, a setting of the service in capitals, or pg. and \
                 a setting of PostgreSQL",
                OWN.join(", "),
                OF_CASE.join(", ")
            ),
        }
        Ok(())
    }

    /// Whether its settings go together.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<()> {
        let callers = self.callers();
        ensure!(
            f64::from(callers) <= MOST_CALLERS,
            "{callers} callers may wait at once, and NGINX takes {MOST_CALLERS}: rate times timeout_ms is too much"
        );
        let least = self.least_quota();
        ensure!(least >= LEAST_QUOTA, "the smallest share is {least:?} per slice, and the kernel takes 1 ms");
        Ok(())
    }

    /// Callers that may wait for an answer at once. Of an open load as many as can arrive before
    /// the first one gives up: whatever the service does, there is one for every arrival, so that
    /// an arrival without one is k6's failure.
    pub fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Closed { users } => users,
            Arrivals::Open { rate } => (rate * self.timeout.as_secs_f64() * SLACK).floor() as u32 + 1,
        }
    }

    /// What each service has, scaled down.
    pub fn split(&self) -> Split {
        self.case.split.divided_by(self.scale)
    }

    /// The slice in which it is given out.
    pub fn period(&self) -> Duration {
        let shares = self.split();
        let least = shares.api.min(shares.nginx).min(shares.postgres);
        self.period.unwrap_or_else(|| PERIOD.max(LEAST_QUOTA.div_f64(least)))
    }

    /// All of it as text, in the words of [`Setup::set`].
    pub fn settings(&self) -> Vec<(String, String)> {
        let is_own = |(key, _): &(String, String)| {
            OF_CASE.contains(&key.as_str()) || key.starts_with("pg.") || is_variable(key)
        };
        let mut settings: Vec<(String, String)> = self.case.settings().into_iter().filter(is_own).collect();
        let arrivals = match self.arrivals {
            Arrivals::Closed { users } => ("users", users.to_string()),
            Arrivals::Open { rate } => ("rate", rate.to_string()),
        };
        let own = [
            arrivals,
            ("timeout_ms", self.timeout.as_millis().to_string()),
            ("zipf", self.zipf.to_string()),
            ("reads", self.reads.to_string()),
            ("fsync_ms", (self.fsync_delay.as_secs_f64() * 1e3).to_string()),
        ];
        settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        settings
    }

    fn least_quota(&self) -> Duration {
        let shares = self.split();
        // To the microsecond, which is what the kernel takes.
        let micros = self.period().as_secs_f64() * 1e6 * shares.api.min(shares.nginx).min(shares.postgres);
        Duration::from_micros(micros.round() as u64)
    }
}

fn within(value: &str, least: f64, most: f64) -> Result<f64> {
    let number: f64 = value.replace('_', "").parse().context("expected a number")?;
    ensure!((least..=most).contains(&number), "expected {least} to {most}");
    Ok(number)
}

fn millis(value: f64) -> Duration {
    Duration::from_secs_f64(value / 1e3)
}

fn is_variable(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &str) -> Result<Setup> {
        let mut setup = Setup::default();
        setup.set_all(settings)?;
        setup.check()?;
        Ok(setup)
    }

    #[test]
    fn words_set_what_they_say() {
        let setup =
            with("users=16,zipf=1.5,reads=0.25,fsync_ms=5,BATCH_MAX=4,pg.wal_buffers=1MB,clients=1000");
        let setup = setup.expect("they are right");
        assert_eq!(setup.arrivals, Arrivals::Closed { users: 16 });
        assert_eq!((setup.zipf, setup.reads, setup.case.clients), (1.5, 0.25, 1_000));
        assert_eq!(setup.fsync_delay, Duration::from_millis(5));
        let settings = setup.settings();
        for wanted in [("users", "16"), ("fsync_ms", "5"), ("BATCH_MAX", "4"), ("pg.wal_buffers", "1MB")] {
            assert!(settings.contains(&(wanted.0.into(), wanted.1.into())), "{wanted:?}: {settings:?}");
        }
        assert!(settings.iter().all(|(key, _)| key != "connections" && key != "pace"), "{settings:?}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, says) in [
            ("users=0", "users=0: expected 1 to 1000"),
            ("users=1.5", "expected a whole number"),
            ("rate=fast", "rate=fast: expected a number"),
            ("rate=2000,timeout_ms=1000", "2201 callers may wait at once"),
            ("connections=4", "\"connections\" is none of users, rate"),
            ("mode=fast", "mode=fast: expected one of direct, serial, batched"),
            ("mode", "\"mode\" is not key=value"),
        ] {
            let error = format!("{:#}", with(text).expect_err(text));
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn there_is_a_caller_for_every_arrival_until_the_first_gives_up() {
        assert_eq!(with("users=7").expect("right").callers(), 7);
        assert_eq!(with("rate=1000,timeout_ms=400").expect("right").callers(), 441);
    }

    #[test]
    fn slices_are_short_but_no_quota_is_below_what_the_kernel_takes() {
        let mut setup = Setup::default();
        assert_eq!((setup.split().api, setup.period()), (0.05, Duration::from_millis(20)));
        setup.scale(Some(10.0), None).expect("right");
        assert_eq!(setup.period(), Duration::from_millis(40));
        setup.scale(Some(10.0), Some(20)).expect("each is right");
        let error = setup.check().expect_err("half a millisecond").to_string();
        assert!(error.contains("the kernel takes 1 ms"), "{error}");
    }
}
