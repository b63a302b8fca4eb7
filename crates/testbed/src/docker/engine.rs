//! What containers use, from the engine's HTTP interface: `docker stats` rounds, and shows CPU as
//! a percentage of a moment where a contest needs its sum.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http::Endpoint;
use crate::usage::Usage;

/// A Docker engine on this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: Endpoint,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// `starting`, `healthy` or `unhealthy`; `None` without a health check.
    pub health: Option<String>,
    /// How often its restart policy started it again.
    pub restarts: u64,
    /// Whether the kernel killed something in it at its memory limit.
    pub out_of_memory: bool,
    /// The process id of its first process on this machine; 0 when it does not run.
    pub pid: i32,
}

impl Engine {
    /// Returns the engine that `DOCKER_HOST` names, else that of this machine; `None` for a remote one.
    pub fn local() -> Option<Engine> {
        let path = match std::env::var("DOCKER_HOST") {
            Ok(host) if !host.is_empty() => PathBuf::from(host.strip_prefix("unix://")?),
            _ => PathBuf::from("/var/run/docker.sock"),
        };
        Some(Engine { socket: Endpoint::Unix(path) })
    }

    /// Returns what a container has used since it was started last.
    ///
    /// # Errors
    /// When the engine does not answer or does not know it.
    pub async fn usage(&self, container: &str) -> Result<Usage> {
        let stats = self.get(&format!("/containers/{container}/stats?stream=false&one-shot=true")).await?;
        Ok(usage(&stats))
    }

    /// Returns how a container is.
    ///
    /// # Errors
    /// As [`Engine::usage`].
    pub async fn state(&self, container: &str) -> Result<State> {
        let inspected = self.get(&format!("/containers/{container}/json")).await?;
        let state = &inspected["State"];
        let is = |name: &str| state[name].as_bool().unwrap_or_default();
        Ok(State {
            running: is("Running") && !is("Restarting"),
            health: state["Health"]["Status"].as_str().map(str::to_owned),
            restarts: inspected["RestartCount"].as_u64().unwrap_or_default(),
            out_of_memory: is("OOMKilled"),
            pid: state["Pid"].as_i64().and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
        })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.socket.get(path).await?;
        ensure!(answer.status == 200, "Docker answers GET {path} with {}: {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).with_context(|| format!("what Docker answers GET {path} with"))
    }
}

/// Reads what a container used; one that does not run has hardly anything. cgroup v2 names `anon` and `file`;
/// v1 has `rss` and `cache`, and with them what children hold.
fn usage(stats: &Value) -> Usage {
    let cpu = &stats["cpu_stats"];
    let nanos = |value: &Value| Duration::from_nanos(value.as_u64().unwrap_or_default());
    let memory = |name: &str| stats["memory_stats"]["stats"][name].as_u64();
    let either = |v2: &str, v1: &str| memory(v2).or(memory(v1)).unwrap_or_default();
    // v1 does not name shared memory: it is among what has no file behind it, and no `rss`.
    let without_file = either("total_active_anon", "") + either("total_inactive_anon", "");
    let shared_bytes = memory("shmem").unwrap_or(without_file.saturating_sub(either("total_rss", "")));
    Usage {
        cpu: nanos(&cpu["cpu_usage"]["total_usage"]),
        throttled: nanos(&cpu["throttling_data"]["throttled_time"]),
        anonymous_bytes: either("anon", "total_rss"),
        shared_bytes,
        // The kernel counts shared memory as cache.
        cache_bytes: either("file", "total_cache").saturating_sub(shared_bytes),
        peak_bytes: stats["memory_stats"]["max_usage"].as_u64().unwrap_or_default(),
        oom_kills: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_cgroups_are_read() {
        let cpu = r#""cpu_stats": {"cpu_usage": {"total_usage": 2500000000}, "throttling_data": {"throttled_time": 7}}"#;
        let of = |memory: &str| {
            let text =
                format!(r#"{{{cpu}, "memory_stats": {{"usage": 9, "max_usage": 300, "stats": {memory}}}}}"#);
            usage(&serde_json::from_str(&text).expect("it is what the engine answers"))
        };
        let expected = Usage {
            cpu: Duration::from_millis(2_500),
            throttled: Duration::from_nanos(7),
            anonymous_bytes: 100,
            shared_bytes: 30,
            cache_bytes: 20,
            peak_bytes: 300,
            oom_kills: 0,
        };
        assert_eq!(of(r#"{"anon": 100, "file": 50, "shmem": 30, "slab": 1}"#), expected);
        assert_eq!(
            of(r#"{"rss": 1, "total_rss": 100, "total_cache": 50, "total_active_anon": 60,
            "total_inactive_anon": 70}"#),
            expected
        );
    }

    #[test]
    fn a_container_that_does_not_run_used_nothing() {
        let stats = serde_json::from_str(r#"{"memory_stats": {}, "name": "/x"}"#).expect("it is JSON");
        assert_eq!(usage(&stats), Usage::default());
    }
}
