//! `CancelToken`: ends runs from outside.

use std::fmt;
use std::sync::Weak;

use crate::line::Line;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};

/// Asks pipelines to end early. Cloning gives another handle to the same token.
///
/// A cancelled run delivers nothing more, waits for the items that are in work and for the sink's current call, and
/// returns [`Cause::Cancelled`](crate::Cause::Cancelled). A source that is blocked in its own `next` is waited for.
/// Cancelling is not safe inside a signal handler; do it from the thread that reads signals.
///
/// ```
/// use forebay::{CancelToken, Cause, Pipeline};
///
/// let token = CancelToken::new();
/// let mut seen = 0;
/// let outcome = Pipeline::new().workers(2).cancel(&token).run(
///     (0..).map(Ok::<u64, std::io::Error>), // without an end
///     |number| Ok(number),
///     |_| {
///         seen += 1;
///         if seen == 1000 {
///             token.cancel(); // from this thread, or from any other
///         }
///         Ok(())
///     },
/// );
/// let error = outcome.unwrap_err();
/// assert!(matches!(error.cause, Cause::Cancelled));
/// assert_eq!((error.snapshot.delivered, seen), (1000, 1000));
/// assert!(Pipeline::new().cancel(&token).run([Ok::<_, ()>(1)], Ok, |_| Ok(())).is_err(), "for good");
/// ```
#[derive(Clone)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

struct Inner {
    cancelled: AtomicBool,
    runs: Mutex<Vec<Weak<Line>>>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        CancelToken { inner: Arc::new(Inner { cancelled: AtomicBool::new(false), runs: Mutex::new(Vec::new()) }) }
    }

    /// Stops every run that has this token, now and in future. Further calls do nothing.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let runs = std::mem::take(&mut *lock(&self.inner.runs));
        runs.iter().filter_map(Weak::upgrade).for_each(|run| run.cancel());
    }

    /// Whether [`cancel`](CancelToken::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Cancels `run` when the token is cancelled, at once if it already is.
    pub(crate) fn attach(&self, run: &Arc<Line>) {
        let mut runs = lock(&self.inner.runs);
        runs.retain(|other| other.strong_count() > 0);
        runs.push(Arc::downgrade(run));
        drop(runs);
        // Looked at after the run is on the list, so that one of the two sides cancels it.
        if self.is_cancelled() {
            self.cancel();
        }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}
