//! The four counted services, and how the contest's 1.5 CPU and 550MB are split among them.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

/// All CPU that the contest allows, in cores.
pub const CPU_BUDGET: f64 = 1.5;

/// Beyond this, in cores, a sum of decimal fractions is no rounding error.
const TOLERANCE: f64 = 1e-9;

/// A megabyte as Compose's `MB` means it.
const MB: u64 = 1024 * 1024;

/// A service that the contest counts. The names are those of the Compose file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Service {
    /// The first instance.
    #[strum(serialize = "webapi1-guiche")]
    Api1,
    /// The second instance.
    #[strum(serialize = "webapi2-guiche")]
    Api2,
    /// The load balancer.
    #[strum(serialize = "nginx")]
    Nginx,
    /// PostgreSQL.
    #[strum(serialize = "db")]
    Database,
}

impl Service {
    /// All four, in the order of `--cpus`.
    pub const ALL: [Service; 4] = [Service::Api1, Service::Api2, Service::Nginx, Service::Database];

    /// Returns its name in the Compose file.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns its share of the 550MB, in bytes.
    pub fn memory_bytes(self) -> u64 {
        match self {
            Service::Api1 | Service::Api2 => 100 * MB,
            Service::Nginx => 20 * MB,
            Service::Database => 330 * MB,
        }
    }
}

/// CPU per service, in cores. Written `0.4/0.4/0.2/0.5`: first and second instance (which are
/// alike), NGINX, PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Split {
    /// Of each instance.
    pub api: f64,
    /// Of NGINX.
    pub nginx: f64,
    /// Of PostgreSQL.
    pub postgres: f64,
}

impl Split {
    /// Returns what one service gets.
    pub fn cpus(&self, service: Service) -> f64 {
        match service {
            Service::Api1 | Service::Api2 => self.api,
            Service::Nginx => self.nginx,
            Service::Database => self.postgres,
        }
    }

    /// Returns what all four get together.
    pub fn total(&self) -> f64 {
        Service::ALL.iter().map(|service| self.cpus(*service)).sum()
    }

    /// Returns the same split of less CPU.
    pub fn divided_by(&self, divisor: f64) -> Split {
        Split { api: self.api / divisor, nginx: self.nginx / divisor, postgres: self.postgres / divisor }
    }

    /// Returns whether that is more than the contest allows.
    pub fn is_over_budget(&self) -> bool {
        self.total() > CPU_BUDGET + TOLERANCE
    }
}

impl Default for Split {
    fn default() -> Self {
        Split { api: 0.4, nginx: 0.2, postgres: 0.5 }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.api, self.api, self.nginx, self.postgres)
    }
}

impl FromStr for Split {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Split> {
        let shares = text.split('/').map(parse_share).collect::<Result<Vec<f64>>>()?;
        let count = shares.len();
        let [first, second, nginx, postgres] = <[f64; 4]>::try_from(shares).ok().with_context(|| {
            format!("{count} shares where four are needed: instance/instance/nginx/postgres")
        })?;
        ensure!(first == second, "the two instances are alike: give both {first} or both {second}");
        Ok(Split { api: first, nginx, postgres })
    }
}

fn parse_share(text: &str) -> Result<f64> {
    let share: f64 = text.trim().parse().with_context(|| format!("{text:?} is no number of CPUs"))?;
    // Below a hundredth of a core the kernel's slice of 100 ms leaves less than its minimum of 1 ms.
    ensure!((0.01..=1024.0).contains(&share), "{share} CPUs are too few or too many");
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fills_the_budget() {
        let split = Split::default();
        assert!(!split.is_over_budget() && (split.total() - CPU_BUDGET).abs() < TOLERANCE);
        assert_eq!(split.to_string(), "0.4/0.4/0.2/0.5");
        assert_eq!(Service::ALL.iter().map(|service| service.memory_bytes()).sum::<u64>(), 550 * MB);
    }

    #[test]
    fn a_split_is_four_shares() {
        let split: Split = "0.25/0.25/0.30/0.70".parse().expect("a split");
        assert_eq!(split, Split { api: 0.25, nginx: 0.3, postgres: 0.7 });
        assert!(!split.is_over_budget());
        let over: Split = "0.4/0.4/0.2/0.51".parse().expect("a split");
        assert!(over.is_over_budget());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("0.4/0.2/0.5", "3 shares where four are needed"),
            ("0.4/0.3/0.2/0.5", "the two instances are alike"),
            ("0.4/0.4/x/0.5", "\"x\" is no number"),
            ("0.4/0.4//0.5", "\"\" is no number"),
            ("0.4/0.4/-1/0.5", "-1 CPUs are too few"),
            ("0.4/0.4/0/0.5", "0 CPUs are too few"),
            ("0.4/0.4/NaN/0.5", "NaN CPUs are too few"),
        ] {
            let error = text.parse::<Split>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
