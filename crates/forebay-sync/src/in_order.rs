//! Names at the destination that are one file and are not to be (without `-H`): what one of them gets, all have.
//!
//! Which of them is told to get it must not be chance, nor what it has in the end. So where such a file is to get other attributes,
//! that is done by whoever delivers the reports, in their order: the worker leaves a hole where the line belongs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dir::Dir;
use crate::error::Error;
use crate::hardlinks::{Inode, Lines};
use crate::outcome::Outcome;
use crate::passes;
use crate::shared::Shared;
use crate::target;
use crate::worker::Entry;

/// What stands for the file in the holes of those that wait. No file is called so.
const WAITS: Inode = (u64::MAX, u64::MAX);

/// Entries that wait for their turn, by their paths: no more than there are reports under way.
#[derive(Debug, Default)]
pub(crate) struct InOrder(Mutex<HashMap<Vec<u8>, Waits>>);

/// An entry: where it is.
type Waits = (Arc<Dir>, usize);

impl InOrder {
    /// Leaves `entry` for when everything before it has been told.
    pub(crate) fn leave(&self, entry: &Entry<'_>, out: &mut Outcome) {
        out.leave_hole(WAITS, entry.rel());
        let waits = (Arc::clone(entry.dir), entry.at);
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
        let Some((dir, at)) = shared.in_order.take(&hole.path) else { continue };
        let mut worker = passes::worker(shared, 1);
        worker.delivers = true;
        let mut late = Outcome::default();
        if let Some(src) = Entry::stat(shared, &dir, at, &mut late) {
            let entered = target::enter(shared, &dir);
            if let Some(entry) = Entry::look(shared, &dir, at, src, &entered, &mut late) {
                let failed = late.totals.failed;
                worker.regular(&entry, &mut late)?;
                worker.remove_source(&entry, failed, &mut late);
            }
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
