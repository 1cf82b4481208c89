//! Replays a fuzz target's corpus: for the workspace's tests, which do not build the fuzzer.

use std::fs;
use std::path::Path;

/// Calls `check` with each file of `target`'s corpus.
///
/// # Panics
/// If there is none, or as `check` does.
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("list {}: {error}", dir.display()));
    let mut replayed = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", dir.display());
}
