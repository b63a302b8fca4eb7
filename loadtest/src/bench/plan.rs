//! Which cases are compared with each other.

use anyhow::Result;
use clap::ValueEnum;

use super::case::Case;

/// What differs between the cases of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Factor {
    /// Mode and connections, each with each
    Grid,
    /// How transactions reach the database
    Mode,
    /// Connections
    Connections,
    /// What a commit promises, for the best and the plainest mode
    Profile,
    /// Clients of the bank
    Clients,
    /// How NGINX shares out
    Balancing,
    /// CPU per service, with 64 connections
    Split,
    /// CPU per service, with 128 connections
    Split128,
    /// Clients that one call may span
    ClientsPerCall,
    /// Calls at once per instance
    CallsInFlight,
    /// How NGINX reaches the instances
    Transport,
    /// What tracing costs an instance
    Tracing,
    /// Which requests are sent
    Mix,
    /// The contest's own 340 requests per second, for each mode
    ContestRate,
}

/// The whole benchmark. `Grid` contains what `Mode` and `Connections` would show.
const ALL: [Factor; 12] = [
    Factor::Grid,
    Factor::Profile,
    Factor::Clients,
    Factor::Balancing,
    Factor::Split,
    Factor::Split128,
    Factor::ClientsPerCall,
    Factor::CallsInFlight,
    Factor::Transport,
    Factor::Tracing,
    Factor::Mix,
    Factor::ContestRate,
];

/// A glance at it.
const QUICK: [Factor; 3] = [Factor::Mode, Factor::Clients, Factor::Split];

/// The splits that are compared, each as settings. Layer 4 leaves NGINX less to do.
const SPLITS: [&str; 7] = [
    "split=0.4/0.4/0.2/0.5",
    "split=0.25/0.25/0.3/0.7",
    "split=0.25/0.25/0.4/0.6",
    "split=0.25/0.25/0.4/0.6,mode=direct",
    "split=0.25/0.25/0.45/0.55",
    "split=0.25/0.25/0.42/0.58,balancing=layer4",
    "split=0.27/0.27/0.48/0.48,balancing=layer4",
];

/// The program with everything of `tracing` compiled out, as `make untraced` builds it.
pub(super) const UNTRACED: &str = "guiche={target}/untraced/release/guiche";

impl Factor {
    /// What it asks.
    pub fn title(self) -> &'static str {
        match self {
            Factor::Grid => "Mode and connections",
            Factor::Mode => "Mode",
            Factor::Connections => "Connections",
            Factor::Profile => "Profile",
            Factor::Clients => "Clients",
            Factor::Balancing => "Balancing",
            Factor::Split => "Split of CPU, 64 connections",
            Factor::Split128 => "Split of CPU, 128 connections",
            Factor::ClientsPerCall => "Clients per call",
            Factor::CallsInFlight => "Calls in flight",
            Factor::Transport => "Transport",
            Factor::Tracing => "Tracing",
            Factor::Mix => "Mix of requests",
            Factor::ContestRate => "The contest’s rate: 340 requests/s, a connection for each",
        }
    }

    /// The settings of its cases, in addition to the base.
    fn settings(self, quick: bool) -> Vec<String> {
        let owned = |settings: &[&str]| settings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let modes = ["direct", "serial", "batched"].map(|mode| format!("mode={mode}"));
        let connections = [1, 16, 64, 128, 256].map(|count| format!("connections={count}"));
        match self {
            Factor::Mode => modes.to_vec(),
            Factor::Connections => connections.to_vec(),
            Factor::Grid => modes
                .iter()
                .flat_map(|mode| connections.iter().map(move |count| format!("{mode},{count}")))
                .collect(),
            Factor::Profile => owned(&[
                "profile=durable",
                "profile=contest",
                "mode=direct,profile=durable",
                "mode=direct,profile=contest",
            ]),
            Factor::Clients if quick => owned(&["clients=1", "clients=5"]),
            Factor::Clients => owned(&["clients=1", "clients=5", "clients=1000", "clients=100000"]),
            Factor::Balancing => owned(&[
                "balancing=least_conn",
                "balancing=round_robin",
                "balancing=affinity",
                "balancing=layer4",
            ]),
            Factor::Split if quick => owned(&[SPLITS[2], SPLITS[5]]),
            Factor::Split => owned(&SPLITS),
            Factor::Split128 => SPLITS.map(|split| format!("{split},connections=128")).to_vec(),
            Factor::ClientsPerCall => {
                owned(&["CLIENTS_PER_CALL=1", "CLIENTS_PER_CALL=4", "CLIENTS_PER_CALL=64"])
            }
            Factor::CallsInFlight => owned(&["CALLS_IN_FLIGHT=1", "CALLS_IN_FLIGHT=2", "CALLS_IN_FLIGHT=4"]),
            Factor::Transport => owned(&["transport=tcp", "transport=unix"]),
            Factor::Tracing => owned(&[UNTRACED, "", "TRACE={dir}/{instance}.jsonl"]),
            Factor::Mix => owned(&["mix=contest", "mix=balanced"]),
            Factor::ContestRate => {
                ["direct", "batched"].map(|mode| format!("mode={mode},pace=contest")).to_vec()
            }
        }
    }
}

