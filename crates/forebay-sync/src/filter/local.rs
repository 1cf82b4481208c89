//! What per-directory merge files say in one directory: its own and those above it.
//!
//! A directory that has no such file shares its parent's state, so a tree costs as much memory as it has merge files.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};

use super::list::{Entry, List, PerDir};
use super::{FilterError, Filters};

/// The per-directory rules that hold in a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local(Option<Arc<Vec<Lists>>>);

/// The same state: not whether two say the same.
impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

impl Eq for Local {}

/// One merge file's rules: of the directory itself first, then of those above.
#[derive(Clone, Debug)]
struct Lists {
    file: Arc<PerDir>,
    lists: Vec<Arc<Vec<Entry>>>,
}

impl Lists {
    fn add(&mut self, list: List, notes: &mut Vec<u8>) {
        notes.extend_from_slice(&list.notes);
        if list.cleared {
            self.lists.clear();
        }
        self.lists.insert(0, Arc::new(list.entries));
    }
}

/// A directory whose merge files are to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folder<'f> {
    pub(crate) fd: BorrowedFd<'f>,
    /// Relative to the root of the transfer; empty, or with a slash at its end.
    pub(crate) rel: &'f [u8],
    /// Its absolute path with a slash at its end.
    pub(crate) shown: &'f [u8],
}

impl Local {
    /// Before any directory of a transfer that begins at `start` (clean and absolute) has been entered: what the files
    /// in the directories above it, and in itself if `with_start`, say where they were asked for. Lines about what was left out
    /// of them are `notes`.
    pub(crate) fn above(
        filters: &Filters,
        start: &[u8],
        with_start: bool,
        notes: &mut Vec<u8>,
    ) -> Result<Self, FilterError> {
        if !filters.has_merge_files() {
            return Ok(Local(None));
        }
        let mut all = Vec::new();
        add_files(&mut all, &filters.list.entries);
        for each in &mut all {
            if each.file.above.is_empty() {
                continue;
            }
            let begin = match each.file.above.starts_with(b"/") {
                true => clean(&each.file.above),
                false => clean(&[start, &each.file.above].concat()),
            };
            let Some(rest) = start.strip_prefix(&begin[..]) else {
                continue;
            };
            let ends = rest.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| begin.len() + at + 1);
            for end in std::iter::once(begin.len()).chain(ends).filter(|&end| end < start.len() || with_start) {
                let dir = &start[..end];
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let Ok(fd) = CString::new(dir)
                    .map_or(Err(rustix::io::Errno::INVAL), |path| rustix::fs::openat(CWD, path, flags, Mode::empty()))
                else {
                    continue;
                };
                if let Some(list) = each.file.read(fd.as_fd(), dir, dir, start, filters)? {
                    each.add(list, notes);
                }
            }
        }
        Ok(Local(Some(Arc::new(all))))
    }

    /// The state in the directory `folder`, where this is that of its parent. Lines about what was left out are `notes`.
    pub(crate) fn enter(
        &self,
        filters: &Filters,
        folder: Folder<'_>,
        notes: &mut Vec<u8>,
    ) -> Result<Self, FilterError> {
        let Some(parent) = &self.0 else {
            return Ok(Local(None));
        };
        let root = folder.shown.strip_suffix(folder.rel).unwrap_or(folder.shown);
        let mut own = Vec::clone(parent);
        let mut changed = false;
        for each in own.iter_mut().filter(|each| each.file.modifiers.not_inherited && !each.lists.is_empty()) {
            each.lists.clear();
            changed = true;
        }
        let mut at = 0;
        while let Some(each) = own.get_mut(at) {
            if let Some(list) = each.file.read(folder.fd, folder.shown, folder.rel, root, filters)? {
                let entries = list.entries.clone();
                each.add(list, notes);
                // Files that it names are looked for in this directory, too.
                add_files(&mut own, &entries);
                changed = true;
            }
            at += 1;
        }
        Ok(if changed { Local(Some(Arc::new(own))) } else { self.clone() })
    }

    /// The rules that stand where `file` was named.
    pub(super) fn rules(&self, file: &Arc<PerDir>) -> &[Arc<Vec<Entry>>] {
        let all = self.0.as_deref().map_or(&[][..], |all| &all[..]);
        all.iter().find(|each| Arc::ptr_eq(&each.file, file)).map_or(&[], |each| &each.lists)
    }
}

fn add_files(all: &mut Vec<Lists>, entries: &[Entry]) {
    for entry in entries {
        // As with rsync, a file that is looked for already is not looked for twice.
        if let Entry::PerDir(file) = entry
            && all.iter().all(|each| each.file.name != file.name)
        {
            all.push(Lists { file: Arc::clone(file), lists: Vec::new() });
        }
    }
}

/// `path`, which is absolute, with a slash at its end and without empty, `.` and `..` components.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut clean = b"/".to_vec();
    for part in parts {
        clean.extend_from_slice(part);
        clean.push(b'/');
    }
    clean
}
