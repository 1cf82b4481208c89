//! How a directory becomes that of an array which is to be written.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::fs::{FileSystem, RealFs};
use super::lock::{DIR, Lock};
use crate::metadata::{KEY, MAX_BYTES};
use crate::store::StoreError;

/// What an array consists of.
const PARTS: [&str; 5] = [KEY, REMOVED, "c", "frames", DIR];

/// The metadata of an array that is being removed.
const REMOVED: &str = ".forebay-removed.json";

/// Makes `root` an empty directory, and locks it. Removes an array that is there, if it may.
pub(super) fn claim(root: &Path, overwrite: bool) -> Result<Lock, StoreError> {
    make(root)?;
    // First without a lock, not to leave one in a directory that is none of our business.
    check(root, overwrite)?;
    let lock = Lock::acquire(root)?;
    check(root, overwrite)?;
    lock.clean()?;
    remove(root)?;
    Ok(lock)
}

/// Makes directory `root` and those above it, durably.
fn make(root: &Path) -> Result<(), StoreError> {
    let new: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(root).map_err(|error| match fs::metadata(root) {
        Ok(found) if !found.is_dir() => {
            StoreError::NotAnArray { path: root.to_owned(), why: "it is no directory".into() }
        }
        _ => StoreError::io("create directory", root)(error),
    })?;
    // The path above a name alone is empty.
    let above = |path: &Path| path.parent().filter(|parent| *parent != Path::new("")).map(Path::to_owned);
    new.into_iter().try_for_each(|path| sync(&above(path).unwrap_or_else(|| ".".into())))
}

/// Locks the array in `root`.
pub(super) fn resume(root: &Path) -> Result<Lock, StoreError> {
    if let Err(error) = fs::metadata(root.join(KEY)) {
        return Err(match error.kind() {
            io::ErrorKind::NotFound => {
                StoreError::NotAnArray { path: root.to_owned(), why: format!("there is no {KEY}") }
            }
            _ => StoreError::io("read", root.join(KEY))(error),
        });
    }
    let lock = Lock::acquire(root)?;
    lock.clean()?;
    Ok(lock)
}

/// Checks that `root` is empty or, if `overwrite`, holds an array and nothing else.
fn check(root: &Path, overwrite: bool) -> Result<(), StoreError> {
    let metadata = root.join(KEY);
    let is_array = metadata.exists() || root.join(REMOVED).exists();
    if is_array && !overwrite {
        return Err(StoreError::Exists { path: root.to_owned() });
    }
    let refuse = |why: String| Err(StoreError::NotAnArray { path: root.to_owned(), why });
    for entry in fs::read_dir(root).map_err(StoreError::io("list", root))? {
        let name = entry.map_err(StoreError::io("list", root))?.file_name();
        if !PARTS.iter().any(|part| name == OsStr::new(part)) {
            return refuse(format!("it contains '{}'", name.display()));
        }
        if !is_array && name != DIR {
            return refuse(format!("it contains '{}', but no {KEY}", name.display()));
        }
    }
    if metadata.exists() {
        let node = node_type(&metadata).map_err(StoreError::io("read", &metadata))?;
        if node.as_deref() != Some("array") {
            return refuse(format!("its {KEY} does not say that it is one"));
        }
    }
    Ok(())
}

/// The type of node that `zarr.json` at `path` describes.
fn node_type(path: &Path) -> io::Result<Option<String>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Ok(None);
    }
    let document: Option<Value> = serde_json::from_slice(&fs::read(path)?).ok();
    Ok(document.and_then(|document| Some(document.get("node_type")?.as_str()?.to_owned())))
}

/// Removes all parts of an array. The metadata goes first, so that no half of an array ever looks whole; it is kept
/// until the end under another name, so that whoever finds the half can tell what it was.
fn remove(root: &Path) -> Result<(), StoreError> {
    let metadata = root.join(KEY);
    if metadata.exists() {
        fs::rename(&metadata, root.join(REMOVED)).map_err(StoreError::io("rename", &metadata))?;
        sync(root)?;
    }
    for part in ["c", "frames", REMOVED] {
        let path = root.join(part);
        match RealFs.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", path)(error));
            }
            _ => sync(root)?,
        }
    }
    Ok(())
}

fn sync(root: &Path) -> Result<(), StoreError> {
    fs::File::open(root).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", root))
}
