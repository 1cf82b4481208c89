//! `execute`: runs a dataflow on the workers of this process, alone or as part of a cluster, until it is done or has failed.
//!
//! What it adds to timely's own `execute` is the failing:
//!
//! * A worker leaves at the end of a step when the run's [`Failure`] is set; one that is parked is woken. One that is in an
//!   operator leaves when the operator returns: operators never block, so that is soon.
//! * Nobody who leaves drops its dataflows before all have left, nor while it unwinds: timely would take the first for a
//!   clean end, and answer the second with a panic in the middle of a panic, which aborts the process.
//! * A worker that panics fails the run. The program's panic hook has shown its text; this crate installs none, and nothing here
//!   panics by itself: not even when a connection breaks (see `cluster::stream`). A program whose users shall not see
//!   panics of operators installs a hook that prints nothing. `panic = "abort"` is not supported.
//! * A failure of one process is told to its peers at once, also while all of its workers are busy: the thread that called
//!   `execute` is woken like a worker.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use timely::CommunicationConfig;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards, initialize_from};
use timely::scheduling::{Activations, SyncActivator};
use timely::worker::{Config, Worker};

use crate::cluster::{Cluster, ClusterError, DataStream, Frame, Gone, Membership, Walk};
use crate::error::ExchangeError;
use crate::failure::Failure;

/// How long the workers of a process that has no cluster's deadline may take to leave.
const GRACE: Duration = Duration::from_secs(10);
/// How often workers that have been told to leave are looked after.
const LOOK: Duration = Duration::from_millis(20);

/// Where a dataflow runs.
pub enum Runtime<'a> {
    /// This process alone. Rows change threads as they are.
    Process {
        /// The number of workers, at least 1.
        workers: usize,
    },
    /// This process and its peers. Rows travel as bytes, also between the workers of one process.
    Cluster {
        /// The peers.
        cluster: &'a Cluster,
        /// The number of workers of each process, at least 1; the same everywhere.
        workers: usize,
        /// Timely's queues: where their memory comes from, and whether they spill.
        hooks: Hooks,
    },
}

impl fmt::Debug for Runtime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Runtime::Process { workers } => f.debug_struct("Process").field("workers", workers).finish(),
            Runtime::Cluster { cluster, workers, .. } => {
                f.debug_struct("Cluster").field("cluster", cluster).field("workers", workers).finish_non_exhaustive()
            }
        }
    }
}

