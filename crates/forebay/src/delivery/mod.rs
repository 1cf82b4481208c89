//! [`Delivery`]: one thread that hands finished jobs to a sink, strictly oldest first, while the producer fills the
//! next ones.
//!
//! ```text
//!           fill               enqueue              the thread               the sink has returned
//!   free ----------> Filling -----------> queued --------------> delivering -----------------------> free
//!    ^                  |                    |                       |
//!    +---- dropped -----+                    +------ cancelled ------+----> dropped, after the thread was joined
//! ```
//!
//! A job is a buffer, or whatever else the producer fills and the sink reads. A fixed number of them circulates: the
//! *slots*. The producer owns a job before [`enqueue`](Delivery::enqueue) and after it was delivered, the thread in
//! between, in the sense of the language: the job itself moves. There is no way to write down the reuse of a buffer
//! that is still being delivered.
//!
//! # Invariants
//! * *Order*: jobs are delivered in the order in which they were enqueued, one at a time, each at most once.
//! * *Join before refill*: when all slots are busy, [`fill`](Delivery::fill) waits for the oldest job, and gives out
//!   its slot, once the sink has returned from it.
//! * *Slots are not lost*: a [`Filling`] that is dropped instead of enqueued is free again.
//! * *One count*: how many jobs and bytes are queued is raised and lowered under the lock of the queue itself, and read
//!   under it.
//!
//! # One slot
//! With a single slot there is nothing to overlap: no thread is started, `enqueue` calls the sink on the caller's
//! thread and has delivered when it returns. The rest holds unchanged.
//!
//! # Failure
//! An error of the sink is sticky. Nothing is delivered after it; the producer gets it at its next call, whichever that
//! is, and at every later one. A panic of the sink is raised again at the producer's next call, every later one gets
//! [`DeliveryError::Panicked`].
//!
//! # Shutdown
//! [`finish`](Delivery::finish) delivers everything. Dropping a `Delivery` waits for the one call of the sink that is in
//! progress, joins the thread and then drops what was queued; it does not panic, and it has nobody to report an error
//! to. Nothing polls: both sides sleep until there is something for them.
//!
//! # What it does not do
//! It does not spill. A producer that must not wait for the sink puts what can spill, a
//! [`ReorderBuffer`](crate::ReorderBuffer), in front of it, and one thread between the two that may wait.
//!
//! # Numbers
//! A job costs two critical sections and two readings of the clock on the delivering thread, and at most one wake-up
//! on each side. Jobs are thought of as a write of a MiB or an `fsync`, not as single items.

mod monitor;
mod queue;

use std::fmt;
use std::io;
use std::mem;
use std::panic::resume_unwind;

pub use monitor::{DeliveryMonitor, DeliverySnapshot};
pub use queue::Filling;
use queue::{Ended, Queue};

use crate::sync::{Arc, lock, thread};

/// Hands jobs `J` to a sink, which may fail with `E`, on a thread of its own and strictly oldest first.
///
/// ```
/// use std::fmt::Write as _;
/// use std::io::Write as _;
///
/// use forebay::Delivery;
///
/// let mut file = tempfile::tempfile()?;
/// let slots = vec![String::new(), String::new()];
/// let mut delivery = Delivery::start("writer", slots, move |line: &mut String| file.write_all(line.as_bytes()))?;
/// for n in 0..10 {
///     let mut line = delivery.fill()?;
///     line.clear(); // It holds what was delivered last with it.
///     writeln!(line, "line {n}")?;
///     let bytes = line.len();
///     delivery.enqueue(line, bytes)?;
/// }
/// let monitor = delivery.monitor();
/// delivery.finish()?;
/// assert_eq!(monitor.snapshot().jobs, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Delivery<J, E> {
    queue: Arc<Queue<J>>,
    by: By<J, E>,
}

type Sink<J, E> = Box<dyn FnMut(&mut J) -> Result<(), E> + Send>;

/// Who calls the sink.
enum By<J, E> {
    Thread(thread::JoinHandle<Result<(), E>>),
    Caller(Sink<J, E>),
    /// Nobody any more, and why.
    Nobody(DeliveryError<E>),
}

