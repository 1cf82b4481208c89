//! What holds for a file list from the wire, whatever the bytes.

use forebay_sync::probe::Lists;

/// `data` is the version of the protocol, the flags of the session (2 bytes, little-endian), the options (2 bytes likewise),
/// and a list.
pub(crate) fn check(data: &[u8]) {
    let Some((&[protocol, a, b, c, d], list)) = data.split_first_chunk() else { return };
    let lists = Lists {
        protocol: 30 + u32::from(protocol % 3),
        compat: u16::from_le_bytes([a, b]).into(),
        options: u16::from_le_bytes([c, d]),
    };
    // In incremental recursion, numbers begin with 1.
    let first = i32::from(a & 1);
    let Some(read) = lists.read(list, first) else { return };
    for (path, &is_dir) in read.paths.iter().zip(&read.dirs) {
        assert!(is_dir || path != b".", "a root that is no directory");
        assert!(path.len() < 4096 && !path.contains(&0), "a path that exists on no system");
        assert!(
            path == b"." || path.split(|&b| b == b'/').all(|part| !matches!(part, b"" | b"." | b"..")),
            "a path that leads elsewhere"
        );
    }
    // What is written again may look otherwise, but means the same.
    let again = lists.read(&read.written, first).unwrap_or_else(|| panic!("what is written is not read"));
    assert!(again.rest.is_empty(), "all that is written is read");
    assert_eq!((again.paths, again.dirs), (read.paths, read.dirs));
    assert_eq!(again.written, read.written, "what is written has one form");
}
