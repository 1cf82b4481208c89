//! A line of progress on a terminal; nothing elsewhere.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is renewed.
const RENEW: Duration = Duration::from_millis(250);

/// Over which time a rate is taken, that it does not jump.
const RATE: Duration = Duration::from_secs(1);

/// The line, while there is one. A thread keeps it up to date, whatever the others wait for.
#[derive(Debug)]
pub(crate) struct Progress(Option<Shown>);

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows what `text` makes of what `look` sees now, what it saw about a second ago, and the seconds in between.
    pub(crate) fn start<T: Send + 'static>(
        name: &str,
        look: impl Fn() -> T + Send + 'static,
        text: impl Fn(&T, &T, f64) -> String + Send + 'static,
    ) -> Self {
        if !io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let over = Arc::new(AtomicBool::new(false));
        let (line, end) = (bar.clone(), Arc::clone(&over));
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let (mut before, mut then) = (look(), Instant::now());
            while !end.load(Ordering::Acquire) {
                thread::park_timeout(RENEW);
                let (now, seen) = (Instant::now(), look());
                line.set_message(text(&seen, &before, (now - then).as_secs_f64().max(0.001)));
                if now - then > RATE {
                    (before, then) = (seen, now);
                }
            }
        });
        // Without a thread there is no line.
        Progress(Some(Shown { bar, over, thread: thread.ok() }))
    }

    /// No line.
    pub(crate) fn none() -> Self {
        Progress(None)
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
