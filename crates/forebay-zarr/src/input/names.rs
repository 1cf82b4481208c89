//! Patterns, and the files that they name.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::InputError;

/// The files that `patterns` name: pattern by pattern, those of one in natural order. Never empty.
///
/// # Errors
/// [`InputError`] if a pattern is malformed or matches nothing, or there is none.
pub(super) fn expand<P: AsRef<Path>>(patterns: &[P]) -> Result<VecDeque<PathBuf>, InputError> {
    let mut paths = VecDeque::new();
    for pattern in patterns {
        let pattern = pattern.as_ref();
        // Names may hold what would have a meaning in a pattern.
        if pattern.symlink_metadata().is_ok() {
            paths.push_back(pattern.to_owned());
            continue;
        }
        let text = pattern.to_string_lossy();
        let found = glob::glob(&text)
            .map_err(|error| InputError::Pattern { pattern: text.clone().into_owned(), reason: error.msg })?;
        let mut matches = Vec::new();
        for path in found {
            let path = path.map_err(|error| {
                let at = error.path().to_owned();
                InputError::io("list", &at, error.into())
            })?;
            if !path.is_dir() {
                let name = path.to_string_lossy().into_owned();
                matches.push((name, path));
            }
        }
        if matches.is_empty() {
            return Err(InputError::NoMatch { pattern: text.into_owned() });
        }
        // `a01` and `a1` are the same number: the order of their bytes decides.
        matches.sort_by(|(a, _), (b, _)| natord::compare(a, b).then_with(|| a.cmp(b)));
        paths.extend(matches.into_iter().map(|(_, path)| path));
    }
    if paths.is_empty() {
        return Err(InputError::NoMatch { pattern: String::new() });
    }
    Ok(paths)
}
