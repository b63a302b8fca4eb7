//! The database alone: two sessions send it batches as the instances do, each as soon as the last is committed. What
//! a transaction costs it then is the least that it can cost in the service.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::cluster::connect;
use tokio_postgres::types::ToSql;

use super::result::Run;
use super::setup::Setup;
use crate::latency::{Latency, quantile};

/// One for each instance, which has one call in flight.
const SESSIONS: u64 = 2;

const BATCH: &str = "SELECT * FROM public.InsertTransacoesEmLote($1, $2, $3, $4, $5)";

/// Sends batches of `size` to `database` for a while, each with clients and kinds drawn as for wrk. Returns how many
/// transactions were applied or refused for their limit, and what a batch took.
///
/// # Errors
/// When the database does not take one.
pub(super) async fn play(
    database: &str,
    setup: &Setup,
    size: u32,
    duration: Duration,
    seed: u32,
) -> Result<Run> {
    let until = Instant::now() + duration;
    let (first, second) = tokio::try_join!(
        session(database, setup, size, until, SESSIONS * u64::from(seed)),
        session(database, setup, size, until, SESSIONS * u64::from(seed) + 1),
    )?;
    let mut took_ms = [first, second].concat();
    took_ms.sort_by(f64::total_cmp);
    Ok(Run {
        seconds: duration.as_secs_f64(),
        requests: took_ms.len() as u64 * u64::from(size),
        latency_ms: Latency::of(|share| quantile(&took_ms, share)),
        ..Run::default()
    })
}

/// Returns how many milliseconds each of a session's batches took.
async fn session(database: &str, setup: &Setup, size: u32, until: Instant, seed: u64) -> Result<Vec<f64>> {
    let session = connect(database).await?;
    let batch = session.prepare(BATCH).await.context("the stored functions are not there")?;
    let ordinals: Vec<i32> = (1..).take(size as usize).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let [debits, credits, _] = setup.mix.parts();
    let mut took_ms = Vec::new();
    while Instant::now() < until {
        let clients: Vec<i32> = ordinals.iter().map(|_| random.i32(1..=setup.clients as i32)).collect();
        let amounts: Vec<i64> = ordinals.iter().map(|_| random.i64(1..=10_000)).collect();
        let kind = |is_debit| if is_debit { b'd' } else { b'c' } as i8;
        let kinds: Vec<i8> =
            ordinals.iter().map(|_| kind(random.u32(0..debits + credits) < debits)).collect();
        let descriptions: Vec<String> =
            ordinals.iter().map(|_| (0..10).map(|_| random.alphanumeric()).collect()).collect();
        let params: [&(dyn ToSql + Sync); 5] = [&clients, &ordinals, &amounts, &kinds, &descriptions];
        let begin = Instant::now();
        session.query(&batch, &params).await.context("a batch was not taken")?;
        took_ms.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took_ms)
}
