//! Opens the directories of entries that have been listed, without being led out of the tree by a link that was planted since.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;

use super::live::Folder;
use crate::dir::{Base, Reads, SourceDir};
use crate::fs;
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
                let base = Base::Held(open(shared, folder)?);
                let Folder { shown, above, local, .. } = folder.clone();
                (folder.clone(), SourceDir { base, shown, above, local, reads: Reads::of(shared.options) })
            }
        };
        Ok(&self.last.insert(last).1)
    }
}

fn open(shared: &Shared<'_>, folder: &Folder) -> Result<OwnedFd, Errno> {
    let options = shared.options;
    let linked = options.copy_links || options.copy_dirlinks || options.copy_unsafe_links || options.select.relative;
    let (base, rel) = match folder.shown.strip_suffix(&folder.rel[..]) {
        Some(base) if !linked => (base, &folder.rel[..]),
        _ => (&folder.shown[..], &[][..]),
    };
    let base = CString::new(base).map_err(|_| Errno::INVAL)?;
    let base = fs::open_dir(CWD, &base, true)?;
    match rel.strip_suffix(b"/") {
        Some(rel) => fs::open_beneath(base.as_fd(), rel, false),
        None => Ok(base),
    }
}
