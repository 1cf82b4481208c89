//! `--delay-updates`: finished files wait in a directory beside their names until everything else is done.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Timespec};
use rustix::io::Errno;

use crate::attrs;
use crate::backup;
use crate::content::partial;
use crate::fs::{self, Stat};
use crate::outcome::Outcome;
use crate::shared::Shared;

/// What waits in one directory.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The directory below the destination, with a slash at its end; empty for the destination itself.
    pub(crate) rel: Vec<u8>,
    pub(crate) names: Vec<CString>,
    /// The time that the directory is to have in the end.
    pub(crate) time: Option<Timespec>,
}

/// Everything that waits. Grows with the number of files that are updated.
#[derive(Debug, Default)]
pub(crate) struct Delayed(Mutex<Vec<Waiting>>);

impl Delayed {
    pub(crate) fn push(&self, waiting: Waiting) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
    }

    /// Gives all their names, in the order of their paths.
    pub(crate) fn finish(&self, shared: &Shared<'_>, out: &mut Outcome) {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_by(|a, b| a.rel.cmp(&b.rel));
        for waiting in all {
            if let Err(errno) = waiting.finish(shared, out) {
                shared.removals.keep_in(&waiting.rel);
                shared.fail(out, "[receiver] opendir", &shared.target_dir(&waiting.rel), errno);
            }
        }
    }
}

impl Waiting {
    fn finish(&self, shared: &Shared<'_>, out: &mut Outcome) -> Result<(), Errno> {
        let root = shared.root.fd.as_ref().ok_or(Errno::NOENT)?;
        let dir = fs::open_beneath(root.as_fd(), self.rel.strip_suffix(b"/").unwrap_or(&self.rel), false)?;
        let from = partial::dir(shared, dir.as_fd(), false)?;
        for name in &self.names {
            let rel = [&self.rel, name.to_bytes()].concat();
            if shared.options.backup
                && Stat::at(dir.as_fd(), name).is_ok()
                && !backup::take(shared, out, dir.as_fd(), name, &rel, true)
            {
                shared.removals.keep(&rel);
                continue;
            }
            if let Err(errno) = rustix::fs::renameat(&from, name, &dir, name) {
                shared.removals.keep(&rel);
                out.totals.failed += 1;
                let kept = partial::name(shared.options).map_or(&b""[..], |dir| dir.as_bytes());
                let above = if kept.starts_with(b"/") { &b""[..] } else { &self.rel[..] };
                let mut rest = b"\" (from ".to_vec();
                shared.options.escape.push(&mut rest, &[above, kept, b"/", name.to_bytes()].concat());
                let rest = format!("{}): {}", String::from_utf8_lossy(&rest), fs::describe(errno));
                let path = shared.target_path(&rel, b"");
                shared.complain(out, "rsync: [receiver] rename failed for \"", &path, &rest);
            }
        }
        partial::remove(shared, dir.as_fd());
        if let Some(time) = self.time {
            rustix::fs::utimensat(&dir, c".", &attrs::times(time), AtFlags::empty())?;
        }
        Ok(())
    }
}
