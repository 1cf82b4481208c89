//! A command and the processes that come from it, while they run: how much memory each of them had at most.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Between two looks at the processes. What a process takes and gives back in its last moments may be missed.
const LOOK: Duration = Duration::from_millis(10);

/// Runs a command to its end. Gives the most memory, in bytes, that was resident in each process of the family that
/// runs one of `programs`, in the order of their numbers.
///
/// # Errors
/// When it cannot be started or fails.
pub fn peaks_of(command: &mut Command, programs: &[&str]) -> Result<Vec<u64>> {
    let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
    let mut peaks = BTreeMap::new();
    let status = loop {
        look_at(child.id(), programs, &mut peaks);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(LOOK);
    };
    ensure!(status.success(), "{command:?}: {status}");
    Ok(peaks.into_values().collect())
}

/// Adds what `process` and its descendants have had at most so far. A process that is gone has been looked at before.
fn look_at(process: u32, programs: &[&str], peaks: &mut BTreeMap<u32, u64>) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let status = read("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let peak = field("VmHWM").and_then(|peak| peak.strip_suffix(" kB")?.trim().parse::<u64>().ok());
    if let (Some(program), Some(peak)) = (field("Name"), peak)
        && programs.contains(&program)
    {
        peaks.insert(process, peak * 1024);
    }
    for child in read(&format!("task/{process}/children")).split_whitespace().filter_map(|child| child.parse().ok()) {
        look_at(child, programs, peaks);
    }
}
