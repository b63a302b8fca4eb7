//! A crowd in front of a stack within the contest's limits: no part is killed for its memory, and
//! when the crowd has gone everybody is served. Another crowd, and in containers (`GUICHE_IMAGE` names an
//! image that is there already):
//! `CROWD=20000 CROWD_SECONDS=4 STACK=docker cargo test --package testbed --test crowd -- --nocapture`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use testbed::nginx::Balancing;
use testbed::running::{Running, Topology};
use testbed::split::Service;
use testbed::stack::StackOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Callers at once, more than have a descriptor each; how long they come, in seconds; and what the services
/// run in.
const CROWD: (&str, &str) = ("CROWD", "1500");
const SECONDS: (&str, &str) = ("CROWD_SECONDS", "1.5");
const STACK: (&str, &str) = ("STACK", "native");

/// Whoever has not sent a request so long after asking for a connection was kept from it by a busy machine, and
/// NGINX may give up on them.
const SENT: Duration = Duration::from_secs(1);

/// How many the kernel's queue takes, see `nginx/*.conf`: who comes on top of these is reset by it.
const QUEUE: usize = 4_096;

/// What follows a transaction's path.
const REST: &str = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 42\r\n\r\n\
                    {\"valor\":1,\"tipo\":\"c\",\"descricao\":\"crowd\"}";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    /// The connection ended without one.
    None,
    /// A request that was sent so late that nobody may have waited for it.
    Late,
}

