//! What containers use, from the engine's HTTP interface: `docker stats` rounds, and shows CPU as
//! a percentage of a moment where a contest needs its sum.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

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
    /// The engine that `DOCKER_HOST` names, else that of this machine; `None` for a remote one.
    pub fn local() -> Option<Engine> {
        let path = match std::env::var("DOCKER_HOST") {
            Ok(host) if !host.is_empty() => PathBuf::from(host.strip_prefix("unix://")?),
            _ => PathBuf::from("/var/run/docker.sock"),
        };
        Some(Engine { socket: Endpoint::Unix(path) })
    }

    /// What a container has used since it was started last.
    ///
    /// # Errors
    /// When the engine does not answer or does not know it.
    pub async fn usage(&self, container: &str) -> Result<Usage> {
        let stats: Stats =
            self.get(&format!("/containers/{container}/stats?stream=false&one-shot=true")).await?;
        Ok(stats.usage())
    }

    /// How a container is.
    ///
    /// # Errors
    /// As [`Engine::usage`].
    pub async fn state(&self, container: &str) -> Result<State> {
        let inspected: Inspected = self.get(&format!("/containers/{container}/json")).await?;
        let state = inspected.state;
        Ok(State {
            running: state.running && !state.restarting,
            health: state.health.map(|health| health.status),
            restarts: inspected.restart_count,
            out_of_memory: state.oom_killed,
            pid: state.pid,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.socket.get(path).await?;
        ensure!(answer.status == 200, "Docker answers GET {path} with {}: {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).with_context(|| format!("what Docker answers GET {path} with"))
    }
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "State")]
    state: InspectedState,
    #[serde(rename = "RestartCount")]
    restart_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    running: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    pid: i32,
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

/// Only what is used; a container that does not run has hardly anything.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    cpu_stats: CpuStats,
    memory_stats: MemoryStats,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuStats {
    cpu_usage: CpuUsage,
    throttling_data: Throttling,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Throttling {
    throttled_time: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryStats {
    stats: MemoryDetail,
}

/// cgroup v2 names `anon` and `file`; v1 has `rss` and `cache`, and with them what children hold.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryDetail {
    anon: Option<u64>,
    file: Option<u64>,
    shmem: Option<u64>,
    total_rss: Option<u64>,
    total_cache: Option<u64>,
    total_active_anon: Option<u64>,
    total_inactive_anon: Option<u64>,
}

impl MemoryDetail {
    /// v1 does not name shared memory: it is among what has no file behind it, and no `rss`.
    fn shared(&self) -> u64 {
        self.shmem.unwrap_or_else(|| {
            let without_file =
                self.total_active_anon.unwrap_or_default() + self.total_inactive_anon.unwrap_or_default();
            without_file.saturating_sub(self.total_rss.unwrap_or_default())
        })
    }
}

impl Stats {
    fn usage(&self) -> Usage {
        let memory = &self.memory_stats.stats;
        let shared = memory.shared();
        let file = memory.file.or(memory.total_cache).unwrap_or_default();
        Usage {
            cpu: Duration::from_nanos(self.cpu_stats.cpu_usage.total_usage),
            throttled: Duration::from_nanos(self.cpu_stats.throttling_data.throttled_time),
            anonymous_bytes: memory.anon.or(memory.total_rss).unwrap_or_default(),
            shared_bytes: shared,
            // The kernel counts shared memory as cache.
            cache_bytes: file.saturating_sub(shared),
            oom_kills: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_cgroups_are_read() {
        let cpu = r#""cpu_stats": {"cpu_usage": {"total_usage": 2500000000}, "throttling_data": {"throttled_time": 7}}"#;
        let of = |memory: &str| {
            let text = format!(r#"{{{cpu}, "memory_stats": {{"usage": 9, "stats": {memory}}}}}"#);
            serde_json::from_str::<Stats>(&text).expect("it is what the engine answers").usage()
        };
        let expected = Usage {
            cpu: Duration::from_millis(2_500),
            throttled: Duration::from_nanos(7),
            anonymous_bytes: 100,
            shared_bytes: 30,
            cache_bytes: 20,
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
        let stats: Stats = serde_json::from_str(r#"{"memory_stats": {}, "name": "/x"}"#).expect("it is JSON");
        assert_eq!(stats.usage(), Usage::default());
    }
}
