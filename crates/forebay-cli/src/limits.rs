//! What the system allows the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Directories and shards on the way are held open: takes all the files that we are allowed.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where that is refused, the limit stays as it is, and the tools keep within it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
