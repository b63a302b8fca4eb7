//! The only wiring point: what is made, in which order, and how it ends.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_service::IntoServiceFactory;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::ACCEPT;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use settings::{Config, ConfigError, Profile, Shards};
use tokio::sync::{Notify, watch};

use crate::http::{self, Api, DoorOptions, KEEP_ALIVE, ReadinessProbe, by_the_door};
use crate::ledger::{BadDatabaseUrl, LedgerOptions, PgLedger};
use crate::listen::{CannotListen, Listener, Signpost, bind, bind_tcp};
use crate::mailbox::{GathererOptions, Ledger, MailboxOptions, Mailboxes};
use crate::observing::exposition::Format;
use crate::observing::metrics::Metrics;
use crate::observing::telemetry::Telemetry;
use crate::observing::{Observer, lag};
use crate::readiness::{self, WrongProfile};
use crate::signals::{self, StopRequests};

/// How long it goes on once it is told to end. Nobody new finds its unix socket any more; who has come to it
/// already is heard, and NGINX sends on connections that it kept without knowing that they are being closed.
/// Whoever is answered meanwhile is told that they will be.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// What the threads that serve are called in messages of the server.
const NAME: &str = "guiche";

/// How long the start waits for what is behind the mailboxes before it listens without it: once that is known to be
/// away, and where nothing is known.
const BACK_SOON: Duration = Duration::from_secs(1);
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// Why the instance did not start, or did not go on. Its text is one line for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database's address cannot be used.
    #[error(transparent)]
    DatabaseUrl(#[from] BadDatabaseUrl),
    /// The address to listen on cannot be had.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// The database was set up for the other profile.
    #[error(transparent)]
    Profile(#[from] WrongProfile),
    /// Serving failed.
    #[error("the server failed: {0}")]
    Serve(#[from] io::Error),
}

/// What stands behind a worker's mailboxes.
pub struct Backend {
    /// Where transactions are kept.
    pub ledger: Box<dyn Ledger>,
    /// What `/readyz` asks.
    pub readiness: ReadinessProbe,
}

/// Serves a bank in PostgreSQL until SIGTERM or SIGINT, see [`run_on`]. An instance that cannot reach the database
/// refuses transactions until that has answered and is of the right profile.
///
/// # Errors
/// [`StartError`].
pub async fn run(config: Config, metrics: &Metrics, telemetry: &Telemetry) -> Result<(), StartError> {
    if config.bounds.row_waits > 0 && config.row_waits_per_worker() == 0 {
        tracing::warn!(
            "no client can wait apart for a row that somebody else holds: POOL_SIZE leaves each of the workers no \
             connection for it beside those of its calls"
        );
    }
    let ledger_options = LedgerOptions::new(
        config.database_url.expose(),
        config.pool_size_per_worker(),
        config.deadlines.statement,
        config.deadlines.call,
        config.row_waits_per_worker() > 0,
        config.profile == Profile::Durable,
    )?;
    let ledger_options = if config.trace.is_some() { ledger_options.traced() } else { ledger_options };
    let ledger_options =
        if config.shards == Shards::Direct { ledger_options.direct() } else { ledger_options };
    let (profile, keys_kept, pool) = (config.profile, config.deadlines.keys_kept, metrics.pool.clone());
    let probe = PgLedger::new(&ledger_options, pool.clone());
    let away = Arc::new(Notify::new());
    let told = Arc::clone(&away);
    let ready = async move {
        readiness::wait_for_database(&probe, profile, &told).await?;
        probe.close();
        Ok(())
    };
    let backend = move |mailboxes: &Mailboxes| {
        let ledger = PgLedger::new(&ledger_options, pool.clone());
        let serving = mailboxes.clone();
        actix_rt::spawn(ledger.clone().remove_old_keys(keys_kept, move || serving.is_open()));
        actix_rt::spawn(ledger.clone().follow_clients());
        let readiness = readiness::probe(mailboxes.clone(), ledger.clone(), profile);
        Backend { ledger: Box::new(ledger), readiness }
    };
    run_on(config, metrics, telemetry, backend, ready, away.notified()).await
}

/// Serves what is behind the mailboxes until SIGTERM or SIGINT, then drains and returns. For `LAME_DUCK_MS` it goes on,
/// and only says that it is not ready any more. `backend` makes each worker's own; transactions are taken from when
/// `ready` is over.
///
/// Where that is soon, listens only then: whoever balances load hands requests over as soon as somebody listens, and
/// an instance that comes back refuses none. Else, a second after `away` says so or once nobody has said anything for
/// long, listens before, so that health can be asked for.
///
/// # Errors
/// [`StartError`].
pub async fn run_on(
    config: Config,
    metrics: &Metrics,
    telemetry: &Telemetry,
    backend: impl Fn(&Mailboxes) -> Backend + Clone + Send + 'static,
    ready: impl Future<Output = Result<(), StartError>>,
    away: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let mut stop_requests = StopRequests::listen()?;
    actix_rt::spawn(signals::obey(telemetry)?);
    let observer = Observer::new(metrics, telemetry);
    let mailboxes = Mailboxes::new(mailbox_options(&config), observer.clone());
    let mut ready = pin!(ready);
    let stays_away = async {
        away.await;
        tokio::time::sleep(BACK_SOON).await;
    };
    tokio::select! {
        is_ready = &mut ready => {
            is_ready?;
            mailboxes.open();
        }
        () = stays_away => {}
        () = tokio::time::sleep(FIRST_ANSWER) => {}
    }
    let metrics_server = config.metrics_listen.map(|address| serve_metrics(address, metrics)).transpose()?;
    let ending = Arc::<AtomicBool>::default();
    let (last_call, heard) = watch::channel(false);
    let (server, signpost) = serve(&config, &mailboxes, backend, metrics, &observer, &ending, heard)?;
    let handle = server.handle();
    let stop = async {
        stop_requests.next().await;
        ending.store(true, Ordering::Relaxed);
        if !config.deadlines.lame_duck.is_zero() {
            tracing::info!(millis = config.deadlines.lame_duck.as_millis() as u64, "not ready any more");
            let _ = tokio::time::timeout(config.deadlines.lame_duck, stop_requests.next()).await;
        }
        tracing::info!("draining");
        signpost.take_down();
        tokio::time::sleep(LAST_CALLS).await;
        // A worker that is told to stop does so by itself, although its actors may have what another's callers wait for.
        handle.pause().await;
        signpost.close();
        last_call.send_replace(true);
        let drain = config.deadlines.drain.saturating_sub(LAST_CALLS);
        until(drain, || {
            metrics.http.connections.get() + metrics.mailbox.requests.get() + calls_out(metrics) == 0
        })
        .await;
        handle.stop(true).await;
        Ok::<_, StartError>(())
    };
    let work = async {
        if !mailboxes.is_open() {
            ready.await?;
            mailboxes.open();
        }
        tracing::info!(mode = config.mode.name(), profile = %config.profile, workers = config.workers, "ready");
        std::future::pending::<Result<(), StartError>>().await
    };
    let metrics_handle = metrics_server.as_ref().map(Server::handle);
    if let Some(server) = metrics_server {
        actix_rt::spawn(server);
    }
    let result = tokio::select! {
        served = server => served.map_err(StartError::from),
        // The server ends once it has drained; both branches are then done.
        stopped = stop => stopped,
        failed = work => failed,
    };
    stop_quietly(&handle, metrics_handle).await;
    given_up_calls_are_told(metrics).await;
    tracing::info!("stopped");
    result
}

async fn stop_quietly(server: &ServerHandle, metrics: Option<ServerHandle>) {
    // Stopping one that has stopped already is harmless.
    server.stop(false).await;
    if let Some(metrics) = metrics {
        metrics.stop(false).await;
    }
}

/// Waits, not for long, until the threads that served have let go of their calls, and told of those whose outcome is
/// not known: the process must not end before.
async fn given_up_calls_are_told(metrics: &Metrics) {
    until(Duration::from_secs(1), || calls_out(metrics) == 0).await;
}

/// Calls of the database that are out.
fn calls_out(metrics: &Metrics) -> i64 {
    metrics.mailbox.calls.get() + metrics.mailbox.row_waits.get()
}

/// Waits until it is `so`, at most `patience`.
async fn until(patience: Duration, so: impl Fn() -> bool) {
    let looks = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // After that it goes on all the same.
    let _ = tokio::time::timeout(patience, looks).await;
}

fn mailbox_options(config: &Config) -> MailboxOptions {
    MailboxOptions {
        mode: config.mode,
        queue_per_client: config.bounds.queue_per_client,
        live_actors: config.bounds.live_actors,
        requests_in_flight: config.bounds.requests_in_flight,
        answer_deadline: config.deadlines.answer,
        passivate_after: config.deadlines.passivate_after,
    }
}

fn gatherer_options(config: &Config) -> GathererOptions {
    GathererOptions {
        mode: config.mode,
        clients_per_call: config.bounds.clients_per_call,
        batch_max: config.bounds.batch_max,
        calls_in_flight: config.bounds.calls_in_flight,
        overlap_calls: config.bounds.overlap_calls,
        overlap_below: config.bounds.overlap_below,
        row_waits: config.row_waits_per_worker(),
    }
}

/// Starts serving; each worker makes its own backend and its own part of the mailboxes.
fn serve(
    config: &Config,
    mailboxes: &Mailboxes,
    backend: impl Fn(&Mailboxes) -> Backend + Clone + Send + 'static,
    metrics: &Metrics,
    observer: &Observer,
    ending: &Arc<AtomicBool>,
    last_call: watch::Receiver<bool>,
) -> Result<(Server, Signpost), StartError> {
    let gatherer = gatherer_options(config);
    let body_limit_bytes = config.bounds.body_limit_bytes;
    let connections = config.connections_per_worker();
    let door = DoorOptions {
        request_deadline: config.deadlines.read,
        idle_deadline: KEEP_ALIVE + config.deadlines.read,
        give_way_at: connections - connections.div_ceil(16),
        bodies_awaited: (config.bounds.bodies_awaited / config.workers).max(1),
    };
    let server_timing = config.server_timing;
    let (mailboxes, observer, ending) = (mailboxes.clone(), observer.clone(), Arc::clone(ending));
    let (threads, open) = (metrics.threads.clone(), metrics.http.connections.clone());
    let app = move || {
        actix_rt::spawn(lag::watch(threads.clone()));
        let Backend { ledger, readiness } = backend(&mailboxes);
        mailboxes.serve_here(gatherer, ledger);
        let api = Api {
            mailboxes: mailboxes.clone(),
            readiness,
            body_limit_bytes,
            server_timing,
            observer: observer.clone(),
            ending: Arc::clone(&ending),
        };
        App::new().app_data(web::Data::new(api)).configure(http::routes)
    };
    let server = Server::build()
        .workers(config.workers)
        .worker_max_blocking_threads(1)
        .shutdown_timeout(1)
        .max_concurrent_connections(connections)
        .disable_signals();
    let draining = move || {
        let mut last_call = last_call.clone();
        // Who says it is there for longer than anybody listens.
        async move { _ = last_call.wait_for(|has_come| *has_come).await }
    };
    let listener = bind(&config.listen)?;
    let signpost = Signpost::to(&config.listen, &listener)?;
    let server = match listener {
        Listener::Tcp(listener) => server.listen(NAME, listener, move || {
            by_the_door(app().into_factory(), door, open.clone(), draining.clone())
        })?,
        Listener::Unix(listener) => server.listen_uds(NAME, listener, move || {
            by_the_door(app().into_factory(), door, open.clone(), draining.clone())
        })?,
    };
    Ok((server.run(), signpost))
}

/// Serves `/metrics` alone, on a thread of its own.
fn serve_metrics(address: std::net::SocketAddr, metrics: &Metrics) -> Result<Server, StartError> {
    let metrics = metrics.clone();
    let listener = bind_tcp(address)?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let server = HttpServer::new(move || {
        let metrics = metrics.clone();
        let handler = move |request: HttpRequest| {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = accept.map_or(Format::Text, Format::preferred);
            let encoded = metrics.encode_as(format);
            async move { HttpResponse::Ok().content_type(format.media_type()).body(encoded) }
        };
        App::new().route("/metrics", web::get().to(handler))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
