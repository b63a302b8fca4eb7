//! The counted services, four in the contest, and how its 1.5 CPU and 550MB are split among them.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};

/// All CPU that the contest allows, in cores.
pub const CPU_BUDGET: f64 = 1.5;

/// Beyond this, in cores, a sum of decimal fractions is no rounding error.
const TOLERANCE: f64 = 1e-9;

/// A megabyte as Compose's `MB` means it.
const MB: u64 = 1024 * 1024;

/// The instances that a split is written for.
pub const INSTANCES: usize = 2;

/// The most instances that a stack has.
pub const MOST_INSTANCES: usize = 16;

/// The instances' names, as many as there may be.
static NAMES: LazyLock<[String; MOST_INSTANCES]> =
    LazyLock::new(|| std::array::from_fn(|index| format!("webapi{}-guiche", index + 1)));

/// A service that the contest counts. The names are those of the Compose file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// An instance, from 0 to [`MOST_INSTANCES`] - 1.
    Api(usize),
    /// The load balancer.
    Nginx,
    /// PostgreSQL.
    Database,
}

impl Service {
    /// The contest's four, in the order of `--cpus`.
    pub const ALL: [Service; 4] = [Service::Api(0), Service::Api(1), Service::Nginx, Service::Database];

    /// Returns those of a stack of so many instances, in the order of `--cpus`.
    pub fn of(instances: usize) -> Vec<Service> {
        (0..instances).map(Service::Api).chain([Service::Nginx, Service::Database]).collect()
    }

    /// Returns its name: of the first four that in the Compose file.
    pub fn name(self) -> &'static str {
        match self {
            Service::Api(index) => &NAMES[index],
            Service::Nginx => "nginx",
            Service::Database => "db",
        }
    }
}

/// What a service may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// CPU, in cores.
    pub cpus: f64,
    /// Memory.
    pub memory_bytes: u64,
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
    /// Returns what one service gets, and of the 550MB, where there are so many instances: more or fewer than two
    /// share what two have.
    pub fn share(&self, service: Service, instances: usize) -> Share {
        let of_two = INSTANCES as f64 / instances as f64;
        let (cpus, megabytes) = match service {
            Service::Api(_) => (self.api * of_two, 100 * INSTANCES as u64 / instances as u64),
            Service::Nginx => (self.nginx, 20),
            Service::Database => (self.postgres, 330),
        };
        Share { cpus, memory_bytes: megabytes * MB }
    }

    /// Returns what all get together.
    pub fn total(&self) -> f64 {
        INSTANCES as f64 * self.api + self.nginx + self.postgres
    }

    /// Returns the least CPU that any service of so many instances gets.
    pub fn least(&self, instances: usize) -> f64 {
        Service::of(instances)
            .into_iter()
            .map(|one| self.share(one, instances).cpus)
            .fold(f64::INFINITY, f64::min)
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
    }

    #[test]
    fn any_number_of_instances_shares_what_two_have() {
        for instances in [1, 2, 4, 8, 16] {
            let shares = Service::of(instances).into_iter().map(|one| Split::default().share(one, instances));
            let (cpus, bytes) =
                shares.fold((0.0, 0), |(cpus, bytes), one| (cpus + one.cpus, bytes + one.memory_bytes));
            assert!((cpus - CPU_BUDGET).abs() < TOLERANCE, "{instances}: {cpus}");
            assert!((542 * MB..=550 * MB).contains(&bytes), "{instances}: {bytes}");
        }
        assert_eq!(Split::default().share(Service::Api(2), 4), Share { cpus: 0.2, memory_bytes: 50 * MB });
        assert_eq!((Split::default().least(2), Split::default().least(8)), (0.2, 0.1));
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
