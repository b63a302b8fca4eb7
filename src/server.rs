//! The only wiring point: what is made, in which order, and how it ends.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::signal::unix::{SignalKind, signal};

use crate::http::{self, Api, Readiness};
use crate::ledger::{BadDatabaseUrl, DatabaseState, Durability, LedgerOptions, PgLedger};
use crate::mailbox::{MailboxOptions, Mailboxes, ShardOptions};
use crate::metrics::Metrics;
use settings::{Config, ConfigError, Listen, Mode, Profile};

/// How long an idle connection is kept. Longer than NGINX keeps its own (60 s): a POST on a
/// connection that was just closed would be a 502.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Connections that the kernel holds while the instance is busy.
const BACKLOG: i32 = 4_096;

/// How long the start waits for the database before it listens without it.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// How long a readiness probe waits for the database.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

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
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The database was set up for the other profile.
    #[error("PROFILE is {wanted}, but the database {found}; {remedy}")]
    Profile {
        /// The configured profile.
        wanted: Profile,
        /// What the database is.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Serving failed.
    #[error("the server failed: {0}")]
    Serve(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains and returns.
///
/// Where the database answers at once, listens only then: whoever balances load
/// hands requests over as soon as somebody listens, and an instance that comes back refuses none.
/// Else listens without it, so that health can be asked for; transactions are refused until the
/// database has answered and is of the right profile.
///
/// # Errors
/// [`StartError`].
pub async fn run(config: Config) -> Result<(), StartError> {
    let stop_requested = stop_requests()?;
    let metrics = Metrics::new(&config.instance);
    let ledger_options = LedgerOptions::new(
        config.database_url.expose(),
        config.pool_size_per_worker(),
        config.deadlines.statement,
        config.deadlines.call,
    )?;
    let mailboxes = Mailboxes::new(mailbox_options(&config), metrics.mailbox.clone());
    let probe = PgLedger::new(&ledger_options, metrics.pool.clone());
    if let Ok(Ok(state)) = tokio::time::timeout(FIRST_ANSWER, probe.state()).await {
        check_profile(&state, config.profile)?;
        mailboxes.open();
    }
    let metrics_server = config.metrics_listen.map(|address| serve_metrics(address, &metrics)).transpose()?;
    let server = serve(&config, &mailboxes, &ledger_options, &metrics)?;
    let handle = server.handle();
    let stop = async {
        stop_requested.await;
        tracing::info!("draining");
        handle.stop(true).await;
        Ok::<_, StartError>(())
    };
    let work = async {
        if !mailboxes.is_open() {
            wait_for_database(&probe, config.profile).await?;
            mailboxes.open();
        }
        tracing::info!(mode = ?config.mode, profile = %config.profile, workers = config.workers, "ready");
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

fn mailbox_options(config: &Config) -> MailboxOptions {
    MailboxOptions {
        direct: config.mode == Mode::Direct,
        queue_per_client: config.bounds.queue_per_client,
        live_actors: config.bounds.live_actors,
        requests_in_flight: config.bounds.requests_in_flight,
        answer_deadline: config.deadlines.answer,
        passivate_after: config.deadlines.passivate_after,
    }
}

fn shard_options(config: &Config) -> ShardOptions {
    ShardOptions {
        clients_per_call: config.bounds.clients_per_call,
        batch_max: config.bounds.batch_max,
        calls_in_flight: config.bounds.calls_in_flight,
        overlap_calls: config.bounds.overlap_calls,
        overlap_below: config.bounds.overlap_below,
        alone: config.mode == Mode::Serial,
    }
}

/// Starts serving; each worker makes its own connections and its own part of the mailboxes.
fn serve(
    config: &Config,
    mailboxes: &Mailboxes,
    ledger_options: &LedgerOptions,
    metrics: &Metrics,
) -> Result<Server, StartError> {
    let shard = shard_options(config);
    let (body_limit_bytes, read_timeout) = (config.bounds.body_limit_bytes, config.deadlines.read);
    let (server_timing, profile) = (config.server_timing, config.profile);
    let (mailboxes, ledger_options, metrics) = (mailboxes.clone(), ledger_options.clone(), metrics.clone());
    let server = HttpServer::new(move || {
        let ledger = PgLedger::new(&ledger_options, metrics.pool.clone());
        mailboxes.install_shard(shard, Box::new(ledger.clone()));
        let api = Api {
            mailboxes: mailboxes.clone(),
            readiness: probe(mailboxes.clone(), ledger, profile),
            body_limit_bytes,
            read_timeout,
            server_timing,
            metrics: metrics.http.clone(),
        };
        App::new().app_data(web::Data::new(api)).configure(http::routes)
    })
    .workers(config.workers)
    .worker_max_blocking_threads(1)
    .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
    .client_request_timeout(config.deadlines.read)
    .shutdown_timeout(config.deadlines.drain.as_secs().max(1))
    // A caller that closes its connection has gone: what it asked for is not to be sent any more.
    .h1_allow_half_closed(false)
    .max_connections((config.bounds.connections / config.workers).max(1))
    .disable_signals();
    let server = match bind(&config.listen)? {
        Listener::Tcp(listener) => server.listen(listener)?,
        Listener::Unix(listener) => server.listen_uds(listener)?,
    };
    Ok(server.run())
}

/// A socket that is bound and listens.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn bind(address: &Listen) -> Result<Listener, StartError> {
    let (listener, shown) = match address {
        Listen::Tcp(address) => (bind_tcp(*address).map(Listener::Tcp), address.to_string()),
        Listen::Unix(path) => (bind_unix(path).map(Listener::Unix), format!("unix:{}", path.display())),
    };
    let listener = listener.map_err(|cause| StartError::Listen { address: shown.clone(), cause })?;
    let shown = match &listener {
        Listener::Tcp(listener) => listener.local_addr()?.to_string(),
        Listener::Unix(_) => shown,
    };
    tracing::info!(address = shown, "listening");
    Ok(listener)
}

/// Serves `/metrics` alone, on a thread of its own.
fn serve_metrics(address: std::net::SocketAddr, metrics: &Metrics) -> Result<Server, StartError> {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let metrics = metrics.clone();
    let listener =
        bind_tcp(address).map_err(|cause| StartError::Listen { address: address.to_string(), cause })?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let server = HttpServer::new(move || {
        let metrics = metrics.clone();
        let handler = move || {
            let text = metrics.encode();
            async move { HttpResponse::Ok().content_type(OPEN_METRICS).body(text) }
        };
        App::new().route("/metrics", web::get().to(handler))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a unix socket that NGINX, as another user, may connect to. A socket that a killed
/// instance left behind is replaced; one that somebody serves is not.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a socket"));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
        }
        std::fs::remove_file(path)?;
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(socket.into())
}

/// Takes notice of SIGTERM and SIGINT from now on; what it returns is done when one has come.
fn stop_requests() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Asks the database what it is until it answers, ever more slowly, and checks the answer.
async fn wait_for_database(ledger: &PgLedger, profile: Profile) -> Result<(), StartError> {
    const LONGEST: Duration = Duration::from_secs(2);
    let mut pause = Duration::from_millis(50);
    loop {
        match ledger.state().await {
            Ok(state) => return check_profile(&state, profile),
            Err(error) => {
                tracing::warn!(%error, retry_ms = pause.as_millis() as u64, "waiting for the database")
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

fn check_profile(state: &DatabaseState, wanted: Profile) -> Result<(), StartError> {
    let refuse = |found: &str, remedy| Err(StartError::Profile { wanted, found: found.to_owned(), remedy });
    match (wanted, &state.durability) {
        (Profile::Durable, Durability::Durable) | (Profile::Contest, Durability::Unlogged) => Ok(()),
        (Profile::Durable, Durability::Unlogged) => refuse(
            "was set up for contest (its tables are UNLOGGED)",
            "set PROFILE=contest, or start on a data directory of the durable profile",
        ),
        (Profile::Durable, Durability::Weakened(settings)) => {
            refuse(&format!("server runs with {settings}"), "start the server with sql/settings/durable.conf")
        }
        (Profile::Contest, _) => refuse(
            "was set up for durable (its tables are logged)",
            "set PROFILE=durable, or start on a data directory of the contest profile",
        ),
    }
}

fn probe(mailboxes: Mailboxes, ledger: PgLedger, profile: Profile) -> http::ReadinessProbe {
    Box::new(move || {
        let (mailboxes, ledger) = (mailboxes.clone(), ledger.clone());
        Box::pin(async move { readiness(&mailboxes, &ledger, profile).await })
    })
}

async fn readiness(mailboxes: &Mailboxes, ledger: &PgLedger, profile: Profile) -> Readiness {
    if !mailboxes.is_open() {
        return Readiness::NotReady("starting: the database has not answered yet");
    }
    let state = match tokio::time::timeout(PROBE_DEADLINE, ledger.state()).await {
        Ok(Ok(state)) => state,
        Ok(Err(_)) | Err(_) => return Readiness::NotReady("the database does not answer"),
    };
    if check_profile(&state, profile).is_err() {
        return Readiness::NotReady("the database is of another profile");
    }
    if !state.has_clients {
        return Readiness::NotReady("the data was lost: the database has no clients; set it up again");
    }
    Readiness::Ready
}
