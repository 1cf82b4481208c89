//! `--progress`: what is said of a file while it is copied.
//!
//! A worker that copies a file leaves here what its report says before the file's progress, and counts bytes. A thread that
//! wakes once a second hands that to the log if nothing before it is missing there, and says how far the file is. What it has
//! not handed on goes back into the report.
//!
//! Over a connection, one file [comes](Live::come) after the other, and what is before its progress goes ahead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::mirror::Log;
use crate::options::Options;
use crate::passes;
use crate::shared::Shared;
use crate::totals::{Ahead, Carried};

/// How often it is said how far a file is.
const RENEW: Duration = Duration::from_secs(1);

/// How far a file is that is being copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copying {
    /// Bytes that are in place.
    pub done: u64,
    /// Bytes in all.
    pub size: u64,
    /// Since it was begun.
    pub elapsed: Duration,
}

/// The files that are being copied in one pass.
#[derive(Debug, Default)]
pub(crate) struct Live {
    state: Mutex<State>,
    /// There is something to say of, or nothing any more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<File>,
    /// How many items have been told of: the number of the one that is next.
    told: u64,
    over: bool,
    carried: Option<Carried>,
}

#[derive(Debug)]
struct File {
    /// The item that it belongs to.
    item: u64,
    size: u64,
    begun: Instant,
    done: Arc<AtomicU64>,
    /// Lines before its progress, until they are handed on.
    before: Vec<u8>,
}

impl File {
    fn copying(&self) -> Copying {
        Copying { done: self.done.load(Ordering::Relaxed), size: self.size, elapsed: self.begun.elapsed() }
    }
}

/// Ends the [watch](Live::watch) when dropped.
#[derive(Debug)]
pub(crate) struct Over<'l>(pub(crate) &'l Live);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

impl Live {
    /// Whether `options` ask for it.
    pub(crate) fn is_wanted(options: &Options) -> bool {
        options.levels.progress > 0 && !options.quiet && !options.json && !options.dry_run
    }

    /// For what comes over a connection.
    pub(crate) fn of_connection() -> Self {
        let live = Live::default();
        live.lock().carried = Some(Carried::default());
        live
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of `item` is begun. Takes what `text` has before the mark of its progress, which must be its last line. The count
    /// of its bytes, or `None` if that line is not there.
    pub(crate) fn begin(&self, item: u64, text: &mut Vec<u8>, size: u64, marked: bool) -> Option<Arc<AtomicU64>> {
        let mut before = Vec::new();
        if marked {
            let at = text.strip_suffix(b"\n")?.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            if text.get(at) != Some(&0) {
                return None;
            }
            let mark = text.split_off(at);
            before = std::mem::replace(text, mark);
        }
        Some(self.add(item, before, size))
    }

    fn add(&self, item: u64, before: Vec<u8>, size: u64) -> Arc<AtomicU64> {
        let done = Arc::new(AtomicU64::new(0));
        let file = File { item, size, begun: Instant::now(), done: Arc::clone(&done), before };
        let mut state = self.lock();
        if state.files.is_empty() {
            self.changed.notify_all();
        }
        state.files.push(file);
        done
    }

    /// The file of `item` is done. Puts back before `text` what has not been handed on.
    pub(crate) fn end(&self, item: u64, text: &mut Vec<u8>) {
        let mut state = self.lock();
        if let Some(at) = state.files.iter().position(|file| file.item == item) {
            let mut before = state.files.swap_remove(at).before;
            before.append(text);
            *text = before;
        }
    }

    /// One more item has been told of.
    pub(crate) fn told(&self) {
        self.lock().told += 1;
    }

    /// What a connection has carried, if this is about one.
    pub(crate) fn carried(&self) -> Option<Carried> {
        self.lock().carried
    }

    /// Adds the sizes of what is in one more list.
    pub(crate) fn listed(&self, size_bytes: u64) {
        if let Some(carried) = &mut self.lock().carried {
            carried.size_bytes += size_bytes;
        }
    }

    /// A file of `size` bytes comes over a connection. It is told of when `reports` have been told. The count of its bytes.
    pub(crate) fn come(&self, reports: u64, size: u64) -> Arc<AtomicU64> {
        self.add(reports, Vec::new(), size)
    }

    /// The file that came, of `size` bytes, is there. So many entries of the list are `behind` it.
    pub(crate) fn came(&self, size: u64, behind: u64) {
        let mut state = self.lock();
        state.files.clear();
        if let Some(carried) = &mut state.carried {
            carried.files += 1;
            carried.bytes += size;
            carried.behind = behind;
        }
    }

    /// Says how far files are, until that is [over](Over): of all together, or with `each` of the one whose turn it is.
    pub(crate) fn watch(&self, each: bool, log: &Mutex<&mut dyn Log>, ahead: impl Fn() -> Ahead) {
        let mut state = self.lock();
        while !state.over {
            state = match state.files.is_empty() {
                true => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.nap(state),
            };
            if state.over || state.files.is_empty() {
                continue;
            }
            // Whoever holds the log asks for the state, and not the other way round.
            drop(state);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let mut now = self.lock();
            // At the same moment: a file is counted once.
            let (next, carried) = (now.next(each), now.carried);
            drop(now);
            if let Some((lines, copying)) = next
                && log.copying(&lines, &copying, &Ahead { carried, ..ahead() }).is_err()
            {
                // Whoever writes the next report will find that, too.
                return;
            }
            drop(log);
            state = self.lock();
        }
    }

    /// Has what `shared` has of this [watched](Live::watch) by a thread of its own, until what is given back is dropped.
    pub(crate) fn watched<'s, 'l: 's>(
        shared: &'l Shared<'_>,
        scope: &'s Scope<'s, 'l>,
        log: &'l Mutex<&mut dyn Log>,
    ) -> Result<Option<Over<'l>>, Error> {
        let Some(live) = &shared.live else { return Ok(None) };
        let over = Over(live);
        let watch = move || live.watch(shared.options.levels.progress == 1, log, || passes::ahead(shared));
        let thread = thread::Builder::new().name("sync-live".into()).spawn_scoped(scope, watch);
        thread.map_err(|error| Error::Engine(format!("cannot start a thread: {error}")))?;
        Ok(Some(over))
    }

    /// Waits for as long as nothing more is to be said, or until it is over.
    fn nap<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let until = Instant::now() + RENEW;
        while !state.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

