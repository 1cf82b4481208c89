//! Names at the destination that are one file and are not to be (without `-H`): what one of them gets, all have.
//!
//! Which of them is told to get it must not be chance, nor what it has in the end. So where such a file is to get other attributes,
//! that is done by whoever delivers the reports, in their order: the worker leaves a hole where the line belongs. A name that has
//! nothing to get leaves one, too: what comes before it may still change the file, and it gets something then.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dir::Dir;
use crate::error::Error;
use crate::fs::Stat;
use crate::hardlinks::{Inode, Lines};
use crate::outcome::Outcome;
use crate::passes;
use crate::shared::Shared;
use crate::target::{self, Target};
use crate::worker::{Entry, Worker};

/// What stands for the file in the holes of those that wait. No file is called so.
const WAITS: Inode = (u64::MAX, u64::MAX);

/// Entries that wait for their turn, by their paths: no more than there are reports under way.
#[derive(Debug, Default)]
pub(crate) struct InOrder(Mutex<HashMap<Vec<u8>, Waits>>);

/// An entry.
#[derive(Debug)]
struct Waits {
    /// Where it is.
    dir: Arc<Dir>,
    at: usize,
    /// If it had nothing to get: what was there, and the lines.
    kept: Option<(Stat, Lines)>,
}

impl InOrder {
    /// Leaves `entry` for when everything before it has been told. If it has nothing to get as what is there is now, `kept` is that,
    /// and the lines.
    pub(crate) fn leave(&self, entry: &Entry<'_>, kept: Option<(Stat, Lines)>, out: &mut Outcome) {
        out.leave_hole(WAITS, entry.rel());
        let waits = Waits { dir: Arc::clone(entry.dir), at: entry.at, kept };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.rel(), waits);
    }

    fn take(&self, path: &[u8]) -> Option<Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path)
    }
}

/// Does what has waited for the delivery of `outcome`, and fills its holes.
pub(crate) fn work_off(shared: &Shared<'_>, outcome: &mut Outcome) -> Result<(), Error> {
    let mut all = Outcome::default();
    let mut lines = HashMap::new();
    for hole in outcome.holes.iter().filter(|hole| hole.inode == WAITS) {
        let Some(Waits { dir, at, kept }) = shared.in_order.take(&hole.path) else { continue };
        let mut worker = passes::worker(shared, 1);
        worker.delivers = true;
        let mut late = Outcome::default();
        match kept {
            Some((then, told)) if is_still(shared, &dir, at, &then) => (late.text, late.log) = (told.text, told.log),
            _ => again(&mut worker, &dir, at, &mut late)?,
        }
        worker.let_go(dir, &mut late);
        lines.insert(hole.path.clone(), Lines::of(&mut late));
        all.append(late);
    }
    outcome.fill(|hole| match hole.inode {
        WAITS => lines.remove(&hole.path).unwrap_or_default(),
        inode => shared.groups.take(inode, &hole.path),
    });
    outcome.append(all);
    Ok(())
}

/// Works on the name `at` of `dir` once more.
fn again(worker: &mut Worker<'_>, dir: &Arc<Dir>, at: usize, out: &mut Outcome) -> Result<(), Error> {
    let shared = worker.shared;
    let Some(src) = Entry::stat(shared, dir, at, out) else { return Ok(()) };
    let entered = target::enter(shared, dir);
    let Some(entry) = Entry::look(shared, dir, at, src, &entered, out) else { return Ok(()) };
    let failed = out.totals.failed;
    worker.regular(&entry, out)?;
    worker.remove_source(&entry, failed, out);
    Ok(())
}

/// Whether the destination's file has all that it had `then`, or is not there to be asked.
fn is_still(shared: &Shared<'_>, dir: &Dir, at: usize, then: &Stat) -> bool {
    let target = shared.target_name(dir, dir.listing.name(at));
    let given = |stat: &Stat| (stat.inode(), stat.mode, stat.uid, stat.gid, stat.mtime, stat.size);
    let Target::Ready(ready) = &*target::enter(shared, dir) else { return true };
    shared.stat_there(ready.fd.as_fd(), target).map_or(true, |now| given(&now) == given(then))
}