/// Calls `func` on each worker, which builds dataflows and returns, and steps the workers until the dataflows are
/// done. Returns what `func` returned, by worker of this process.
///
/// `func` should not step the worker itself: while it does, it has to look at `failure` itself.
///
/// In a cluster it returns when all processes are done. After an error the cluster is of no more use, and workers that have not
/// left within the deadline (10 s in a process alone) are left to themselves, with what they hold, and so are timely's
/// threads: the program should then exit.
///
/// # Errors
/// What `failure` was set to: by the dataflow, by the loss of a peer, or by a panic.
pub fn execute<T, F>(runtime: Runtime<'_>, failure: &Failure, func: F) -> Result<Vec<T>, ExchangeError>
where
    T: Send + 'static,
    F: Fn(&mut Worker) -> T + Send + Sync + 'static,
{
    match runtime {
        Runtime::Process { workers } => {
            let config = match workers {
                0 | 1 => CommunicationConfig::Thread,
                workers => CommunicationConfig::Process(workers),
            };
            let (builders, _) = config.try_build().map_err(|cause| no_thread("timely:work", cause))?;
            Run::start(builders, failure, None, func)?.wait(GRACE)
        }
        Runtime::Cluster { cluster, workers, hooks } => {
            let membership = cluster.membership();
            let result = in_cluster(membership, workers.max(1), hooks, failure, func);
            result.inspect_err(|error| {
                membership.end(error.clone());
                membership.finish();
            })
        }
    }
}

fn in_cluster<T, F>(
    membership: &Arc<Membership>,
    workers: usize,
    hooks: Hooks,
    failure: &Failure,
    func: F,
) -> Result<Vec<T>, ExchangeError>
where
    T: Send + 'static,
    F: Fn(&mut Worker) -> T + Send + Sync + 'static,
{
    membership.attach(failure)?;
    if let Some(error) = failure.get() {
        return Err(error);
    }
    membership.tell(&Frame::Start { workers: workers as u64 });
    membership.await_all(|peer| peer.workers.is_some())?;
    if let Some((process, theirs)) = membership.workers().into_iter().find(|(_, theirs)| *theirs != workers as u64) {
        return Err(ClusterError::Workers { process, theirs: theirs as usize, ours: workers }.into());
    }

    let gone = Arc::new(Gone::default());
    let of = |process: usize| workers * process..workers * (process + 1);
    let connected = |error: std::io::Error| no_thread("timely:send", error.to_string());
    let sockets = membership.data().map_err(connected)?.into_iter().enumerate().map(|(process, stream)| {
        let walk = Walk::new(of(process), of(membership.me));
        Some(DataStream::new(stream?, process, membership, &gone, walk))
    });
    let allocators = ProcessBuilder::new_bytes_vector(workers, hooks.refill.clone(), hooks.spill.clone());
    let (builders, guard) =
        initialize_networking_from_sockets(allocators, sockets.collect(), membership.me, workers, hooks)
            .map_err(connected)?;
    let link = Link { membership: Arc::clone(membership), guard: Some(guard), gone };
    let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
    let values = Run::start(builders, failure, Some(link), func)?.wait(membership.deadline)?;
    membership.tell(&Frame::End);
    membership.await_all(|peer| peer.ended)?;
    // What works beside the dataflow may have failed meanwhile.
    failure.get().map_or(Ok(values), Err)
}

/// The connections of a run to the peers.
struct Link {
    membership: Arc<Membership>,
    /// Timely's threads that send and receive.
    guard: Option<CommsGuard>,
    gone: Arc<Gone>,
}

impl Link {
    /// All workers have ended well: waits until what they sent is sent, and what they were sent is here.
    fn join(&mut self) -> Result<(), ExchangeError> {
        self.membership.await_streams()?;
        // All threads have let go of their connections without a failure, so this neither waits nor panics.
        self.guard = None;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Joining threads that unwind would panic; they leave by themselves.
        std::mem::forget(self.guard.take());
    }
}

/// What a worker says to the thread that waits for it.
enum Event<T> {
    /// It is done: this is what `func` returned.
    Done(usize, T),
    /// It has failed or was told to, and waits until all others have left.
    Leaving(usize),
    /// It has left: its dataflows are gone.
    Left(usize),
}

/// Where a worker is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Working,
    /// Waits for the others to leave.
    Leaving,
    /// Its dataflows are gone.
    Out,
}

/// The workers of this process.
struct Run<T: Send + 'static> {
    guards: Option<WorkerGuards<()>>,
    events: Receiver<Event<T>>,
    exit: Arc<Exit>,
    failure: Failure,
    link: Option<Link>,
}

/// Holds back those who leave until all do.
#[derive(Default)]
struct Exit {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Exit {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(open, |open| !*open));
    }
}

