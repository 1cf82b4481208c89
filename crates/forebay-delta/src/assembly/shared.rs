//! What the threads of an assembly share.
//!
//! One lock guards all of it. It is not held while chunks are checked, applied or dropped, nor while the end of a file is
//! done: whoever applies chunks to a file takes its target out, and whoever brings or checks another chunk of it
//! meanwhile leaves the chunk there for him.

use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use forebay::{CancelToken, Consumer, Lease, Weigh};

use super::chunk::Chunk;
use super::error::AssemblyError;
use super::file::{File, Next, Slot, Waiting};
use super::state::{Applied, FLIGHT, Job, MUCH, Queued, SEVERAL, Size, State, Whole};
use super::stats::{AssemblyStats, Strategy};
use super::{Done, Target};
use crate::error::Error;
use crate::settings::Settings;

/// When so many files have come, workers are started,
const FILES: u64 = 100;
/// or so many bytes.
const BYTES: u64 = 64 << 20;
/// Which part of the budget chunks may hold.
const SHARE: usize = 4;

pub(super) struct Shared<'d, K, T: Target> {
    state: Mutex<State<'d, K, T>>,
    /// There is something to do, or nothing more will come.
    work: Condvar,
    /// A chunk was applied, a file is done, or somebody panicked.
    room: Condvar,
    consumer: Consumer,
    /// Bytes that chunks may hold.
    share: usize,
    workers: usize,
    strategy: Strategy,
    cancel: CancelToken,
}

type Guard<'g, 'd, K, T> = MutexGuard<'g, State<'d, K, T>>;

impl<'d, K: Clone + Eq + Hash + Send, T: Target> Shared<'d, K, T> {
    pub(super) fn new(settings: &Settings, strategy: Strategy) -> Result<Self, Error> {
        let share = settings.budget.limit() / SHARE;
        Ok(Shared {
            state: Mutex::new(State::new()),
            work: Condvar::new(),
            room: Condvar::new(),
            consumer: settings.budget.consumer("assemble", share).map_err(Error::Memory)?,
            share,
            workers: settings.workers,
            strategy,
            cancel: settings.cancel.clone(),
        })
    }

    pub(super) fn open(&self, file: K, basis_len: u64, target: T) -> Result<(), AssemblyError<K>> {
        let mut state = self.lock();
        if state.panicked {
            return Err(AssemblyError::Panicked);
        }
        if state.knows(&file) {
            return Err(AssemblyError::Known(file));
        }
        state.files.insert(file, File::new(basis_len, target));
        state.stats.files += 1;
        Ok(())
    }

    pub(super) fn whole(
        &self,
        (file, basis_len, target): (K, u64, T),
        chunk: Chunk,
        done: Done<'d, T>,
        start: &dyn Fn() -> bool,
    ) -> Result<(), AssemblyError<K>> {
        let Size { weight, long, heavy } = Size::of(&chunk);
        let (mut state, mut waited) = (self.lock(), false);
        loop {
            if state.panicked {
                return Err(AssemblyError::Panicked);
            }
            if state.knows(&file) {
                return Err(AssemblyError::Known(file));
            }
            match self.enter(state, weight, long, &mut waited) {
                Ok(room) => break state = room,
                Err(changed) => state = changed,
            }
        }
        state.whole.insert(file.clone());
        state.stats.files += 1;
        state.in_flight += 1;
        state.ending += 1;
        state.cached += if long { 0 } else { weight };
        let (lease, group) = (self.take(&mut state, weight, start), target.group());
        let whole = Whole { file, basis_len, target, chunk, weight, long, lease, done };
        self.give(state, Some(Queued { job: Job::Whole(Box::new(whole)), group, heavy }));
        Ok(())
    }

