//! What lies in the directory of an array.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// Every file beneath `root`, by its path from there.
pub(crate) fn objects(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let key = path.strip_prefix(root).expect("a path beneath it").to_string_lossy().into_owned();
                objects.insert(key, fs::read(&path).expect("a file"));
            }
        }
    }
    objects
}

/// Whether there is nothing but what belongs to an array that was closed.
pub(crate) fn only_an_array(objects: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let ours = |key: &str| key == "zarr.json" || key.starts_with("c/") || is_notes(key);
    match objects.keys().find(|key| !ours(key)) {
        Some(key) => Err(format!("{key} is left over")),
        None => Ok(()),
    }
}

/// The attributes of frames, in the order of the frames.
pub(crate) fn notes(objects: &BTreeMap<String, Vec<u8>>) -> Vec<Map<String, Value>> {
    let mut notes: Vec<Map<String, Value>> = objects
        .iter()
        .filter(|(key, _)| is_notes(key))
        .flat_map(|(_, lines)| lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()))
        .map(|line| serde_json::from_slice(line).expect("a JSON object a line"))
        .collect();
    notes.sort_by_key(|note| note["frame"].as_u64());
    notes
}

fn is_notes(key: &str) -> bool {
    key.strip_prefix("frames/").is_some_and(|name| name.ends_with(".ndjson"))
}