impl<T: Send + 'static> Run<T> {
    fn start<F>(
        builders: Vec<AllocatorBuilder>,
        failure: &Failure,
        link: Option<Link>,
        func: F,
    ) -> Result<Run<T>, ExchangeError>
    where
        F: Fn(&mut Worker) -> T + Send + Sync + 'static,
    {
        let (sender, events) = channel();
        let waiter = thread::current();
        let exit = Arc::new(Exit::default());
        let (stop, at) = (failure.clone(), Arc::clone(&exit));
        let first = link.as_ref().map_or(0, |link| link.membership.me * builders.len());
        let guards = initialize_from(builders, Box::new(()), move |allocator| {
            let worker = Worker::new(Config::default(), allocator, Some(Instant::now()));
            work(worker, first, &func, &stop, &at, |event| {
                let _ = sender.send(event);
                waiter.unpark();
            });
        })
        .map_err(|cause| no_thread("timely:work", cause))?;
        Ok(Run { guards: Some(guards), events, exit, failure: failure.clone(), link })
    }

    /// Waits until all workers are done, or have left; for these no longer than `grace`.
    fn wait(mut self, grace: Duration) -> Result<Vec<T>, ExchangeError> {
        let count = self.guards.as_ref().map_or(0, |guards| guards.guards().len());
        let mut values: Vec<Option<T>> = (0..count).map(|_| None).collect();
        let mut places = vec![Place::Working; count];
        let mut failed: Option<Instant> = None;
        // A failure unparks this thread as it unparks a worker. The channel behind that must live as long.
        let activations = Activations::new(None);
        self.failure.wake(SyncActivator::new(Vec::new(), activations.sync()));
        loop {
            // Before its last word is read: a thread that is found to have ended has said all it will say.
            let ended: Vec<_> =
                self.guards.iter().flat_map(|guards| guards.guards()).map(|it| it.is_finished()).collect();
            for event in self.events.try_iter() {
                match event {
                    Event::Done(worker, value) => (places[worker], values[worker]) = (Place::Out, Some(value)),
                    Event::Leaving(worker) => places[worker] = Place::Leaving,
                    Event::Left(worker) => places[worker] = Place::Out,
                }
            }
            for (place, ended) in places.iter_mut().zip(ended) {
                if ended && *place != Place::Out {
                    *place = Place::Out;
                    self.failure.set(panicked("it could not be started"));
                }
            }
            if failed.is_none()
                && let Some(error) = self.failure.get()
            {
                failed = Some(Instant::now());
                if let Some(link) = &self.link {
                    link.membership.end(error);
                }
            }
            if failed.is_some() && !places.contains(&Place::Working) {
                self.exit.open();
            }
            if places.iter().all(|place| *place == Place::Out) {
                break;
            }
            if failed.is_some_and(|since| since.elapsed() >= grace) {
                tracing::error!("workers do not leave within {grace:?}; exit the program");
                break;
            }
            // Workers unpark this thread when they have said something. One that could not be started cannot.
            thread::park_timeout(if failed.is_some() { LOOK } else { grace });
        }
        if places.iter().all(|place| *place == Place::Out)
            && let Some(guards) = self.guards.take()
        {
            guards.join();
            if let Some(link) = &mut self.link {
                link.gone.set();
                match failed {
                    None => link.join()?,
                    Some(_) => link.membership.settle(),
                }
            }
        }
        match self.failure.get() {
            Some(error) => Err(error),
            None => values.into_iter().map(|value| value.ok_or_else(|| panicked("it has no result"))).collect(),
        }
    }
}

impl<T: Send + 'static> Drop for Run<T> {
    fn drop(&mut self) {
        // Joins otherwise, and panics if a worker has.
        std::mem::forget(self.guards.take());
    }
}

/// What the thread of a worker does.
fn work<T: Send + 'static>(
    mut worker: Worker,
    first: usize,
    func: &impl Fn(&mut Worker) -> T,
    failure: &Failure,
    exit: &Exit,
    tell: impl Fn(Event<T>),
) {
    let index = worker.index() - first;
    // The path of no dataflow: all that this activation does is to unpark the worker.
    failure.wake(worker.sync_activator_for(vec![usize::MAX]));
    let run = catch_unwind(AssertUnwindSafe(|| {
        let value = func(&mut worker);
        while failure.get().is_none() {
            if !worker.has_dataflows() {
                return Some(value);
            }
            worker.step_or_park(None);
        }
        None
    }));
    let value = run.unwrap_or_else(|panic| {
        failure.set(panicked(&text(&*panic)));
        None
    });
    if value.is_none() {
        tell(Event::Leaving(index));
        exit.pass();
    }
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(worker)));
    tell(match (dropped, value) {
        (Ok(()), Some(value)) => Event::Done(index, value),
        (Ok(()), None) => Event::Left(index),
        (Err(panic), _) => {
            failure.set(panicked(&text(&*panic)));
            Event::Left(index)
        }
    });
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").to_owned()
}

fn panicked(message: &str) -> ExchangeError {
    ExchangeError::Panicked { message: message.to_owned() }
}

fn no_thread(name: &str, cause: String) -> ExchangeError {
    ExchangeError::Thread { name: name.to_owned(), cause }
}
