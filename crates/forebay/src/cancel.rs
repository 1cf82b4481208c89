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
    ends: Mutex<Vec<Weak<dyn End>>>,
}

/// What ends when a token is cancelled.
trait End: Send + Sync {
    fn end(&self);
}

impl End for Line {
    fn end(&self) {
        self.cancel();
    }
}

impl<F: Fn() + Send + Sync> End for F {
    fn end(&self) {
        self();
    }
}

/// What is called when a token is cancelled, as long as this lives: [`CancelToken::on_cancel`].
#[must_use = "nothing is called any more when this is dropped"]
pub struct OnCancel {
    _call: Arc<dyn End>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        CancelToken { inner: Arc::new(Inner { cancelled: AtomicBool::new(false), ends: Mutex::new(Vec::new()) }) }
    }

    /// Stops every run that has this token, now and in future. Further calls do nothing.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let ends = std::mem::take(&mut *lock(&self.inner.ends));
        ends.iter().filter_map(Weak::upgrade).for_each(|end| end.end());
    }

    /// Whether [`cancel`](CancelToken::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Calls `call` once when the token is cancelled, at once if it already is, from the thread that cancels it: for what waits
    /// for something else than a pipeline.
    pub fn on_cancel(&self, call: impl Fn() + Send + Sync + 'static) -> OnCancel {
        let call: Arc<dyn End> = Arc::new(call);
        self.add(Arc::downgrade(&call));
        OnCancel { _call: call }
    }

    /// Cancels `run` when the token is cancelled, at once if it already is.
    pub(crate) fn attach(&self, run: &Arc<Line>) {
        let run: Weak<Line> = Arc::downgrade(run);
        self.add(run);
    }

    fn add(&self, end: Weak<dyn End>) {
        let mut ends = lock(&self.inner.ends);
        ends.retain(|other| other.strong_count() > 0);
        ends.push(end);
        drop(ends);
        // Looked at after it is on the list, so that one of the two sides ends it.
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

impl fmt::Debug for OnCancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCancel").finish_non_exhaustive()
    }
}
