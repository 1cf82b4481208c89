//! Directories of the destination that become symbolic links while a mirror writes into them: nothing outside changes.
//! Somebody else's process swaps them again and again, for as long as the run takes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::harness::{Bench, FOREBAY, command};

/// Puts links in the place of `dir/sub`, of `dir/sub/deep` and of the file `dir/sub/f`, and takes them away again, until that is
/// `over`. What a mirror has done meanwhile may be in the way: then the next round has more luck.
fn swap(dir: &Path, aside: &Path, outside: &Path, over: &AtomicBool, swaps: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        for (name, to) in [("sub", "sub"), ("sub/deep", "sub/deep"), ("sub/f", "sub/f")] {
            let (path, kept) = (dir.join(name), aside.join(name.replace('/', "-")));
            if fs::rename(&path, &kept).is_err() {
                continue;
            }
            let planted = symlink(outside.join(to), &path).is_ok();
            thread::yield_now();
            if planted && path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                swaps.fetch_add(u64::from(fs::remove_file(&path).is_ok()), Ordering::Relaxed);
            }
            if fs::rename(&kept, &path).is_err() {
                // Something has been made there in the meantime.
                let _ = fs::remove_dir_all(&kept).or_else(|_| fs::remove_file(&kept));
            }
        }
    }
}

/// Everything beneath `dir`: what it is and whose, when it has changed, and what is in it.
fn look(dir: &Path) -> BTreeMap<PathBuf, String> {
    let (mut seen, mut paths) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(path) = paths.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        // Whatever is done to an entry, its time of change tells.
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let attributes = Command::new("getfattr").args(["-h", "-d", "-m", "-"]).arg(&path).output().unwrap().stdout;
        let text = format!("{:o} {} {} {times:?} {content:?} {attributes:?}", meta.mode(), meta.uid(), meta.nlink());
        if meta.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.insert(path, text);
    }
    seen
}

/// Sets it when dropped.
struct Ends<'e>(&'e AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_becomes_a_link_while_it_is_written_to_leads_nowhere() {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("dir/sub/deep")).unwrap();
    for name in ["f", "1", "2", "deep/f", "deep/1", "deep/2"] {
        let path = src.join("dir/sub").join(name);
        fs::write(&path, "new ".repeat(5000)).unwrap();
        let set = Command::new("setfattr").args(["-n", "user.new", "-v", "1"]).arg(&path).status();
        assert!(set.unwrap().success());
        std::os::unix::fs::chown(&path, Some(5), Some(6)).unwrap();
    }
    fs::hard_link(src.join("dir/sub/1"), src.join("dir/sub/deep/linked")).unwrap();
    symlink("f", src.join("dir/sub/link")).unwrap();
    (0..100).for_each(|n| fs::write(src.join(format!("dir/other{n}")), "new").unwrap());
    let [place, ours] = bench.places();
    let (outside, aside) = (place.join("outside"), place.join("aside"));
    fs::create_dir(&aside).unwrap();
    fs::create_dir_all(outside.join("sub/deep/more")).unwrap();
    for name in ["f", "1", "extra", "deep/f", "deep/1", "deep/extra", "deep/more/x"] {
        fs::write(outside.join("sub").join(name), "old").unwrap();
    }
    let dir = ours.join("dst/dir");
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    let before = look(&outside);
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| swap(&dir, &aside, &outside, &over, &swaps));
        // Also when the test fails.
        let _ends = Ends(&over);
        for options in [
            "-I",
            "-I --inplace",
            "-I -b",
            "-I -b --backup-dir=bk",
            "-IH",
            "-IX",
            "-I --delete",
            "-I --delete-after",
            "-I --delete-delay",
            "-I --delay-updates",
            "-I --partial-dir=.p",
            "-I -T .",
            "-I -K",
            "-I -K --delete",
            "-I --no-W",
            "-I --fake-super",
            "-I --append --no-t",
            "-I --delete --force --sparse",
            "-I --copy-dest=bk",
            "-c --chmod=F600,D711",
            "-IR",
            "--delete -d --no-r",
        ] {
            for _ in 0..3 {
                let seen = swaps.load(Ordering::Relaxed);
                let mut run = command(None, FOREBAY, &["sync", "-a"]);
                run.args(options.split(' ')).arg(format!("{}/./", src.display())).arg("dst").current_dir(&ours);
                let output = run.output().unwrap();
                let text = String::from_utf8_lossy(&output.stderr);
                // Names that come and go are no more than that; a directory of the options that is none ends the run.
                assert!(matches!(output.status.code(), Some(0 | 3 | 11 | 23 | 24)), "{options}: {text}");
                assert_eq!(look(&outside), before, "{options}: {text}");
                while swaps.load(Ordering::Relaxed) == seen {
                    thread::yield_now();
                }
            }
        }
    });
    assert!(dir.join("other99").exists());
}
