//! What the kernel says of this process, under the names that all of Prometheus' clients use.

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Asks whenever somebody looks at the metrics.
#[derive(Debug)]
pub(super) struct ProcessCollector;

struct Figures {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: i64,
    open_fds: u64,
    max_fds: u64,
}

fn figures() -> ProcResult<Figures> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(value) => value,
        LimitValue::Unlimited => u64::MAX,
    };
    Ok(Figures {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        start_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        threads: stat.num_threads,
        open_fds: process.fd_count()? as u64,
        max_fds,
    })
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Where /proc cannot be read there is nothing to show.
        let Ok(figures) = figures() else { return Ok(()) };
        let cpu = ConstCounter::new(figures.cpu_seconds);
        let start = ConstGauge::new(figures.start_seconds);
        let whole = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let mut show = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        show("process_cpu", "Processor time of the process", seconds, &cpu)?;
        show("process_start_time", "When the process started, since the Unix epoch", seconds, &start)?;
        show("process_resident_memory", "Memory that is present", bytes, &whole(figures.resident_bytes))?;
        show("process_virtual_memory", "Memory that is mapped", bytes, &whole(figures.virtual_bytes))?;
        show("process_threads", "Threads", None, &ConstGauge::new(figures.threads))?;
        show("process_open_fds", "Descriptors that are open", None, &whole(figures.open_fds))?;
        show("process_max_fds", "Descriptors that may be open", None, &whole(figures.max_fds))
    }
}