    pub(super) fn submit(
        &self,
        file: &K,
        number: u64,
        chunk: Chunk,
        start: &dyn Fn() -> bool,
    ) -> Result<(), AssemblyError<K>> {
        let Size { weight, long, heavy } = Size::of(&chunk);
        let mut state = self.admit(file, number, weight, long)?;
        let lease = self.take(&mut state, weight, start);
        // One without a sum goes with those that are on their way: waking somebody for each costs more than applying it.
        let (slot, check) =
            if chunk.has_sum() { (Slot::Checking, Some(chunk)) } else { (Slot::Checked(Ok(chunk)), None) };
        state.accept(file, number, Waiting { slot, weight, long, lease });
        let job = match check {
            Some(chunk) => Some(Job::Check { file: file.clone(), number, chunk }),
            None => state.due(file).then(|| Job::Advance(file.clone())),
        };
        self.give(state, job.map(|job| Queued { job, group: None, heavy }));
        Ok(())
    }

    /// Counts a chunk that is let in, and pays for it. Starts the workers if it is time.
    fn take(&self, state: &mut State<'d, K, T>, weight: usize, start: &dyn Fn() -> bool) -> Lease {
        state.held += weight;
        state.stats.peak = state.stats.peak.max(state.held);
        self.begin_parallel(state, start);
        state.stats.inline += u64::from(!state.parallel);
        // Within what was set aside, or the one chunk that is alone on its way: never refused.
        self.consumer.lease_head(weight)
    }

    /// Has a job done, if there is one: by a worker, where there are any. What is `heavy` does not wait for more.
    fn give(&self, mut state: Guard<'_, 'd, K, T>, job: Option<Queued<'d, K, T>>) {
        if !state.parallel {
            drop(state);
            return job.into_iter().for_each(|queued| drop(self.run(queued.job)));
        }
        let Some(job) = job else { return };
        let (heavy, free) = (job.heavy, state.is_free(job.group));
        state.queue.push_back(job);
        // Those who are awake will come for theirs.
        let awake = (state.stats.workers as usize).saturating_sub(state.idle + state.slow);
        let due = if state.more && !heavy { (awake + 1) * SEVERAL } else { awake + 1 };
        if state.idle > 0 && state.queue.len() >= due && (free || state.queue.len() >= MUCH) {
            state.call(1);
            self.work.notify_one();
        }
    }