/// Cases to be compared with each other: they are run in turn, round after round.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is compared.
    pub title: String,
    /// The cases, each with what tells it from the base.
    pub cases: Vec<(String, Case)>,
    /// Whether an instance's instructions are counted too: what differs is lost in time's noise.
    pub instructions: bool,
}

/// What to compare: the `only` factors, else the cases given one by one, else all factors.
///
/// # Errors
/// When the text of a case is wrong.
pub fn comparisons(base: &Case, only: &[Factor], cases: &[String], quick: bool) -> Result<Vec<Comparison>> {
    let factors: &[Factor] = match (only, cases) {
        ([], []) if quick => &QUICK,
        ([], []) => &ALL,
        _ => only,
    };
    let mut comparisons = Vec::new();
    for factor in factors {
        let compared = comparison(factor.title(), base, &factor.settings(quick))?;
        comparisons.push(Comparison { instructions: *factor == Factor::Tracing, ..compared });
    }
    if !cases.is_empty() {
        comparisons.push(comparison("Cases", base, cases)?);
    }
    Ok(comparisons)
}

fn comparison(title: &str, base: &Case, settings: &[String]) -> Result<Comparison> {
    let cases = settings.iter().map(|settings| {
        let label = settings.replace(',', " ");
        Ok((if label.is_empty() { "base".to_owned() } else { label }, base.with(settings)?))
    });
    Ok(Comparison { title: title.to_owned(), cases: cases.collect::<Result<_>>()?, instructions: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_has_cases_that_differ() {
        for factor in Factor::value_variants() {
            let comparisons = comparisons(&Case::default(), &[*factor], &[], false).expect("they are right");
            let [comparison] = &comparisons[..] else { panic!("one comparison") };
            let cases = &comparison.cases;
            assert!(cases.len() >= 2, "{factor:?}");
            for (index, (label, case)) in cases.iter().enumerate() {
                assert!(cases[..index].iter().all(|(_, other)| other != case), "{label} is there twice");
            }
        }
    }

    #[test]
    fn factors_vary_around_the_base_that_is_given() {
        let base: Case = "connections=128,balancing=layer4".parse().expect("right");
        let all =
            comparisons(&base, &[Factor::Mode], &["".into(), "BATCH_MAX=4".into()], false).expect("right");
        assert_eq!(all.len(), 2);
        assert!(all[0].cases.iter().all(|(_, case)| case.connections == 128));
        assert_eq!(all[1].cases[0], ("base".into(), base));
    }

    #[test]
    fn the_whole_is_every_factor() {
        let all = comparisons(&Case::default(), &[], &[], false).expect("right");
        assert_eq!(all.len(), ALL.len());
        assert_eq!(all[0].cases.len(), 15);
        let quick = comparisons(&Case::default(), &[], &[], true).expect("right");
        assert!(quick.iter().map(|comparison| comparison.cases.len()).sum::<usize>() <= 8);
    }
}
