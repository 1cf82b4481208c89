//! What the process has used: time, processor, memory.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Since when, and from where, it is counted.
#[derive(Debug)]
pub(crate) struct Usage {
    begun: Instant,
    processor: Duration,
    /// Bytes resident at the beginning, if the system says.
    resident: Option<u64>,
}

impl Usage {
    pub(crate) fn begin() -> Self {
        Usage { begun: Instant::now(), processor: processor(), resident: status("VmRSS:") }
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Seconds of processor time since the beginning, of all threads.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor().saturating_sub(self.processor).as_secs_f64()
    }

    /// The most bytes that were resident above those of the beginning, where the system says.
    pub(crate) fn peak_above(&self) -> Option<u64> {
        Some(status("VmHWM:")?.saturating_sub(self.resident?))
    }
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The bytes behind `name` in what Linux says of this process.
pub(crate) fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
