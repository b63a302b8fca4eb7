//! The command line of the load tests.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loadtest::bench::{self, BenchArgs};
use loadtest::contest::{self, ContestArgs};
use loadtest::docs::{self, DocsArgs};
use loadtest::experiment::{self, ExperimentArgs};
use loadtest::faults::{self, FaultsArgs, grow};
use loadtest::measure::compare::{self, CompareArgs};
use loadtest::measure::report::{self, ReportArgs};
use loadtest::measure::soak;
use loadtest::script::{self, ScriptArgs};
use loadtest::up;

/// Starts guiche's whole topology on this machine and plays loads against it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start PostgreSQL, instances and NGINX, and follow their health until Ctrl-C
    Up(up::UpArgs),
    /// Start the stack and play the official simulation against it; fails if anything is fined
    Contest(ContestArgs),
    /// Start the stack and play a k6 script of your own against it
    K6(ScriptArgs),
    /// Load the stack within the contest's limits with wrk, case by case, and compare
    Bench(BenchArgs),
    /// Write the pages of experiments again, from their results.json
    Report(ReportArgs),
    /// Hold two results of one experiment or bench against each other
    Compare(CompareArgs),
    /// Write the figures in the documents from docs/results
    Docs(DocsArgs),
    /// Break a running stack in one way after the other, and prove that nothing is lost or doubled
    Faults(FaultsArgs),
    /// Give a bank on Citus another worker while it is loaded, and prove that nobody is refused and nothing is lost
    Grow(grow::GrowArgs),
    /// Load one stack for long, and show minute by minute that nothing grows and nothing slows down
    Soak(soak::SoakArgs),
    /// Play declared experiments: who waits for whom, in a scaled-down envelope, with k6
    Experiment(ExperimentArgs),
}

// One thread: what is measured needs the cores more than this program does.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(args) => up::run(&args).await,
        Command::Contest(args) => contest::run(&args).await,
        Command::K6(args) => script::run(&args).await,
        Command::Bench(args) => bench::run(&args).await,
        Command::Report(args) => report::rewrite(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Faults(args) => faults::run(&args).await,
        Command::Grow(args) => grow::run(&args).await,
        Command::Soak(args) => soak::run(&args).await,
        Command::Experiment(args) => experiment::run(&args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