fn setting<T: std::str::FromStr>((name, default): (&str, &str)) -> T {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

#[tokio::test]
async fn a_crowd_kills_no_part_and_locks_nobody_out() {
    let topology = Topology::from_str(&setting::<String>(STACK), true).expect("STACK");
    for balancing in [Balancing::LeastConn, Balancing::RoundRobin, Balancing::Affinity, Balancing::Layer4] {
        let port = testbed::cluster::free_port().expect("a port is free");
        let options = StackOptions { balancing, envelope: true, port, ..StackOptions::default() };
        let stack = Running::start(topology, options, &|_: &str| {}).await.expect("the stack starts");
        if !stack.is_limited() {
            eprintln!("left out, because limits cannot be enforced here");
            return;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (served, refused) = (&AtomicU64::new(0), &AtomicU64::new(0));
        let (unanswered, late) = (&AtomicU64::new(0), &AtomicU64::new(0));
        let end = Instant::now() + Duration::from_secs_f64(setting(SECONDS));
        let crowd: usize = setting(CROWD);
        let callers = (0..crowd).map(|number| async move {
            while Instant::now() < end {
                match ask(address, number % 5 + 1).await {
                    Answer::Status(200) => served.fetch_add(1, Ordering::Relaxed),
                    Answer::Status(503) => refused.fetch_add(1, Ordering::Relaxed),
                    // NGINX has connected, and was too busy to pass on what it was sent.
                    Answer::Status(408) if balancing == Balancing::Layer4 => {
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                    Answer::Status(status) => panic!("{balancing}: {status}"),
                    Answer::None => unanswered.fetch_add(1, Ordering::Relaxed),
                    Answer::Late => late.fetch_add(1, Ordering::Relaxed),
                };
            }
        });
        futures_util::future::join_all(callers).await;
        let [served, refused, unanswered, late] =
            [served, refused, unanswered, late].map(|count| count.load(Ordering::Relaxed));
        let parts = peaks(&stack).await;
        eprintln!(
            "{balancing}: {served} served, {refused} refused, {unanswered} without an answer, {late} sent late; \
             at most {parts}"
        );
        // At layer 4 that depends on who starts NGINX, see its file.
        let answered = balancing == Balancing::Layer4 || crowd > QUEUE || 100 * unanswered <= served;
        assert!(served > 500 && answered, "{balancing}: {served} served, {unanswered} without an answer");
        for service in stack.usage() {
            let name = service.service.name();
            assert_eq!(service.used.oom_kills, 0, "{balancing}: {name} was killed for its memory");
        }
        assert_eq!(ask(address, 1).await, Answer::Status(200), "{balancing}: nobody else is there");
        stack.stop().await.expect("it stops");
    }
}

/// What an attacker sends of a head, and then nothing more.
const BEGINNING: &[u8] = b"POST /clientes/1/transacoes HTTP/1.1\r\nHost: gui";

/// Attackers who begin a head, wait until they are cut, and come back at once; and for how many seconds.
const ATTACKERS: (&str, &str) = ("ATTACKERS", "500");
const ATTACK_SECONDS: (&str, &str) = ("ATTACK_SECONDS", "6");

/// After so long those who came first have been cut, and have come back.
const ROUND: Duration = Duration::from_secs(3);

/// What honest callers send meanwhile, each on a connection of its own, and when an answer is good.
const HONEST_PER_S: u32 = 500;
const GOOD: Duration = Duration::from_millis(250);

/// Says what is left for honest callers while slow heads keep coming. It measures, so nobody else is to be at work:
/// `ATTACKERS=2000 cargo test --package testbed --test crowd -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_slow_heads_leave_to_others() {
    for balancing in [Balancing::LeastConn, Balancing::Layer4] {
        let port = testbed::cluster::free_port().expect("a port is free");
        let options = StackOptions { balancing, envelope: true, port, ..StackOptions::default() };
        let native = Topology::from_str("native", true).expect("it is known");
        let stack = Running::start(native, options, &|_: &str| {}).await.expect("the stack starts");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let answers = tokio::task::LocalSet::new().run_until(honest_among_slow_heads(address)).await;
        let good = answers.iter().filter(|(right, took)| *right && *took <= GOOD).count();
        let mut times: Vec<Duration> = answers.iter().map(|(_, took)| *took).collect();
        times.sort();
        eprintln!(
            "{balancing}: {:.2} % of {} right within {GOOD:?}, half of all within {:?}; at most {}",
            100.0 * good as f64 / answers.len() as f64,
            answers.len(),
            times[times.len() / 2],
            peaks(&stack).await
        );
        for service in stack.usage() {
            let name = service.service.name();
            assert_eq!(service.used.oom_kills, 0, "{balancing}: {name} was killed for its memory");
        }
        stack.stop().await.expect("it stops");
    }
}

/// Returns which honest requests were answered right, and how long each took.
async fn honest_among_slow_heads(address: SocketAddr) -> Vec<(bool, Duration)> {
    let seconds: u32 = setting(ATTACK_SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds.into()) + ROUND;
    for _ in 0..setting::<u32>(ATTACKERS) {
        tokio::task::spawn_local(async move {
            while Instant::now() < end {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    let _ = stream.write_all(BEGINNING).await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            }
        });
    }
    tokio::time::sleep(ROUND).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / HONEST_PER_S);
    let mut honest = tokio::task::JoinSet::new();
    for number in 0..seconds * HONEST_PER_S {
        ticks.tick().await;
        honest.spawn_local(async move {
            let begun = Instant::now();
            let answer = tokio::time::timeout(4 * GOOD, ask(address, number as usize % 5 + 1)).await;
            (answer == Ok(Answer::Status(200)), begun.elapsed())
        });
    }
    honest.join_all().await
}

/// Returns the most memory that each part had, in MB, and fails for a container that was started again.
async fn peaks(stack: &Running) -> String {
    if let Running::Docker(stack) = stack {
        for service in Service::ALL {
            let state = stack.state(service).await.expect("the engine answers");
            assert!(state.running && state.restarts == 0, "{} ended: {state:?}", service.name());
        }
    }
    let usage = stack.usage();
    let part = |one: &testbed::usage::ServiceUsage| {
        format!("{} {:.1} MB", one.service.name(), one.used.peak_bytes as f64 / f64::from(1 << 20))
    };
    usage.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Sends a transaction on a connection of its own.
async fn ask(address: SocketAddr, client: usize) -> Answer {
    let (begun, mut sent) = (Instant::now(), None);
    let mut exchange = async || -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("POST /clientes/{client}/transacoes{REST}").as_bytes()).await?;
        sent = Some(begun.elapsed());
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        let status = std::str::from_utf8(&head[9..]).ok().and_then(|status| status.parse().ok());
        status.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    };
    let answer = exchange().await;
    match (answer, sent) {
        (Ok(408) | Err(_), Some(took)) if took > SENT => Answer::Late,
        (Ok(status), _) => Answer::Status(status),
        (Err(_), _) => Answer::None,
    }
}
