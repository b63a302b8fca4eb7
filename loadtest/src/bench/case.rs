//! One case of the benchmark: everything that may differ between two of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::{Serialize, Serializer};

use testbed::Mode;
use testbed::Profile;
use testbed::instance::find_guiche;
use testbed::nginx::Balancing;
use testbed::split::{CPU_BUDGET, Split};
use testbed::stack::Transport;

/// What marks a setting of PostgreSQL.
const POSTGRES: &str = "pg.";

/// What stands for the run's own directory in a setting of the service.
const RUN_DIRECTORY: &str = "{dir}";

/// What stands for the repository's `target` in the path of a program.
const TARGET: &str = "{target}";

/// Which requests are sent, in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// The contest's: twice as many debits as credits, which drains the limits until about a
    /// quarter is refused.
    #[default]
    Contest,
    /// As many credits as debits.
    Balanced,
}

impl Mix {
    /// Debits, credits and statements.
    pub fn parts(self) -> [u32; 3] {
        match self {
            Mix::Contest => [220, 110, 10],
            Mix::Balanced => [165, 165, 10],
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mix::Contest => "contest",
            Mix::Balanced => "balanced",
        })
    }
}

/// How fast requests come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pace {
    /// Each connection sends its next request at once when it has its answer.
    #[default]
    Saturating,
    /// 340 a second, a new connection for each, as in the contest.
    Contest,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pace::Saturating => "saturating",
            Pace::Contest => "contest",
        })
    }
}

/// A case. The default is the base of all comparisons: what is shipped, with 64 connections and
/// the contest's five clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// How transactions reach the database.
    pub mode: Mode,
    /// What a commit promises.
    pub profile: Profile,
    /// Keepalive connections that wrk holds, each with one request at a time.
    pub connections: u32,
    /// Clients of the bank that the requests are for.
    pub clients: u32,
    /// How NGINX shares out.
    pub balancing: Balancing,
    /// CPU per service.
    pub split: Split,
    /// How NGINX reaches the instances.
    pub transport: Transport,
    /// Which requests are sent.
    pub mix: Mix,
    /// How fast they come.
    pub pace: Pace,
    /// Settings of the service.
    pub env: BTreeMap<String, String>,
    /// Settings of PostgreSQL.
    pub postgres: BTreeMap<String, String>,
    /// The service's program, where it is not the usual one.
    pub guiche: Option<PathBuf>,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            mode: Mode::default(),
            profile: Profile::default(),
            connections: 64,
            clients: 5,
            balancing: Balancing::default(),
            split: Split::default(),
            transport: Transport::default(),
            mix: Mix::default(),
            pace: Pace::default(),
            env: BTreeMap::new(),
            postgres: BTreeMap::new(),
            guiche: None,
        }
    }
}

