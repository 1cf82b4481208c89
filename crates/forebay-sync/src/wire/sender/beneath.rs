//! Opens the directories of entries that have been listed, without being led out of the tree by a link that was planted since.

use std::sync::Arc;

use rustix::io::Errno;

use super::live::Folder;
use crate::dir::{Base, Reads, SourceDir, open_again};
use crate::shared::Shared;

/// The directory that was opened last: what is asked for next is mostly in it, too.
#[derive(Debug, Default)]
pub(super) struct Folders {
    last: Option<(Folder, SourceDir)>,
}

impl Folders {
    /// The directory `folder`. Links on the way beneath what was given are refused, unless links are followed by request or
    /// paths were given to be kept (`-R`), in which links may be meant.
    pub(super) fn open(&mut self, shared: &Shared<'_>, folder: &Folder) -> Result<&SourceDir, Errno> {
        let last = match self.last.take().filter(|(last, _)| last == folder) {
            Some(last) => last,
            None => {
                let rel = if shared.options.leads_through_links() { &[][..] } else { &folder.rel };
                let base = Base::Held(Arc::new(open_again(&folder.shown, rel)?));
                let Folder { shown, above, local, .. } = folder.clone();
                (folder.clone(), SourceDir { base, shown, above, local, reads: Reads::of(shared.options) })
            }
        };
        Ok(&self.last.insert(last).1)
    }
}
