//! `-y`: for a file that the destination lacks, finds one whose blocks it may share: of the same size and time, or of a
//! similar name.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;

use crate::dir::Dir;
use crate::fs::{self, Stat};
use crate::shared::Shared;
use crate::target::Ready;
use crate::wire::Basis;

/// Names that differ by more than this have nothing to do with each other.
const FARTHEST: usize = 25;

/// What a difference in the part behind the last dot counts, against one in the name.
const SUFFIX_WEIGHT: usize = 10;

/// A file that was there before anything was written.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: CString,
    stat: Stat,
    /// Which of the alternate trees has it; `None` is the destination.
    tree: Option<usize>,
}

/// The files that blocks may come from, if that is asked for: those in the destination and, with `-yy`, in the
/// corresponding directories of the alternate trees.
pub(crate) fn candidates(shared: &Shared<'_>, dir: &Dir, ready: &Ready) -> Vec<Candidate> {
    if shared.options.fuzzy == 0 || shared.options.whole_file {
        return Vec::new();
    }
    all(shared, &dir.rel, (!ready.made).then(|| ready.fd.as_fd()))
}

/// The files that are like any that the directory at `rel` lacks, which is open as `fd` if it is there.
pub(crate) fn all(shared: &Shared<'_>, rel: &[u8], fd: Option<BorrowedFd<'_>>) -> Vec<Candidate> {
    let mut found = Vec::new();
    if let Some(fd) = fd {
        list(shared, fd, None, &mut found);
    }
    if shared.options.fuzzy > 1 {
        for (tree, place) in shared.places.alternates.iter().enumerate() {
            if let Ok(dir) = place.dir(shared.options, rel) {
                list(shared, dir.as_fd(), Some(tree), &mut found);
            }
        }
    }
    found
}

/// Adds the files of one directory, by name. What cannot be listed has none.
fn list(shared: &Shared<'_>, dir: BorrowedFd<'_>, tree: Option<usize>, found: &mut Vec<Candidate>) {
    let mut files = Vec::new();
    let _ = fs::list(dir, |name, kind| {
        if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
            return;
        }
        if let Ok(stat) = shared.stat_there(dir, name)
            && stat.kind == FileType::RegularFile
            && stat.size > 0
        {
            files.push(Candidate { name: name.to_owned(), stat, tree });
        }
    });
    files.sort_by(|a, b| a.name.cmp(&b.name));
    found.append(&mut files);
}

/// Opens the best of the candidates for a new file, and says which it is.
pub(crate) fn open(shared: &Shared<'_>, dir: &Dir, ready: &Ready, name: &CStr, src: &Stat) -> Option<(Basis, OwnedFd)> {
    let best = best(shared, dir.candidates.get()?, name, src)?;
    let file = match best.tree {
        None => fs::open_file(ready.fd.as_fd(), &best.name).ok(),
        Some(tree) => {
            let dir = shared.places.alternates.get(tree)?.dir(shared.options, &dir.rel).ok()?;
            fs::open_file(dir.as_fd(), &best.name).ok()
        }
    };
    file.map(|file| (Basis::Like(best.name.clone(), best.tree), file))
}

/// The one of `candidates` that is most like the new file `name`, if any is.
pub(crate) fn best<'c>(
    shared: &Shared<'_>,
    candidates: &'c [Candidate],
    name: &CStr,
    src: &Stat,
) -> Option<&'c Candidate> {
    let twin = candidates.iter().find(|c| c.stat.size == src.size && shared.same_time(&c.stat, src));
    twin.or_else(|| {
        let near = candidates.iter().map(|c| (distance(name.to_bytes(), c.name.to_bytes()), c));
        near.filter(|(distance, _)| *distance <= FARTHEST).min_by_key(|(distance, _)| *distance).map(|(_, c)| c)
    })
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    edits(a, b) + SUFFIX_WEIGHT * edits(suffix(a), suffix(b))
}

fn suffix(name: &[u8]) -> &[u8] {
    name.iter().rposition(|&b| b == b'.').map_or(b"", |dot| &name[dot..])
}

/// How many bytes must be added, removed or replaced to make `b` of `a`.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, edits};

    #[test]
    fn the_nearest_name_differs_least_and_keeps_its_suffix() {
        assert_eq!(
            [edits(b"", b"abc"), edits(b"abc", b""), edits(b"kitten", b"sitting"), edits(b"same", b"same")],
            [3, 3, 3, 0]
        );
        assert!(distance(b"file-1.1.txt", b"file-1.0.txt") < distance(b"file-1.1.txt", b"file-1.1.bin"));
    }
}
