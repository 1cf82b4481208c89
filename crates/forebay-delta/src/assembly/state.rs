//! What the lock of an assembly guards: files, jobs, and what their chunks hold.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use forebay::{Lease, Weigh};

use super::chunk::Chunk;
use super::error::AssemblyError;
use super::file::{File, Waiting};
use super::stats::AssemblyStats;
use super::{Done, Target};

/// Bytes of chunks that are on their way at most: enough to keep the workers busy, and little enough to stay in the
/// processor's cache until they are applied.
pub(super) const FLIGHT: usize = 2 << 20;
/// Chunks that stand for so many bytes, and for so many times what they weigh, do not count there: applying them takes so long
/// that other workers would wait for the files behind them, and it is the basis that goes through the cache.
const LONG: u64 = 1 << 20;
const TIMES: u64 = 8;
/// What workers are woken for while more follows at once: so many jobs for each, or a chunk that stands for so many bytes.
pub(super) const SEVERAL: usize = 16;
const HEAVY: u64 = 64 << 10;
/// So many jobs are looked through for one of a group that nobody is at; when so many wait, nobody is left without.
pub(super) const MUCH: usize = 256;
/// Bytes of the buffers of chunks that are kept for the next ones, and the most bytes of one.
const SPARES: usize = 4 << 20;
const SPARE: usize = 256 << 10;

pub(super) struct State<'d, K, T: Target> {
    pub(super) files: HashMap<K, File<'d, T>>,
    /// Files that came whole, in one chunk, and whose end has not begun.
    pub(super) whole: HashSet<K>,
    pub(super) queue: VecDeque<Queued<'d, K, T>>,
    /// Groups of files that workers are at.
    pub(super) groups: Vec<usize>,
    /// Chunks that were applied, emptied: filling fresh memory costs more than applying does.
    pub(super) spares: Vec<Chunk>,
    /// Bytes that they hold.
    pub(super) spare: usize,
    /// Bytes that chunks hold,
    pub(super) held: usize,
    /// those of them whose predecessors have not come,
    pub(super) ahead: usize,
    /// and those of the others, without long ones, that should stay in the processor's cache until they are applied.
    pub(super) cached: usize,
    /// Somebody waits for the first to become less,
    pub(super) wants_share: bool,
    /// or for the last.
    pub(super) wants_cache: bool,
    /// Somebody waits until everything is done.
    pub(super) settling: bool,
    /// Chunks that will be applied without anything more coming.
    pub(super) in_flight: usize,
    /// Files whose end was told and is not done.
    pub(super) ending: usize,
    /// Workers are there.
    pub(super) parallel: bool,
    /// More follows at once.
    pub(super) more: bool,
    /// Workers that wait and have not been called,
    pub(super) idle: usize,
    /// those that have been and have not come yet,
    pub(super) called: usize,
    /// and those that apply a long chunk, and will not come for anything soon.
    pub(super) slow: usize,
    pub(super) closed: bool,
    pub(super) panicked: bool,
    pub(super) stats: AssemblyStats,
}

/// A job, which group of files it is for, and whether one like it is enough for a worker for now.
pub(super) struct Queued<'d, K, T: Target> {
    pub(super) job: Job<'d, K, T>,
    pub(super) group: Option<usize>,
    pub(super) heavy: bool,
}

pub(super) enum Job<'d, K, T: Target> {
    /// Hold a chunk against its sum, and go on with its file.
    Check { file: K, number: u64, chunk: Chunk },
    /// Apply the chunks of the file that have come, and do what is to be done at its end.
    Advance(K),
    /// Apply the one chunk of a file, and do what is to be done at its end.
    Whole(Box<Whole<'d, K, T>>),
}

/// A file that came in one chunk.
pub(super) struct Whole<'d, K, T: Target> {
    pub(super) file: K,
    pub(super) basis_len: u64,
    pub(super) target: T,
    pub(super) chunk: Chunk,
    pub(super) weight: usize,
    pub(super) long: bool,
    pub(super) lease: Lease,
    pub(super) done: Done<'d, T>,
}

/// What a chunk weighs, and how it is to be treated.
pub(super) struct Size {
    pub(super) weight: usize,
    /// It takes long to apply, for what it weighs.
    pub(super) long: bool,
    /// Somebody is woken for it at once.
    pub(super) heavy: bool,
}

impl Size {
    pub(super) fn of(chunk: &Chunk) -> Self {
        let (weight, len) = (chunk.weight(), chunk.len());
        Size { weight, long: len >= LONG && len / TIMES >= weight as u64, heavy: len >= HEAVY }
    }
}

/// Bytes of a chunk.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) literal: u64,
    pub(super) copied: u64,
}

