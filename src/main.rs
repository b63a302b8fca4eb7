//! The guiche service: reads its settings from the environment and serves until SIGTERM.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use guiche::observing::metrics::Metrics;
use guiche::observing::telemetry;
use guiche::{health, server, signals};
use settings::Config;

/// A bank ledger in which every client has an actor and a mailbox.
///
/// Without a command it serves. Its settings come from the environment.
#[derive(Parser)]
#[command(version, after_long_help = settings::settings_text() + "\n" + signals::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM (the default)
    Serve,
    /// Ask the instance that listens on LISTEN whether it can serve; exit code 0 if so
    Health {
        /// Ask only whether it is alive
        #[arg(long)]
        live: bool,
    },
    /// Read what instances traced (TRACE=FILE): a summary, the slowest requests, a page, Perfetto
    Traces(traces::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command.unwrap_or(Command::Serve) {
        Command::Serve => serve().map_err(|error| error.to_string()),
        Command::Health { live } => health::check(live).map_err(|error| error.to_string()),
        Command::Traces(arguments) => traces::run(&arguments).map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever read it may have gone (`2>&1 | head`).
            let _ = writeln!(std::io::stderr(), "guiche: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), server::StartError> {
    let config = Config::from_env()?;
    let metrics = Metrics::of(&config);
    // Dropped at the very end, when everything that is to be traced has happened.
    let telemetry = telemetry::start(&config, &metrics)?;
    actix_rt::System::new().block_on(server::run(config, &metrics, &telemetry))
}
