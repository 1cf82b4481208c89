//! How much memory the process may use, as its control groups say. On other systems than Linux nothing is known.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The smallest memory limit of the process's control group and those above it, in bytes; `None` without one.
pub(crate) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_beneath(Path::new("/sys/fs/cgroup"), &groups)
}

/// As [`memory_limit`], with the control groups mounted at `root`; `groups` is the content of `/proc/self/cgroup`.
fn limit_beneath(root: &Path, groups: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        // Version 2 has one line without controllers, version 1 a hierarchy for each.
        let (dir, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            return None;
        };
        lowest(&dir, Path::new(group), file)
    };
    groups.lines().filter_map(of_line).min()
}

/// The lowest number in `file` of `group` and its parents. In a container the path may name groups that are not
/// visible; then the parents that are count.
fn lowest(dir: &Path, group: &Path, file: &str) -> Option<u64> {
    let names = group.components().filter(|part| matches!(part, Component::Normal(_)));
    let mut path = PathBuf::from(dir);
    let mut paths = vec![path.clone()];
    paths.extend(names.map(|name| {
        path.push(name);
        path.clone()
    }));
    // "max" is no number: no limit.
    let read = |path: &PathBuf| fs::read_to_string(path.join(file)).ok()?.trim().parse().ok();
    paths.iter().filter_map(read).min()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::limit_beneath;
    use std::fs;

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        at("memory.max", "max\n");
        at("a/memory.max", "1000000\n");
        at("a/b/memory.max", "max\n");
        at("memory/v1/memory.limit_in_bytes", "5000\n");
        let limit = |groups| limit_beneath(root.path(), groups);
        assert_eq!(limit("0::/a/b\n"), Some(1_000_000));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("0::/../a/gone\n"), Some(1_000_000));
        assert_eq!(limit("5:cpu,memory:/v1\n0::/\n"), Some(5000));
        assert_eq!(limit("5:cpu:/v1\nnonsense\n"), None);
    }
}
