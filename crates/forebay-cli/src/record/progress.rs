//! A line of progress on a terminal; nothing elsewhere.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forebay_zarr::{WriterMonitor, WriterSnapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::usage;
use crate::size::with_commas;

/// How often the line is renewed.
const RENEW: Duration = Duration::from_millis(250);

/// The line, while there is one. A thread keeps it up to date, also while an append waits.
#[derive(Debug)]
pub(crate) struct Progress(Option<Shown>);

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn start(monitor: &WriterMonitor, quiet: bool) -> Self {
        if quiet || !io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let over = Arc::new(AtomicBool::new(false));
        let (monitor, line, end) = (monitor.clone(), bar.clone(), Arc::clone(&over));
        let thread = thread::Builder::new().name("record-progress".into()).spawn(move || {
            let (mut before, mut then) = (monitor.snapshot(), Instant::now());
            while !end.load(Ordering::Acquire) {
                thread::park_timeout(RENEW);
                let (now, snapshot) = (Instant::now(), monitor.snapshot());
                let rate = (snapshot.bytes_in - before.bytes_in) as f64 / (now - then).as_secs_f64().max(0.001);
                line.set_message(text(&snapshot, rate));
                // Over a second or so, that the rate does not jump.
                if now - then > 4 * RENEW {
                    (before, then) = (snapshot, now);
                }
            }
        });
        // Without a thread there is no line.
        Progress(Some(Shown { bar, over, thread: thread.ok() }))
    }

    /// Takes the line away while `write` writes to standard error.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(shown) => shown.bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        if let Some(Shown { bar, over, thread }) = self.0 {
            over.store(true, Ordering::Release);
            if let Some(thread) = thread {
                thread.thread().unpark();
                // It has nothing to say if it panicked.
                let _ = thread.join();
            }
            bar.finish_and_clear();
        }
    }
}

/// Frames landed, spilled and waiting; the slowest append. Eighty columns, as a rule.
fn text(snapshot: &WriterSnapshot, rate: f64) -> String {
    let memory = usage::status("VmRSS:").map(|bytes| format!(", {} MiB", bytes >> 20)).unwrap_or_default();
    format!(
        "{:.0} MB/s, ratio {:.2}{memory}; {} landed, {} spilled, {} waiting; slowest {:.1} ms",
        rate / 1e6,
        ratio(snapshot.packed_in, snapshot.packed_out),
        with_commas(snapshot.frames_landed),
        with_commas(snapshot.frames_spilled),
        with_commas(snapshot.frames_waiting),
        snapshot.append_nanos_longest as f64 / 1e6,
    )
}

/// How many times smaller what was stored is.
pub(crate) fn ratio(bytes_in: u64, bytes_out: u64) -> f64 {
    if bytes_out == 0 { 0.0 } else { bytes_in as f64 / bytes_out as f64 }
}
