//! An instance whose ledger answers at once and keeps nothing: what its requests take is the instance's and NGINX's own.
//! It takes the service's settings; `make bench` compares the service with it.

mod ledger;

use std::process::ExitCode;

use guiche::http::Readiness;
use guiche::observing::metrics::Metrics;
use guiche::observing::telemetry;
use guiche::server::{self, Backend, StartError};
use settings::Config;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_ledger: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), StartError> {
    let config = Config::from_env()?;
    let metrics = Metrics::of(&config);
    let telemetry = telemetry::start(&config, &metrics)?;
    let backend = |_: &_| Backend {
        ledger: Box::new(ledger::Paper),
        readiness: Box::new(|| Box::pin(async { Readiness::Ready })),
    };
    let ready = async { Ok(()) };
    actix_rt::System::new().block_on(server::run_on(
        config,
        &metrics,
        &telemetry,
        backend,
        ready,
        std::future::pending(),
    ))
}
