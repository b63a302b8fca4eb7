//! What is done to a link between two parts: each harm to each link.

use std::time::Duration;

use anyhow::{Context, Result};
use strum::IntoEnumIterator;
use testbed::{Flow, Proxy};
use tokio::time::sleep;

use super::site::Site;
use super::{Disaster, PAUSE, TOO_LONG};

/// How often a link is cut or reset, and how far apart at most.
const TIMES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(100);

/// So many bytes pass before a reset, at most: several messages.
const BEFORE_RESET: usize = 2_000;

/// What every byte is later, each way.
const LATE: Flow = Flow::Delayed { by: Duration::from_millis(50), jitter: Duration::from_millis(100) };

/// A message takes some 50 ms.
const SLOW: Flow = Flow::Throttled { bytes_per_s: 10_000 };

/// A link between two parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Link {
    /// Between an instance and PostgreSQL.
    #[default]
    InstanceDatabase,
    /// Between NGINX and an instance.
    NginxInstance,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Harm {
    /// Its connections are closed and new ones refused for a moment, twenty times.
    #[default]
    Cut,
    /// Its connections are reset in the middle of a message, twenty times.
    Reset,
    /// Every byte is up to 150 ms later for three seconds.
    Delay,
    /// 10 kB a second are all that passes on a connection, for three seconds.
    Throttle,
    /// Nothing passes one way, or neither, for longer than a call may take; then all that waited arrives.
    Partition,
}

/// Returns each harm to each link.
pub(super) fn all() -> impl Iterator<Item = Disaster> {
    Link::iter().flat_map(|link| Harm::iter().map(move |harm| Disaster::Link(harm, link)))
}

/// Harms the link of one of the instances, and heals it.
pub(super) async fn strike(
    site: &Site<'_>,
    (harm, link): (Harm, Link),
    victim: usize,
    random: &mut fastrand::Rng,
) -> Result<()> {
    let links = match link {
        Link::InstanceDatabase => &site.to_database,
        Link::NginxInstance => &site.to_instances,
    };
    let mut proxy = links.get(victim).context("the stack was started without proxies")?.lock().await;
    match harm {
        Harm::Cut => {
            for _ in 0..TIMES {
                proxy.go_down().await;
                sleep(BETWEEN.mul_f64(random.f64())).await;
                proxy.come_up()?;
                sleep(BETWEEN.mul_f64(random.f64())).await;
            }
        }
        Harm::Reset => {
            for _ in 0..TIMES {
                let reset = Flow::ResetAfter { bytes: random.usize(..BEFORE_RESET) };
                let one = if random.bool() { Proxy::questions } else { Proxy::answers };
                one(&proxy, reset);
                sleep(BETWEEN).await;
                one(&proxy, Flow::Free);
            }
        }
        Harm::Delay => both(&proxy, LATE, PAUSE).await,
        Harm::Throttle => both(&proxy, SLOW, PAUSE).await,
        Harm::Partition => match random.usize(..3) {
            0 => both(&proxy, Flow::Stalled, TOO_LONG).await,
            1 => one_way(&proxy, Proxy::questions).await,
            _ => one_way(&proxy, Proxy::answers).await,
        },
    }
    Ok(())
}

async fn both(proxy: &Proxy, flow: Flow, long: Duration) {
    proxy.questions(flow);
    proxy.answers(flow);
    sleep(long).await;
    proxy.questions(Flow::Free);
    proxy.answers(Flow::Free);
}

async fn one_way(proxy: &Proxy, way: fn(&Proxy, Flow)) {
    way(proxy, Flow::Stalled);
    sleep(TOO_LONG).await;
    way(proxy, Flow::Free);
}
