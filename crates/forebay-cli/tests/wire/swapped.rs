//! Files and directories of the source that become symbolic links while they are sent (CVE-2024-12747): nothing from outside
//! arrives. Somebody else's process swaps them again and again, for as long as the run takes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::harness::{Bench, End, Way, finish};

const SECRET: &str = "nobody is to see this";

/// Puts links in the place of `dir/file` and of the directory `dir/sub`, and takes them away again, until that is `over`.
fn swap(dir: &Path, over: &AtomicBool, swaps: &AtomicU64) {
    let [file, sub] = ["file", "sub"].map(|name| dir.join(name));
    let (aside, link) =
        (|name: &str| dir.join(format!("../aside-{name}")), |name: &str| dir.join(format!("../link-{name}")));
    while !over.load(Ordering::Relaxed) {
        for (path, name) in [(&file, "file"), (&sub, "sub")] {
            fs::rename(path, aside(name)).unwrap();
            fs::rename(link(name), path).unwrap();
            thread::yield_now();
            fs::rename(path, link(name)).unwrap();
            fs::rename(aside(name), path).unwrap();
        }
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the secret is in a file beneath `path`.
fn leaked(path: &Path) -> bool {
    let kind = fs::symlink_metadata(path).map(|metadata| metadata.file_type());
    match kind {
        Ok(kind) if kind.is_dir() => fs::read_dir(path).unwrap().any(|entry| leaked(&entry.unwrap().path())),
        Ok(kind) if kind.is_file() => {
            fs::read(path).unwrap().windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        }
        _ => false,
    }
}

/// Sets it when dropped.
struct Ends<'e>(&'e AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_becomes_a_link_while_it_is_sent_leads_nowhere() {
    let bench = Bench::new();
    let (src, secret) = (bench.src().join("dir"), bench.path("secret"));
    fs::create_dir_all(src.join("sub")).unwrap();
    fs::create_dir(&secret).unwrap();
    for name in ["f", "1", "2"] {
        fs::write(secret.join(name), SECRET.repeat(2000)).unwrap();
        fs::write(src.join("sub").join(name), "public".repeat(2000)).unwrap();
    }
    fs::write(src.join("file"), "public".repeat(2000)).unwrap();
    (0..100).for_each(|n| fs::write(src.join(format!("other{n}")), "public").unwrap());
    symlink(secret.join("f"), bench.src().join("link-file")).unwrap();
    symlink(&secret, bench.src().join("link-sub")).unwrap();
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| swap(&src, &over, &swaps));
        // Also when the test fails.
        let _ends = Ends(&over);
        for round in 0..24 {
            let client = if round % 2 == 0 { End::Ours } else { End::Stock };
            let args: &[&str] = match round % 3 {
                0 => &["-a", "-I"],
                1 => &["-rc"],
                _ => &["-az", "--no-inc-recursive"],
            };
            bench.prepare("ours");
            let seen = swaps.load(Ordering::Relaxed);
            let output = finish(bench.client((client, End::Ours), Way::Pull, args, "ours"));
            // Names that come and go are no more than that.
            assert!(
                matches!(output.status.code(), Some(0 | 23 | 24)),
                "{client:?} {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!leaked(&bench.path("ours")), "{client:?} {args:?}");
            assert!(bench.path("ours/dir/other99").exists());
            assert!(swaps.load(Ordering::Relaxed) > seen, "nothing was swapped meanwhile");
        }
    });
}