    /// Waits until there is memory for a chunk.
    fn admit(&self, file: &K, number: u64, weight: usize, long: bool) -> Result<Guard<'_, 'd, K, T>, AssemblyError<K>> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if state.panicked {
                return Err(AssemblyError::Panicked);
            }
            let Some(known) = state.files.get(file) else { return Err(state.lacks(file, number)) };
            if number < known.upto || known.waiting.contains_key(&number) {
                return Err(AssemblyError::Duplicate { file: file.clone(), chunk: number });
            }
            if let Some((chunks, _)) = known.end {
                return Err(AssemblyError::Beyond { file: file.clone(), chunk: number, chunks });
            }
            if number > known.upto && state.ahead.saturating_add(weight) > self.share {
                return Err(AssemblyError::Ahead { file: file.clone(), chunk: number });
            }
            let light = long || number > known.upto;
            match self.enter(state, weight, light, &mut waited) {
                Ok(room) => return Ok(room),
                Err(changed) => state = changed,
            }
        }
    }

    /// The lock, if there is memory for a chunk, which does not stay in the cache anyway if it is `light`. Else waits, and gives
    /// the lock when something has changed.
    fn enter<'g>(
        &'g self,
        mut state: Guard<'g, 'd, K, T>,
        weight: usize,
        light: bool,
        waited: &mut bool,
    ) -> Result<Guard<'g, 'd, K, T>, Guard<'g, 'd, K, T>> {
        let fits = state.held.saturating_add(weight) <= self.share;
        let light = light || state.cached.saturating_add(weight) <= FLIGHT;
        if fits && light || state.in_flight == 0 {
            return Ok(state);
        }
        state.wants_share |= !fits;
        state.wants_cache |= !light;
        state.stats.waits += u64::from(!*waited);
        *waited = true;
        self.call(&mut state);
        Err(self.room.wait(state).unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the workers, if it is time.
    fn begin_parallel(&self, state: &mut State<'d, K, T>, start: &dyn Fn() -> bool) {
        let stats = &mut state.stats;
        let due = match self.strategy {
            Strategy::Sequential => false,
            Strategy::Parallel => true,
            Strategy::Auto => self.workers > 1 && (stats.files >= FILES || stats.literal + stats.copied >= BYTES),
        };
        if due && !state.parallel && !state.closed {
            stats.workers = (0..self.workers.max(1)).take_while(|_| start()).count() as u64;
            state.parallel = stats.workers > 0;
        }
    }

    /// Calls workers for what waits in the queue.
    fn call(&self, state: &mut State<'d, K, T>) {
        for _ in 0..state.call(state.queue.len().div_ceil(SEVERAL)) {
            self.work.notify_one();
        }
    }

    pub(super) fn more_follows(&self, more: bool) {
        let mut state = self.lock();
        state.more = more;
        if !more {
            self.call(&mut state);
        }
    }

    pub(super) fn finish(&self, file: &K, chunks: u64, done: Done<'d, T>) -> Result<(), AssemblyError<K>> {
        let mut state = self.lock();
        if state.panicked {
            return Err(AssemblyError::Panicked);
        }
        let Some(known) = state.files.get_mut(file) else {
            let whole = state.whole.contains(file);
            return Err(if whole { AssemblyError::Ended(file.clone()) } else { AssemblyError::Unknown(file.clone()) });
        };
        if known.end.is_some() {
            return Err(AssemblyError::Ended(file.clone()));
        }
        let last = known.waiting.last_key_value().map(|(number, _)| *number).max(known.upto.checked_sub(1));
        if let Some(chunk) = last.filter(|last| *last >= chunks) {
            return Err(AssemblyError::Beyond { file: file.clone(), chunk, chunks });
        }
        if known.upto < chunks {
            return Err(AssemblyError::Missing { file: file.clone(), chunk: known.upto });
        }
        known.end = Some((chunks, done));
        state.ending += 1;
        let job = state.due(file).then(|| Job::Advance(file.clone()));
        self.give(state, job.map(|job| Queued { job, group: None, heavy: false }));
        Ok(())
    }

    /// A worker's life.
    pub(super) fn serve(&self) {
        let (mut used, mut jobs) = (false, Vec::new());
        let mut state = self.lock();
        loop {
            if state.panicked {
                return;
            }
            let group = state.pick(&mut jobs);
            if !jobs.is_empty() {
                state.stats.workers_used += u64::from(!used);
                used = true;
                drop(state);
                jobs.drain(..).for_each(|job| drop(self.run(job)));
                state = self.lock();
                state.leave(group);
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                while state.called == 0 && !state.closed && !state.panicked {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                state.called = state.called.saturating_sub(1);
            }
        }
    }

    /// Does a job. Gives the lock.
    fn run(&self, job: Job<'d, K, T>) -> Guard<'_, 'd, K, T> {
        let _alarm = Alarm(self);
        match job {
            Job::Check { file, number, chunk } => {
                let checked = chunk.check_sum().map(|()| chunk);
                let mut state = self.lock();
                let waiting = state.files.get_mut(&file).and_then(|file| file.waiting.get_mut(&number));
                if let Some(waiting) = waiting {
                    waiting.slot = Slot::Checked(checked);
                }
                self.advance(state, &file)
            }
            Job::Advance(file) => self.advance(self.lock(), &file),
            Job::Whole(whole) => self.apply_whole(*whole),
        }
    }

    /// Applies the one chunk of a file, and does what is to be done at its end.
    fn apply_whole(&self, whole: Whole<'d, K, T>) -> Guard<'_, 'd, K, T> {
        let Whole { file, basis_len, mut target, chunk, weight, long, lease, done } = whole;
        let slow = usize::from(long);
        if slow > 0 {
            let mut state = self.lock();
            state.slow += slow;
            self.call(&mut state);
        }
        let checked = chunk.check_sum().map_err(T::Error::from);
        let applied = checked.and_then(|()| self.apply(&chunk, 0, basis_len, &mut target));
        drop(lease);
        let mut state = self.lock();
        let failed = state.applied(weight, long, applied).map(|_| ());
        state.slow -= slow;
        state.keep(Some(chunk));
        state.whole.remove(&file);
        self.tell_room(&mut state);
        drop(state);
        done(target, failed);
        self.ended()
    }

    /// A file is done. Gives the lock.
    fn ended(&self) -> Guard<'_, 'd, K, T> {
        let mut state = self.lock();
        state.ending -= 1;
        self.tell_room(&mut state);
        state
    }

    /// Tells those who wait for memory, or for the end of everything, if it is there.
    fn tell_room(&self, state: &mut State<'d, K, T>) {
        if state.has_room(self.share) || state.is_settled() {
            self.room.notify_all();
        }
    }

    /// Applies what can be applied of a file, unless somebody else does. Gives the lock.
    fn advance<'g>(&'g self, mut state: Guard<'g, 'd, K, T>, key: &K) -> Guard<'g, 'd, K, T> {
        let Some(file) = state.files.get_mut(key) else { return state };
        let Some(mut target) = file.target.take() else { return state };
        file.due = false;
        while let Some(file) = state.files.get_mut(key) {
            let Some(Next { chunk, weight, long, lease }) = file.take_next() else { break };
            let (at, basis_len, failed) = (file.at, file.basis_len, file.failed.is_some());
            let slow = usize::from(long && state.parallel);
            if slow > 0 {
                state.slow += slow;
                self.call(&mut state);
            }
            drop(state);
            let (applied, spare) = match chunk {
                Ok(chunk) if failed => (Ok(Applied::default()), Some(chunk)),
                Ok(chunk) => (self.apply(&chunk, at, basis_len, &mut target), Some(chunk)),
                Err(_) if failed => (Ok(Applied::default()), None),
                Err(error) => (Err(error.into()), None),
            };
            drop(lease);
            state = self.lock();
            let applied = state.applied(weight, long, applied);
            if let Some(file) = state.files.get_mut(key) {
                match applied {
                    Ok(len) => file.at = file.at.saturating_add(len),
                    Err(error) => file.failed = Some(error),
                }
            }
            state.slow -= slow;
            state.keep(spare);
            self.tell_room(&mut state);
        }
        if !state.files.get(key).is_some_and(File::ends) {
            if let Some(file) = state.files.get_mut(key) {
                file.target = Some(target);
            }
            return state;
        }
        let Some(File { end: Some((_, done)), failed, .. }) = state.files.remove(key) else { return state };
        drop(state);
        done(target, failed.map_or(Ok(()), Err));
        self.ended()
    }

    /// An empty chunk, with the memory of an earlier one.
    pub(super) fn chunk(&self) -> Chunk {
        let mut state = self.lock();
        let Some(chunk) = state.spares.pop() else { return Chunk::new() };
        state.spare -= chunk.weight();
        chunk
    }

    fn apply(&self, chunk: &Chunk, at: u64, basis_len: u64, target: &mut T) -> Result<Applied, T::Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled.into());
        }
        chunk.check_copies(basis_len)?;
        chunk.tokens(at, |token| target.apply(token))?;
        let literal = chunk.literal_len() as u64;
        Ok(Applied { literal, copied: chunk.len().saturating_sub(literal) })
    }

    pub(super) fn settle(&self) {
        let mut state = self.lock();
        self.call(&mut state);
        while (state.in_flight > 0 || state.ending > 0) && !state.panicked {
            state.settling = true;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn into_rest(self) -> (Vec<(K, T)>, AssemblyStats) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = state.files.into_iter().filter_map(|(key, file)| Some((key, file.target?)));
        (left.collect(), state.stats)
    }
}

impl<'d, K, T: Target> Shared<'d, K, T> {
    fn lock(&self) -> Guard<'_, 'd, K, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> AssemblyStats {
        self.lock().stats
    }
}

/// Tells everybody when the thread that holds it panics.
struct Alarm<'a, 'd, K, T: Target>(&'a Shared<'d, K, T>);

impl<K, T: Target> Drop for Alarm<'_, '_, K, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
            self.0.work.notify_all();
            self.0.room.notify_all();
        }
    }
}

/// Lets the workers go when nothing more comes, also if that is because of a panic.
pub(super) struct Closing<'a, 'd, K, T: Target>(pub(super) &'a Shared<'d, K, T>);

impl<K, T: Target> Drop for Closing<'_, '_, K, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.panicked |= std::thread::panicking();
        drop(state);
        self.0.work.notify_all();
    }
}
