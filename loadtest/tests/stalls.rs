//! Stalls that are provoked on a real stack, and must be found with their cause.

use std::cell::RefCell;
use std::time::Duration;

use loadtest::measure::witness;
use loadtest::stalls::watch::{Watch, now_s};
use loadtest::stalls::{Answer, Cause, Stalls, find};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::stack::{Limits, Stack, StackOptions};
use testbed::{ClusterOptions, Split};

/// How long what stands still does so.
const STANDSTILL: Duration = Duration::from_millis(300);

async fn stack() -> Stack {
    let options =
        StackOptions { port: 0, envelope: true, pg: ClusterOptions::default(), ..StackOptions::default() };
    Stack::start(options, &|_| ()).await.expect("it starts")
}

/// One after the other, so that one answer at a time is slow: a few before something happens, and until it is over.
async fn calls(endpoint: &Endpoint, count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let start_s = now_s();
        let body = r#"{"valor": 1, "tipo": "c", "descricao": "x"}"#;
        let answer = endpoint.post("/clientes/1/transacoes", body).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answers.push(Answer { start_s, end_s: now_s(), spent: None });
    }
    answers
}

/// Has a witness ask around a standstill, and says what came of it.
async fn witnessed(stack: &Stack, standstill: impl Future<Output = ()>) -> Stalls {
    let endpoint = Endpoint::Tcp(stack.nginx.address);
    let watch = Watch::start(Some(stack.admin_url()), stack.envelope.as_ref());
    let (begin_s, answers) = (now_s(), RefCell::<Vec<Answer>>::default());
    let further = async |count| {
        let goal = answers.borrow().len() + count;
        while answers.borrow().len() < goal {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let played = async {
        further(10).await;
        standstill.await;
        further(2).await;
    };
    tokio::select! {
        () = played => {}
        never = witness::ask(&endpoint, 1, |answer, _| answers.borrow_mut().push(answer)) => never,
    }
    find(&answers.take(), 1.0, &watch.stop(), begin_s)
}

/// Plays around a standstill and says what came of it.
async fn seen(stack: &Stack, standstill: impl Future<Output = ()>) -> Stalls {
    let endpoint = Endpoint::Tcp(stack.nginx.address);
    let watch = Watch::start(Some(stack.admin_url()), stack.envelope.as_ref());
    let begin_s = now_s();
    let mut answers = calls(&endpoint, 200).await;
    let (slow, ()) = tokio::join!(calls(&endpoint, 200), standstill);
    answers.extend(slow);
    find(&answers, 1.0, &watch.stop(), begin_s)
}

/// Asserts that a long stall has this cause first, and returns what is said of all: the machine may have stood still besides.
#[track_caller]
fn assert_found(stalls: &Stalls, cause: Cause) -> String {
    let says = stalls.lines().join("\n");
    let mut long = stalls.longest.iter().filter(|stall| stall.ms >= 100.0);
    assert!(long.any(|stall| stall.causes.first().is_some_and(|first| first.cause == cause)), "{says}");
    says
}

#[tokio::test]
async fn a_witness_finds_a_row_that_is_held_and_a_server_that_stands_still_are_found() {
    let stack = stack().await;
    let holder = connect(&stack.admin_url()).await.expect("it runs");
    let stalls = witnessed(&stack, async {
        let sql = "BEGIN; SELECT FROM clientes WHERE id = 1 FOR UPDATE";
        holder.batch_execute(sql).await.expect("it can be held");
        tokio::time::sleep(STANDSTILL).await;
        holder.batch_execute("COMMIT").await.expect("it is held");
    });
    let says = assert_found(&stalls.await, Cause::Row);
    assert!(says.contains("the row (") && says.contains("waiting for a row lock"), "{says}");

    let children = format!("/proc/{0}/task/{0}/children", stack.cluster.pid().expect("it runs"));
    let all = |signal| {
        for pid in std::fs::read_to_string(&children).expect("it has some").split_whitespace() {
            // One that has just ended stands still too.
            let _ = kill(Pid::from_raw(pid.parse().expect("a pid")), signal);
        }
    };
    let stalls = witnessed(&stack, async {
        all(Signal::SIGSTOP);
        tokio::time::sleep(STANDSTILL).await;
        all(Signal::SIGCONT);
    });
    assert_found(&stalls.await, Cause::Silence);
    stack.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_found() {
    let stack = stack().await;
    if stack.limits != Limits::Enforced {
        return eprintln!("skipped: {}", stack.limits);
    }
    let envelope = stack.envelope.as_ref().expect("limits are enforced");
    // Two milliseconds of each 200 ms are what NGINX gets.
    let starved: Split = "0.4/0.4/0.01/0.5".parse().expect("a split");
    let stalls = seen(&stack, async {
        envelope.limit_cpu(&starved, Duration::from_millis(200)).expect("it is taken");
        tokio::time::sleep(3 * STANDSTILL).await;
        envelope.limit_cpu(&Split::default(), Duration::from_millis(100)).expect("it is taken");
    });
    assert_found(&stalls.await, Cause::SliceOfNginx);
    stack.stop().await.expect("it stops");
}