impl<K: Eq + Hash, T: Target> State<'_, K, T> {
    pub(super) fn accept(&mut self, file: &K, number: u64, waiting: Waiting) {
        let Some(file) = self.files.get_mut(file) else { return };
        self.ahead += waiting.weight;
        file.waiting.insert(number, waiting);
        while let Some(waiting) = file.waiting.get(&file.upto) {
            file.upto += 1;
            self.in_flight += 1;
            self.ahead -= waiting.weight;
            self.cached += if waiting.long { 0 } else { waiting.weight };
        }
        self.stats.peak_ahead = self.stats.peak_ahead.max(self.ahead);
    }

    /// Whether somebody has to be told to go on with the file, who then is: something can be done for it, and nobody is at it.
    pub(super) fn due(&mut self, file: &K) -> bool {
        let Some(file) = self.files.get_mut(file) else { return false };
        let due = !file.due && file.target.is_some() && (file.is_ready() || file.ends());
        file.due |= due;
        due
    }

    /// Whether the file is being put together.
    pub(super) fn knows(&self, file: &K) -> bool {
        self.files.contains_key(file) || self.whole.contains(file)
    }
}

impl<K: Clone + Eq + Hash, T: Target> State<'_, K, T> {
    /// Why a chunk of that number has no place in a file that is not among those that more is awaited of.
    pub(super) fn lacks(&self, file: &K, chunk: u64) -> AssemblyError<K> {
        let file = file.clone();
        match (self.whole.contains(&file), chunk) {
            (false, _) => AssemblyError::Unknown(file),
            (true, 0) => AssemblyError::Duplicate { file, chunk },
            (true, _) => AssemblyError::Beyond { file, chunk, chunks: 1 },
        }
    }
}

impl<'d, K, T: Target> State<'d, K, T> {
    pub(super) fn new() -> Self {
        State {
            files: HashMap::new(),
            whole: HashSet::new(),
            queue: VecDeque::new(),
            groups: Vec::new(),
            spares: Vec::new(),
            spare: 0,
            held: 0,
            ahead: 0,
            cached: 0,
            wants_share: false,
            wants_cache: false,
            settling: false,
            in_flight: 0,
            ending: 0,
            parallel: false,
            more: false,
            idle: 0,
            called: 0,
            slow: 0,
            closed: false,
            panicked: false,
            stats: AssemblyStats::default(),
        }
    }

    /// A chunk is gone from memory. Gives the bytes that it stood for.
    pub(super) fn applied(
        &mut self,
        weight: usize,
        long: bool,
        applied: Result<Applied, T::Error>,
    ) -> Result<u64, T::Error> {
        self.held -= weight;
        self.in_flight -= 1;
        self.cached -= if long { 0 } else { weight };
        self.stats.chunks += 1;
        let Applied { literal, copied } = applied?;
        self.stats.literal += literal;
        self.stats.copied += copied;
        Ok(literal.saturating_add(copied))
    }

    /// Whether those who wait for memory are to be told, of a share of that size. Not for every chunk: who waits then brings
    /// several at once.
    pub(super) fn has_room(&mut self, share: usize) -> bool {
        let room = self.wants_share && self.held - self.ahead <= share / 2
            || self.wants_cache && self.cached <= FLIGHT / 2
            || self.in_flight == 0 && (self.wants_share || self.wants_cache);
        if room {
            (self.wants_share, self.wants_cache) = (false, false);
        }
        room
    }

    /// Whether those who wait for that are to be told that everything is done.
    pub(super) fn is_settled(&mut self) -> bool {
        self.in_flight == 0 && self.ending == 0 && std::mem::take(&mut self.settling)
    }

    /// Takes jobs for a worker: the first that is for no group or for one that nobody is at, and what follows it of that. What
    /// others are at is left to them, unless it has become much. Gives the group, which the worker is at now.
    pub(super) fn pick(&mut self, jobs: &mut Vec<Job<'d, K, T>>) -> Option<usize> {
        let free = self.queue.iter().take(MUCH).position(|queued| self.is_free(queued.group));
        let at = free.or((self.queue.len() >= MUCH).then_some(0))?;
        let Queued { job, group, heavy } = self.queue.remove(at)?;
        jobs.push(job);
        let group = group?;
        let like = |next: &Queued<'_, K, T>| next.group == Some(group) && !next.heavy && !heavy;
        while jobs.len() < SEVERAL && self.queue.get(at).is_some_and(like) {
            jobs.extend(self.queue.remove(at).map(|next| next.job));
        }
        self.groups.push(group);
        Some(group)
    }

    /// Whether nobody is at that group.
    pub(super) fn is_free(&self, group: Option<usize>) -> bool {
        group.is_none_or(|group| !self.groups.contains(&group))
    }

    /// A worker is no longer at that group.
    pub(super) fn leave(&mut self, group: Option<usize>) {
        if let Some(at) = group.and_then(|group| self.groups.iter().position(|other| *other == group)) {
            self.groups.swap_remove(at);
        }
    }

    /// Takes up to `most` workers for called. Gives how many.
    pub(super) fn call(&mut self, most: usize) -> usize {
        let count = most.min(self.idle);
        self.idle -= count;
        self.called += count;
        count
    }

    /// Keeps the memory of a chunk for another.
    pub(super) fn keep(&mut self, chunk: Option<Chunk>) {
        let room = SPARES - self.spare;
        let chunk = chunk.filter(|chunk| chunk.weight() <= SPARE.min(room)).map(Chunk::emptied);
        self.spare += chunk.as_ref().map_or(0, Chunk::weight);
        self.spares.extend(chunk);
    }
}