impl<J: Send + 'static, E: Send + Sync + 'static> Delivery<J, E> {
    /// Starts the thread `name`. `slots` are the jobs that circulate; with one of them there is no thread, see the
    /// module's documentation.
    ///
    /// # Errors
    /// `InvalidInput` without slots; what the system says if the thread cannot be started.
    pub fn start(
        name: &str,
        slots: Vec<J>,
        sink: impl FnMut(&mut J) -> Result<(), E> + Send + 'static,
    ) -> io::Result<Self> {
        if slots.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("delivery `{name}` has no slots")));
        }
        let alone = slots.len() == 1;
        let queue = Arc::new(Queue::new(slots));
        let by = if alone {
            By::Caller(Box::new(sink))
        } else {
            let queue = Arc::clone(&queue);
            By::Thread(thread::Builder::new().name(name.to_owned()).spawn(move || queue.deliver_all(sink))?)
        };
        Ok(Delivery { queue, by })
    }

    /// A slot to fill. When all are busy, waits until the oldest job was delivered, and gives out its slot, with what
    /// the job contained.
    ///
    /// # Errors
    /// The sink failed or panicked, now or earlier.
    ///
    /// # Panics
    /// If nothing is queued and the caller holds every slot as a [`Filling`] already: it would wait for itself. And
    /// with the sink's panic, once.
    pub fn fill(&mut self) -> Result<Filling<J>, DeliveryError<E>> {
        let filling = self.queue.wait_for(|state| match state.take_free() {
            Ok(None) if state.counts.queued_jobs > 0 => None,
            found => Some(found),
        });
        match filling {
            Ok(Some(job)) => Ok(Filling::new(job, &self.queue)),
            Ok(None) => panic!("the caller holds every slot of this delivery already"),
            Err(Ended) => Err(self.failure()),
        }
    }

    /// A slot to fill, if one is free.
    ///
    /// # Errors
    /// The sink failed or panicked, now or earlier.
    ///
    /// # Panics
    /// With the sink's panic, once.
    pub fn try_fill(&mut self) -> Result<Option<Filling<J>>, DeliveryError<E>> {
        let free = lock(&self.queue.state).take_free();
        match free {
            Ok(job) => Ok(job.map(|job| Filling::new(job, &self.queue))),
            Err(Ended) => Err(self.failure()),
        }
    }

    /// Queues a job behind all that were enqueued before. `bytes`: what it keeps in memory, for
    /// [`DeliverySnapshot::queued_bytes`]. Does not wait, unless there is only one slot.
    ///
    /// # Errors
    /// The sink failed or panicked, now or earlier. The job is dropped.
    ///
    /// # Panics
    /// If the slot is another delivery's. And with the sink's panic, once.
    pub fn enqueue(&mut self, job: Filling<J>, bytes: usize) -> Result<(), DeliveryError<E>> {
        assert!(job.is_of(&self.queue), "the slot belongs to another delivery");
        if !self.queue.push(job, bytes as u64) {
            return Err(self.failure());
        }
        // What is here while the sink runs is what remains if it panics.
        match mem::replace(&mut self.by, By::Nobody(DeliveryError::Panicked)) {
            By::Caller(mut sink) => {
                match self.queue.next().map(|delivering| delivering.by(&mut sink)) {
                    Some(Err(error)) => self.by = By::Nobody(DeliveryError::Sink(Arc::new(error))),
                    Some(Ok(taken)) => {
                        lock(&self.queue.state).counts.waited(taken);
                        self.by = By::Caller(sink);
                        return Ok(());
                    }
                    None => unreachable!("the job was queued, and there is no thread to take it"),
                }
                Err(self.failure())
            }
            by => {
                self.by = by;
                Ok(())
            }
        }
    }

    /// Waits until everything that was enqueued is delivered.
    ///
    /// # Errors
    /// The sink failed or panicked, now or earlier.
    ///
    /// # Panics
    /// With the sink's panic, once.
    pub fn drain(&mut self) -> Result<(), DeliveryError<E>> {
        let drained = self.queue.wait_for(|state| match state.ended {
            true => Some(Err(Ended)),
            false => (state.counts.queued_jobs == 0).then_some(Ok(())),
        });
        drained.map_err(|Ended| self.failure())
    }

    /// Delivers everything and joins the thread. Afterwards no job exists, except in the hands of who still holds a
    /// [`Filling`].
    ///
    /// # Errors
    /// The sink failed or panicked, now or earlier.
    ///
    /// # Panics
    /// With the sink's panic, once.
    pub fn finish(mut self) -> Result<(), DeliveryError<E>> {
        self.drain()
    }

    /// What this delivery does, for any thread.
    pub fn monitor(&self) -> DeliveryMonitor {
        let queue = Arc::clone(&self.queue);
        DeliveryMonitor { counts: Arc::new(move || lock(&queue.state).counts) }
    }

    /// Why nothing is delivered any more. Joins the thread at the first time.
    fn failure(&mut self) -> DeliveryError<E> {
        // Remains if the sink's panic is raised below.
        let error = match mem::replace(&mut self.by, By::Nobody(DeliveryError::Panicked)) {
            By::Nobody(error) => error,
            By::Thread(thread) => {
                let end = thread.join();
                self.queue.cancel();
                match end {
                    Ok(Err(error)) => DeliveryError::Sink(Arc::new(error)),
                    Ok(Ok(())) => unreachable!("the thread ends by itself only when the sink fails"),
                    Err(panic) => resume_unwind(panic),
                }
            }
            By::Caller(_) => unreachable!("the sink fails only while nobody holds it"),
        };
        self.by = By::Nobody(error.clone());
        error
    }
}

impl<J, E> Drop for Delivery<J, E> {
    fn drop(&mut self) {
        self.queue.end();
        if let By::Thread(thread) = mem::replace(&mut self.by, By::Nobody(DeliveryError::Panicked)) {
            // Whoever wants to know how it ended calls `finish`.
            let _ = thread.join();
        }
        self.queue.cancel();
    }
}

impl<J, E> fmt::Debug for Delivery<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("counts", &lock(&self.queue.state).counts).finish_non_exhaustive()
    }
}

/// Why nothing is delivered any more.
#[derive(Debug)]
pub enum DeliveryError<E> {
    /// The sink failed.
    Sink(Arc<E>),
    /// The sink panicked, which an earlier call has passed on.
    Panicked,
}

impl<E> Clone for DeliveryError<E> {
    fn clone(&self) -> Self {
        match self {
            DeliveryError::Sink(error) => DeliveryError::Sink(Arc::clone(error)),
            DeliveryError::Panicked => DeliveryError::Panicked,
        }
    }
}

impl<E: fmt::Display> fmt::Display for DeliveryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::Sink(error) => write!(f, "delivery stopped: {error}"),
            DeliveryError::Panicked => f.write_str("delivery stopped: the sink panicked"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for DeliveryError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DeliveryError::Sink(error) => Some(&**error),
            DeliveryError::Panicked => None,
        }
    }
}
