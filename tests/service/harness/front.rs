//! NGINX in front of two instances, by one of the files in `nginx/`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::cluster::free_port;
use testbed::http::Endpoint;
use testbed::nginx::{Balancing, Nginx, Program};

use super::{Address, Connection, Database, Guiche, Launcher, Request, run_directory, until};

/// The files that look into requests.
pub(crate) const BY_REQUEST: [Balancing; 3] =
    [Balancing::LeastConn, Balancing::RoundRobin, Balancing::Affinity];

/// Two instances and NGINX, which reaches them as it does where they are shipped: at unix sockets.
pub(crate) struct Front {
    pub(crate) instances: [Guiche; 2],
    pub(crate) nginx: Nginx,
    pub(crate) address: Address,
}

impl Front {
    pub(crate) async fn start(balancing: Balancing, instances: [Guiche; 2]) -> Self {
        Self::start_edited(balancing, instances, |file| file).await
    }

    pub(crate) async fn on(balancing: Balancing, database: &Database) -> Self {
        Self::start(balancing, two_instances(database).await).await
    }

    /// With another text in the place of the file's.
    pub(crate) async fn start_edited(
        balancing: Balancing,
        instances: [Guiche; 2],
        edit: impl Fn(String) -> String,
    ) -> Self {
        let endpoints = instances.each_ref().map(|instance| endpoint(instance.address()));
        let (nginx, address) = start_nginx(balancing, [&endpoints[0], &endpoints[1]], edit).await;
        Self { instances, nginx, address: Address::Tcp(address) }
    }

    /// With another NGINX, which has another text in the place of its file's.
    pub(crate) async fn start_again(self, balancing: Balancing, edit: impl Fn(String) -> String) -> Self {
        Self::start_edited(balancing, self.instances, edit).await
    }

    /// Descriptors below `limit` that the worker has while nobody is connected.
    pub(crate) async fn idle_descriptors_below(&self, limit: usize) -> usize {
        let directory = format!("/proc/{}/fd", self.worker());
        let mut count = 0;
        until("nobody is connected", async || {
            let entries = std::fs::read_dir(&directory).expect("the worker runs").flatten();
            let low = entries.map(|entry| entry.path()).filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str()?.parse().ok())
                    .is_some_and(|number: usize| number < limit)
            });
            // What was closed since it was listed leads nowhere, and is not counted.
            let targets: Vec<_> = low.filter_map(|path| std::fs::read_link(path).ok()).collect();
            count = targets.len();
            // Its own sockets are where it listens and where it hears the master.
            targets.iter().filter(|target| target.to_string_lossy().starts_with("socket:")).count() <= 2
        })
        .await;
        count
    }

    pub(crate) async fn begin(&self, request: &Request) -> Connection {
        let mut connection = Connection::open(&self.address).await.expect("NGINX takes connections");
        connection.send(request).await.expect("NGINX takes the request");
        connection
    }

    /// Kills the instance that has a call in flight.
    pub(crate) async fn kill_the_busy_one(&mut self) {
        let busy = async |instance: &Guiche| instance.metric("guiche_pool_connections_in_use").await > 0;
        // Both are looked at before the other is asked in the place of the one that is killed.
        let busy = [busy(&self.instances[0]).await, busy(&self.instances[1]).await];
        assert!(busy[0] != busy[1], "one of them has the request: {busy:?}");
        self.instances[usize::from(busy[1])].kill().await;
    }

    /// Tells NGINX's worker to stand still, or to go on.
    pub(crate) fn signal_worker(&self, signal: Signal) {
        kill(Pid::from_raw(self.worker()), signal).expect("the worker runs");
    }

    /// The worker's process id.
    pub(crate) fn worker(&self) -> i32 {
        self.find_worker().expect("it has one worker")
    }

    pub(crate) fn find_worker(&self) -> Option<i32> {
        let workers = self.workers();
        (workers.len() == 1).then(|| workers[0])
    }

    /// The workers' process ids: after a reload there are those, too, that still serve somebody.
    pub(crate) fn workers(&self) -> Vec<i32> {
        let master = self.nginx.process.pid();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.expect("NGINX runs");
        children.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }

    /// What NGINX has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.nginx.process.log()).expect("its log is there")
    }

    pub(crate) async fn requests(&self) -> [u64; 2] {
        let count = async |instance: &Guiche| {
            instance
                .metrics()
                .await
                .with("guiche_http_request_duration_seconds_count", "route=\"transacoes\"")
        };
        [count(&self.instances[0]).await, count(&self.instances[1]).await]
    }
}

fn endpoint(address: &Address) -> Endpoint {
    match address {
        Address::Tcp(address) => Endpoint::Tcp(*address),
        Address::Unix(path) => Endpoint::Unix(path.clone()),
    }
}

pub(crate) async fn two_instances(database: &Database) -> [Guiche; 2] {
    let instance = || at_a_socket(Guiche::launcher(database)).start();
    tokio::join!(instance(), instance()).into()
}

pub(crate) fn at_a_socket(launcher: Launcher) -> Launcher {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let socket = run_directory().join(format!("front-{}.sock", NEXT.fetch_add(1, Ordering::Relaxed)));
    launcher.set("LISTEN", Address::Unix(socket))
}

/// Starts NGINX and waits until it answers. A port that was free a moment ago may be taken by now:
/// then another one is tried.
async fn start_nginx(
    balancing: Balancing,
    instances: [&Endpoint; 2],
    edit: impl Fn(String) -> String,
) -> (Nginx, SocketAddr) {
    let program = Program::find(balancing).expect("NGINX is installed");
    for _ in 0..5 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("a port is free")));
        let directory = run_directory().join(format!("{balancing}-{}", address.port()));
        let launch = program
            .launch(balancing, &directory, address.port(), &instances.map(Clone::clone))
            .expect("its file is there");
        let file = directory.join("nginx/nginx.conf");
        let text = std::fs::read_to_string(&file).expect("NGINX's file was written");
        std::fs::write(&file, edit(text)).expect("it can be written again");
        let nginx = Nginx::start(&launch, address.port()).expect("NGINX starts");
        let mut answers = false;
        until("NGINX answers or has ended", async || {
            answers = is_healthy(address).await;
            answers || nginx.process.exit_status().is_some()
        })
        .await;
        if answers {
            return (nginx, address);
        }
    }
    panic!("NGINX found no port");
}

async fn is_healthy(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(&Address::Tcp(address)).await else { return false };
    connection.ask(&Request::get("/healthz")).await.is_ok_and(|response| response.status == 200)
}
