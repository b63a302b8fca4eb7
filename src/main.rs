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
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Print all settings as JSON: names, defaults, what each may be, and its meaning
    #[arg(long)]
    settings: bool,
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
    let Arguments { settings, command } = Arguments::parse();
    if settings {
        return print_settings();
    }
    let result = match command.unwrap_or(Command::Serve) {
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

fn print_settings() -> ExitCode {
    let mut output = std::io::stdout().lock();
    let text = serde_json::to_string_pretty(settings::SETTINGS).unwrap_or_default();
    // Whoever reads it may have gone (`| head`).
    let _ = writeln!(output, "{text}");
    ExitCode::SUCCESS
}

fn serve() -> Result<(), server::StartError> {
    let config = Config::from_env()?;
    let metrics = Metrics::of(&config);
    // Dropped at the very end, when everything that is to be traced has happened.
    let telemetry = telemetry::start(&config, &metrics)?;
    actix_rt::System::new().block_on(server::run(config, &metrics, &telemetry))
}
