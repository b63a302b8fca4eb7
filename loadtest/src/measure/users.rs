//! Loads that k6 sends: users who wait for answers, arrivals that do not, and the contest's own rate.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::plan::Times;
use super::result::Run;
use super::setup::{Arrivals, Setup};
use crate::contest::live::Live;
use crate::k6::{self, Channel, Event, K6};
use crate::latency::Latency;

/// What `experiment.js` says on its console when half of the warm-up is over.
pub const WARM: &str = "half of the warm-up is over";
/// … when the interval that counts begins.
pub const BEGINS: &str = "measured interval begins";
/// … and when it ends.
pub const ENDS: &str = "measured interval ends";

/// Returns what `k6/experiment.js` finds in its environment.
pub fn env(setup: &Setup, url: &str, times: Times, summary: &Path) -> Vec<(&'static str, String)> {
    let [debits, credits, _] = setup.mix.parts().map(f64::from);
    let mut env = vec![
        ("BASE_URL", url.to_owned()),
        ("USERS", setup.callers().to_string()),
        ("WARM_UP", times.warm_up.as_secs().to_string()),
        ("SECONDS", times.measured.as_secs().to_string()),
        ("CLIENTS", setup.clients.to_string()),
        ("ZIPF", setup.zipf.to_string()),
        ("READS", setup.reads.to_string()),
        ("CREDITS", (credits / (debits + credits)).to_string()),
        ("TIMEOUT", setup.timeout.as_millis().to_string()),
        ("SUMMARY", summary.display().to_string()),
    ];
    if let Arrivals::Open { rate } = setup.arrivals {
        env.push(("RATE", rate.to_string()));
    }
    if setup.after > 0 {
        env.push(("AFTER", setup.after.to_string()));
    }
    if let Some(flood) = setup.flood {
        env.push(("FLOOD", flood.to_string()));
        env.push(("FLOOD_USERS", setup.callers_at(flood).to_string()));
    }
    env
}

/// Sends the contest's rate, 340 requests a second, a connection for each; `observe` is called about once a
/// second. Dropping the future stops it. Returns what came back and the CPU that k6
/// used.
///
/// # Errors
/// When k6 fails.
pub async fn contest_rate(
    k6: &K6,
    (url, duration): (&str, Duration),
    (log, cpus): (&Path, Option<String>),
    observe: &mut dyn FnMut(),
) -> Result<Run> {
    let env = vec![("BASE_URL", url.to_owned()), ("SECONDS", duration.as_secs().max(1).to_string())];
    let run =
        k6::Run { script: "steady.js".as_ref(), arguments: &[], env, channel: Channel::Samples, log, cpus };
    let mut live = Live::default();
    let cpu = k6
        .run(&run, &mut |event| match event {
            Event::Sample(sample) => live.add(&sample),
            Event::Tick => observe(),
            Event::Line(..) => {}
        })
        .await?;
    // The open load lasts as long as it was told to; k6 itself takes a second more to start.
    let seconds = duration.as_secs_f64();
    Ok(Run { seconds, generator_cpu_share: cpu.as_secs_f64() / seconds, ..outcome(&live) })
}

/// Returns what these responses come to. A slow answer is slow, and shows in the times; it is not wrong.
fn outcome(live: &Live) -> Run {
    let tally = live.tally();
    Run {
        requests: tally.total(),
        right: tally.right + tally.slow,
        wrong: tally.wrong + tally.inconsistent,
        dropped: live.dropped(),
        slow: Some(live.slow().to_vec()),
        latency_ms: Latency::of(|share| live.quantile_ms(share)),
        ..Run::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k6::Sample;

    #[test]
    fn an_open_load_has_a_rate_and_a_closed_one_has_users() {
        let times = Times { warm_up: Duration::from_secs(2), measured: Duration::from_secs(8) };
        let of = |settings: &str| {
            let setup = Setup::default().with(settings).expect("right");
            env(&setup, "http://127.0.0.1:1", times, Path::new("/x"))
        };
        let value = |env: &[(&'static str, String)], name| {
            env.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
        };
        let closed = of("users=7,mix=balanced");
        assert_eq!(value(&closed, "USERS").as_deref(), Some("7"));
        assert_eq!((value(&closed, "RATE"), value(&closed, "CREDITS").as_deref()), (None, Some("0.5")));
        let open = of("rate=100,timeout_ms=500");
        assert_eq!(value(&open, "RATE").as_deref(), Some("100"));
        assert_eq!(value(&open, "USERS").as_deref(), Some("56"));
        assert_eq!(value(&open, "FLOOD"), None);
        let flooded = of("users=7,flood=1000,timeout_ms=500");
        assert_eq!(value(&flooded, "FLOOD").as_deref(), Some("1000"));
        assert_eq!(value(&flooded, "FLOOD_USERS").as_deref(), Some("551"));
        assert_eq!((value(&flooded, "AFTER"), value(&of("after=3"), "AFTER").as_deref()), (None, Some("3")));
        assert_eq!(value(&of("flood=0"), "FLOOD").as_deref(), Some("0"), "the load is for the others");
    }

    #[test]
    fn samples_come_to_an_outcome() {
        let mut live = Live::default();
        let mut add = |metric: &str, value: u32, verdict: &str| {
            let row = format!("{metric},100000,{value},,,operation=debits&verdict={verdict},");
            live.add(&Sample::parse(&row).expect("a sample"));
        };
        (1..=100).for_each(|millis| add("response_time", millis, "right"));
        add("response_time", 300, "slow");
        add("response_time", 1, "inconsistent");
        add("dropped_iterations", 3, "");
        add("vus", 700, "");
        let outcome = outcome(&live);
        assert_eq!((outcome.requests, outcome.wrong, outcome.dropped), (102, 1, 3));
        assert!((49.0..=52.0).contains(&outcome.latency_ms.p50), "{outcome:?}");
        assert!((300.0..=301.0).contains(&outcome.latency_ms.max), "{outcome:?}");
    }
}