impl State {
    /// What there is to say.
    fn next(&mut self, each: bool) -> Option<(Vec<u8>, Copying)> {
        if each {
            let file = self.files.iter_mut().find(|file| file.item <= self.told)?;
            return Some((std::mem::take(&mut file.before), file.copying()));
        }
        let sum = |a: Copying, b: Copying| Copying {
            done: a.done + b.done,
            size: a.size + b.size,
            elapsed: a.elapsed.max(b.elapsed),
        };
        self.files.iter().map(File::copying).reduce(sum).map(|copying| (Vec::new(), copying))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_handed_on_goes_back() {
        let live = Live::default();
        let mut text = b"a\n\x002 1 0\nbig\n\x009 2 0\n".to_vec();
        let whole = text.clone();
        assert!(live.begin(3, &mut b"big\n".to_vec(), 9, true).is_none(), "no mark");
        live.begin(3, &mut text, 9, true).unwrap().store(4, Ordering::Relaxed);
        assert_eq!(text, b"\x009 2 0\n");
        assert!(live.lock().next(true).is_none(), "it is not its turn");
        live.end(3, &mut text);
        assert_eq!(text, whole);
        // Now it is.
        live.begin(3, &mut text, 9, true).unwrap().store(4, Ordering::Relaxed);
        (0..3).for_each(|_| live.told());
        let (lines, copying) = live.lock().next(true).unwrap();
        assert_eq!((&lines[..], copying.done, copying.size), (&whole[..whole.len() - 7], 4, 9));
        assert_eq!(live.lock().next(true).unwrap().0, b"", "once");
        live.end(3, &mut text);
        assert_eq!(text, b"\x009 2 0\n");
        assert!(live.lock().next(true).is_none());
    }

    #[test]
    fn several_files_are_one_sum() {
        let live = Live::default();
        for (item, size) in [(5, 10), (7, 20)] {
            live.begin(item, &mut Vec::new(), size, false).unwrap().store(size / 2, Ordering::Relaxed);
        }
        let (_, copying) = live.lock().next(false).unwrap();
        assert_eq!((copying.done, copying.size), (15, 30));
    }
}