impl Case {
    /// This case with other settings: `key=value`, separated by commas. A key in capitals is a
    /// setting of the service, one that begins with `pg.` a setting of PostgreSQL.
    ///
    /// # Errors
    /// When a key or a value is unknown, or the split is over the contest's budget.
    pub fn with(&self, settings: &str) -> Result<Case> {
        let mut case = self.clone();
        for setting in settings.split(',').filter(|setting| !setting.trim().is_empty()) {
            let (key, value) =
                setting.trim().split_once('=').with_context(|| format!("{setting:?} is not key=value"))?;
            case.set(key, value).with_context(|| setting.trim().to_owned())?;
        }
        Ok(case)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "mode" => self.mode = choice(value)?,
            "profile" => self.profile = choice(value)?,
            "connections" => self.connections = count(value)?,
            "clients" => self.clients = count(value)?,
            "balancing" => self.balancing = choice(value)?,
            "split" => {
                self.split = value.parse()?;
                ensure!(!self.split.is_over_budget(), "the contest allows {CPU_BUDGET} CPUs in total");
            }
            "transport" => self.transport = choice(value)?,
            "mix" => self.mix = choice(value)?,
            "pace" => self.pace = choice(value)?,
            "guiche" => self.guiche = Some(value.into()),
            _ if key.starts_with(POSTGRES) => {
                self.postgres.insert(key[POSTGRES.len()..].to_owned(), value.to_owned());
            }
            _ if is_variable(key) => {
                self.env.insert(key.to_owned(), value.to_owned());
            }
            _ => bail!(
                "{key:?} is none of mode, profile, connections, clients, balancing, split, transport, mix, \
                 pace, guiche, a setting of the service in capitals, or pg. and a setting of PostgreSQL"
            ),
        }
        Ok(())
    }

    /// All its settings as text, in the words of [`Case::with`].
    pub fn settings(&self) -> Vec<(String, String)> {
        let own = [
            ("mode", self.mode.to_string()),
            ("profile", self.profile.to_string()),
            ("connections", self.connections.to_string()),
            ("clients", self.clients.to_string()),
            ("balancing", self.balancing.to_string()),
            ("split", self.split.to_string()),
            ("transport", self.transport.to_string()),
            ("mix", self.mix.to_string()),
            ("pace", self.pace.to_string()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let postgres = self.postgres.iter().map(|(key, value)| (format!("{POSTGRES}{key}"), value.clone()));
        let env = self.env.iter().map(|(key, value)| (key.clone(), value.clone()));
        let guiche = self.guiche.iter().map(|path| ("guiche".to_owned(), path.display().to_string()));
        own.chain(env).chain(postgres).chain(guiche).collect()
    }

    /// Settings of the service for a run in `directory`.
    pub fn env_in(&self, directory: &Path) -> Vec<(String, String)> {
        let directory = directory.display().to_string();
        let of_run =
            |(name, value): (&String, &String)| (name.clone(), value.replace(RUN_DIRECTORY, &directory));
        self.env.iter().map(of_run).collect()
    }

    /// Settings of PostgreSQL.
    pub fn postgres_settings(&self) -> Vec<(String, String)> {
        self.postgres.clone().into_iter().collect()
    }

    /// The service's program.
    ///
    /// # Errors
    /// When there is none; says how to build it.
    pub fn program(&self) -> Result<PathBuf> {
        let Some(asked) = &self.guiche else { return find_guiche(None) };
        match asked.strip_prefix(TARGET) {
            Ok(of_target) => find_guiche(Some(&testbed::repository_root().join("target").join(of_target)))
                .context("a build to compare with is missing: make untraced"),
            Err(_) => find_guiche(Some(asked)),
        }
    }

    /// What differs from `base`, or `base` when nothing does.
    pub fn label(&self, base: &Case) -> String {
        let of_base = base.settings();
        let own = self.settings();
        let differs = own.iter().filter(|setting| !of_base.contains(setting));
        let words: Vec<String> = differs.map(|(key, value)| format!("{key}={value}")).collect();
        if words.is_empty() { "base".to_owned() } else { words.join(" ") }
    }
}

/// As text in JSON, key by key.
impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.settings())
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(settings: &str) -> Result<Case> {
        Case::default().with(settings)
    }
}

fn choice<T: ValueEnum>(value: &str) -> Result<T> {
    T::from_str(value, false).map_err(|_| {
        let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        anyhow!("expected one of {}", names.join(", "))
    })
}

fn count(value: &str) -> Result<u32> {
    let count: u32 = value.replace('_', "").parse().context("expected a whole number")?;
    ensure!(count > 0, "expected at least 1");
    Ok(count)
}

fn is_variable(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_a_case_and_name_it() {
        let base = Case::default();
        assert_eq!(base.label(&base), "base");
        let text = "mode=direct,split=0.25/0.25/0.30/0.70,connections=1_000,BATCH_MAX=4,pg.wal_buffers=1MB";
        let case = base.with(text).expect("they are right");
        assert_eq!((case.mode, case.connections, case.split.postgres), (Mode::Direct, 1000, 0.7));
        assert_eq!(
            case.label(&base),
            "mode=direct connections=1000 split=0.25/0.25/0.3/0.7 BATCH_MAX=4 pg.wal_buffers=1MB"
        );
        assert_eq!(base.label(&case), "mode=batched connections=64 split=0.4/0.4/0.2/0.5");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, says) in [
            ("mode=fast", "expected one of direct, serial, batched"),
            ("connections=0", "at least 1"),
            ("connections=many", "whole number"),
            ("split=0.5/0.5/0.5/0.5", "the contest allows 1.5"),
            ("color=red", "\"color\" is none of"),
            ("mode", "is not key=value"),
        ] {
            let error = format!("{:#}", Case::default().with(text).expect_err(text));
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
