//! `--mkpath`: the directories that lead to the destination are made.

use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::given;

/// Makes what is missing of the directories on the way to `path`, itself among them. Returns how many that are, which a
/// dry run only counts. Nothing leads to an empty path.
pub(crate) fn make(path: &[u8], dry_run: bool, insecure: bool) -> Result<usize, Errno> {
    let mut missing = 0;
    // `a//b` and `a/` have parts without a name, which are not made.
    let ends = (0..path.len()).filter(|&at| path[at] == b'/' && at > 0 && path[at - 1] != b'/');
    let last = Some(path.len()).filter(|&end| end > 0 && !path.ends_with(b"/"));
    for end in ends.chain(last) {
        let above = &path[..end];
        match rustix::fs::statat(CWD, above, AtFlags::empty()) {
            Ok(there) if end == path.len() && FileType::from_raw_mode(there.st_mode) != FileType::Directory => {
                return Err(if dry_run { Errno::NOTDIR } else { Errno::EXIST });
            }
            Ok(_) => continue,
            Err(Errno::NOTDIR) if dry_run => return Err(Errno::NOTDIR),
            Err(_) => {}
        }
        if !dry_run {
            match given::make_dir(CWD, above, insecure) {
                Ok(()) => {}
                // Somebody else has just made it; or a link to nothing has the name, which is found out when it is entered.
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(errno),
            }
        }
        missing += 1;
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn makes_and_counts_what_is_missing() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("a")).unwrap();
        let path = |rel: &str| [temp.path().as_os_str().as_bytes(), b"/", rel.as_bytes()].concat();
        assert_eq!(make(&path("a"), false, false), Ok(0));
        assert_eq!(make(b"", false, false), Ok(0));
        assert_eq!(make(&path("a//b/c//"), true, false), Ok(2));
        assert!(!temp.path().join("a/b").exists());
        assert_eq!(make(&path("a//b/c//"), false, false), Ok(2));
        assert_eq!(make(&path("a/b/c/d"), false, false), Ok(1));
        assert!(temp.path().join("a/b/c/d").is_dir());
        std::fs::write(temp.path().join("file"), "").unwrap();
        for dry_run in [false, true] {
            assert_eq!(make(&path("file/x"), dry_run, false), Err(Errno::NOTDIR));
            assert_eq!(make(&path("file/x/y"), dry_run, false), Err(Errno::NOTDIR));
        }
        assert_eq!(make(&path("file"), false, false), Err(Errno::EXIST));
        std::os::unix::fs::symlink("nowhere", temp.path().join("dangling")).unwrap();
        assert_eq!(make(&path("dangling"), false, false), Ok(0));
        assert_eq!(make(&path("dangling/x"), false, false), Err(Errno::NOENT));
    }
}
