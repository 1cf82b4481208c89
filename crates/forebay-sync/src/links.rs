//! Symbolic links of the source: which are followed, which are safe, and what munged ones mean.

use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::dir::SourceDir;
use crate::fs;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// Most links that are followed on the way to a directory, as within the kernel: links may lead back to where they are.
pub(crate) const MOST: u8 = 40;

/// What is put before the target of a link that must not be usable.
const MUNGED: &[u8] = b"/rsyncd-munged/";

/// Whether the entry `name`, of the kind that its directory tells, counts as a directory, and whether it is a link to
/// be followed. An error is that of a link to be followed that leads nowhere. Says, with `-v`, that a link is followed for
/// not being safe; `rel` is its directory.
pub(crate) fn meant(
    shared: &Shared<'_>,
    source: &SourceDir,
    name: &CStr,
    kind: FileType,
    rel: &[u8],
    note: &mut Outcome,
) -> Result<(bool, bool), Errno> {
    let options = shared.options;
    if kind != FileType::Symlink || !options.follows_links() {
        return Ok((kind == FileType::Directory, false));
    }
    let there = source.stat(name, true);
    let mut always = options.copy_links;
    // What `-k` follows is followed whatever it leads to.
    let by_k = options.copy_dirlinks && there.is_ok_and(|stat| stat.kind == FileType::Directory);
    if !always && !by_k && options.copy_unsafe_links {
        // As with rsync, a munged one is what it is: absolute.
        if let Some(to) = source.read_link(name).ok().filter(|to| is_unsafe(to.to_bytes(), rel)) {
            always = true;
            if options.levels.symsafe > 0 {
                shared.say_unsafe(note, "copying", &[rel, name.to_bytes()].concat(), to.to_bytes());
            }
        }
    }
    match there {
        Ok(stat) if stat.kind == FileType::Directory => Ok((true, always || options.copy_dirlinks)),
        Ok(_) => Ok((false, always)),
        Err(errno) if always => Err(errno),
        Err(_) => Ok((false, false)),
    }
    .map(|(dir, follow)| (dir && follow, follow))
}

/// Reports a link that is to be followed and leads nowhere, for the reason `errno`: it is left out, and nothing is deleted any more.
pub(crate) fn dangling(shared: &Shared<'_>, source: &SourceDir, name: &CStr, errno: Errno, note: &mut Outcome) {
    shared.io_error.store(true, Ordering::Relaxed);
    note.totals.failed += 1;
    let path = source.path_of(name);
    match errno {
        Errno::NOENT => shared.complain(note, "symlink has no referent: \"", &path, "\""),
        _ => {
            let after = format!("\") failed: {}", fs::describe(errno));
            shared.complain(note, "rsync: [sender] readlink_stat(\"", &path, &after);
        }
    }
}

/// Whether a link in the directory `rel` of the tree with the target `to` could lead out of the tree, going by its text
/// alone: it is absolute or empty, climbs higher than it is deep, or climbs anywhere but at its beginning.
pub(crate) fn is_unsafe(to: &[u8], rel: &[u8]) -> bool {
    if to.is_empty() || to.starts_with(b"/") || to.ends_with(b"/..") {
        return true;
    }
    let depth = rel.split(|&b| b == b'/').filter(|part| !part.is_empty()).count();
    let mut parts = to.split(|&b| b == b'/').filter(|part| !part.is_empty());
    let up = parts.by_ref().take_while(|part| *part == b"..").count();
    up > depth || parts.any(|part| part == b"..")
}

/// The target that `to` had before it was munged, where `--munge-links` asks for it.
pub(crate) fn unmunged(shared: &Shared<'_>, to: CString) -> CString {
    match to.to_bytes().strip_prefix(MUNGED) {
        Some(target) if shared.options.munge_links => CString::new(target).unwrap_or(to),
        _ => to,
    }
}

#[cfg(test)]
mod tests {
    use super::is_unsafe;

    #[test]
    fn a_link_is_unsafe_if_its_text_may_lead_out() {
        for (to, rel) in [
            ("/a", ""),
            ("", ""),
            ("..", ""),
            ("../a", ""),
            ("../../a", "d/"),
            ("a/..", "d/"),
            ("a/../b", "d/"),
            ("./..", "d/"),
            ("../..", "d/e/"),
        ] {
            assert!(is_unsafe(to.as_bytes(), rel.as_bytes()), "{to} in {rel}");
        }
        for (to, rel) in [
            ("a", ""),
            ("../a", "d/"),
            ("../../a", "d/e/"),
            ("..", "d/"),
            ("..//a", "d/"),
            ("a..b/c", ""),
            ("..a", ""),
            (".", ""),
        ] {
            assert!(!is_unsafe(to.as_bytes(), rel.as_bytes()), "{to} in {rel}");
        }
    }
}
