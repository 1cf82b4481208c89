//! The order of names within a directory: everything else before directories, directories as if their name ended in
//! a slash. Depth-first over directories sorted so, this is the order of rsync's file lists since protocol 29.

use std::cmp::Ordering;

/// Compares two names of one directory, each with whether it is a directory.
pub(crate) fn compare(a: (&[u8], bool), b: (&[u8], bool)) -> Ordering {
    match (a.1, b.1) {
        (false, false) => a.0.cmp(b.0),
        (false, true) => Ordering::Less,
        (true, false) => Ordering::Greater,
        (true, true) => a.0.iter().chain(b"/").cmp(b.0.iter().chain(b"/")),
    }
}

/// Compares two paths of entries that are not directories.
pub(crate) fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    compare_entries((a, false), (b, false))
}

/// Compares two paths, each with whether it is a directory. `.` is the root: it comes before what is in it.
pub(crate) fn compare_entries(a: (&[u8], bool), b: (&[u8], bool)) -> Ordering {
    let key = |entry| if entry == (&b"."[..], true) { (&b""[..], false) } else { entry };
    let ((a, a_dir), (b, b_dir)) = (key(a), key(b));
    let (mut a, mut b) = (a.split(|&b| b == b'/').peekable(), b.split(|&b| b == b'/').peekable());
    loop {
        let (left, right) = match (a.next(), b.next()) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return left.is_some().cmp(&right.is_some()),
        };
        match compare((left, a_dir || a.peek().is_some()), (right, b_dir || b.peek().is_some())) {
            Ordering::Equal => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{compare, compare_entries, compare_paths};

    #[test]
    fn files_come_first_and_directories_compare_with_their_slash() {
        let mut names: Vec<(&[u8], bool)> =
            vec![(b"a", true), (b"a-dir", true), (b"z", false), (b"a.txt", false), (b"a0", true), (b"a", false)];
        names.sort_by(|&a, &b| compare(a, b));
        let expected: Vec<(&[u8], bool)> =
            vec![(b"a", false), (b"a.txt", false), (b"z", false), (b"a-dir", true), (b"a", true), (b"a0", true)];
        assert_eq!(names, expected);
        let mut paths: Vec<&[u8]> = vec![b"a/b/c", b"a/z", b"b", b"a", b"a-dir/x", b"a/b-/c"];
        paths.sort_by(|a, b| compare_paths(a, b));
        let expected: Vec<&[u8]> = vec![b"a", b"b", b"a-dir/x", b"a/z", b"a/b-/c", b"a/b/c"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_directory_is_before_what_is_in_it_and_the_root_before_everything() {
        let mut entries: Vec<(&[u8], bool)> = vec![
            (b"a/b", true),
            (b"a/b/c", false),
            (b"a.d", true),
            (b"a", true),
            (b"z", false),
            (b".", true),
            (b"a/f", false),
        ];
        entries.sort_by(|&a, &b| compare_entries(a, b));
        let expected: Vec<(&[u8], bool)> = vec![
            (b".", true),
            (b"z", false),
            (b"a.d", true),
            (b"a", true),
            (b"a/f", false),
            (b"a/b", true),
            (b"a/b/c", false),
        ];
        assert_eq!(entries, expected);
    }
}
