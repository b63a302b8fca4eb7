//! A crowd in front of a stack within the contest's limits: no part is killed for its memory, and
//! when the crowd has gone everybody is served. With another crowd:
//! `CROWD=20000 CROWD_SECONDS=4 cargo test --package testbed --test crowd -- --nocapture`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testbed::nginx::Balancing;
use testbed::stack::Limits;
use testbed::{Stack, StackOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Callers at once, more than have a descriptor each; and how long they come, in seconds.
const CROWD: (&str, f64) = ("CROWD", 1_500.0);
const SECONDS: (&str, f64) = ("CROWD_SECONDS", 1.5);

fn number((name, default): (&str, f64)) -> f64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// What follows a transaction's path.
const REST: &str = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 42\r\n\r\n\
                    {\"valor\":1,\"tipo\":\"c\",\"descricao\":\"crowd\"}";

#[tokio::test]
async fn a_crowd_kills_no_part_and_locks_nobody_out() {
    for balancing in [Balancing::LeastConn, Balancing::RoundRobin, Balancing::Affinity, Balancing::Layer4] {
        let options = StackOptions { balancing, envelope: true, port: 0, ..StackOptions::default() };
        let stack = Stack::start(options, &|_: &str| {}).await.expect("the stack starts");
        if let Limits::NotPermitted(why) = stack.limits {
            eprintln!("left out, because there are no limits here: {why}");
            return;
        }
        let address = stack.nginx.address;
        let (served, refused, unanswered) = (&AtomicU64::new(0), &AtomicU64::new(0), &AtomicU64::new(0));
        let end = Instant::now() + Duration::from_secs_f64(number(SECONDS));
        let callers = (0..number(CROWD) as usize).map(|number| async move {
            while Instant::now() < end {
                match ask(address, number % 5 + 1).await {
                    Some(200) => served.fetch_add(1, Ordering::Relaxed),
                    Some(503) => refused.fetch_add(1, Ordering::Relaxed),
                    Some(status) => panic!("{balancing}: {status}"),
                    None => unanswered.fetch_add(1, Ordering::Relaxed),
                };
            }
        });
        futures_util::future::join_all(callers).await;
        let (served, unanswered) = (served.load(Ordering::Relaxed), unanswered.load(Ordering::Relaxed));
        // At layer 4 that depends on who starts NGINX, see its file. Elsewhere NGINX gives up only on callers
        // who say nothing for a second, as a busy machine may make one.
        let answered = balancing == Balancing::Layer4 || 100 * unanswered <= served;
        assert!(served > 500 && answered, "{balancing}: {served} served, {unanswered} without an answer");
        let refused = refused.load(Ordering::Relaxed);
        eprintln!("{balancing}: {served} served, {refused} refused, {unanswered} without an answer");
        for service in stack.usage() {
            assert_eq!(
                service.used.oom_kills,
                0,
                "{balancing}: {} was killed for its memory",
                service.service.name()
            );
        }
        assert_eq!(ask(address, 1).await, Some(200), "{balancing}: nobody else is there");
        stack.stop().await.expect("it stops");
    }
}

/// Sends a transaction on a connection of its own; the answer's status, `None` without an answer.
async fn ask(address: std::net::SocketAddr, client: usize) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("POST /clientes/{client}/transacoes{REST}").as_bytes()).await.ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}
