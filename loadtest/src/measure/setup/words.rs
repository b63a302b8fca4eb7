//! The words of a setup: how each is read, and said again.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;

use super::{Arrivals, Keys, MOST_CALLERS, Setup};
use testbed::split::{CPU_BUDGET, INSTANCES, MOST_INSTANCES};

/// All words but the names of settings of the service and of PostgreSQL.
const WORDS: &str = "users, rate, connections, pace, timeout_ms, zipf, flood, after, locked, reads, batches, books, fsync_ms, mode, profile, \
                     clients, history, instances, balancing, split, transport, mix, keyed, keys, limits, guiche";

/// What marks a setting of PostgreSQL.
const POSTGRES: &str = "pg.";

/// Connections that wrk holds unless told otherwise.
const CONNECTIONS: u32 = 64;

/// How fast requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pace {
    Saturating,
    Contest,
}

impl Setup {
    /// Returns these settings with others: `key=value`, separated by commas.
    ///
    /// # Errors
    /// The first that is unknown or out of range.
    pub fn with(&self, settings: &str) -> Result<Setup> {
        let mut setup = self.clone();
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("{setting:?} is not key=value"))?;
            setup.set(key, value)?;
        }
        Ok(setup)
    }

    /// Sets one.
    ///
    /// # Errors
    /// When it is unknown or out of range.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.try_set(key, value).with_context(|| format!("{key}={value}"))
    }

    fn try_set(&mut self, key: &str, value: &str) -> Result<()> {
        ensure!(!value.contains(','), "a value has no comma");
        match key {
            "mode" => self.mode = choice(value)?,
            "profile" => self.profile = choice(value)?,
            "balancing" => self.balancing = choice(value)?,
            "split" => {
                self.split = value.parse()?;
                ensure!(!self.split.is_over_budget(), "the contest allows {CPU_BUDGET} CPUs in total");
            }
            "transport" => self.transport = choice(value)?,
            "instances" => {
                let instances = count(value)? as usize;
                ensure!(instances <= MOST_INSTANCES, "expected at most {MOST_INSTANCES}");
                self.instances = instances;
            }
            "clients" => self.clients = count(value)?,
            "history" => self.history = within(value, 0.0, 1e9)?.ceil() as u64,
            "keys" => self.keys = within(value, 0.0, 1e8)?.ceil() as u64,
            "limits" => self.limits = choice(value)?,
            "mix" => self.mix = choice(value)?,
            "keyed" => self.keyed = choice(value)?,
            "connections" => self.arrivals = Arrivals::Saturating { connections: count(value)? },
            "users" => {
                let users = within(value, 1.0, MOST_CALLERS)?;
                ensure!(users.fract() == 0.0, "expected a whole number");
                self.arrivals = Arrivals::Closed { users: users as u32 };
            }
            "rate" => self.arrivals = Arrivals::Open { rate: within(value, 0.1, 20_000.0)? },
            "pace" => match (choice(value)?, self.arrivals) {
                (Pace::Contest, _) => self.arrivals = Arrivals::Contest,
                (Pace::Saturating, Arrivals::Saturating { .. }) => {}
                (Pace::Saturating, _) => self.arrivals = Arrivals::Saturating { connections: CONNECTIONS },
            },
            "batches" => self.arrivals = Arrivals::Batches { size: within(value, 1.0, 10_000.0)? as u32 },
            "books" => self.books = value.parse().context("expected true or false")?,
            "timeout_ms" => self.timeout = millis(within(value, 10.0, 60_000.0)?),
            "zipf" => self.zipf = within(value, 0.0, 10.0)?,
            "flood" => self.flood = Some(within(value, 0.0, 20_000.0)?),
            "after" => self.after = within(value, 0.0, 60.0)?.round() as u32,
            "locked" => {
                self.locked = value.parse().context("expected a whole number")?;
            }
            "reads" => self.reads = within(value, 0.0, 1.0)?,
            "fsync_ms" => self.fsync_delay = millis(within(value, 0.0, 1_000.0)?),
            "guiche" => self.guiche = Some(value.into()),
            _ if key.starts_with(POSTGRES) => {
                self.postgres.insert(key[POSTGRES.len()..].to_owned(), value.to_owned());
            }
            _ if is_variable(key) => {
                self.env.insert(key.to_owned(), value.to_owned());
            }
            _ => bail!(
                "{key:?} is none of {WORDS}, a setting of the service in capitals, or pg. and a setting of \
                 PostgreSQL"
            ),
        }
        Ok(())
    }

    /// Returns all of it as text, in the words of [`Setup::set`].
    pub fn settings(&self) -> Vec<(String, String)> {
        let arrivals = match self.arrivals {
            Arrivals::Saturating { connections } => ("connections", connections.to_string()),
            Arrivals::Closed { users } => ("users", users.to_string()),
            Arrivals::Open { rate } => ("rate", rate.to_string()),
            Arrivals::Contest => ("pace", "contest".to_owned()),
            Arrivals::Batches { size } => ("batches", size.to_string()),
        };
        let mut own = vec![
            ("mode", self.mode.to_string()),
            ("profile", self.profile.to_string()),
            arrivals,
            ("clients", self.clients.to_string()),
            ("balancing", self.balancing.to_string()),
            ("split", self.split.to_string()),
            ("transport", self.transport.to_string()),
            ("mix", name_of(self.mix)),
            ("limits", name_of(self.limits)),
            ("fsync_ms", (self.fsync_delay.as_secs_f64() * 1e3).to_string()),
        ];
        if matches!(self.arrivals, Arrivals::Closed { .. } | Arrivals::Open { .. }) {
            own.extend([
                ("timeout_ms", self.timeout.as_millis().to_string()),
                ("zipf", self.zipf.to_string()),
                ("reads", self.reads.to_string()),
            ]);
            own.extend(self.flood.map(|rate| ("flood", rate.to_string())));
            own.extend((self.after > 0).then(|| ("after", self.after.to_string())));
            own.extend((self.locked > 0).then(|| ("locked", self.locked.to_string())));
        }
        own.extend((!self.books).then(|| ("books", "false".to_owned())));
        own.extend((self.instances != INSTANCES).then(|| ("instances", self.instances.to_string())));
        own.extend((self.history > 0).then(|| ("history", self.history.to_string())));
        own.extend((self.keys > 0).then(|| ("keys", self.keys.to_string())));
        own.extend((self.keyed != Keys::Absent).then(|| ("keyed", name_of(self.keyed))));
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let postgres = self.postgres.iter().map(|(key, value)| (format!("{POSTGRES}{key}"), value.clone()));
        let env = self.env.iter().map(|(key, value)| (key.clone(), value.clone()));
        let guiche = self.guiche.iter().map(|path| ("guiche".to_owned(), path.display().to_string()));
        own.chain(env).chain(postgres).chain(guiche).collect()
    }
}

fn choice<T: ValueEnum>(value: &str) -> Result<T> {
    T::from_str(value, false).map_err(|_| {
        let names: Vec<String> = T::value_variants().iter().map(|one| name_of(one.clone())).collect();
        anyhow!("expected one of {}", names.join(", "))
    })
}

pub(in crate::measure) fn name_of<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map_or(String::new(), |name| name.get_name().to_owned())
}

fn count(value: &str) -> Result<u32> {
    let count: u32 = value.replace('_', "").parse().context("expected a whole number")?;
    ensure!(count > 0, "expected at least 1");
    Ok(count)
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
