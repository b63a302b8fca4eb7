//! Response times, whoever measured them.

use serde::{Deserialize, Serialize};

/// Response times in milliseconds, connecting included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Half took at most this.
    pub p50: f64,
    /// 95% took at most this.
    pub p95: f64,
    /// 98% took at most this.
    pub p98: f64,
    /// 99% took at most this.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}
