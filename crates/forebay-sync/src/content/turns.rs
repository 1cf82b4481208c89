//! `--inplace` and its like, where several names at the destination are one file: it is written by one worker at a time.
//!
//! Who writes last has the file; what is left is never a mixture. A worker holds one file at most, and waits for none while it
//! does, so nobody waits in a circle.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::hardlinks::Inode;

/// Who is writing what.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<Inode>>,
    given_back: Condvar,
}

/// A file is being written, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    inode: Inode,
}

impl Turns {
    /// Waits until nobody else writes the file.
    pub(crate) fn take(&self, inode: Inode) -> Turn<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = |taken: &mut HashSet<Inode>| !taken.insert(inode);
        drop(self.given_back.wait_while(taken, busy).unwrap_or_else(PoisonError::into_inner));
        Turn { turns: self, inode }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.inode);
        self.turns.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Turns;

    #[test]
    fn one_at_a_time_has_a_file() {
        let (turns, inside) = (Turns::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _turn = turns.take((1, 2));
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
