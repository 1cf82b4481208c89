//! What a mirror is asked to do.

use std::num::NonZeroUsize;

use forebay::{Budget, CancelToken, SegmentStore};

use crate::filter::Filters;
use crate::text::Escape;

/// What to transfer, what to preserve and what to say. The default transfers single files and preserves nothing, as
/// rsync without options.
#[derive(Debug)]
pub struct Options {
    /// `-r`: descend into directories.
    pub recursive: bool,
    /// `-l`: copy symbolic links as such.
    pub links: bool,
    /// `-p`: preserve modes.
    pub perms: bool,
    /// `-t`: preserve modification times.
    pub times: bool,
    /// `-g`: preserve groups, as far as the process may.
    pub group: bool,
    /// `-o`: preserve owners, if the process is the super-user.
    pub owner: bool,
    /// `--devices`: copy device nodes, if the process is the super-user.
    pub devices: bool,
    /// `--specials`: copy FIFOs and sockets.
    pub specials: bool,
    /// `-n`: change nothing, say what would be done.
    pub dry_run: bool,
    /// `-u`: leave alone what is newer at the destination.
    pub update: bool,
    /// `-c`: compare contents where sizes are equal, whatever the times say.
    pub checksum: bool,
    /// `--delete`: remove what the source does not have from the directories that are transferred.
    pub delete: bool,
    /// `-i`: a line of codes for each change.
    pub itemize: bool,
    /// `-v`: names of what changes; twice: also of what does not.
    pub verbose: u8,
    /// `-q`: nothing but errors.
    pub quiet: bool,
    /// `--include` and `--exclude`, in the order given.
    pub filters: Filters,
    /// How names are written into the log.
    pub escape: Escape,
    /// Threads that compare and copy. Default: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Most items that are queued or worked on at a time. Default: what the limit on open files allows, at most 1,024.
    pub window: Option<NonZeroUsize>,
    /// The memory that pays for what waits. Default: 64 MiB.
    pub budget: Budget,
    /// Where reports wait that do not fit into the budget. Without it, a log that nobody reads stalls the copy.
    pub spill: Option<SegmentStore>,
    /// Ends the mirror early. Nothing half written stays behind.
    pub cancel: CancelToken,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            recursive: false,
            links: false,
            perms: false,
            times: false,
            group: false,
            owner: false,
            devices: false,
            specials: false,
            dry_run: false,
            update: false,
            checksum: false,
            delete: false,
            itemize: false,
            verbose: 0,
            quiet: false,
            filters: Filters::default(),
            escape: Escape::default(),
            workers: None,
            window: None,
            budget: Budget::modest(64 << 20),
            spill: None,
            cancel: CancelToken::new(),
        }
    }
}
