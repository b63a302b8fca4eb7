//! The kernel enforces the limits. Where it may not be asked to, there is nothing to test.

use std::time::{Duration, Instant};

use testbed::envelope::Envelope;
use testbed::process::Launch;
use testbed::rundir::RunDir;
use testbed::{Service, Split};

/// Four cgroups of a name of their own, or `None` where that is not permitted.
fn envelope(dir: &RunDir) -> Option<Envelope> {
    let name = dir.path().file_name().expect("it has a name").to_string_lossy();
    match Envelope::create(&name, &Split { api: 0.1, nginx: 0.1, postgres: 0.1 }, 2) {
        Ok(envelope) => {
            envelope.directories().iter().for_each(|directory| dir.adopt_cgroup(directory));
            Some(envelope)
        }
        Err(error) => {
            eprintln!("skipped, there are no cgroups to be had: {error:#}");
            None
        }
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn cpu_is_limited_and_children_count() {
    let dir = RunDir::create().expect("a run directory");
    let Some(envelope) = envelope(&dir) else { return };
    let begin = Instant::now();
    // The work is done by a child of the process that was put into the cgroup.
    let busy = Launch::new("busy", "sh", dir.path().join("log"))
        .args(["-c", "(while :; do :; done) & wait"])
        .cgroups(envelope.procs(Service::Api(0)))
        .spawn()
        .expect("sh starts");
    let usage = || envelope.usage(Service::Api(0)).expect("it is accounted");
    until("CPU is used", || usage().cpu > Duration::from_millis(100)).await;
    let (used, wall) = (usage(), begin.elapsed());
    drop(busy);
    // A tenth of a core, and one slice of 10 ms more or less on each core.
    let most = wall / 10 + Duration::from_millis(10) * 16;
    assert!(used.cpu <= most, "{:?} of CPU in {wall:?}", used.cpu);
    assert!(used.throttled > Duration::ZERO);
    assert_eq!(envelope.usage(Service::Api(1)).expect("it is accounted").cpu, Duration::ZERO);

    envelope.remove().expect("they are empty");
    assert!(envelope.directories().iter().all(|directory| !directory.exists()));
}

#[tokio::test]
async fn memory_is_limited() {
    let dir = RunDir::create().expect("a run directory");
    let Some(envelope) = envelope(&dir) else { return };
    // `tail` keeps the last line, which is all of it, and NGINX's 20MB are not enough for that.
    let greedy = Launch::new("greedy", "sh", dir.path().join("log"))
        .args(["-c", "head -c 200000000 /dev/zero | tail -n 1 > /dev/null"])
        .cgroups(envelope.procs(Service::Nginx))
        .spawn()
        .expect("sh starts");
    greedy.wait().await;
    let usage = envelope.usage(Service::Nginx).expect("it is accounted");
    assert!(usage.oom_kills > 0, "{usage:?}");
    drop(greedy);
    envelope.remove().expect("they are empty");
}

#[tokio::test]
async fn limits_can_change_and_a_process_can_leave() {
    let dir = RunDir::create().expect("a run directory");
    let Some(envelope) = envelope(&dir) else { return };
    let split = Split { api: 0.05, nginx: 0.08, postgres: 0.12 };
    envelope.limit_cpu(&split, Duration::from_millis(20)).expect("every quota is at least 1 ms");
    let too_little = envelope.limit_cpu(&split, Duration::from_millis(10));
    assert!(too_little.is_err(), "half a millisecond is below what the kernel takes");

    let idle = Launch::new("idle", "sleep", dir.path().join("log"))
        .arg("60")
        .cgroups(envelope.procs(Service::Database))
        .spawn()
        .expect("sleep starts");
    let inside = || {
        let procs = envelope.procs(Service::Database);
        let mut members = procs.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
        members.any(|pids| pids.lines().any(|pid| pid == idle.pid().to_string()))
    };
    until("it has joined", inside).await;
    envelope.release(idle.pid()).expect("the cgroups above take processes");
    assert!(!inside());
    drop(idle);
    envelope.remove().expect("they are empty");
}
