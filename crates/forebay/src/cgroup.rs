//! How much memory the process may use, as its control groups say. On other systems than Linux nothing is known.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The smallest memory limit of the process's control group and those above it, in bytes; `None` without one.
pub(crate) fn memory_limit() -> Option<u64> {
    limit(&groups())
}

/// A control group that may limit the memory of the process.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    /// Version 2 has one hierarchy, version 1 one for memory.
    unified: bool,
}

/// The process's control group and those above it, the lowest last. Without control groups there are none.
pub(crate) fn groups() -> Vec<Group> {
    fs::read_to_string("/proc/self/cgroup").map_or_else(|_| Vec::new(), |text| beneath(Path::new(ROOT), &text))
}

/// As [`groups`], with the control groups mounted at `root`; `text` is the content of `/proc/self/cgroup`. In a
/// container a path may name groups that are not visible; then the parents that are count.
pub(crate) fn beneath(root: &Path, text: &str) -> Vec<Group> {
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        // Version 2 has one line without controllers, version 1 one for each hierarchy.
        let unified = controllers.is_empty();
        if !unified && controllers.split(',').all(|name| name != "memory") {
            return None;
        }
        let mut dir = if unified { root.to_owned() } else { root.join("memory") };
        let mut groups = vec![Group { dir: dir.clone(), unified }];
        for name in Path::new(group).components().filter(|part| matches!(part, Component::Normal(_))) {
            dir.push(name);
            groups.push(Group { dir: dir.clone(), unified });
        }
        Some(groups)
    };
    text.lines().filter_map(of_line).flatten().collect()
}

/// The smallest hard limit of `groups`, in bytes.
fn limit(groups: &[Group]) -> Option<u64> {
    let hard = |group: &Group| group.number(if group.unified { "memory.max" } else { "memory.limit_in_bytes" });
    groups.iter().filter_map(hard).min()
}

impl Group {
    /// Where the kernel says how much time was lost for want of memory.
    pub(crate) fn pressure_file(&self) -> PathBuf {
        self.dir.join("memory.pressure")
    }

    /// The share of its limit that the group uses and that the kernel cannot simply drop. `None` without a limit.
    pub(crate) fn used(&self) -> Option<f64> {
        let (used, limits, idle): (_, &[&str], _) = if self.unified {
            ("memory.current", &["memory.high", "memory.max"], "inactive_file")
        } else {
            ("memory.usage_in_bytes", &["memory.limit_in_bytes"], "total_inactive_file")
        };
        let limit = limits.iter().filter_map(|file| self.number(file)).min()?;
        // Without it all that is used counts: at worst it spills earlier.
        let stat = fs::read_to_string(self.dir.join("memory.stat")).unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix(idle)?.strip_prefix(' '));
        let cached: u64 = line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
        Some(self.number(used)?.saturating_sub(cached) as f64 / limit.max(1) as f64)
    }

    /// "max" is no number: no limit. Nor is a file that is not there, which many systems lack.
    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
mod tests {
    use super::{beneath, limit};
    use std::fs;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = root(&[
            ("memory.max", "max\n"),
            ("a/memory.max", "1000000\n"),
            ("a/b/memory.max", "max\n"),
            ("memory/v1/memory.limit_in_bytes", "5000\n"),
        ]);
        let limit = |text| limit(&beneath(root.path(), text));
        assert_eq!(limit("0::/a/b\n"), Some(1_000_000));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("0::/../a/gone\n"), Some(1_000_000));
        assert_eq!(limit("5:cpu,memory:/v1\n0::/\n"), Some(5000));
        assert_eq!(limit("5:cpu:/v1\nnonsense\n"), None);
    }

    #[test]
    fn what_the_kernel_can_drop_is_not_used() {
        let root = root(&[
            ("a/memory.max", "1000\n"),
            ("a/memory.high", "800\n"),
            ("a/memory.current", "600\n"),
            ("a/memory.stat", "anon 400\ninactive_file 200\n"),
            ("memory/v1/memory.limit_in_bytes", "1000\n"),
            ("memory/v1/memory.usage_in_bytes", "900\n"),
            ("unlimited/memory.max", "max\n"),
            ("unlimited/memory.current", "600\n"),
        ]);
        let used = |text| beneath(root.path(), text).last().unwrap().used();
        assert_eq!(used("0::/a"), Some(0.5));
        assert_eq!(used("3:memory:/v1"), Some(0.9));
        assert_eq!(used("0::/unlimited"), None);
        assert_eq!(used("0::/gone"), None);
    }
}
