//! The stack in containers, by a real Docker: `make containers`. Each test is ignored in a plain
//! `cargo test`, since it builds an image and takes a minute; where there is no Docker, it says so
//! and passes.

mod dashboards;
mod load;
mod outage;
mod profiles;

use testbed::docker::{DockerOptions, DockerStack, unavailable};
use testbed::stack::StackOptions;
use tokio::sync::{Mutex, MutexGuard};

/// One stack at a time: they would share two cores.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Health checks often enough for a test.
const HEALTH_INTERVALS: [&str; 2] = ["HEALTH_INTERVAL", "NGINX_HEALTH_INTERVAL"];

/// The right to use Docker, or `None`, with a message, where there is none.
async fn docker() -> Option<MutexGuard<'static, ()>> {
    let guard = ALONE.lock().await;
    match unavailable().await {
        None => Some(guard),
        Some(why) => {
            println!("SKIPPED: containers cannot be run here: {why}");
            None
        }
    }
}

/// Options on a free port, with frequent health checks, and the image of `GUICHE_IMAGE` or one that
/// is built now.
fn options() -> DockerOptions {
    let port = testbed::cluster::free_port().expect("a port is free");
    let image = std::env::var("GUICHE_IMAGE").ok();
    let variables = HEALTH_INTERVALS.map(|name| (name, "2s".to_owned())).to_vec();
    let stack = StackOptions { port, ..StackOptions::default() };
    DockerOptions { stack, image, variables, ..DockerOptions::default() }
}

async fn start(options: DockerOptions) -> DockerStack {
    let begin = std::time::Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let stack = DockerStack::start(options, &say).await.unwrap_or_else(|error| panic!("{error:#}"));
    println!(
        "{:6.1} s  ready; a cold start took {:.1} s",
        begin.elapsed().as_secs_f64(),
        stack.cold_start.as_secs_f64()
    );
    stack
}
